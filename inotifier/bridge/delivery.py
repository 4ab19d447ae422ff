"""From a message to the receivers of a signal."""

from __future__ import annotations

import functools
import logging
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from inotifier import json_form, signals
from inotifier.bridge.publisher import RedisPublisher
from inotifier.events import Event
from inotifier.exceptions import UnreadableMessage, failures_of, raise_for
from inotifier.forks import end_child, is_child
from inotifier.signals import EventSignal

logger = logging.getLogger(__name__)


class Incoming:
    """A message that was read: what it is, and how it is delivered.

    Attributes:
        key: the same if the same signal of the same event is sent again; "" if it is no event.
        title: what logs call it.
        sender: of the signal.
        event: what `delivery_failed` gets; None if it is no event.
        deliver: calls the receivers; those that have succeeded are not called again if it is an
            event. Raises ReceiversFailed or TryAgain.
    """

    def __init__(
        self, key: str, title: str, sender: type, event: Event | None, deliver: Callable[[], None]
    ) -> None:
        self.key = key
        self.title = title
        self.sender = sender
        self.event = event
        self.deliver = deliver


def read_event(data: bytes | None, largest: int) -> Incoming:
    """Return the event that a message of a stream holds.

    Args:
        data: what stands in the message.
        largest: bytes that it may have.

    Raises:
        UnreadableMessage: it holds none that can be delivered.
    """
    return _event(_parsed(data, largest))


def read_any(data: bytes | None, largest: int) -> Incoming:
    """Return what an element of a list holds: an event, or any other JSON.

    Raises:
        UnreadableMessage: it is no JSON, or an event that cannot be delivered.
    """
    value = _parsed(data, largest)
    if json_form.is_event(value):
        return _event(value)
    call = functools.partial(_send_message, value)
    return Incoming("", "a message", RedisPublisher, None, call)


def _parsed(data: bytes | None, largest: int) -> Any:
    if data is None:
        raise UnreadableMessage("it has no field 'event'")
    if len(data) > largest:
        raise UnreadableMessage(
            f"it has {len(data)} bytes, more than INOTIFIER_REDIS_MESSAGE_SIZE allows ({largest})"
        )
    return json_form.parse(data)


def _event(value: Any) -> Incoming:
    message = json_form.read(value)
    signal = getattr(signals, message.signal, None)
    if not isinstance(signal, EventSignal):
        raise UnreadableMessage(
            f"it asks for the signal {message.signal!r}, which this django-inotifier does not have"
        )
    event = Event.from_message(message)
    sender = _sender(message.processor)
    return Incoming(
        f"{message.signal} {message.id} {message.processor}",
        f"{event.maskname} of {event.pathname!r}",
        sender,
        event,
        functools.partial(_send_event, signal, sender, event),
    )


def _sender(path: str | None) -> type:
    """Return the class that published, if this process has imported it.

    Otherwise nobody can have connected a receiver to it. Nothing is imported because a message
    says so.
    """
    module_name, _, name = (path or "").rpartition(".")
    found = getattr(sys.modules.get(module_name), "__dict__", {}).get(name)
    return found if isinstance(found, type) else RedisPublisher


def _send_event(signal: EventSignal, sender: type, event: Event) -> None:
    raise_for(signal.deliver(sender, event, None))


def _send_message(message: object) -> None:
    raise_for(signals.message_received.deliver(RedisPublisher, message))


def give_up(incoming: Incoming, exc: BaseException) -> None:
    """Send `delivery_failed` for an event; its receivers may raise what they like."""
    if incoming.event is None:
        return
    send = functools.partial(
        signals.delivery_failed.send_robust,
        sender=incoming.sender,
        event=incoming.event,
        processor=None,
        exception=exc,
    )
    try:
        guarded(send)
    except BaseException as second:
        logger.error("a receiver of delivery_failed raised %r", second, exc_info=second)


def log_failure(incoming: Incoming, exc: BaseException, then: str) -> None:
    """Log each receiver that raised, and what becomes of the message."""
    for who, reason in failures_of(exc, "a receiver"):
        logger.error("%s failed on %s, %s: %r", who, incoming.title, then, reason, exc_info=reason)


def guarded(call: Callable[[], object]) -> None:
    """Call; a child that a receiver has forked and that comes back ends there."""
    try:
        call()
    except BaseException as exc:
        if is_child():
            end_child(exc)
        raise
    if is_child():
        end_child()


class Window:
    """The keys of what was delivered last.

    Args:
        size: how many.
    """

    def __init__(self, size: int = 100_000) -> None:
        self._size = size
        self._keys: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def add(self, key: str) -> None:
        """Remember a key, and forget the oldest if there are too many."""
        self._keys[key] = None
        if len(self._keys) > self._size:
            self._keys.popitem(last=False)
