"""A Redis stream as seen by one consumer of a group."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import Any

from inotifier.bridge.queue import Item
from inotifier.bridge.xadd import FIELD

logger = logging.getLogger(__name__)

_KEEP_AT_ONCE = 1000


class Stream:
    """A stream, read by a consumer of a group. XPENDING's counter tells how often a delivery began.

    Args:
        client: a `redis.Redis`.
        key: of the stream.
        group: name of the consumer group.
        consumer: name of this consumer in it.
        start: where a group begins that does not exist yet: "0", or "$" for what comes from now on.
            One that vanishes later is made anew at "0": what has come meanwhile is not lost.
        idle: seconds of silence after which a consumer counts as dead.
        maxlen: messages that the stream of dead ones keeps, about.
    """

    def __init__(
        self,
        client: Any,
        key: str,
        group: str,
        consumer: str,
        *,
        start: str = "0",
        idle: float = 60.0,
        maxlen: int = 1_000_000,
    ) -> None:
        # What redis-py makes of these answers differs with its versions, or leaves out a part.
        for command in ("XAUTOCLAIM", "XCLAIM", "XPENDING"):
            client.set_response_callback(command, lambda answer, **options: answer)
        self._client = client
        self.key = key
        self.group = group
        self.consumer = consumer
        self.trimmed = self._told = 0
        self._start = start
        self._idle = int(idle * 1000)
        self._maxlen = maxlen
        self._cursor: bytes | str = "0-0"

    @property
    def dead(self) -> str:
        """The key of the stream of dead messages."""
        return f"{self.key}:dead"

    def open(self) -> None:
        """Make the stream and the group if they are missing."""
        from redis import ResponseError

        try:
            self._client.xgroup_create(self.key, self.group, self._start, mkstream=True)
        except ResponseError as exc:
            if not str(exc).startswith("BUSYGROUP"):
                raise
        self._start = "0"

    def read(self, count: int, block: float) -> Sequence[Item]:
        answer = self._client.xreadgroup(
            self.group,
            self.consumer,
            {self.key: ">"},
            count=count,
            block=max(1, int(block * 1000)) if block else None,
        )
        return [
            Item(key, fields.get(FIELD.encode())) for _, found in answer for key, fields in found
        ]

    def take_over(self, in_hand: Collection[Item], count: int) -> Sequence[Item]:
        self._claim_of_dead(count)
        keys = {item.key for item in in_hand}
        pending = self._client.execute_command(
            "XPENDING", self.key, self.group, "-", "+", len(keys) + count, self.consumer
        )
        counts = {one[0]: one[3] for one in pending if one[0] not in keys}
        items = self._fetched(counts)
        self._tell_trimmed()
        return items

    def _claim_of_dead(self, count: int) -> None:
        """Make this consumer the one that has what dead ones left."""
        claimed: Sequence[bytes] = ()
        while not claimed:
            # JUSTID: the counter tells of deliveries that have begun, and this is none yet.
            # Redis 7 tells of those that are trimmed; an older one claims them like the others.
            self._cursor, claimed, *deleted = self._client.execute_command(
                "XAUTOCLAIM", self.key, self.group, self.consumer, self._idle, self._cursor,
                "COUNT", count, "JUSTID",
            )  # fmt: skip
            self.trimmed += sum(map(len, deleted))
            if self._cursor == b"0-0":
                return

    def _fetched(self, counts: dict[bytes, int]) -> Sequence[Item]:
        pipeline = self._client.pipeline(transaction=False)
        for key in counts:
            pipeline.xrange(self.key, key, key)
        answers = pipeline.execute() if counts else ()
        items, trimmed = [], []
        for (key, deliveries), found in zip(counts.items(), answers, strict=True):
            if found:
                data = found[0][1].get(FIELD.encode())
                items.append(Item(key, data, deliveries, begins=False))
            else:
                trimmed.append(key)
        if trimmed:
            self._client.xack(self.key, self.group, *trimmed)
            self.trimmed += len(trimmed)
        return items

    def _tell_trimmed(self) -> None:
        if number := self.trimmed - self._told:
            self._told = self.trimmed
            logger.warning(
                "%d message(s) of %s were removed before they were delivered; is "
                "INOTIFIER_REDIS_MAXLEN too small?",
                number,
                self.key,
            )

    def note(self, item: Item, deliveries: int) -> bool:
        if self._claim([item], "RETRYCOUNT", deliveries):
            return True
        # If the stream still has it, others have ended it.
        self.trimmed += not self._client.xrange(self.key, item.key, item.key)
        return False

    def keep(self, in_hand: Collection[Item]) -> None:
        items = list(in_hand)
        for start in range(0, len(items), _KEEP_AT_ONCE):
            self._claim(items[start : start + _KEEP_AT_ONCE])

    def _claim(self, items: Sequence[Item], *options: str | int) -> Any:
        """Begin the time anew after which others take these over."""
        return self._client.execute_command(
            "XCLAIM", self.key, self.group, self.consumer, 0, *(item.key for item in items),
            *options, "JUSTID",
        )  # fmt: skip

    def acknowledge(self, items: Collection[Item]) -> None:
        self._client.xack(self.key, self.group, *(item.key for item in items))

    def bury(self, item: Item, error: str) -> None:
        fields = {
            "error": error.encode("utf-8", "backslashreplace"),
            "id": item.key,
            "group": self.group,
            "consumer": self.consumer,
            "deliveries": item.deliveries,
        }
        if item.data is not None:
            fields[FIELD] = item.data
        pipeline = self._client.pipeline(transaction=True)
        pipeline.xadd(self.dead, fields, maxlen=self._maxlen)
        pipeline.xack(self.key, self.group, item.key)
        pipeline.execute()

    def describe(self) -> dict[str, Any]:
        """Return lag, pending and dead messages; the lag is None if the server cannot tell."""
        found: dict[str, Any] = {"lag": 0, "pending": 0, "consumers": []}
        groups = self._client.xinfo_groups(self.key) if self._client.exists(self.key) else ()
        for group in groups:
            if group["name"] == self.group.encode():
                found["lag"], found["pending"] = group.get("lag"), group["pending"]
                found["consumers"] = [
                    {
                        "name": one["name"].decode("utf-8", "backslashreplace"),
                        "pending": one["pending"],
                        "idle": one["idle"] / 1000,
                    }
                    for one in self._client.xinfo_consumers(self.key, self.group)
                ]
        return {**found, "dead": self._client.xlen(self.dead)}
