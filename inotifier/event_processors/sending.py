"""From an event to the receivers of a signal."""

from __future__ import annotations

from inotifier.events import Event
from inotifier.exceptions import raise_for
from inotifier.signals import EventSignal


def send(signal: EventSignal, processor: object, event: Event) -> None:
    """Send `signal` for `event`, with the class of `processor` as the sender.

    Every receiver is called, whatever the others do. If the same event is sent again, those that
    succeeded are not called again.

    Raises:
        ReceiversFailed: if any of them raised.
        TryAgain: if those that raised all asked for it; the shortest time that one asked for.
    """
    if failures := signal.deliver(type(processor), event, processor):
        raise_for(failures)
