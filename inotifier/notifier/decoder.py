"""From raw buffers of inotify(7) to events: the quick way for most, the long way for the rest."""

from __future__ import annotations

import os
import time
from struct import Struct
from typing import TYPE_CHECKING

from pyinotify import (
    ALL_EVENTS,
    IN_ATTRIB,
    IN_CREATE,
    IN_DELETE_SELF,
    IN_IGNORED,
    IN_ISDIR,
    IN_MOVE_SELF,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_Q_OVERFLOW,
    IN_UNMOUNT,
)

from inotifier.events import UNASKED, Event
from inotifier.notifier.places import Hot, Place, decode_name, emit
from inotifier.notifier.subscription import Batch
from inotifier.notifier.tree import Node

if TYPE_CHECKING:
    from inotifier.notifier.keeper import Keeper

_HEADER = Struct("iIII")  # wd, mask, cookie, length of the name: inotify(7)

_ALWAYS_SPECIAL = (
    IN_MOVED_FROM | IN_MOVED_TO | IN_MOVE_SELF | IN_DELETE_SELF | IN_IGNORED | IN_UNMOUNT
)


class Decoder:
    """Decodes, and tells the other parts of the keeper what has changed in the tree."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    def is_plain(self, buffer: bytes) -> bool:
        """Tell whether the events of `buffer` are quick to decode: none changes the tree."""
        hots, unpack = self._keeper.hots, _HEADER.unpack_from
        offset, size = 0, len(buffer)
        while offset < size:
            wd, mask, _, length = unpack(buffer, offset)
            hot = hots.get(wd)
            if hot is None or mask not in hot.table:
                return False
            offset += 16 + length
        return not self._keeper.directories.is_looking

    def decode(self, buffer: bytes) -> Batch:
        """Return what the raw events of `buffer` mean to each subscription, in their order."""
        now = time.time()
        batch: Batch = []
        append = batch.append
        unpack = _HEADER.unpack_from
        hots = self._keeper.hots
        new = Event.__new__
        offset, size = 0, len(buffer)
        last_wd, last_raw, name = 0, b"", ""
        table: dict[int, tuple[Place, ...]] = {}
        while offset < size:
            wd, mask, cookie, length = unpack(buffer, offset)
            start = offset + 16
            offset = start + length
            if wd != last_wd:
                hot = hots.get(wd)
                table = hot.table if hot is not None else {}
                last_wd = wd
            places = table.get(mask)
            if places is None:
                self._special(batch, wd, mask, cookie, buffer[start:offset], now)
                last_wd = 0  # whatever was remembered may have changed
                continue
            if not places:
                continue
            raw = buffer[start:offset]
            if raw != last_raw:
                last_raw, name = raw, decode_name(raw)
            for subscription, path, prefix in places:
                event = new(Event)
                event.wd = wd
                event.mask = mask
                event.path = path
                event.name = name
                event.pathname = prefix + name if name else path
                event.dir = mask >= IN_ISDIR
                event.cookie = 0
                event.src_pathname = None
                event.synthetic = False
                event.watch = subscription.watch
                event.timestamp = now
                append((subscription, event))
        if self._keeper.directories.is_looking:
            self._keeper.directories.look_for_astray(batch)
        if self._keeper.resync.due:
            self._keeper.resync.run(batch)
        return batch

    def _special(
        self, batch: Batch, wd: int, mask: int, cookie: int, raw: bytes, now: float
    ) -> None:
        """Handle one event whose mask is not in the ready table of its watch."""
        node = self._keeper.tree.nodes.get(wd)
        if node is None:
            if mask & IN_Q_OVERFLOW:
                self._overflow(batch, mask, now)
            elif mask & IN_IGNORED:
                self._keeper.arrivals.pass_fence(wd, batch)
            return
        hot = self._keeper.hot(node)
        name = raw.rstrip(b"\0")
        held = self._keeper.arrivals.held(wd)
        if held is not None and self._keeper.arrivals.swallows(held, node, name, mask, batch):
            return
        plain = mask & ~IN_ISDIR
        if plain & (IN_MOVED_FROM | IN_MOVED_TO):
            self._keeper.moves.moved(batch, node, hot, mask, cookie, name, now)
            if self._minds_names(hot, wd):
                self._keeper.directories.name_changed(node, hot, name, mask, batch)
        elif plain & _ALWAYS_SPECIAL or (plain == IN_ATTRIB and self._minds_attrib(node)):
            self._self_event(batch, node, hot, mask, name, now)
        else:
            asked = _asked(hot, mask)
            emit(batch, asked, wd, mask, decode_name(raw), now)
            if mask & IN_ISDIR and mask & IN_CREATE and hot.deep:
                self._keeper.moves.taken(node, name)
                self._keeper.directories.appear(node, name, batch)
            elif self._minds_names(hot, wd):
                self._keeper.directories.name_changed(node, hot, name, mask, batch)
            elif held is None:
                hot.table[mask] = asked

    def _minds_names(self, hot: Hot, wd: int) -> bool:
        return hot.follows or self._keeper.directories.has_unreadable(wd)

    def _minds_attrib(self, node: Node) -> bool:
        return self._keeper.directories.has_unreadable(node.wd) or self._keeper.is_root(node.wd)

    def _self_event(
        self, batch: Batch, node: Node, hot: Hot, mask: int, name: bytes, now: float
    ) -> None:
        is_dir = None
        if mask & (IN_DELETE_SELF | IN_MOVE_SELF):
            # For these two the kernel does not tell (inotify(7)).
            is_dir = node.parent is not None or self._keeper.roots.is_dir(node.wd)
        emit(batch, _asked(hot, mask), node.wd, mask, os.fsdecode(name), now, is_dir=is_dir)
        if mask & IN_ATTRIB:
            self._keeper.directories.retry_unreadable(node, name, batch)
        if mask & IN_MOVE_SELF:
            self._keeper.moves.moved_self(node, batch)
        if mask & IN_IGNORED:
            self._keeper.tree.remove(node)
            self._keeper.forget(node.wd)
        if not name and self._keeper.is_root(node.wd):
            self._keeper.roots.changed(node.wd, mask, batch)

    def _overflow(self, batch: Batch, mask: int, now: float) -> None:
        self._keeper.overflows += 1
        self._keeper.resync.due = True
        for subscription in self._keeper.subscriptions:
            event = Event(mask=mask, watch=subscription.watch, timestamp=now)
            batch.append((subscription, event))
        # Marks may be among what was dropped.
        self._keeper.arrivals.lose_all_fences(batch)


def _asked(hot: Hot, mask: int) -> tuple[Place, ...]:
    """Return the places that asked for an event with `mask`."""
    wanted = mask & ALL_EVENTS
    if mask & UNASKED:
        return hot.places
    return tuple(place for place in hot.places if place.subscription.mask & wanted)
