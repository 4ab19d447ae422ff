"""What the handlers of this process write, so that an entry need not be told of it.

inotify does not say who wrote. So the interpreter's audit events (Python's table of them, PEP 578)
are heard while a handler runs: they name the paths that it opens for writing, renames or removes.
An event of such a path is our own as long as the path looks as the handler left it. What a program
writes that the handler starts is not known.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from inotifier.events import Event
from inotifier.notifier import Methods

_PATIENCE = 5.0
"""Seconds after a handler's end in which the kernel's events of its writing are read."""

_UNTIL_IT_ENDS = 0.05
"""Seconds to wait with an event of a path that a handler is just writing."""

_MEMORY = 10_000

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

# Audit event -> positions of (path, descriptor of the directory that it starts from).
_PATHS: dict[str, tuple[tuple[int, int], ...]] = {
    "inotifier.write": ((0, -1),),  # our own, for ways of writing that Python does not tell of
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.link": ((1, 3),),
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.rmdir": ((0, 1),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, -1),),
    "os.utime": ((0, 3),),
}

_Look = tuple[int, int, int] | None

_touched: ContextVar[set[str] | None] = ContextVar("inotifier_touched", default=None)
"""What is being written here: in this thread, or in this task of an event loop."""


class _Left(NamedTuple):
    """How a handler left a path, and between which times events of it are read."""

    look: _Look
    began: float
    until: float


class OwnWrites:
    """Paths that handlers have written, and how they left them.

    One serves all handlers, since one may write where another entry watches.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[str, _Left] = {}
        self._running: list[set[str]] = []
        _listen()

    def note(self, call: Callable[[Event], Any]) -> Callable[[Event], Any]:
        """Return `call` such that what it writes is noted."""

        @functools.wraps(call)
        def noting(event: Event) -> Any:
            with self.noting():
                return call(event)

        return noting

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note what is written here."""
        touched: set[str] = set()
        began = time.time()
        with self._lock:
            self._running.append(touched)
        token = _touched.set(touched)
        try:
            yield
        finally:
            _touched.reset(token)
            self._keep(touched, began)

    def _keep(self, touched: set[str], began: float) -> None:
        until = time.time() + _PATIENCE
        left = {path: _Left(_look(path), began, until) for path in touched}
        with self._lock:
            self._running = [one for one in self._running if one is not touched]
            self._left.update(left)
            while len(self._left) > _MEMORY:
                del self._left[next(iter(self._left))]

    def wait_for(self, event: Event) -> float:
        """Return seconds to wait until it is known whose event it is, 0 if that is known."""
        path = _real(event.pathname)
        with self._lock:
            return _UNTIL_IT_ENDS if any(path in one for one in self._running) else 0.0

    def made(self, event: Event) -> bool:
        """Tell whether `event` is of what a handler has written."""
        path = _real(event.pathname)
        with self._lock:
            left = self._left.get(path)
        # What was read before the handler began is of others, or what it is called for again.
        return (
            left is not None
            and left.began <= event.timestamp <= left.until
            and left.look == _look(path)
        )


class NotingMethods(Methods):
    """The methods of a processor, with what they write noted."""

    def __init__(self, processor: Callable[[Event], Any], own_writes: OwnWrites) -> None:
        super().__init__(processor)
        self._own_writes = own_writes

    def __missing__(self, mask: int) -> Callable[[Event], Any]:
        self[mask] = self._own_writes.note(super().__missing__(mask))
        return self[mask]


def _look(path: str) -> _Look:
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _real(path: str) -> str:
    directory, name = os.path.split(path)
    return os.path.join(_real_directory(directory), name)


@functools.lru_cache(maxsize=1024)
def _real_directory(directory: str) -> str:
    return os.path.realpath(directory)


@functools.cache
def _listen() -> None:
    """Hear audit events from now on: a hook cannot be taken back."""
    sys.addaudithook(_hear)


def _hear(name: str, arguments: tuple[Any, ...]) -> None:
    touched = _touched.get()
    if touched is None:
        return
    token = _touched.set(None)  # finding out the paths may itself be audited
    try:
        touched.update(map(_real, _written(name, arguments)))
    finally:
        _touched.reset(token)


def _written(name: str, arguments: tuple[Any, ...]) -> Iterator[str]:
    if name == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & _WRITING:
            yield from _absolute(path, -1)
        return
    for position, start in _PATHS.get(name, ()):
        yield from _absolute(arguments[position], arguments[start] if start >= 0 else -1)


def _absolute(path: object, start: object) -> Iterator[str]:
    """Yield `path`, which starts from the directory with the descriptor `start` if it is one."""
    try:
        if isinstance(path, int):
            yield os.readlink(f"/proc/self/fd/{path}")
        elif isinstance(path, (str, bytes, os.PathLike)):
            base = os.getcwd()
            if isinstance(start, int) and start >= 0:
                base = os.readlink(f"/proc/self/fd/{start}")
            yield os.path.normpath(os.path.join(base, os.fsdecode(path)))
    except OSError:
        return
