"""Reads messages and has them delivered, through the outages of the server."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from inotifier.bridge.connection import described, explained, is_gone, is_outage, redis_outage
from inotifier.bridge.deliveries import Counters, Deliveries
from inotifier.bridge.delivery import Incoming
from inotifier.bridge.queue import Queue
from inotifier.forks import this_one_delivers

logger = logging.getLogger(__name__)

_LONGEST_SLEEP = 0.2

_MOST_IN_HAND = 5000
"""Messages that a consumer has in hand at most; others may have those that are left."""


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
        self._idle = idle
        self._count = count
        self._block = block
        self._stopped = stopped
        self._clock = clock
        self.outage = redis_outage("messages wait to be consumed")
        self._deliveries = Deliveries(
            queue,
            read,
            retries=retries,
            delay=delay,
            stopped=stopped,
            clock=clock,
        )
        self._is_open = False
        self._looked = float("-inf")
        self._ended = threading.Event()

    def run(self) -> None:
        """Consume until it is time to end.

        Raises:
            ConfigurationError: the server refuses for a reason that waiting does not mend.
        """
        this_one_delivers()
        keeper = threading.Thread(target=self._keep_alive, name="inotifier-keeper", daemon=True)
        keeper.start()
        try:
            while not self._stopped():
                self.step()
        finally:
            self._ended.set()
            self._at_the_end()
            keeper.join()

    @property
    def counters(self) -> Counters:
        """What has become of messages since the start."""
        return self._deliveries.counters

    @property
    def in_hand(self) -> int:
        """Number of messages read but not done with."""
        return len(self._deliveries.in_hand)

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
            if is_gone(exc):
                logger.error("the stream or its group is gone; it is made anew: %s", described(exc))
            elif is_outage(exc):
                self.outage.note(exc)
            else:
                raise explained(exc, self.queue.key) from None

    def _consume(self) -> None:
        if not self._is_open:
            self.queue.open()
            self._is_open = True
            self._deliveries.acknowledge()
        self._deliveries.deliver_due()
        count = min(self._count, _MOST_IN_HAND - self.in_hand)
        if count <= 0:
            time.sleep(min(self._time_to_wait(), _LONGEST_SLEEP))
        elif not self._take_over(count):
            self._deliveries.deliver(self.queue.read(count, self._time_to_wait()))

    def _time_to_wait(self) -> float:
        next_one = self._deliveries.time_to_next()
        return self._block if next_one is None else min(self._block, next_one)

    def _take_over(self, count: int) -> bool:
        """Deliver some of what was left; False if there was nothing, or it is not yet time to look.

        What is new comes after all of it, so that the order stays.
        """
        if self._clock() - self._looked <= self._idle / 2:
            return False
        items = self.queue.take_over(self._deliveries.in_hand, count)
        if items:
            self.counters.taken_over += len(items)
            self._deliveries.deliver(items)
        else:
            self._looked = self._clock()
        return bool(items)

    def _at_the_end(self) -> None:
        from redis import RedisError

        try:
            self._deliveries.acknowledge()
        except (RedisError, OSError) as exc:
            logger.warning(
                "%d message(s) are delivered but not acknowledged, and come again: %s",
                self._deliveries.unacknowledged,
                described(exc),
            )

    # The thread that tells the others

    def _keep_alive(self) -> None:
        from redis import RedisError

        while not self._ended.wait(self._idle / 3):
            if self.outage.lasts or not self._is_open:
                continue
            try:
                self.queue.keep(tuple(self._deliveries.in_hand))
            except (RedisError, OSError) as exc:
                logger.debug("cannot tell that this consumer is alive: %s", described(exc))
            except Exception:  # the next time may do
                logger.exception("cannot tell that this consumer is alive")

    # Status

    def describe(self) -> dict[str, Any]:
        """Return how it is, ready for JSON, without asking the server."""
        last = self._deliveries.last
        return {
            "key": self.queue.key,
            "consumer": self.queue.consumer,
            **asdict(self.counters),
            "in_hand": self.in_hand,
            "waiting": self._deliveries.waiting,
            "trimmed": self.queue.trimmed,
            "away": self.outage.reason if self.outage.lasts else "",
            "last": last and {"title": last[0], "timestamp": last[1]},
        }
