"""What the URL of a place says: its scheme, and the path of a file URL."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote

Location = str | os.PathLike[str]
"""A URL, or the path of a file or directory."""

# In what somebody has written, a password may hold anything.
_WHO = re.compile(r"://[^\n]*@")
_USER = re.compile(r"://[^/?#]*@")
_PASSWORD = re.compile(r"(://[^/?#@:]*):[^/?#@]*@")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def text_of(url: Location) -> str:
    """Return `url` as text.

    Raises:
        TypeError: it is neither text nor a path.
        ValueError: it is empty.
    """
    text = os.fspath(url) if isinstance(url, os.PathLike) else url
    if not isinstance(text, str):
        raise TypeError(f"{url!r} is neither a URL nor a path: give a str or a pathlib.Path")
    if not text:
        raise ValueError("the URL is empty: give a URL, or the path of a file or directory")
    return text


def scheme_of(url: Location) -> str:
    """Return the scheme of `url` in lower case; that of a path is "file"."""
    found = _SCHEME.match(text_of(url))
    return "file" if found is None or isinstance(url, os.PathLike) else found[1].lower()


def is_url(pathname: str) -> bool:
    """Tell whether the `pathname` of an event is a URL; others are absolute paths."""
    return not pathname.startswith("/")


def without_password(url: str) -> str:
    """Return `url` with its user, but without the password, if that is quoted as it should be."""
    return _PASSWORD.sub(r"\1@", url)


def public(url: str) -> str:
    """Return `url` without user and password, if these are quoted as they should be."""
    return _USER.sub("://", url, count=1)


def without_user(text: str) -> str:
    """Return `text` for people, without the users and passwords that URLs in it may hold."""
    return _WHO.sub("://", text)


def path_of(url: Location) -> str:
    """Return the absolute path that `url` means.

    What is no URL is a path, character by character; in a file URL, `%23` stands for "#".

    Raises:
        TypeError, ValueError: it means none; the message says why.
    """
    text = text_of(url)
    found = None if isinstance(url, os.PathLike) else _SCHEME.match(text)
    path = text if found is None else _path_of_url(text, found[1], text[found.end() :])
    if "\0" in path:
        raise ValueError(f"{text!r} holds a NUL character, which no path can")
    return os.path.abspath(path)


def _path_of_url(url: str, scheme: str, rest: str) -> str:
    host, slash, path = rest.partition("/")
    if scheme.lower() != "file" or host.lower() not in ("", "localhost") or not slash:
        raise ValueError(
            f"{without_user(url)!r} is no file URL of this machine: write file:///path/to/it"
        )
    if "#" in path or "?" in path:
        raise ValueError(
            f'{url!r} holds a "#" or "?", which ends the path of a URL: '
            "write %23 or %3F for it, or give the path itself"
        )
    return f"/{unquote(path, errors='surrogateescape')}"
