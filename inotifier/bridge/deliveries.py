"""The messages in hand: delivered, delivered again, moved to the dead ones, let go of."""

from __future__ import annotations

import heapq
import itertools
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from inotifier.bridge.delivery import Incoming, Window, give_up, guarded, log_failure
from inotifier.bridge.queue import Item, Queue
from inotifier.connections import refresh_after_rest, refresh_connections
from inotifier.events import printable
from inotifier.exceptions import TryAgain, UnreadableMessage

logger = logging.getLogger(__name__)

_ACKNOWLEDGE = 0.1
"""Seconds after which it is told at the latest what is delivered, while more is."""

_SHORTEST_WAIT = 0.01
_MOST_DOUBLINGS = 64


@dataclass
class Counters:
    """What has become of messages since the start."""

    delivered: int = 0
    retried: int = 0
    failed: int = 0
    unreadable: int = 0
    doubles: int = 0
    taken_over: int = 0


class _Verdict(NamedTuple):
    """Why a message is moved to the dead ones.

    Attributes:
        error: the reason.
        is_unreadable: whether no receiver could be called at all.
        told: what `delivery_failed` is sent for, and the exception it gets; None for no signal.
    """

    error: str
    is_unreadable: bool = False
    told: tuple[Incoming, BaseException] | None = None


