"""Entries whose path is a URL."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from inotifier.events import (
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_MODIFY,
    mask_names,
    printable,
)
from inotifier.exceptions import InotifierError
from inotifier.watches.problems import Number, Unusable
from inotifier.watches.watch import Watch

# It knows the schemes, and is further out than the settings: named, as processors are.
_SOURCES = "inotifier.sources"

_TOLD = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_DELETE

# What has no meaning for a place that is listed over a network.
_ONLY_HERE: dict[str, object] = {
    "follow_symlinks": False,
    "missing": "error",
    "ignore_self": False,
}


def public_url(watch: Watch, url: str, number: Number) -> str:
    """Return the URL of entry `number` without user and password; its place is not asked.

    Raises:
        Unusable: the entry cannot be listed; the message holds no password.
    """
    if watch.backend == "inotify":
        raise _unusable(number, "inotify tells of this machine's files only", "backend")
    for name, default in _ONLY_HERE.items():
        if getattr(watch, name) != default:
            raise _unusable(number, f"{name} has no meaning for a URL", name)
    options = watch.source_options
    if not isinstance(options, Mapping) or not all(isinstance(name, str) for name in options):
        raise _unusable(number, "source_options is not a dict with names", "source_options")
    if taken := options.keys() & {"url", "recurse", "initial"}:
        what = f"source_options holds {min(taken)!r}, which the entry says itself"
        raise _unusable(number, what, min(taken))
    if "*" in url:
        raise _unusable(number, "that holds a '*', which stands for nothing else there", "it")
    sources = importlib.import_module(_SOURCES)
    try:
        return str(sources.check_url(url, recurse=watch.recursive, **options))
    except (InotifierError, TypeError, ValueError) as exc:
        raise Unusable(
            "E016",
            f"entry {number} cannot be watched: {exc}",
            "Change its path or its source_options, or install what is missing.",
        ) from None  # what it was called with may hold a password


def check_processor(processor: object, name: str, number: Number) -> None:
    """Raise Unusable if the processor of entry `number` says that it is none for a URL."""
    unfit_for_url = getattr(processor, "unfit_for_url", None)
    if unfit_for_url is not None and (reason := unfit_for_url()):
        raise Unusable(
            "E016",
            f"entry {number} has a URL, for which {name} cannot be used: {reason}",
            "Change its options, or take another processor.",
        )


def _unusable(number: Number, what: str, field: str) -> Unusable:
    return Unusable("E016", f"entry {number} has a URL, and {what}", f"Leave {field} out.")


def check_mask(mask: int, url: str, number: Number) -> None:
    """Raise Unusable if nothing is told of `url` that `mask` asks for."""
    if not mask & _TOLD:
        raise Unusable(
            "E016",
            f"entry {number} asks for {mask_names(mask)}, and nothing of that is told of "
            f"{printable(url)}",
            f"Ask for some of {mask_names(_TOLD)}.",
        )
