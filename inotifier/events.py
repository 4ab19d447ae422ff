"""Events and masks: what the kernel says, in pyinotify's words (inotify(7))."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from inotifier import json_form
from inotifier.masks import (
    ALL_EVENTS,
    EVENT_BITS,
    EVENT_NAMES,
    IN_ATTRIB,
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_DELETE_SELF,
    IN_ISDIR,
    IN_MODIFY,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_ONLYDIR,
    IN_OPEN,
    IN_Q_OVERFLOW,
    IN_UNMOUNT,
    UNASKED,
    event_name,
    mask_names,
    parse_mask,
)

_missing: ImportError | None = None
try:
    from pyinotify import Event as _Base
except ImportError as exc:  # a machine that gets its events from another one
    _missing = exc

    class _Base:  # type: ignore[no-redef]
        """Stands in for `pyinotify.Event`."""


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
    "need_pyinotify",
    "parse_mask",
    "printable",
]


def need_pyinotify() -> None:
    """Raise what importing pyinotify raised, if it did: where files are watched, it is needed."""
    if _missing is not None:
        raise _missing


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


class Event(_Base):
    """One event, with every attribute always present.

    It is a `pyinotify.Event` wherever pyinotify is installed.

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
        id: tells it from all others on any machine. It stays the same while the event is tried
            again; what is found missing after a crash is another event.
        host: name of the machine where it was read.
        watch_name: what the status calls the entry, None outside the daemon.
    """

    __slots__ = (
        "_host",
        "_id",
        "_watch_name",
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
    _host: str
    _id: str
    _watch_name: str | None

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
        return event_name(self.mask)

    @property
    def id(self) -> str:
        try:
            return self._id
        except AttributeError:
            self._id = json_form.new_id()
            return self._id

    def take_id_of(self, cause: Event) -> None:
        """Take an id that follows from that of `cause` and the path.

        What is made anew each time `cause` is tried is the same event then.
        """
        self._id = json_form.id_that_follows(cause.id, self.pathname)

    @property
    def host(self) -> str:
        try:
            return self._host
        except AttributeError:
            return json_form.this_host()

    @property
    def watch_name(self) -> str | None:
        if self.watch is None:
            return getattr(self, "_watch_name", None)
        return str(self.watch.name or os.fspath(self.watch.path))

    def to_json(self, *, signal: str | None = None, processor: str | None = None) -> str:
        """Return it in the JSON form that `event.schema.json` describes, in ASCII.

        Args:
            signal: name of the signal that stands for it; that of its mask by default.
            processor: dotted path of the class that publishes it.
        """
        return json_form.write(self, signal, processor)

    @classmethod
    def from_json(cls, source: str | bytes | Mapping[str, Any]) -> Event:
        """Return the event that `to_json` was called of, here or on another machine.

        Args:
            source: what that returned, or what it stands for: a task gets an event so.

        Raises:
            UnreadableMessage: it is not in that form.
        """
        value = json_form.parse(source) if isinstance(source, (str, bytes)) else source
        return cls.from_message(json_form.read(value))

    @classmethod
    def from_message(cls, message: json_form.Message) -> Event:
        """Return the event that `message` tells of."""
        event = cls(**message.fields)
        event._id, event._host, event._watch_name = message.id, message.host, message.watch
        return event

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
