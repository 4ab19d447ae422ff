"""Events and masks: what the kernel says, in pyinotify's words (inotify(7))."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from typing import Any

import pyinotify
from pyinotify import (
    ALL_EVENTS,
    IN_ATTRIB,
    IN_CLOSE_NOWRITE,
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_DELETE_SELF,
    IN_DONT_FOLLOW,
    IN_EXCL_UNLINK,
    IN_IGNORED,
    IN_ISDIR,
    IN_MASK_ADD,
    IN_MODIFY,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_ONESHOT,
    IN_ONLYDIR,
    IN_OPEN,
    IN_Q_OVERFLOW,
    IN_UNMOUNT,
    EventsCodes,
)

from inotifier.exceptions import ConfigurationError

__all__ = [
    "ALL_EVENTS",
    "EVENT_BITS",
    "EVENT_NAMES",
    "IN_ATTRIB",
    "IN_CLOSE_WRITE",
    "IN_CREATE",
    "IN_DELETE",
    "IN_DELETE_SELF",
    "IN_ISDIR",
    "IN_MODIFY",
    "IN_MOVED_FROM",
    "IN_MOVED_TO",
    "IN_ONLYDIR",
    "IN_OPEN",
    "IN_Q_OVERFLOW",
    "IN_UNMOUNT",
    "UNASKED",
    "Event",
    "join",
    "mask_names",
    "parse_mask",
    "printable",
]

UNASKED = IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED
"""Bits that the kernel sends whether a mask holds them or not."""

_FLAGS = IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK
_REFUSED = IN_ONESHOT | IN_MASK_ADD
_MASK_BITS = ALL_EVENTS | UNASKED | IN_ISDIR | _FLAGS

_BITS: dict[str, int] = {
    **EventsCodes.ALL_FLAGS,
    "ALL": ALL_EVENTS,
    "IN_CLOSE": IN_CLOSE_WRITE | IN_CLOSE_NOWRITE,
    "IN_MOVE": IN_MOVED_FROM | IN_MOVED_TO,
}

EVENT_BITS: dict[str, int] = {
    **EventsCodes.FLAG_COLLECTIONS["OP_FLAGS"],
    **EventsCodes.FLAG_COLLECTIONS["EVENT_FLAGS"],
}
"""The fifteen events, IN_ACCESS to IN_IGNORED."""

EVENT_NAMES: tuple[str, ...] = tuple(EVENT_BITS)
"""Their names."""


def parse_mask(value: object) -> int:
    """Return the mask that `value` means, as an int.

    Args:
        value: an int; a name ("IN_CREATE", "ALL_EVENTS"); names joined by "|"; or a
            list, tuple or set of any of these. IN_CLOSE and IN_MOVE are the pairs of inotify(7).

    Raises:
        ConfigurationError: an unknown bit or name, a flag that belongs to the engine
            (IN_ONESHOT, IN_MASK_ADD), or a mask without any event.
    """
    mask = _bits(value)
    if mask & _REFUSED:
        names = mask_names(mask & _REFUSED)
        raise ConfigurationError(f"the mask {value!r} holds {names}, which no entry can use")
    if unknown := mask & ~_MASK_BITS:
        raise ConfigurationError(f"the mask {value!r} holds unknown bits: 0x{unknown:x}")
    if not mask & ALL_EVENTS:
        raise ConfigurationError(f"the mask {value!r} holds no event to wait for")
    return mask


def _bits(value: object) -> int:
    if isinstance(value, bool):
        raise ConfigurationError(f"the mask {value!r} is neither an int nor names of events")
    if isinstance(value, int):
        if value < 0:
            raise ConfigurationError(f"the mask {value!r} is negative")
        return value
    if isinstance(value, str):
        return _or(_bit(name.strip(), value) for name in value.split("|"))
    # No generator: settings are read more than once, and the second time it would be empty.
    if isinstance(value, Collection) and not isinstance(value, (bytes, bytearray)):
        return _or(_bits(part) for part in value)
    raise ConfigurationError(f"the mask {value!r} is neither an int nor names of events")


def _bit(name: str, whole: str) -> int:
    try:
        return _BITS[name]
    except KeyError:
        known = ", ".join(sorted(_BITS))
        raise ConfigurationError(
            f"the mask {whole!r} holds the unknown name {name!r}; known are {known}"
        ) from None


def _or(masks: Iterable[int]) -> int:
    result = 0
    for mask in masks:
        result |= mask
    return result


def mask_names(mask: int) -> str:
    """Return the names of the bits of `mask`, joined by "|"; "ALL_EVENTS" stands for its twelve."""
    names = []
    if mask & ALL_EVENTS == ALL_EVENTS:
        names.append("ALL_EVENTS")
        mask &= ~ALL_EVENTS
    while mask:
        bit = mask & -mask
        names.append(EventsCodes.ALL_VALUES.get(bit, hex(bit)))
        mask &= ~bit
    return "|".join(names)


def printable(path: str) -> str:
    """Return `path` fit for a line of text.

    Bytes that are not UTF-8 and control characters, line breaks among them, appear as
    backslash escapes: any file name stays on one line and can be encoded.
    """
    if path.isprintable():
        return path
    return "".join(char if char.isprintable() else _escape(char) for char in path)


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # os.fsdecode's stand-in for a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


class Event(pyinotify.Event):
    """One event, with every attribute always present.

    Attributes:
        wd: watch descriptor; -1 for an overflow.
        mask: the kernel's bits, IN_ISDIR among them.
        maskname: name of the event, "IN_CREATE" or "IN_CREATE|IN_ISDIR".
        path: the watched directory or file; "" for an overflow.
        name: base name below `path`; "" if the event is about `path` itself.
        pathname: `path` and `name` joined.
        dir: True if the event is about a directory.
        cookie: joins IN_MOVED_FROM and IN_MOVED_TO; 0 for other events.
        src_pathname: where an IN_MOVED_TO came from, None if unknown.
        synthetic: False for an event of the kernel, otherwise why it was made.
        watch: the entry's `inotifier.Watch`, None outside the daemon.
        timestamp: seconds, `time.time()`, when it was read.
    """

    __slots__ = (
        "cookie",
        "dir",
        "mask",
        "name",
        "path",
        "pathname",
        "src_pathname",
        "synthetic",
        "timestamp",
        "watch",
        "wd",
    )

    def __init__(
        self,
        *,
        mask: int,
        path: str = "",
        name: str = "",
        wd: int = -1,
        cookie: int = 0,
        dir: bool | None = None,
        src_pathname: str | None = None,
        synthetic: str | bool = False,
        watch: Any = None,
        timestamp: float | None = None,
    ) -> None:
        self.wd = wd
        self.mask = mask
        self.path = path
        self.name = name
        self.pathname = join(path, name)
        self.dir = bool(mask & IN_ISDIR) if dir is None else dir
        self.cookie = cookie
        self.src_pathname = src_pathname
        self.synthetic = synthetic
        self.watch = watch
        self.timestamp = time.time() if timestamp is None else timestamp

    @property
    def maskname(self) -> str:
        return str(EventsCodes.maskname(self.mask))

    def __repr__(self) -> str:
        fields = ("dir", "mask", "maskname", "name", "path", "pathname", "src_pathname", "wd")
        shown = []
        for field in fields:
            value = getattr(self, field)
            if field == "mask":
                value = hex(value)
            elif value == "":
                value = "''"
            elif isinstance(value, str):
                value = printable(value)
            if value is not None:
                shown.append(f" {field}={value}")
        return f"<{type(self).__name__}{''.join(shown)} >"

    __str__ = __repr__


def join(path: str, name: str) -> str:
    """Return `name` below the absolute `path`; `path` itself if `name` is empty."""
    if not name:
        return path
    return f"{path}{name}" if path.endswith("/") else f"{path}/{name}"
