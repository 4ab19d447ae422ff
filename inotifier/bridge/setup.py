"""From the settings and the options of a command to a consumer."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from inotifier.bridge.connection import connect, described, explained, is_outage
from inotifier.bridge.consumer import Consumer
from inotifier.bridge.delivery import read_any, read_event
from inotifier.bridge.lists import RedisList
from inotifier.bridge.queue import Queue
from inotifier.bridge.stream import Stream
from inotifier.bridge.under_way import UnderWay
from inotifier.conf import conf
from inotifier.json_form import this_host

_LONGEST_NAME = 150
"""Characters: a file name may have 255, and more is put around this."""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What a consumer is to do.

    Attributes:
        group: name of the consumer group, which shares the work.
        consumer: name of the consumer; no two that run may have the same.
        count: messages to read at once.
        block: seconds to wait for one.
        broadcast: True for a group of this machine's own, which gets everything.
        list: key of a list to read instead of the stream, None for the stream.
    """

    group: str = "inotifier"
    consumer: str = field(default_factory=this_host)
    count: int = 100
    block: float = 1.0
    broadcast: bool = False
    list: str | None = None

    @property
    def group_name(self) -> str:
        return f"{self.group}@{this_host()}" if self.broadcast else self.group

    @property
    def title(self) -> str:
        """What it is, in words."""
        if self.list is not None:
            return f"the list {self.list} as {self.consumer}"
        return f"the stream {conf.redis_stream} as {self.consumer} of the group {self.group_name}"

    @property
    def file_name(self) -> str:
        """A part of a file name that tells it from other consumers of this project."""
        parts = [self.consumer]
        if self.list is not None:
            parts += ["list", self.list]
        elif self.group_name != Assignment.group:
            parts += [self.group_name]
        # None of the parts has a "+" once it is quoted.
        name = "+".join(quote(os.fsencode(part), safe="") for part in parts)
        if len(name) <= _LONGEST_NAME:
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()[:32]
        return f"{name[: _LONGEST_NAME - len(digest)]}{digest}"


def make_queue(assignment: Assignment) -> Queue:
    """Return what `assignment` reads from.

    Raises:
        ConfigurationError: the settings do not say where the server is.
    """
    client = connect(assignment.block)
    if assignment.list is not None:
        return RedisList(
            client,
            assignment.list,
            assignment.consumer,
            idle=conf.redis_claim_idle,
            maxlen=conf.redis_maxlen,
        )
    return Stream(
        client,
        conf.redis_stream,
        assignment.group_name,
        assignment.consumer,
        start="$" if assignment.broadcast else "0",
        idle=conf.redis_claim_idle,
        maxlen=conf.redis_maxlen,
    )


def make_consumer(
    assignment: Assignment, stopped: Callable[[], bool], under_way: UnderWay | None = None
) -> Consumer:
    """Return a consumer that does `assignment` until `stopped` says so; `under_way` tells what.

    Raises:
        ConfigurationError: a setting cannot be used.
    """
    read = read_event if assignment.list is None else read_any
    return Consumer(
        make_queue(assignment),
        (under_way or UnderWay()).noting(functools.partial(read, largest=conf.redis_message_size)),
        retries=conf.retries,
        delay=conf.retry_delay,
        idle=conf.redis_claim_idle,
        count=assignment.count,
        block=assignment.block,
        stopped=stopped,
    )


def ask(queue: Queue) -> tuple[dict[str, Any], str]:
    """Return what `queue` tells of itself, and why the server is away, "" if it is not.

    Raises:
        ConfigurationError: the server refuses.
    """
    from redis import RedisError

    try:
        return queue.describe(), ""
    except (RedisError, OSError) as exc:
        if not is_outage(exc):
            raise explained(exc, queue.key) from None
        return {}, described(exc)
