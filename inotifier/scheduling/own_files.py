"""What file rules write, so that the events of it do not start them again."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from inotifier.events import IN_CLOSE_WRITE, IN_CREATE, IN_MODIFY, IN_MOVED_TO, Event

_PATIENCE = 5.0
"""Seconds after a rule's end in which the kernel's events of it are read."""

_MEMORY = 10_000

_ARRIVALS = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO
"""What does not happen where something is only removed."""


_Look = tuple[int, int, int, int] | None
"""Inode, size, mtime_ns and ctime_ns, of a directory the inode alone; None for nothing."""


class _Work(NamedTuple):
    """What was done at a path.

    Attributes:
        began: when, in seconds, `time.time()`.
        ended: when; None while it goes on.
        look: how it left the path.
        removes: True if what stood there was removed, False if something was put there.
        is_whole: True if that was a directory with all that is in it.
    """

    began: float
    ended: float | None = None
    look: _Look = None
    removes: bool = False
    is_whole: bool = False


class OwnFiles:
    """Paths that rules have written or removed, and when.

    Args:
        clock: seconds since the epoch, as the times of files are.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._work: dict[str, _Work] = {}

    @contextlib.contextmanager
    def writing(self, path: str, *, is_whole: bool = False) -> Iterator[None]:
        """Note that something is put at `path` until this is left.

        Args:
            path: where.
            is_whole: True if it is a directory with all that is in it.
        """
        began = self._clock()
        # Whoever hears it knows what is written by ways that the interpreter does not tell of.
        sys.audit("inotifier.write", path)
        self._note(path, _Work(began, is_whole=is_whole))
        try:
            yield
        except BaseException:
            with self._lock:
                self._work.pop(_real(path), None)
            raise
        self._note(path, _Work(began, self._clock(), _look(path), is_whole=is_whole))

    def removes(self, path: str) -> None:
        """Note that `path` is about to be removed."""
        now = self._clock()
        sys.audit("inotifier.write", path)
        self._note(path, _Work(now, now, removes=True))

    def _note(self, path: str, work: _Work) -> None:
        with self._lock:
            # At the end again: the oldest are forgotten first.
            self._work.pop(_real(path), None)
            self._work[_real(path)] = work
            while len(self._work) > _MEMORY:
                del self._work[next(iter(self._work))]

    def made(self, event: Event) -> bool:
        """Tell whether `event` is of what a rule has done."""
        path = _real(event.pathname)
        for above in _ways_up(path):
            with self._lock:
                work = self._work.get(above)
            if work is None or (above != path and not work.is_whole):
                continue
            if not work.began <= event.timestamp <= (work.ended or event.timestamp) + _PATIENCE:
                return False
            if work.removes:
                return not event.mask & _ARRIVALS
            if above == path:
                return work.ended is None or work.look == _look(path)
            return _is_older(path, work.began)
        return False


def _look(path: str) -> _Look:
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return None
    if stat.S_ISDIR(status.st_mode):  # its times change with what is put into it
        return status.st_ino, 0, 0, 0
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _is_older(path: str, moment: float) -> bool:
    """Tell whether what is at `path` has not changed since `moment`: any change sets its ctime."""
    try:
        return os.lstat(path).st_ctime <= moment
    except (OSError, ValueError):
        return False


def _ways_up(path: str) -> Iterator[str]:
    yield path
    while (above := os.path.dirname(path)) != path:
        yield above
        path = above


def _real(path: str) -> str:
    directory, name = os.path.split(path)
    with contextlib.suppress(OSError):
        directory = os.path.realpath(directory)
    return os.path.join(directory, name)
