"""Everything that fsspec speaks: object stores, file servers, and what else has a URL."""

from __future__ import annotations

import re
import threading
from collections.abc import Hashable, Iterable, Iterator, Mapping
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from inotifier.options import positive_seconds
from inotifier.sources.base import Poller, SourceError
from inotifier.sources.credentials import Address, hide, read_address

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

# Those of places that can be listed and whose libraries are about; fsspec may know more, for
# `register_poller`.
SCHEMES = (
    "abfs",
    "abfss",
    "adl",
    "az",
    "ftp",
    "gcs",
    "gs",
    "hdfs",
    "memory",
    "oci",
    "oss",
    "s3",
    "s3a",
    "sftp",
    "smb",
    "ssh",
    "webdav",
    "webhdfs",
)

# Where directories are nothing but what names begin with. There, `find` is one flat listing that
# fails when it fails; elsewhere, fsspec's leaves out the directories that it cannot list.
_FLAT = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"}
# There, what stands before the "@" is the container.
_NO_USER = {"abfs", "abfss"}
# What the libraries call a user and a password; the others call them so.
_WHO = {
    "s3": ("key", "secret"),
    "s3a": ("key", "secret"),
    "webhdfs": ("user", "password"),
}
_SECRET = re.compile("key|secret|token|pass|cred|sas|sign|connection_string|auth", re.IGNORECASE)

# What the libraries call that which is another when a file has changed.
_MARKS = (
    "ETag",
    "etag",
    "content_md5",
    "md5Hash",
    "checksum",
    "generation",
    "size",
    "LastModified",
    "last_modified",
    "last_write_time",
    "mtime",
    "modified",
    "modify",
    "updated",
    "created",
)

Info = Mapping[str, Any]


class FsspecPoller(Poller):
    """Tells which files of a place that fsspec can list are created, modified or deleted.

    The subject is the URL without user and password, and with the file's path below it, as it is.
    A file is modified when what its place tells of it is: ETag, checksum, size, time.

    Args:
        url: of a directory, a bucket, a part of a bucket, or a file. A user and a password in it
            are to be quoted.
        recurse: True for what is in directories below as well.
        initial: as for every poller.
        options: keyword arguments for the library that fsspec takes for this scheme, such as its
            credentials. They come before those of the URL; with neither, the library looks for
            some where it always does.
        timeout: seconds until a listing that does not come is an error. It goes on, and what it
            tells is taken by the next call.

    Raises:
        SourceError: the place cannot be listed, or a library for it is not installed.
        ValueError: the URL or an argument is not as above.
    """

    recurses = True

    def __init__(
        self,
        url: str,
        recurse: bool = False,
        *,
        initial: str = "ignore",
        options: Mapping[str, Any] | None = None,
        timeout: float = 60,
    ) -> None:
        address = read_address(url)
        self.whole = self._flat = address.scheme in _FLAT
        if options is not None and not isinstance(options, Mapping):
            raise TypeError("options is no dict of keyword arguments for the library")
        if address.scheme in _NO_USER:
            self._options, public = dict(options or {}), url
        else:
            self._options, public = {**_who(address), **(options or {})}, address.public
        _need_library(address.scheme, public)
        self._secrets = [address.password or "", *_secrets(self._options)]
        self._timeout = positive_seconds("timeout", timeout)
        self._files: AbstractFileSystem | None = None
        self._root = ""
        self._answer: SimpleQueue[dict[str, Info] | Exception] | None = None
        super().__init__(public, recurse, initial=initial)

    def _public(self, url: str) -> str:
        return url  # what stands before an "@" by now is the container

    def listing(self) -> Mapping[str, Hashable]:
        """Return what is told of every file."""
        try:
            infos = self._ask_again_if_idle()
        except Exception as exc:  # whatever the libraries and theirs raise
            problem = self._problem(exc)
            self._disconnect()
            # The exceptions of some libraries hold what they were called with.
            raise SourceError(f"{self.url} cannot be listed: {problem}") from None
        base = self.url if self.url.endswith("/") else f"{self.url}/"
        root = f"{self._root}/"
        return {
            self.url if name == self._root else base + name.removeprefix(root): _state(info)
            for name, info in infos.items()
        }

    def _ask_again_if_idle(self) -> dict[str, Info]:
        """List; a second time if the connection is an old one, which the server may have ended."""
        if self._files is not None:
            try:
                return self._ask()
            except _NoAnswer:
                raise
            except Exception:
                self._disconnect()
        return self._ask()

    def _ask(self) -> dict[str, Info]:
        """List in a thread, or wait for it: not every library has a time-out for every call.

        Raises:
            _NoAnswer: it has not come in time.
        """
        is_late = self._answer is not None
        answer = self._answer = self._answer or self._begin()
        try:
            result = answer.get(timeout=self._timeout)
        except Empty:
            raise _NoAnswer(f"no answer within {self._timeout:g} s") from None
        self._answer = None
        if not isinstance(result, Exception):
            return result
        if is_late:
            return self._ask()  # that was wrong then
        raise result

    def _begin(self) -> SimpleQueue[dict[str, Info] | Exception]:
        """Start a listing; return where its answer will be."""
        answer: SimpleQueue[dict[str, Info] | Exception] = SimpleQueue()

        def ask() -> None:
            try:
                answer.put(self._list())
            except Exception as exc:
                answer.put(exc)

        threading.Thread(target=ask, name=f"listing {self.url}", daemon=True).start()
        return answer

    def _list(self) -> dict[str, Info]:
        files = self._files = self._files or self._open()
        files.invalidate_cache()
        if self.recurse:
            found = files.find(self._root, detail=True) if self._flat else self._walk(files)
        else:
            found = _by_name(self._top(files))
        return {
            name: info
            for name, info in found.items()
            if info.get("type") != "directory" and not name.endswith("/")
        }

    def _open(self) -> AbstractFileSystem:
        from fsspec.core import url_to_fs

        # An instance of its own: others may be used, and closed, by other threads.
        files, root = url_to_fs(self.url, skip_instance_cache=True, **self._options)
        self._root = root.rstrip("/")
        return files

    def _top(self, files: AbstractFileSystem) -> list[Info]:
        try:
            return _ls(files, self._root or "/")
        except FileNotFoundError:
            if not self._flat:
                raise
            # Nothing begins like that, or the bucket is missing. This knows which, and lists no
            # more than was found.
            return list(files.find(self._root, detail=True).values())

    def _walk(self, files: AbstractFileSystem) -> dict[str, Info]:
        found = {}
        directories = [self._root or "/"]
        while directories:
            for name, info in _by_name(_ls(files, directories.pop())).items():
                found[name] = info
                if info["type"] == "directory":
                    directories.append(name)
        return found

    def _problem(self, exc: Exception) -> str:
        if isinstance(exc, _NoAnswer):
            return str(exc)
        if isinstance(exc, FileNotFoundError):
            return "there is no such place"
        return hide(f"{type(exc).__name__}: {exc}", self._secrets)

    def close(self) -> None:
        """Give back what is open; a second call does nothing."""
        super().close()
        self._disconnect()

    def _disconnect(self) -> None:
        """Forget the connection, which ends it; the next listing makes another one."""
        self._files = None


