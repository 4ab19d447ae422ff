"""One signal for each event of inotify(7), and one for a root that is gone.

Each is sent with `sender` the class of the event processor, `event` the
`inotifier.events.Event`, and `processor` the processor itself. This module imports nothing
but Django's dispatcher, so that any process can connect receivers.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any

from asgiref.sync import async_to_sync
from django.dispatch import Signal

Receiver = Callable[..., Any]
Reference = Callable[[], Receiver | None]
Failure = tuple[Receiver, BaseException]


class EventSignal(Signal):
    """A signal that is sent for every event, many thousand times a second.

    Which receivers a sender has is found once and kept until one is connected or disconnected.
    Receivers are held as weakly as they were connected.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ready: dict[Any, tuple[Reference, ...]] = {}

    def connect(self, *args: Any, **kwargs: Any) -> None:
        """Connect a receiver, as `django.dispatch.Signal.connect` does."""
        super().connect(*args, **kwargs)
        self._ready = {}

    def disconnect(self, *args: Any, **kwargs: Any) -> bool:
        """Disconnect a receiver, as `django.dispatch.Signal.disconnect` does."""
        disconnected = super().disconnect(*args, **kwargs)
        self._ready = {}
        return disconnected

    def deliver(self, sender: type, event: Any, processor: object) -> list[Failure]:
        """Call every receiver, whatever the others do.

        Returns:
            The receivers that raised, each with its exception.
        """
        try:
            ready = self._ready[sender]
        except KeyError:
            ready = self._make_ready(sender)
        failures: list[Failure] = []
        for reference in ready:
            receiver = reference()
            if receiver is None:
                continue
            try:
                receiver(signal=self, sender=sender, event=event, processor=processor)
            except BaseException as exc:  # sys.exit() too: the others must get their turn
                failures.append((receiver, exc))
        return failures

    def _make_ready(self, sender: type) -> tuple[Reference, ...]:
        """Return references to the receivers of `sender`."""
        connected = self._ready
        found: list[Reference] = []
        with self.lock:
            for (_, sender_id), receiver, *_, is_async in self.receivers:
                if sender_id in (id(None), id(sender)):
                    reference = receiver if _is_weak(receiver) else _strong(receiver)
                    found.append(_awaited(reference) if is_async else reference)
        connected[sender] = tuple(found)
        return connected[sender]


def _is_weak(receiver: object) -> bool:
    return isinstance(receiver, weakref.ReferenceType)


def _strong(receiver: Receiver) -> Reference:
    return lambda: receiver


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
