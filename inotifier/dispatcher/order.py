"""Which events wait for which: those of one path of one entry come one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from inotifier.dispatcher.handler import Handler
from inotifier.events import IN_MOVED_FROM, IN_MOVED_TO, Event


class Question(Event):
    """Stands in the queue for events that are known only when its turn has come.

    Its mask is 0, which no event has.

    Attributes:
        beside: further paths whose deliveries it waits for, unless they sleep; nothing that comes
            later for those waits for it.
        is_mark: True if it waits for all that is under way below its path when it comes, and
            nothing waits for it.
    """

    beside: tuple[str, ...] = ()
    is_mark = False

    def answer(self) -> Sequence[Event]:
        """Return the events to deliver in its place.

        Raises:
            TryAgain: it cannot be told yet.
        """
        raise NotImplementedError


class Delivery:
    """An event that cannot simply be handled next.

    Attributes:
        handler: whose event it is.
        event: the event, which its processor may change.
        is_move: True if it moves a directory.
        tried: how often its handler has failed.
        before: number of deliveries that it waits for.
        after: those that wait for it.
        loosely: those that wait for it unless it sleeps.
        keys: the paths whose next delivery will wait for it, or had to.
    """

    __slots__ = ("after", "before", "event", "handler", "is_move", "keys", "loosely", "tried")

    def __init__(self, handler: Handler, event: Event) -> None:
        self.handler = handler
        self.event = event
        self.is_move = _is_move(event)
        self.tried = 0
        self.before = 0
        self.after: list[Delivery] = []
        self.loosely: list[Delivery] = []
        self.keys: list[_Key] = []

    @property
    def is_free(self) -> bool:
        """True if nothing is before it."""
        return not self.before


_Key = tuple[Handler, str]


class Order:
    """The deliveries that are being handled, or wait, and what waits for them.

    A delivery waits for the last one of each of its paths: a rename has two. The move of a
    directory waits for what is below it as well, and what comes later below waits for the move,
    but both only for what is under way: what sleeps until its handler is called again, and what
    waits for that, holds up no other path.

    Attributes:
        number: of deliveries.
    """

    def __init__(self) -> None:
        self._last: dict[_Key, tuple[Delivery, ...]] = {}
        # The paths of `_last` by their directory, and the moves of directories by both names.
        self._content: dict[_Key, set[str]] = {}
        self._moves: dict[_Key, dict[Delivery, None]] = {}
        self._asleep: set[Delivery] = set()
        self.number = 0
        self._number_free = 0
        self._number_loose = 0

    @property
    def only_sleeps(self) -> bool:
        """True if each delivery sleeps, or waits for one that does."""
        return not self._number_free

    def is_free(self, handler: Handler, event: Event) -> bool:
        """Tell whether nothing is before `event`, and nothing need know of it."""
        keys = _keys(handler, event)
        return not (
            _is_move(event)
            or any(key in self._last for key in keys)
            or (self._moves and self._moves_above(keys))
        )

    def add(self, delivery: Delivery) -> None:
        """Put `delivery` behind all others of its paths."""
        if isinstance(delivery.event, Question) and delivery.event.is_mark:
            self._add_mark(delivery)
            return
        keys = _keys(delivery.handler, delivery.event)
        strictly = dict.fromkeys(last for key in keys for last in self._last.get(key, ()))
        loosely = dict.fromkeys(self._moves_above(keys)) if self._moves else {}
        held: set[Delivery] = set()
        beside = self._beside(delivery)
        if beside or delivery.is_move:
            held = _with_all_after(self._asleep)
            loosely.update((one, None) for one in beside if one not in held)
        if delivery.is_move:
            below = dict.fromkeys(self._below(delivery))
            loosely.update((one, None) for one in below if one not in held)
        for other in strictly:
            other.after.append(delivery)
        self._wait_loosely(delivery, [other for other in loosely if other not in strictly])
        delivery.before += len(strictly)
        for key in keys:
            self._set_last(key, (delivery,))
        delivery.keys = keys
        if delivery.is_move and held.isdisjoint(strictly):
            for key in keys:
                self._moves.setdefault(key, {})[delivery] = None
        self.number += 1
        self._number_free += delivery.is_free

    def _beside(self, delivery: Delivery) -> list[Delivery]:
        paths = delivery.event.beside if isinstance(delivery.event, Question) else ()
        return [last for path in paths for last in self._last.get((delivery.handler, path), ())]

    def _add_mark(self, delivery: Delivery) -> None:
        handler, root = delivery.handler, delivery.event.pathname
        held = _with_all_after(self._asleep)
        keys = [(handler, root), *self._keys_below(handler, root)]
        lasts = dict.fromkeys(last for key in keys for last in self._last.get(key, ()))
        self._wait_loosely(delivery, [last for last in lasts if last not in held])
        self.number += 1
        self._number_free += delivery.is_free

    def _wait_loosely(self, delivery: Delivery, others: Sequence[Delivery]) -> None:
        for other in others:
            other.loosely.append(delivery)
        self._number_loose += len(others)
        delivery.before += len(others)

    def replace(self, delivery: Delivery, events: Iterable[Event]) -> list[Delivery]:
        """Put `events` where `delivery`, a free one, stands; return what is free now."""
        others = [Delivery(delivery.handler, event) for event in events]
        if not others:
            return self.end(delivery)
        for one, another in pairwise(others):
            one.after.append(another)
            another.before = 1
        last = others[-1]
        last.after, last.loosely, last.keys = delivery.after, delivery.loosely, delivery.keys
        for key in last.keys:
            self._last[key] = tuple(last if one is delivery else one for one in self._last[key])
        self.number += len(others) - 1
        return others[:1]

    def end(self, delivery: Delivery) -> list[Delivery]:
        """Take out `delivery`, a free one; return those that are free now."""
        self.number -= 1
        self._number_free -= 1
        self._forget_move(delivery)
        for key in delivery.keys:
            if delivery in (lasts := self._last.get(key, ())):
                self._set_last(key, tuple(last for last in lasts if last is not delivery))
        return self._release(delivery.after) + self._release_loosely(delivery)

    def sleep(self, delivery: Delivery) -> list[Delivery]:
        """Note that `delivery`, a free one, is not under way; return those that are free now."""
        self._asleep.add(delivery)
        self._number_free -= 1
        free: list[Delivery] = []
        if self._moves or self._number_loose:
            for held in _with_all_after([delivery]):
                self._forget_move(held)
                free += self._release_loosely(held)
        return free

    def wake(self, delivery: Delivery) -> None:
        """Note that `delivery`, which slept, is free again."""
        self._asleep.remove(delivery)
        self._number_free += 1

    def _release_loosely(self, delivery: Delivery) -> list[Delivery]:
        released, delivery.loosely = delivery.loosely, []
        self._number_loose -= len(released)
        return self._release(released)

    def _release(self, deliveries: list[Delivery]) -> list[Delivery]:
        for delivery in deliveries:
            delivery.before -= 1
        free = [delivery for delivery in deliveries if delivery.is_free]
        self._number_free += len(free)
        return free

    def _set_last(self, key: _Key, lasts: tuple[Delivery, ...]) -> None:
        handler, path = key
        if lasts and key in self._last:
            self._last[key] = lasts
            return
        directory = handler, path.rpartition("/")[0]
        if lasts:
            self._last[key] = lasts
            self._content.setdefault(directory, set()).add(path)
            return
        del self._last[key]
        self._content[directory].remove(path)
        if not self._content[directory]:
            del self._content[directory]

    def _forget_move(self, delivery: Delivery) -> None:
        if not delivery.is_move:
            return
        for key in delivery.keys:
            moves = self._moves.get(key, {})
            if delivery in moves:
                del moves[delivery]
                if not moves:
                    del self._moves[key]

    def _moves_above(self, keys: Iterable[_Key]) -> list[Delivery]:
        """Return the moves of directories that hold one of `keys`."""
        return [
            move
            for handler, path in keys
            for directory in _directories_of(path)
            for move in self._moves.get((handler, directory), ())
        ]

    def _below(self, move: Delivery) -> list[Delivery]:
        """Return what is below a directory that moves.

        What comes for its content under the new name waits for all that was before.
        """
        handler, source, target = move.handler, move.event.src_pathname, move.event.pathname
        below = [last for key in self._keys_below(handler, target) for last in self._last[key]]
        if source is not None and source != target:
            for key in self._keys_below(handler, source):
                below += self._last[key]
                self._follow(self._last[key], (handler, target + key[1][len(source) :]))
        return below

    def _keys_below(self, handler: Handler, top: str) -> list[_Key]:
        inside = top.rstrip("/") + "/"
        return [
            (handler, path)
            for (other, directory), paths in self._content.items()
            if other is handler and (directory == top or directory.startswith(inside))
            for path in paths
        ]

    def _follow(self, lasts: Iterable[Delivery], key: _Key) -> None:
        for last in lasts:
            before = self._last.get(key, ())
            if last not in before:
                self._set_last(key, (*before, last))
                last.keys.append(key)


def _keys(handler: Handler, event: Event) -> list[_Key]:
    keys = [(handler, event.pathname)]
    if event.src_pathname is not None and event.src_pathname != event.pathname:
        keys.append((handler, event.src_pathname))
    return keys


def _directories_of(path: str) -> Iterator[str]:
    """Yield the directories that hold `path`."""
    while (end := path.rfind("/")) > 0:
        path = path[:end]
        yield path


def _is_move(event: Event) -> bool:
    return event.dir and bool(event.mask & (IN_MOVED_FROM | IN_MOVED_TO))


def _with_all_after(deliveries: Iterable[Delivery]) -> set[Delivery]:
    """Return `deliveries`, and all that wait for them."""
    found = set(deliveries)
    waiting = list(found)
    while waiting:
        for after in waiting.pop().after:
            if after not in found:
                found.add(after)
                waiting.append(after)
    return found
