"""Which watch descriptor belongs to which subscriptions; raw events in, `Event`s out."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyinotify import (
    ALL_EVENTS,
    IN_DELETE_SELF,
    IN_DONT_FOLLOW,
    IN_EXCL_UNLINK,
    IN_IGNORED,
    IN_ISDIR,
    IN_MASK_ADD,
    IN_MOVE_SELF,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_ONLYDIR,
    IN_Q_OVERFLOW,
)

from inotifier.events import UNASKED, Event, join
from inotifier.notifier.inotify import Inotify
from inotifier.watches import Watch

_HEADER = struct.Struct("iIII")  # wd, mask, cookie, length of the name: inotify(7)
_MOVE_MEMORY = 1024


@dataclass(eq=False)
class Subscription:
    """Who asked for the events of a path.

    Attributes:
        path: absolute path of a directory or file, in the words of the one who asked.
        mask: the events that were asked for.
        watch: the entry, which every event carries.
    """

    path: str
    mask: int
    watch: Watch | None = None


Batch = list[tuple[Subscription, Event]]


class WatchTable:
    """The watches of one inotify instance, shared by all subscriptions.

    The kernel has one watch per inode. Its mask is the union of what the subscriptions ask
    for, and each of them gets its own events only, under the path that it knows.

    Attributes:
        overflows: how often the kernel's queue was full, so that events were lost.
    """

    def __init__(self, inotify: Inotify) -> None:
        self.overflows = 0
        self._inotify = inotify
        self._subscriptions: dict[int, list[Subscription]] = {}
        self._directories: set[int] = set()
        self._all: list[Subscription] = []
        self._moves: dict[int, tuple[list[Subscription], str]] = {}

    def add(self, subscription: Subscription) -> None:
        """Set the kernel's watch for `subscription`; call `settle` after the last one.

        Raises:
            WatchError: the kernel refused.
        """
        flags = subscription.mask & (IN_ONLYDIR | IN_DONT_FOLLOW)
        # Added, so that what others wait for goes on meanwhile: other subscriptions of this
        # inode, or those of before a reload.
        mask = subscription.mask & ALL_EVENTS | flags | IN_MASK_ADD
        wd = self._inotify.add_watch(subscription.path, mask)
        self._subscriptions.setdefault(wd, []).append(subscription)
        self._all.append(subscription)
        path = Path(subscription.path)
        if path.is_dir() and not (flags & IN_DONT_FOLLOW and path.is_symlink()):
            self._directories.add(wd)

    def settle(self) -> None:
        """Make the kernel's watches exactly what the subscriptions ask for.

        Raises:
            WatchError: the kernel refused.
        """
        for wd, mask in self._inotify.watches().items():
            if wd in self._subscriptions:
                self._narrow(self._subscriptions[wd], mask)
        for wd in self._inotify.watches().keys() - self._subscriptions.keys():
            self._inotify.remove_watch(wd)

    def _narrow(self, subscriptions: list[Subscription], mask: int) -> None:
        """Take from the kernel's `mask` what none of `subscriptions` asks for."""
        # IN_EXCL_UNLINK takes events away, so it holds only if all ask for it.
        exact, excl_unlink = 0, IN_EXCL_UNLINK
        for one in subscriptions:
            exact |= one.mask & ALL_EVENTS
            excl_unlink &= one.mask
        if excl_unlink or mask & (ALL_EVENTS | IN_EXCL_UNLINK) & ~exact:
            flags = subscriptions[0].mask & IN_DONT_FOLLOW
            self._inotify.add_watch(subscriptions[0].path, exact | excl_unlink | flags)

    def decode(self, buffer: bytes) -> Batch:
        """Return what the raw events of `buffer` mean to each subscription, in their order."""
        now = time.time()
        batch: Batch = []
        for wd, mask, cookie, name in _raw_events(buffer):
            if mask & IN_Q_OVERFLOW:
                self.overflows += 1
                batch += self._overflow(mask, now)
            else:
                self._append(batch, wd, mask, cookie, name, now)
        return batch

    def _overflow(self, mask: int, now: float) -> Batch:
        return [(one, Event(mask=mask, watch=one.watch, timestamp=now)) for one in self._all]

    def _append(self, batch: Batch, wd: int, mask: int, cookie: int, name: str, now: float) -> None:
        subscriptions = self._subscriptions.get(wd)
        if subscriptions is None:
            return  # a watch of before a reload that nobody asks for any more
        source = self._source(subscriptions, mask, cookie, name)
        # For these two the kernel does not tell (inotify(7)).
        is_dir = wd in self._directories if mask & (IN_DELETE_SELF | IN_MOVE_SELF) else None
        for one in subscriptions:
            if mask & (one.mask | UNASKED) & ~IN_ISDIR:
                event = Event(
                    mask=mask,
                    path=one.path,
                    name=name,
                    wd=wd,
                    cookie=cookie,
                    dir=is_dir,
                    src_pathname=_pathname(source, one),
                    watch=one.watch,
                    timestamp=now,
                )
                batch.append((one, event))
        if mask & IN_IGNORED:
            del self._subscriptions[wd]
            self._directories.discard(wd)

    def _source(
        self, subscriptions: list[Subscription], mask: int, cookie: int, name: str
    ) -> tuple[list[Subscription], str] | None:
        """Return where an IN_MOVED_TO came from, if the kernel told: directory and name."""
        if mask & IN_MOVED_TO:
            return self._moves.pop(cookie, None)
        if mask & IN_MOVED_FROM:
            self._moves[cookie] = (subscriptions, name)
            if len(self._moves) > _MOVE_MEMORY:
                # What went out of all watches never comes back; the oldest goes first.
                del self._moves[next(iter(self._moves))]
        return None


def _pathname(source: tuple[list[Subscription], str] | None, one: Subscription) -> str | None:
    """Return the path of `source`, in the words of `one` if it watches that directory too."""
    if source is None:
        return None
    subscriptions, name = source
    return join((one if one in subscriptions else subscriptions[0]).path, name)


def _raw_events(buffer: bytes) -> Iterator[tuple[int, int, int, str]]:
    offset = 0
    while offset < len(buffer):
        wd, mask, cookie, length = _HEADER.unpack_from(buffer, offset)
        offset += _HEADER.size
        name = os.fsdecode(buffer[offset : offset + length].rstrip(b"\0"))
        offset += length
        yield wd, mask, cookie, name