class Deliveries:
    """Delivers what is in hand. Every method may raise what redis-py raises; nothing is lost then.

    Args:
        queue: where the messages are.
        read: makes of a message's data what can be delivered, or raises UnreadableMessage.
        retries: how often a message is delivered again after a failure.
        delay: seconds before the first time, doubled for each further one.
        stopped: tells whether to end after the message at hand.
        clock: seconds that only grow.

    Attributes:
        in_hand: what was read and is not done with.
        last: title of what was delivered last, and when, as `time.time()` gives it.
    """

    def __init__(
        self,
        queue: Queue,
        read: Callable[[bytes | None], Incoming],
        *,
        retries: int,
        delay: float,
        stopped: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._queue = queue
        self._read = read
        self._retries = retries
        self._delay = delay
        self._stopped = stopped
        self._clock = clock
        self.counters = Counters()
        self.in_hand: set[Item] = set()
        self.last: tuple[str, float] | None = None
        self._seen = Window()
        self._incoming: dict[Item, Incoming] = {}
        self._verdicts: dict[Item, _Verdict] = {}
        self._timers: list[tuple[float, int, Item]] = []
        self._numbers = itertools.count()
        self._done: list[Item] = []
        self._acknowledged = 0.0

    @property
    def waiting(self) -> int:
        """Number of messages that are delivered again later."""
        return len(self._timers)

    @property
    def unacknowledged(self) -> int:
        """Number of messages that are delivered, which the queue does not know yet."""
        return len(self._done)

    def time_to_next(self) -> float | None:
        """Return the seconds until something is due, None if nothing waits."""
        return max(0.0, self._timers[0][0] - self._clock()) if self._timers else None

    def deliver_due(self) -> None:
        """Deliver again what is due."""
        due = []
        while self._timers and self._timers[0][0] <= self._clock():
            item = heapq.heappop(self._timers)[2]
            if item in self.in_hand:
                due.append(item)
        self.deliver(due)

    def deliver(self, items: Sequence[Item]) -> None:
        """Deliver messages, and let go of those that are done with."""
        if not items:
            return
        self.in_hand.update(items)
        refresh_after_rest()
        waiting = list(reversed(items))
        try:
            while waiting and not self._stopped():
                self._deliver_one(waiting[-1])
                waiting.pop()
                if self._clock() - self._acknowledged > _ACKNOWLEDGE:
                    self.acknowledge()
            self.acknowledge()
        except BaseException:
            self._put_back(waiting)
            raise
        finally:
            refresh_connections()

    def acknowledge(self) -> None:
        """Let go of what is delivered."""
        if self._done:
            self._queue.acknowledge(self._done)
            self.in_hand.difference_update(self._done)
            self._done = []
        self._acknowledged = self._clock()

    def _put_back(self, items: Sequence[Item]) -> None:
        """The server is away: what has not begun is delivered once it is back."""
        settled = {*self._done, *(item for *_, item in self._timers)}
        for item in reversed(items):
            if item in self.in_hand and item not in settled:
                self._wait_with(item, 0.0)

    def _deliver_one(self, item: Item) -> None:
        if item in self._verdicts:
            self._bury(item)
            return
        if not item.begins and not self._begin(item):
            return
        try:
            incoming = self._incoming.get(item) or self._read(item.data)
        except UnreadableMessage as exc:
            self._give_up(item, _Verdict(str(exc), is_unreadable=True))
            return
        if incoming.key and incoming.key in self._seen:
            self.counters.doubles += 1
            self._finish(item)
            return
        item.begins = False
        try:
            guarded(incoming.deliver)
        except TryAgain as exc:
            self._incoming[item] = incoming
            self._wait_with(item, exc.after)
            self._take_back(item)
        except BaseException as exc:  # sys.exit() too: it must not harm the other messages
            self._failed(item, incoming, exc)
        else:
            self.counters.delivered += 1
            self.last = incoming.title, time.time()
            if incoming.key:
                self._seen.add(incoming.key)
            self._finish(item)

    def _begin(self, item: Item) -> bool:
        """Note that a further delivery begins; False if there is to be none."""
        # What was read at once counts as begun once, whether it has or not.
        if item.deliveries > max(1, self._retries):
            self._give_up(item, _Verdict("its consumers have ended while they had it"))
            return False
        if not self._queue.note(item, item.deliveries + 1):
            self._forget(item)
            return False
        item.deliveries += 1
        item.begins = True
        return True

    def _take_back(self, item: Item) -> None:
        """Note that a delivery was none, so that consumers may end in an outage without harm."""
        item.deliveries -= 1
        if not self._queue.note(item, item.deliveries):
            self._forget(item)

    def _failed(self, item: Item, incoming: Incoming, exc: BaseException) -> None:
        refresh_connections()  # the reason may be one that broke
        if item.deliveries > self._retries:
            log_failure(incoming, exc, "which is given up")
            self._give_up(item, _Verdict(repr(exc), told=(incoming, exc)))
            return
        self.counters.retried += 1
        wait = self._delay * 2.0 ** min(item.deliveries - 1, _MOST_DOUBLINGS)
        log_failure(incoming, exc, f"again in {wait:g} s")
        self._incoming[item] = incoming
        self._wait_with(item, wait)

    def _wait_with(self, item: Item, seconds: float) -> None:
        due = self._clock() + (max(seconds, _SHORTEST_WAIT) if seconds else 0.0)
        heapq.heappush(self._timers, (due, next(self._numbers), item))

    def _give_up(self, item: Item, verdict: _Verdict) -> None:
        self._verdicts[item] = verdict
        self._bury(item)

    def _bury(self, item: Item) -> None:
        """Move a message to the dead ones; if that fails now, its verdict stands until it works."""
        verdict = self._verdicts[item]
        self._queue.bury(item, verdict.error)
        self._forget(item)
        if verdict.is_unreadable:
            self.counters.unreadable += 1
        else:
            self.counters.failed += 1
        logger.error("message %s is moved to the dead ones: %s", _shown(item), verdict.error)
        if verdict.told:
            give_up(*verdict.told)

    def _finish(self, item: Item) -> None:
        self._incoming.pop(item, None)
        self._done.append(item)

    def _forget(self, item: Item) -> None:
        self._incoming.pop(item, None)
        self._verdicts.pop(item, None)
        self.in_hand.discard(item)


def _shown(item: Item) -> str:
    text = item.key.decode("utf-8", "backslashreplace")
    return printable(text if len(text) <= 80 else f"{text[:80]}...")
