"""Who a place is asked as: taken out of its URL, and kept out of every message."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote, quote_plus, unquote

# The user and the password end at the last "@" before the path.
_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://((?P<who>[^/?#]*)@)?(?P<host>[^/?#]*)(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_HOST = re.compile(r"(\[[^]]*\]|[^:]*)(:\d*)?")

HIDDEN = "***"


class Address(NamedTuple):
    """A URL in its parts.

    `user` and `password` are as they stand in it, quoted, and None where it has none; `host` is
    the host with its port, and `rest` all that follows.
    """

    scheme: str
    user: str | None
    password: str | None
    host: str
    rest: str

    @property
    def public(self) -> str:
        """The URL without user and password."""
        return f"{self.scheme}://{self.host}{self.rest}"


def read_address(url: str) -> Address:
    """Return the parts of `url`.

    Raises:
        ValueError: it is no URL, or a password in it is not quoted. What it is is not told: it
            may hold a password.
    """
    found = _URL.fullmatch(url)
    if found is None or not _HOST.fullmatch(found["host"]):
        raise ValueError(
            "the URL cannot be read (it is not shown, it may hold a password). It should be "
            "scheme://user:password@host:port/path; quote : / ? # @ in the user and the password, "
            "as urllib.parse.quote(password, safe='') does"
        )
    user, colon, password = (found["who"] or "").partition(":")
    return Address(
        found["scheme"].lower(),
        user or None,
        password if colon else None,
        found["host"],
        found["rest"],
    )


def hide(text: str, secrets: Iterable[str]) -> str:
    """Return `text` without the `secrets`, in whichever way a library has written them."""
    forms = {form for secret in secrets for form in _forms(secret)}
    for form in sorted(forms - {""}, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    return text


def _forms(secret: str) -> Iterable[str]:
    plain = unquote(secret)
    for each in (secret, plain):
        yield from (each, repr(each)[1:-1], quote(each), quote(each, safe=""), quote_plus(each))
