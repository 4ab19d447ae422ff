"""Renames: both ends of one, and what a renamed directory takes along.

The kernel queues IN_MOVED_FROM, IN_MOVED_TO and, for a watched directory, IN_MOVE_SELF in this
order. So at IN_MOVE_SELF it is known whether the directory went to a place that is watched:
no waiting, and nothing else is held back.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from pyinotify import IN_ISDIR, IN_MOVED_FROM

from inotifier.notifier.places import Hot, Place, emit
from inotifier.notifier.subscription import Batch
from inotifier.notifier.tree import Node, ancestors

if TYPE_CHECKING:
    from inotifier.notifier.keeper import Keeper

_MEMORY = 4096
"""Moves out of all watches that are remembered; their other end never comes."""

V = TypeVar("V")
_Spot = tuple[int, bytes]


class _Departure(NamedTuple):
    places: tuple[Place, ...]
    name: str
    spot: _Spot

    def seen_by(self, place: Place) -> str | None:
        """Return the path in the words of who sees `place`, if it sees this one too."""
        if not self.places:
            return None
        own = (one for one in self.places if one.subscription is place.subscription)
        return next(own, self.places[0]).prefix + self.name


class Moves:
    """What is on its way."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._departures: dict[int, _Departure] = {}
        self._leaving: dict[_Spot, int] = {}
        self._arrived: dict[_Spot, tuple[int, bytes]] = {}
        self._seen: dict[int, _Spot] = {}

    def moved(
        self, batch: Batch, node: Node, hot: Hot, mask: int, cookie: int, name: bytes, now: float
    ) -> None:
        """Handle IN_MOVED_FROM or IN_MOVED_TO of `name` in `node`."""
        text = os.fsdecode(name)
        source = None
        if mask & IN_MOVED_FROM:
            self._depart(cookie, _Departure(hot.places, text, (node.wd, name)), mask)
        else:
            source = self._departures.pop(cookie, None)
        for place in hot.places:
            if place.subscription.mask & mask & ~IN_ISDIR:
                came_from = source.seen_by(place) if source else None
                emit(
                    batch,
                    (place,),
                    node.wd,
                    mask,
                    text,
                    now,
                    cookie=cookie,
                    src_pathname=came_from,
                )
        if mask & IN_ISDIR and not mask & IN_MOVED_FROM:
            spot = source.spot if source else None
            if spot is not None:
                self._leaving.pop(spot, None)
            self.taken(node, name)
            if hot.deep:
                self._keeper.directories.appear(node, name, batch, spot)
            if spot is not None:
                self._remember(self._arrived, spot, (node.wd, name))

    def taken(self, node: Node, name: bytes) -> None:
        """Note that a new directory is `name` in `node`: whatever was there has gone."""
        self._leaving.pop((node.wd, name), None)
        self._arrived.pop((node.wd, name), None)

    def seen(self, wd: int, spot: tuple[int, bytes]) -> None:
        """Note that the directory `wd` was seen at another place before its events have come.

        If the directory there was not watched at the time, no event tells of that place.
        """
        self._seen[wd] = spot

    def seen_of(self, nodes: Iterable[Node]) -> list[_Spot]:
        """Return the places where directories of `nodes` were seen."""
        return [self._seen[node.wd] for node in nodes if node.wd in self._seen]

    def reset(self) -> None:
        """Forget which directories are on their way: all are looked for anew."""
        self._leaving.clear()
        self._arrived.clear()
        self._seen.clear()

    def forget(self, wd: int) -> None:
        """Forget `wd`, whose watch is gone."""
        self._seen.pop(wd, None)

    def _depart(self, cookie: int, departure: _Departure, mask: int) -> None:
        self._departures[cookie] = departure
        if len(self._departures) > _MEMORY:
            del self._departures[next(iter(self._departures))]
        if mask & IN_ISDIR:
            self._remember(self._leaving, departure.spot, cookie)
            self._arrived.pop(departure.spot, None)

    @staticmethod
    def _remember(memory: dict[_Spot, V], key: _Spot, value: V) -> None:
        memory[key] = value
        if len(memory) > _MEMORY:
            del memory[next(iter(memory))]

    def moved_self(self, node: Node, batch: Batch) -> None:
        """Handle IN_MOVE_SELF of a directory: its new place is known, or it has left."""
        if node.parent is None:
            return
        spot = (node.parent.wd, node.name)
        settling = self._keeper.resync.settling
        if settling and self._keeper.directories.stands(node):
            # It was seen here after the move that this event tells of.
            self._leaving.pop(spot, None)
            self._arrived.pop(spot, None)
            self._keeper.resync.stay_ahead()
            return
        if self._leaving.pop(spot, None) is not None:
            self._keeper.directories.left(node, batch)
            return
        target = self._arrived.pop(spot, None)
        if target is None:
            return
        if target == self._seen.get(node.wd):
            del self._seen[node.wd]
        parent = self._keeper.tree.nodes.get(target[0])
        if parent is None or node in ancestors(parent):
            # In the latter case a directory above has moved as well: its event, still to come,
            # leads here again.
            self._keeper.directories.left(node, batch)
        elif settling and not self._keeper.directories.stands_at(node, parent, target[1]):
            # Somebody else's target, or one of many: wherever it is, events lead there.
            self._keeper.directories.left(node, batch)
        else:
            self._keeper.directories.moved(node, parent, target[1])
