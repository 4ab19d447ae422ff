"""From an event to the receivers of a signal."""

from __future__ import annotations

from inotifier.events import Event
from inotifier.exceptions import ReceiversFailed
from inotifier.signals import EventSignal


def send(signal: EventSignal, processor: object, event: Event) -> None:
    """Send `signal` for `event`, with the class of `processor` as the sender.

    Every receiver is called, whatever the others do.

    Raises:
        ReceiversFailed: if any of them raised.
    """
    if failures := signal.deliver(type(processor), event, processor):
        raise ReceiversFailed(failures)
