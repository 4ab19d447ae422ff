"""From the daemon to a Redis stream."""

from __future__ import annotations

import threading
from typing import Any

from inotifier import signals
from inotifier.bridge.connection import configured_url, connect, explained, is_outage, redis_outage
from inotifier.bridge.pipeline import Pipeline, Publication
from inotifier.bridge.xadd import Adder, add
from inotifier.conf import conf
from inotifier.events import Event
from inotifier.exceptions import TryAgain
from inotifier.json_form import class_path
from inotifier.later import Deferring

_SHORTEST_WAIT = 0.01


class RedisPublisher(Deferring):
    """A processor that adds every event to the stream INOTIFIER_REDIS_STREAM.

    An event is done with when the server has it. While the server is away, or refuses, events wait;
    what is sent again keeps its id.

    Raises:
        ConfigurationError: the settings do not say where the server is.
    """

    def __init__(self) -> None:
        configured_url()
        self._name = class_path(type(self))
        self._lock = threading.Lock()
        self._client: Any = None
        self._outage = redis_outage("events wait to be published")
        adder = Adder(self._outage)
        self._pipeline = Pipeline(adder.send, self._outage, "inotifier-publisher", rest=adder.close)

    def prepare(self, entry_path: str) -> None:
        """See at the start that the server takes what will be published; it may be away yet.

        Raises:
            ConfigurationError: it refuses.
        """
        from redis import RedisError

        try:
            self._connected().xlen(conf.redis_stream)
        except (RedisError, OSError) as exc:
            if not is_outage(exc):
                raise explained(exc, conf.redis_stream) from None
            self._outage.note(exc)

    def defer(self, event: Event) -> Publication:
        return Publication(self._pipeline, event.to_json(processor=self._name))

    def forward(self, *, signal: object, sender: type, event: Event, **kwargs: Any) -> None:
        """Add the event of a signal to the stream, at once: connect it as a receiver.

        What came from a stream is left alone, so that a process that consumes may connect it too.

        Raises:
            ValueError: it is none of `inotifier.signals`, or tells of more than an event, as
                `delivery_failed` does.
            TryAgain: the server is away.
        """
        if kwargs.get("processor") is not None:
            self._publish(event.to_json(signal=_name_of(signal), processor=class_path(sender)))

    def close(self) -> None:
        """Close the connections; the next event opens another one."""
        self._pipeline.close()
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _publish(self, text: str) -> None:
        from redis import RedisError

        if wait := self._outage.wait():
            raise TryAgain(wait)
        try:
            [answer] = add(self._connected(), [text])
            if isinstance(answer, Exception):
                raise answer
        except (RedisError, OSError) as exc:
            reason = exc if is_outage(exc) else explained(exc, conf.redis_stream)
            raise TryAgain(max(self._outage.note(reason), _SHORTEST_WAIT)) from None
        self._outage.end()

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = connect()
            return self._client


def _name_of(signal: object) -> str:
    for name, value in vars(signals).items():
        if value is signal and isinstance(value, signals.EventSignal):
            return name
        if value is signal:
            raise ValueError(f"{name} is of more than an event, and cannot be forwarded")
    raise ValueError(f"{signal!r} is not one of inotifier.signals")
