"""Which names a file that is complete may not have yet."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable

TEMPORARY = (
    ".part",
    ".partial",
    ".filepart",
    ".crdownload",
    ".tmp",
    ".?*." + "[0-9A-Za-z]" * 6,  # rsync's
)
"""Names under which a file is not yet ready, unless an entry says otherwise."""


class ReadyNames:
    """Tells temporary names from others, and knows the suffixes of markers.

    Args:
        temporary: suffixes (".part") and patterns ("~$*") of names that are never ready.
        dotfiles: False if names that begin with a dot are never ready.
        marker: a suffix or a list of suffixes, None for no markers.

    Attributes:
        markers: the suffixes of markers.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message says which one.
    """

    def __init__(self, temporary: object, dotfiles: object, marker: object) -> None:
        self._suffixes, self._patterns = _temporary(temporary)
        if not isinstance(dotfiles, bool):
            raise TypeError(f"dotfiles is {dotfiles!r}; it should be True or False")
        self._dotfiles = dotfiles
        self.markers = _markers(marker)

    def is_temporary(self, path: str) -> bool:
        """Tell whether the file at `path` is never ready under that name."""
        name = path.rpartition("/")[2]
        return (
            not name  # what a marker without anything before its suffix would mark
            or name.endswith(self._suffixes)
            or (self._patterns is not None and self._patterns.match(name) is not None)
            or (not self._dotfiles and name.startswith("."))
        )


def _markers(marker: object) -> tuple[str, ...]:
    if marker is None:
        return ()
    suffixes = (marker,) if isinstance(marker, str) else _texts("marker", marker)
    if wrong := [one for one in suffixes if not one or "/" in one]:
        raise ValueError(f"marker holds {wrong[0]!r}; it should be a suffix such as '.done'")
    return suffixes


def _temporary(temporary: object) -> tuple[tuple[str, ...], re.Pattern[str] | None]:
    """Return the suffixes in `temporary`, and its patterns as one."""
    texts = _texts("temporary", temporary)
    patterns = [one for one in texts if any(char in one for char in "*?[")]
    suffixes = tuple(one for one in texts if one not in patterns)
    if wrong := [one for one in suffixes if not one.startswith(".")]:
        raise ValueError(
            f"temporary holds {wrong[0]!r}, which is neither a suffix such as '.part' "
            "nor a pattern such as '*~'"
        )
    return suffixes, re.compile("|".join(map(fnmatch.translate, patterns))) if patterns else None


def _texts(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"{name} is {value!r}; it should be a list of texts")
    texts = tuple(value)
    if wrong := [one for one in texts if not isinstance(one, str)]:
        raise TypeError(f"{name} holds {wrong[0]!r}, which is not a text")
    return texts