class _NoAnswer(Exception):
    """The place has not answered in time."""


def _need_library(scheme: str, url: str) -> None:
    """Raise SourceError if what it takes to list `url` is not installed."""
    try:
        from fsspec.registry import get_filesystem_class
    except ImportError as exc:
        reason = "it needs fsspec: pip install 'django-inotifier[remote]'"
        raise SourceError(f"{url} cannot be listed: {reason}") from exc
    try:
        get_filesystem_class(scheme)
    except (ImportError, ValueError) as exc:
        raise SourceError(f"{url} cannot be listed: {exc}") from exc


def _ls(files: AbstractFileSystem, directory: str) -> list[Info]:
    """Return what is in `directory`.

    Raises:
        OSError, and what the library raises: it cannot be told.
    """
    infos: list[Info] = [*files.ls(directory, detail=True)]
    # fsspec tells some errors of FTP as an empty directory, which alone it does not remember.
    if not infos and files.protocol == "ftp" and directory not in files.dircache:
        raise OSError(f"the server does not list {directory}")
    return infos


def _by_name(infos: Iterable[Info]) -> dict[str, Info]:
    return {info["name"]: info for info in infos}


def _state(info: Info) -> Hashable:
    return tuple(str(info[mark]) for mark in _MARKS if info.get(mark) is not None)


def _who(address: Address) -> dict[str, str]:
    """Return the user and the password of the URL, as the library wants them."""
    names = _WHO.get(address.scheme, ("username", "password"))
    parts = zip(names, (address.user, address.password), strict=True)
    return {name: unquote(part) for name, part in parts if part is not None}


def _secrets(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield the values in `options` that nobody else should read, to judge by their names."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _secrets(value)
        elif isinstance(value, str) and _SECRET.search(name):
            yield value
