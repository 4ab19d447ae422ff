"""Which classes make the poller of a URL."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

from inotifier.locations import Location, scheme_of
from inotifier.sources.base import Poller, SourceError

logger = logging.getLogger(__name__)

P = TypeVar("P", bound=type[Poller])

_classes: defaultdict[str, list[type[Poller]]] = defaultdict(list)


def register_poller(scheme: str) -> Callable[[P], P]:
    """Return a decorator for classes that make pollers of URLs with `scheme`.

    Several classes may have the same scheme: `make_poller` tries them in the order in which they
    were registered. Each is called with what `make_poller` is called with.

    Args:
        scheme: what comes before "://", in upper or lower case.

    Raises:
        ValueError: no URL can have this scheme.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        raise ValueError(
            f'{scheme!r} is no scheme: give what comes before "://", such as "file" or "s3"'
        )

    def register(cls: P) -> P:
        _classes[scheme.lower()].append(cls)
        return cls

    return register


def make_poller(url: Location, recurse: bool = False, **extra: Any) -> Poller:
    """Return a poller of `url`, made by the first class of its scheme that can make one.

    Why a class before it could not is logged as a warning.

    Args:
        url: a URL, or the path of a file or directory. In a path, "#", "?" and "%" are like other
            characters.
        recurse: True for what is in directories below as well.
        extra: further arguments of the classes, such as `initial`.

    Raises:
        TypeError, ValueError: the scheme is unknown, or no class takes these arguments.
        SourceError: no class can make a poller; the message holds the reason of each.
    """
    scheme = scheme_of(url)
    if scheme not in _classes:
        known = ", ".join(sorted(_classes))
        raise ValueError(f"there is no poller for {scheme}:// URLs; known schemes are {known}")
    failed: list[tuple[str, Exception]] = []
    for cls in _classes[scheme]:
        try:
            poller = cls(url, recurse=recurse, **extra)  # type: ignore[arg-type]
        except Exception as exc:
            failed.append((cls.__name__, exc))
        else:
            for name, reason in failed:
                logger.warning(
                    "%s cannot be used, %s takes its place: %s", name, cls.__name__, _text(reason)
                )
            return poller
    raise _error(scheme, failed)


def check_url(url: str, recurse: bool = False, **extra: Any) -> str:
    """Return `url` as it may be shown, without any password; the place is not asked for anything.

    Raises:
        TypeError, ValueError: the scheme is unknown, or its class does not take these arguments.
        SourceError: a library is not installed.
    """
    with make_poller(url, recurse, initial="created", **extra) as poller:
        return poller.url


def _error(scheme: str, failed: list[tuple[str, Exception]]) -> Exception:
    """Return what to raise when all classes have `failed`."""
    first = failed[0][1]
    if all(isinstance(reason, (TypeError, ValueError)) for _, reason in failed):
        return first  # what was given is wrong, not the place
    reasons = "; ".join(f"{name}: {_text(reason)}" for name, reason in failed)
    error = SourceError(f"no poller can be made for this {scheme}:// URL: {reasons}")
    error.__cause__ = first
    return error


def _text(reason: Exception) -> str:
    return str(reason) or type(reason).__name__
