"""Reads messages, hands them on, and lets go of those that are done with."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from inotifier.bridge.connection import described, explained, is_outage, redis_outage
from inotifier.bridge.delivery import (
    Incoming,
    Window,
    give_up,
    guarded,
    log_failure,
)
from inotifier.bridge.queue import Item, Queue
from inotifier.connections import refresh_after_rest, refresh_connections
from inotifier.events import printable
from inotifier.exceptions import TryAgain, UnreadableMessage
from inotifier.forks import this_one_delivers

logger = logging.getLogger(__name__)

_ACKNOWLEDGE = 0.1
"""Seconds after which it is told at the latest what is delivered, while more is."""

_SHORTEST_WAIT = 0.01
_LONGEST_SLEEP = 0.2
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


class Consumer:
    """Delivers what a queue holds until it is told to stop.

    A message is let go after its receivers have succeeded. One that fails comes again, without
    holding up others, and is dead after its last try.

    Args:
        queue: where messages come from.
        read: makes of a message's data what can be delivered, or raises UnreadableMessage.
        retries: how often a message is delivered again after a failure.
        delay: seconds before the first time, doubled for each further one.
        idle: seconds of silence after which others take over what this consumer has.
        count: messages read at once.
        block: seconds to wait for one.
        stopped: tells whether it is time to end, after the message at hand.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        queue: Queue,
        read: Callable[[bytes | None], Incoming],
        *,
        retries: int,
        delay: float,
        idle: float,
        count: int = 100,
        block: float = 1.0,
        stopped: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.queue = queue
        self._read = read
        self._retries = retries
        self._delay = delay
        self._idle = idle
        self._count = count
        self._block = block
        self._stopped = stopped
        self._clock = clock
        self.counters = Counters()
        self.last: tuple[str, float] | None = None
        self.outage = redis_outage("messages wait to be consumed")
        self._seen = Window()
        self._in_hand: set[Item] = set()
        self._incoming: dict[Item, Incoming] = {}
        self._timers: list[tuple[float, int, Item]] = []
        self._numbers = itertools.count()
        self._done: list[Item] = []
        self._acknowledged = 0.0
        self._is_open = False
        self._looked = float("-inf")
        self._ended = threading.Event()

    def run(self, tick: Callable[[], object] = lambda: None) -> None:
        """Consume until it is time to end; `tick` is called at least every few seconds.

        Raises:
            ConfigurationError: the server refuses for a reason that waiting does not mend.
        """
        this_one_delivers()
        keeper = threading.Thread(target=self._keep_alive, name="inotifier-keeper", daemon=True)
        keeper.start()
        try:
            while not self._stopped():
                self.step()
                tick()
        finally:
            self._ended.set()
            self._at_the_end()
            keeper.join()

    @property
    def in_hand(self) -> int:
        """Number of messages read but not done with."""
        return len(self._in_hand)

    def step(self) -> None:
        """Read what there is, and deliver it; or wait a little for a server that is away."""
        if wait := self.outage.wait():
            time.sleep(min(wait, _LONGEST_SLEEP))
            return
        from redis import RedisError

        try:
            self._consume()
            self.outage.end()
        except (RedisError, OSError) as exc:
            # What the last answer said of may be in nobody's hands now.
            self._looked = float("-inf")
            self._is_open = False
            if str(exc).startswith(("NOGROUP", "UNBLOCKED")):  # somebody has emptied the server
                logger.error("the stream or its group is gone; it is made anew: %s", described(exc))
            elif is_outage(exc):
                self.outage.note(exc)
            else:
                raise explained(exc, self.queue.key) from None

    def _consume(self) -> None:
        if not self._is_open:
            self.queue.open()
            self._is_open = True
            self._acknowledge()
        self._deliver(self._due())
        if self._clock() - self._looked > self._idle / 2:
            self._take_over()
        self._deliver(self._received(self.queue.read(self._count, self._time_to_wait())))

    def _time_to_wait(self) -> float:
        if not self._timers:
            return self._block
        return max(0.0, min(self._block, self._timers[0][0] - self._clock()))

    def _take_over(self) -> None:
        """Deliver what was left, one by one: one of these may be what ended a consumer."""
        while not self._stopped():
            items = self._received(self.queue.take_over(self._in_hand, self._count))
            if not items:
                self._looked = self._clock()
                return
            self.counters.taken_over += len(items)
            self._deliver(items)

    def _received(self, items: Sequence[Item]) -> Sequence[Item]:
        self._in_hand.update(items)
        return items

    def _due(self) -> list[Item]:
        found = []
        while self._timers and self._timers[0][0] <= self._clock():
            found.append(heapq.heappop(self._timers)[2])
        return found

    # Delivery

    def _deliver(self, items: Sequence[Item]) -> None:
        if not items:
            return
        refresh_after_rest()
        waiting = list(reversed(items))
        try:
            while waiting and not self._stopped():
                self._deliver_one(waiting[-1])
                waiting.pop()
                if self._clock() - self._acknowledged > _ACKNOWLEDGE:
                    self._acknowledge()
            self._acknowledge()
        except BaseException:
            self._put_back(waiting)
            raise
        finally:
            refresh_connections()

    def _put_back(self, items: Sequence[Item]) -> None:
        """The server is away: what has not begun is delivered once it is back."""
        for item in reversed(items):
            if item in self._in_hand and item not in self._done:
                self._wait_with(item, 0.0)

    def _deliver_one(self, item: Item) -> None:
        if not item.begins and not self._begin(item):
            return
        try:
            incoming = self._incoming.get(item) or self._read(item.data)
        except UnreadableMessage as exc:
            self._bury(item, str(exc))
            self.counters.unreadable += 1
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
            item.begins = True  # the same one
            self._wait_with(item, exc.after)
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
            self._bury(item, "its consumers have ended while they had it")
            self.counters.failed += 1
            return False
        if not self.queue.note(item, item.deliveries + 1):
            self._forget(item)
            return False
        item.deliveries += 1
        item.begins = True
        return True

    def _failed(self, item: Item, incoming: Incoming, exc: BaseException) -> None:
        refresh_connections()  # the reason may be one that broke
        if item.deliveries > self._retries:
            log_failure(incoming, exc, "which is given up")
            self._bury(item, repr(exc))
            self.counters.failed += 1
            give_up(incoming, exc)
            return
        self.counters.retried += 1
        wait = self._delay * 2.0 ** min(item.deliveries - 1, _MOST_DOUBLINGS)
        log_failure(incoming, exc, f"again in {wait:g} s")
        self._incoming[item] = incoming
        self._wait_with(item, wait)

    def _wait_with(self, item: Item, seconds: float) -> None:
        due = self._clock() + (max(seconds, _SHORTEST_WAIT) if seconds else 0.0)
        heapq.heappush(self._timers, (due, next(self._numbers), item))

    def _bury(self, item: Item, error: str) -> None:
        self.queue.bury(item, error)
        self._forget(item)
        logger.error("message %s is moved to the dead ones: %s", _shown(item), error)

    def _finish(self, item: Item) -> None:
        self._incoming.pop(item, None)
        self._done.append(item)

    def _forget(self, item: Item) -> None:
        self._incoming.pop(item, None)
        self._in_hand.discard(item)

    def _acknowledge(self) -> None:
        """Let go of what is delivered."""
        if self._done:
            self.queue.acknowledge(self._done)
            self._in_hand.difference_update(self._done)
            self._done = []
        self._acknowledged = self._clock()

    def _at_the_end(self) -> None:
        from redis import RedisError

        try:
            self._acknowledge()
        except (RedisError, OSError) as exc:
            logger.warning(
                "%d message(s) are delivered but not acknowledged, and come again: %s",
                len(self._done),
                described(exc),
            )

    # The thread that tells the others

    def _keep_alive(self) -> None:
        from redis import RedisError

        while not self._ended.wait(self._idle / 3):
            if self.outage.lasts or not self._is_open:
                continue
            try:
                self.queue.keep(tuple(self._in_hand))
            except (RedisError, OSError) as exc:
                logger.debug("cannot tell that this consumer is alive: %s", described(exc))

    # Status

    def describe(self) -> dict[str, Any]:
        """Return how it is, ready for JSON, without asking the server."""
        return {
            "key": self.queue.key,
            "consumer": self.queue.consumer,
            **asdict(self.counters),
            "in_hand": self.in_hand,
            "waiting": len(self._timers),
            "away": self.outage.reason if self.outage.lasts else "",
            "last": self.last and {"title": self.last[0], "timestamp": self.last[1]},
        }


def _shown(item: Item) -> str:
    text = item.key.decode("utf-8", "backslashreplace")
    return printable(text if len(text) <= 80 else f"{text[:80]}...")
