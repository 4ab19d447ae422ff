"""One signal for each event of inotify(7), and those that inotifier adds.

Each is sent with `sender` the class of the event processor, `event` the
`inotifier.events.Event`, and `processor` the processor itself. This module imports nothing
but Django's dispatcher, so that any process can connect receivers.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import wraps
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from asgiref.sync import async_to_sync
from django.dispatch import Signal

Receiver = Callable[..., Any]
Reference = Callable[[], Receiver | None]
Failure = tuple[Receiver, BaseException]


class _Connection(NamedTuple):
    """A receiver as it is connected: Django's key for it, and what Django keeps of it."""

    key: object
    kept: object

    def is_one_of(self, others: Collection[_Connection]) -> bool:
        # A key may be used again, by what is connected later.
        return any(self.key == other.key and self.kept is other.kept for other in others)


class _Ready(tuple[Reference, ...]):
    """References to the receivers of a sender, no two of them the same object.

    `connections` tells in the same order what they are; `done` are those that are left out
    because they have succeeded before.
    """

    connections: tuple[_Connection, ...]
    done: tuple[_Connection, ...] = ()

    @classmethod
    def of(cls, pairs: Collection[tuple[Reference, _Connection]]) -> _Ready:
        ready = cls(reference for reference, _ in pairs)
        ready.connections = tuple(connection for _, connection in pairs)
        return ready

    def without(self, done: tuple[_Connection, ...]) -> _Ready:
        """Return those that are not in `done`."""
        pairs = zip(self, self.connections, strict=True)
        left = self.of([pair for pair in pairs if not pair[1].is_one_of(done)])
        left.done = done
        return left

    def succeeded(self, failed: Collection[Reference]) -> tuple[_Connection, ...]:
        """Return who has succeeded, now that `failed` have not."""
        now = (
            connection
            for reference, connection in zip(self, self.connections, strict=True)
            if not any(reference is one for one in failed)
        )
        return (*self.done, *now)


class _Prepared(Signal):
    """A signal that is sent often.

    Which receivers a sender has is found once and kept until one is connected or disconnected.
    Receivers are held as weakly as they were connected.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ready: dict[Any, _Ready] = {}

    def connect(self, *args: Any, **kwargs: Any) -> None:
        """Connect a receiver, as `django.dispatch.Signal.connect` does."""
        super().connect(*args, **kwargs)
        self._ready = {}

    def disconnect(self, *args: Any, **kwargs: Any) -> bool:
        """Disconnect a receiver, as `django.dispatch.Signal.disconnect` does."""
        disconnected = super().disconnect(*args, **kwargs)
        self._ready = {}
        return disconnected

    def _make_ready(self, sender: type) -> _Ready:
        """Return references to the receivers of `sender`."""
        connected = self._ready
        found: list[tuple[Reference, _Connection]] = []
        with self.lock:
            for key, receiver, *_, is_async in self.receivers:
                if key[1] in (id(None), id(sender)):
                    reference = receiver if _is_weak(receiver) else _strong(receiver)
                    if is_async:
                        reference = _awaited(reference)
                    elif any(reference is one for one, _ in found):
                        reference = _another(reference)
                    found.append((reference, _Connection(key, receiver)))
        connected[sender] = ready = _Ready.of(found)
        return ready


class EventSignal(_Prepared):
    """A signal that is sent for every event, many thousand times a second.

    An event that some receivers failed on may be delivered again, as the same object: those
    that succeeded are not called again.
    """

    def __init__(self) -> None:
        super().__init__()
        # Event -> sender -> who succeeded; None while no event has failed.
        self._partly: WeakKeyDictionary[Any, dict[type, tuple[_Connection, ...]]] | None = None

    def deliver(self, sender: type, event: Any, processor: object) -> list[Failure]:
        """Call every receiver, whatever the others do.

        Returns:
            The receivers that raised, each with its exception.
        """
        try:
            ready = self._ready[sender]
        except KeyError:
            ready = self._make_ready(sender)
        if self._partly is not None:
            ready = self._left(event, sender, ready)
        raised: list[tuple[Reference, Failure]] = []
        for reference in ready:
            receiver = reference()
            if receiver is None:
                continue
            try:
                receiver(signal=self, sender=sender, event=event, processor=processor)
            except BaseException as exc:  # sys.exit() too: the others must get their turn
                raised.append((reference, (receiver, exc)))
        if not raised:
            return []
        self._keep(event, sender, ready.succeeded([reference for reference, _ in raised]))
        return [failure for _, failure in raised]

    def _left(self, event: Any, sender: type, ready: _Ready) -> _Ready:
        """Return those of `ready` that have not yet succeeded with `event`; forget who has."""
        with self.lock, suppress(TypeError):
            if self._partly is not None:
                senders = self._partly.get(event, {})
                done = senders.pop(sender, ())
                if not senders:
                    self._partly.pop(event, None)
                if not self._partly:
                    self._partly = None
                return ready.without(done)
        return ready

    def _keep(self, event: Any, sender: type, done: tuple[_Connection, ...]) -> None:
        """Remember who succeeded with `event`, as long as somebody holds it."""
        with self.lock, suppress(TypeError):  # what is no event cannot be held weakly
            if self._partly is None:
                self._partly = WeakKeyDictionary()
            self._partly.setdefault(event, {})[sender] = done


class MessageSignal(_Prepared):
    """A signal of what is no event."""

    def deliver(self, sender: type, message: object) -> list[Failure]:
        """Call every receiver, whatever the others do.

        Returns:
            The receivers that raised, each with its exception.
        """
        failures: list[Failure] = []
        for reference in self._ready.get(sender) or self._make_ready(sender):
            receiver = reference()
            if receiver is None:
                continue
            try:
                receiver(signal=self, sender=sender, message=message)
            except BaseException as exc:  # sys.exit() too: the others must get their turn
                failures.append((receiver, exc))
        return failures


def _is_weak(receiver: object) -> bool:
    return isinstance(receiver, weakref.ReferenceType)


def _strong(receiver: Receiver) -> Reference:
    return lambda: receiver


def _another(reference: Reference) -> Reference:
    return lambda: reference()


def _awaited(reference: Reference) -> Reference:
    """Return a reference to what calls a coroutine function and waits for it."""

    def call() -> Receiver | None:
        receiver = reference()
        return receiver and wraps(receiver)(async_to_sync(receiver))

    return call


in_access = EventSignal()
in_attrib = EventSignal()
in_close_nowrite = EventSignal()
in_close_write = EventSignal()
in_create = EventSignal()
in_delete = EventSignal()
in_delete_self = EventSignal()
in_ignored = EventSignal()
in_modify = EventSignal()
in_move_self = EventSignal()
in_moved_from = EventSignal()
in_moved_to = EventSignal()
in_open = EventSignal()
in_q_overflow = EventSignal()
in_unmount = EventSignal()

path_lost = EventSignal()
"""Sent once when the root of an entry is gone; `event` is an IN_DELETE_SELF made for it."""

file_ready = EventSignal()
"""Sent by `FileReadySignaler` once for each file that is complete, whichever way it came."""

delivery_failed = Signal()
"""Sent when an event is given up after its last try, with `sender` the class of the processor,
`event`, `processor`, and `exception`, what the last try raised."""

message_received = MessageSignal()
"""Sent by `inotifier_consume --list` for JSON that is no event, with `sender` the class
`inotifier.bridge.RedisPublisher` and `message`, what the JSON stands for."""
