"""A directory beside a place, where what is to stand there is made, and what stood there is undone.

It is made for one transfer, locked while that runs, and removed in the end. What a crash leaves
behind is known by its name and by not being locked.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from inotifier.exceptions import RuleFailed, TryAgain
from inotifier.scheduling.places import Place
from inotifier.scheduling.renaming import rename_new
from inotifier.scheduling.trees import discard

# All end in .part, so that everybody takes them for what is still arriving.
_NAME = re.compile(r"\.inotifier-[0-9a-f]{16}\.part")
_NEW, _OLD = "new.part", "old.part"

_BUSY = 1.0
"""Seconds after which to see whether another transfer has ended."""


@dataclass(frozen=True)
class Workshop:
    """The two places in it.

    Attributes:
        new: for what is to stand at the place, until it is whole.
        old: for what stood there, until it is removed.
    """

    new: Place
    old: Place


def is_in_workshop(path: str) -> bool:
    """Tell whether `path` is that of a workshop, or lies in one."""
    return ".inotifier-" in path and any(map(_NAME.fullmatch, path.split("/")))


class Purpose(enum.Enum):
    """What a workshop beside a place is for."""

    MAKE = enum.auto()
    REMOVE = enum.auto()


@contextlib.contextmanager
def workshop_for(place: Place, purpose: Purpose) -> Iterator[Workshop]:
    """Make a workshop beside `place`, and remove it with what is left in it.

    After an exception, what stood at the place stands there again.

    Raises:
        TryAgain: another transfer works at `place`, which may take any time.
    """
    room = _room(place, purpose)
    fd = _make(room)
    try:
        workshop = Workshop(room.below(fd, _NEW), room.below(fd, _OLD))
        try:
            yield workshop
        except BaseException:
            _put_back(workshop.old, place)
            discard(room)
            raise
        discard(room)
    finally:
        os.close(fd)


def recover(place: Place, purpose: Purpose, is_needless: Callable[[Place], bool]) -> None:
    """Remove what a crash has left beside `place`.

    What stood there is put back, unless `is_needless` says that it need not be.

    Raises:
        TryAgain: another transfer works at `place`, which may take any time.
        RuleFailed: something new stands there.
    """
    room = _room(place, purpose)
    try:
        fd = room.open(os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return
    try:
        if not _locks(fd):
            raise TryAgain(_BUSY)
        if _is_at(room, fd):
            old = room.below(fd, _OLD)
            if old.look() is not None and not is_needless(old):
                _put_back(old, place)
            discard(room)
    finally:
        os.close(fd)


def _room(place: Place, purpose: Purpose) -> Place:
    text = f"{purpose.name}/{place.name}"
    return place.beside(f".inotifier-{hashlib.sha256(os.fsencode(text)).hexdigest()[:16]}.part")


def _make(room: Place) -> int:
    """Make the directory `room`; return a descriptor that holds its lock."""
    try:
        os.mkdir(room.name, 0o700, dir_fd=room.directory)
    except FileExistsError:
        raise TryAgain(_BUSY) from None
    # In the meantime, somebody may take it for one that was left behind.
    with contextlib.suppress(FileNotFoundError):
        fd = room.open(os.O_RDONLY | os.O_DIRECTORY)
        if _locks(fd) and _is_at(room, fd):
            return fd
        os.close(fd)
    raise TryAgain(_BUSY)


def _put_back(old: Place, place: Place) -> None:
    if old.look() is None:
        return
    try:
        rename_new(old, place)
    except FileExistsError:
        raise RuleFailed(
            f"what stood at {place} is now {old}, because something new stands there; "
            "keep one of them"
        ) from None


def _locks(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as exc:
        if exc.errno not in (errno.ENOLCK, errno.EBADF, errno.ENOTSUP, errno.ENOSYS):
            raise
        # A file system without locks: there is nobody to be locked out, or nobody can be.
    return True


def _is_at(room: Place, fd: int) -> bool:
    status, opened = room.look(), os.fstat(fd)
    return status is not None and (status.st_dev, status.st_ino) == (opened.st_dev, opened.st_ino)
