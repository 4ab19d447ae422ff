"""A Redis list as seen by one of its consumers, through a list of what that one has in hand."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from inotifier.bridge.queue import Item


class RedisList:
    """A list that anybody may RPUSH to. What is in hand stands in a list of the consumer's own.

    Beside the list NAME there are NAME:consumers, a set; NAME:alive:CONSUMER, which expires;
    NAME:processing:CONSUMER; NAME:deliveries, a hash of how often the delivery of a message has
    begun, if not once; and NAME:dead.

    Args:
        client: a `redis.Redis`.
        key: of the list.
        consumer: name of this consumer.
        idle: seconds of silence after which a consumer counts as dead.
        maxlen: messages that the list of dead ones keeps.
    """

    def __init__(
        self,
        client: Any,
        key: str,
        consumer: str,
        *,
        idle: float = 60.0,
        maxlen: int = 1_000_000,
    ) -> None:
        self._client = client
        self.key = key
        self.consumer = consumer
        self.trimmed = 0  # a list never is
        self._name = consumer.encode("utf-8", "surrogateescape")
        self._own = self._of(self._name, "processing")
        self._idle = max(1, int(idle * 1000))
        self._maxlen = maxlen

    @property
    def dead(self) -> str:
        """The key of the list of dead messages."""
        return f"{self.key}:dead"

    @property
    def _consumers(self) -> str:
        return f"{self.key}:consumers"

    def _of(self, consumer: bytes, what: str) -> bytes:
        return f"{self.key}:{what}:".encode() + consumer

    def open(self) -> None:
        self.keep(())

    def read(self, count: int, block: float) -> Sequence[Item]:
        own = self._own
        if block:
            first = self._client.blmove(self.key, own, block, "LEFT", "RIGHT")
        else:
            first = self._client.lmove(self.key, own, "LEFT", "RIGHT")
        if first is None:
            return ()
        pipeline = self._client.pipeline(transaction=False)
        for _ in range(count - 1):
            pipeline.lmove(self.key, own, "LEFT", "RIGHT")
        return [Item(data, data) for data in (first, *pipeline.execute()) if data is not None]

    def take_over(self, in_hand: Collection[Item], count: int) -> Sequence[Item]:
        for name in self._client.smembers(self._consumers):
            if name != self._name and not self._client.exists(self._of(name, "alive")):
                self._take_from(name, count)
        known = Counter(item.key for item in in_hand)
        found = Counter(self._client.lrange(self._own, 0, -1))
        messages = list((found - known).elements())[:count]
        if not messages:
            return ()
        begun = self._client.hmget(self._counts, [_digest(data) for data in messages])
        return [
            Item(data, data, int(number or 1), begins=False)
            for data, number in zip(messages, begun, strict=True)
        ]

    def _take_from(self, dead: bytes, count: int) -> None:
        theirs = self._of(dead, "processing")
        for _ in range(count):
            if self._client.lmove(theirs, self._own, "LEFT", "RIGHT") is None:
                self._client.srem(self._consumers, dead)
                return

    @property
    def _counts(self) -> str:
        return f"{self.key}:deliveries"

    def note(self, item: Item, deliveries: int) -> bool:
        if self._client.lpos(self._own, item.key) is None:
            return False
        if deliveries == 1:
            self._client.hdel(self._counts, _digest(item.key))
        else:
            self._client.hset(self._counts, _digest(item.key), deliveries)
        return True

    def keep(self, in_hand: Collection[Item]) -> None:
        pipeline = self._client.pipeline(transaction=True)
        pipeline.set(self._of(self._name, "alive"), "1", px=self._idle)
        pipeline.sadd(self._consumers, self._name)
        pipeline.execute()

    def acknowledge(self, items: Collection[Item]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for item in items:
            self._let_go(pipeline, item)
        pipeline.execute()

    def _let_go(self, pipeline: Any, item: Item) -> None:
        pipeline.lrem(self._own, 1, item.key)
        if item.deliveries > 1:
            pipeline.hdel(self._counts, _digest(item.key))

    def bury(self, item: Item, error: str) -> None:
        grave = {
            "message": item.key.decode("utf-8", "surrogateescape"),
            "error": error,
            "consumer": self.consumer,
            "deliveries": item.deliveries,
            "timestamp": time.time(),
        }
        pipeline = self._client.pipeline(transaction=True)
        pipeline.rpush(self.dead, json.dumps(grave))
        pipeline.ltrim(self.dead, -self._maxlen, -1)
        self._let_go(pipeline, item)
        pipeline.execute()

    def describe(self) -> dict[str, Any]:
        """Return the length of the list as the lag, what consumers have in hand, and the dead."""
        consumers = []
        for name in sorted(self._client.smembers(self._consumers)):
            consumers.append(
                {
                    "name": name.decode("utf-8", "backslashreplace"),
                    "pending": self._client.llen(self._of(name, "processing")),
                    "alive": bool(self._client.exists(self._of(name, "alive"))),
                }
            )
        return {
            "lag": self._client.llen(self.key),
            "pending": sum(one["pending"] for one in consumers),
            "consumers": consumers,
            "dead": self._client.llen(self.dead),
        }


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
