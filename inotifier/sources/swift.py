"""OpenStack Swift: the objects of a container."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote

from inotifier.options import positive_seconds
from inotifier.sources.base import Poller, SourceError
from inotifier.sources.credentials import Address, hide, read_address

if TYPE_CHECKING:
    from keystoneauth1.session import Session
    from swiftclient import Connection

SCHEMES = {"swift": "http", "swt": "http", "swifts": "https", "swts": "https"}

_FORM = "swift://user+tenant:password@host:port/path?container"
_DEFAULT_DOMAIN = "default"  # the id that Keystone gives to the domain that it is installed with
_OF_THE_CATALOG = ("region_name", "endpoint_type")
_VERSION = re.compile(r"v\d+(\.\d+)?")


class SwiftPoller(Poller):
    """Tells which objects of a container are created, modified or deleted.

    The subject is the URL without user and password, with the object's name quoted:
    `swift://host:port/path?container&name=a%20name`.

    Args:
        url: `swift://user+tenant:password@host:port/path?container`, where the path is that of the
            authentication; `swifts:` or `swts:` for https. What is special in a URL is to be
            quoted, a "+" in the user as well.
        recurse: changes nothing; a container has no directories, and all its objects are told.
        initial: as for every poller.
        auth_version: of the authentication; 3 and 2 are Keystone's, 1 is Swift's own.
        options: what Keystone needs besides: `user_domain_name` and `project_domain_name` (or
            `..._id`; "default" by default), `region_name`, `endpoint_type`.
        timeout: seconds until a call that is not answered is given up; it is tried once more.

    Raises:
        SourceError: the container cannot be listed, or python-swiftclient is not installed.
        TypeError, ValueError: the URL or an argument is not as above.
    """

    whole = True

    def __init__(
        self,
        url: str,
        recurse: bool = False,
        *,
        initial: str = "ignore",
        auth_version: int = 3,
        options: Mapping[str, Any] | None = None,
        timeout: float = 60,
    ) -> None:
        address = read_address(url)
        path, _, container = address.rest.partition("?")
        if address.scheme not in SCHEMES or not (address.user and address.password and container):
            raise ValueError(f"the URL of a Swift container should be of the form {_FORM}")
        self._container = unquote(container)
        self._secrets = (address.password,)
        self._connection = _connection(
            _account(address, path),
            auth_version,
            dict(options or {}),
            positive_seconds("timeout", timeout),
        )
        public = f"{address.scheme}://{address.host}{path}?{quote(self._container)}"
        super().__init__(public, recurse, initial=initial)

    def name_of(self, subject: str) -> str:
        """Return the name of the object."""
        return unquote(subject.removeprefix(f"{self.url}&name="))

    def listing(self) -> Mapping[str, Hashable]:
        """Return hash, time and size of every object."""
        try:
            return {
                f"{self.url}&name={quote(each['name'])}": (
                    each["hash"],
                    each["last_modified"],
                    each["bytes"],
                )
                for each in self._objects()
            }
        except Exception as exc:  # whatever the libraries and theirs raise
            problem = self._problem(exc)
            self._disconnect()
            # The exception of the library holds what it was called with.
            raise SourceError(f"{self.url} cannot be listed: {problem}") from None

    def _objects(self) -> Iterator[dict[str, Any]]:
        """Yield the objects, by as many calls as it takes: one tells 10,000 at most."""
        marker = ""
        while page := self._connection.get_container(self._container, marker=marker)[1]:
            yield from page
            marker = page[-1]["name"]

    def _problem(self, exc: Exception) -> str:
        status = getattr(exc, "http_status", None)
        if status == 401:
            return "the user, the tenant or the password is refused"
        if self._connection.token is None:
            where = "the authentication"
        elif status == 404:
            return f"there is no container {self._container!r}"
        else:
            where = "Swift"
        return hide(f"{where} failed: {type(exc).__name__}: {exc}", self._secrets)

    def close(self) -> None:
        """Give back what is open; a second call does nothing."""
        super().close()
        self._disconnect()

    def _disconnect(self) -> None:
        """End the connection; the next listing makes another one."""
        self._connection.close()
        if self._connection.session is not None:
            self._connection.session.session.close()


class _Account(NamedTuple):
    """Where to ask for a token, and as whom."""

    url: str
    user: str
    tenant: str
    password: str


def _account(address: Address, path: str) -> _Account:
    user, _, tenant = (address.user or "").partition("+")
    return _Account(
        f"{SCHEMES[address.scheme]}://{address.host}{path}",
        unquote(user),
        unquote(tenant),
        unquote(address.password or ""),
    )


def _connection(
    account: _Account, auth_version: int, options: dict[str, Any], timeout: float
) -> Connection:
    """Return the connection; nothing is asked yet.

    Raises:
        SourceError: python-swiftclient is not installed.
        TypeError, ValueError: there is no such version or option.
    """
    try:
        import swiftclient.client
    except ImportError as exc:
        raise _missing() from exc
    # It would log the first half of a password that version 1 refuses.
    swiftclient.client.logger_settings["reveal_sensitive_prefix"] = 0

    common: dict[str, Any] = {"retries": 1, "starting_backoff": 0.1, "timeout": timeout}
    if auth_version == 1:
        user = f"{account.tenant}:{account.user}" if account.tenant else account.user
        return swiftclient.Connection(
            account.url, user, account.password, auth_version="1", **common
        )
    catalog = {name: options.pop(name) for name in _OF_THE_CATALOG if name in options}
    session = _keystone(account, auth_version, options, timeout)
    return swiftclient.Connection(session=session, os_options=catalog, **common)


def _keystone(
    account: _Account, auth_version: int, options: dict[str, Any], timeout: float
) -> Session:
    """Return a session that gets its token from Keystone when it needs one.

    Raises:
        SourceError: keystoneauth1 is not installed.
        TypeError, ValueError: there is no such version or option.
    """
    try:
        from keystoneauth1 import session
        from keystoneauth1.identity import v2, v3
    except ImportError as exc:
        raise _missing() from exc
    if not account.tenant:
        raise ValueError(f"Keystone needs a tenant: the URL should be of the form {_FORM}")
    plugin: v2.Password | v3.Password
    if auth_version == 3:
        plugin = v3.Password(
            _versioned(account.url, "v3"),
            username=account.user,
            password=account.password,
            project_name=account.tenant,
            **_with_domains(options),
        )
    elif auth_version == 2:
        plugin = v2.Password(
            _versioned(account.url, "v2.0"),
            account.user,
            account.password,
            tenant_name=account.tenant,
            **options,
        )
    else:
        raise ValueError(f"auth_version is {auth_version!r}; it should be 1, 2 or 3")
    return session.Session(plugin, timeout=timeout)


def _with_domains(options: dict[str, Any]) -> dict[str, Any]:
    for whose in ("user", "project"):
        if f"{whose}_domain_name" not in options:
            options.setdefault(f"{whose}_domain_id", _DEFAULT_DOMAIN)
    return options


def _versioned(url: str, version: str) -> str:
    url = url.rstrip("/")
    return url if _VERSION.fullmatch(url.rsplit("/", 1)[-1]) else f"{url}/{version}"


def _missing() -> SourceError:
    return SourceError(
        "a Swift container needs python-swiftclient and keystoneauth1: "
        "pip install 'django-inotifier[swift]'"
    )
