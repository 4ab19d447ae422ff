"""One signal for each event."""

from __future__ import annotations

from pyinotify import IN_CREATE, IN_ISDIR, EventsCodes, ProcessEvent

from inotifier import signals
from inotifier.event_processors.sending import send
from inotifier.events import Event
from inotifier.signals import EventSignal


class AllEventsSignaler(ProcessEvent):
    """Send the signal of the same name for every event: `in_create` for IN_CREATE."""

    def process_default(self, event: Event) -> None:
        send(_SIGNALS[event.mask], self, event)

    process_IN_Q_OVERFLOW = process_default


_SIGNALS: dict[int, EventSignal] = {
    mask: getattr(signals, name.lower())
    for family in ("OP_FLAGS", "EVENT_FLAGS")
    for name, bit in EventsCodes.FLAG_COLLECTIONS[family].items()
    for mask in (bit, bit | IN_ISDIR)
}


class CreateSignaler(ProcessEvent):
    """Send `in_create` for IN_CREATE, and nothing else."""

    mask = IN_CREATE

    def process_IN_CREATE(self, event: Event) -> None:
        send(signals.in_create, self, event)
