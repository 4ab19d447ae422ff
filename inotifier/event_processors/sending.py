"""From an event to the receivers of a signal."""

from __future__ import annotations

from inotifier.events import Event
from inotifier.exceptions import ReceiversFailed, TryAgain
from inotifier.signals import EventSignal


def send(signal: EventSignal, processor: object, event: Event) -> None:
    """Send `signal` for `event`, with the class of `processor` as the sender.

    Every receiver is called, whatever the others do. If the same event is sent again, those that
    succeeded are not called again.

    Raises:
        ReceiversFailed: if any of them raised.
        TryAgain: if those that raised all asked for it; the shortest time that one asked for.
    """
    failures = signal.deliver(type(processor), event, processor)
    if not failures:
        return
    waits = [reason for _, reason in failures if isinstance(reason, TryAgain)]
    if len(waits) < len(failures):
        raise ReceiversFailed([one for one in failures if not isinstance(one[1], TryAgain)])
    soonest = min(waits, key=lambda wait: wait.after)
    raise TryAgain(soonest.after) from soonest
