"""Consumers in this process, one step at a time, with a clock that the test sets."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from django.dispatch import Signal

from inotifier.bridge.consumer import Consumer
from inotifier.bridge.delivery import read_any, read_event
from inotifier.bridge.lists import RedisList
from inotifier.bridge.stream import Stream
from inotifier.bridge.xadd import add
from inotifier.events import IN_CREATE, Event

IDLE = 60.0
LARGEST = 100_000


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@contextlib.contextmanager
def connecting(signal: Signal) -> Iterator[Callable[[Callable[..., object]], None]]:
    """Give what connects functions to `signal` until the end of the block."""
    connected = []

    def connect(function: Callable[..., object]) -> None:
        signal.connect(function)
        connected.append(function)

    yield connect
    for function in connected:
        signal.disconnect(function)


def publish(client: Any, *names: str, **fields: Any) -> list[Event]:
    """Add an event of each name to the stream, and return the events."""
    events = [Event(mask=IN_CREATE, path="/srv", name=name) for name in names]
    add(client, [json.dumps({**json.loads(event.to_json()), **fields}) for event in events])
    return events


def make(client: Any, queue: Any, read: Any, **options: Any) -> Consumer:
    options = {"retries": 2, "delay": 1.0, "idle": IDLE, "block": 0.0, **options}
    return Consumer(queue, lambda data: read(data, LARGEST), **options)


def stream(client: Any, consumer: str = "one", idle: float = IDLE, **options: Any) -> Consumer:
    """Return a consumer of the stream."""
    queue = Stream(client, "inotifier", "inotifier", consumer, idle=idle)
    return make(client, queue, read_event, idle=idle, **options)


def from_list(client: Any, consumer: str = "one", idle: float = IDLE, **options: Any) -> Consumer:
    """Return a consumer of the list "jobs"."""
    queue = RedisList(client, "jobs", consumer, idle=idle)
    return make(client, queue, read_any, idle=idle, **options)


def pending(client: Any) -> int:
    """Return how many messages of the stream are delivered to consumers but not acknowledged."""
    return client.xinfo_groups("inotifier")[0]["pending"]


def dead(client: Any) -> list[dict[bytes, bytes]]:
    """Return the fields of the dead messages of the stream."""
    return [fields for _, fields in client.xrange("inotifier:dead")]
