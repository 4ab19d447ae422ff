"""What a path looked like."""

from __future__ import annotations

import os
import stat
from operator import attrgetter
from typing import NamedTuple

HALF, WHOLE = 1 << 63, 1 << 64
_LOWEST = -HALF

_fields = attrgetter("st_ino", "st_size", "st_mtime_ns", "st_mode")

_KIND = 0o170000
"""Those bits of a mode that stat.S_IFMT gives."""


def signed(number: int) -> int:
    """Return the low 64 bits of `number` as SQLite can store them."""
    return (number + HALF) % WHOLE - HALF


class Seen(NamedTuple):
    """What a path looked like.

    Attributes:
        inode: its number.
        size: bytes.
        mtime_ns: time of the last change of its content, in nanoseconds.
        kind: stat.S_IFMT of its mode.
        complete: False while the end of its writing has still to be told.
    """

    inode: int
    size: int
    mtime_ns: int
    kind: int
    complete: bool

    @classmethod
    def of(cls, status: os.stat_result, complete: bool = True) -> Seen:
        """Return what `status` says."""
        inode, size, mtime_ns, mode = _fields(status)
        if mtime_ns >= HALF or mtime_ns < _LOWEST:  # utime(2) takes years far beyond 2262
            mtime_ns = signed(mtime_ns)
        # As the constructor does, in half the time: this is called for most events.
        return tuple.__new__(cls, (inode, size, mtime_ns, mode & _KIND, complete))

    @property
    def identity(self) -> tuple[int, int, int, int]:
        """What stays the same when it is renamed, with or without what a directory holds."""
        if self.kind == stat.S_IFDIR:
            return self.inode, 0, 0, self.kind
        return self[:4]

    def same(self, other: Seen) -> bool:
        """Tell whether both are the same file, unchanged; whether complete does not count.

        Size and time of a directory change with every file in it, and do not count either.
        """
        return self.identity == other.identity
