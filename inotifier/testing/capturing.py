"""What signals deliver, recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.dispatch import Signal

from inotifier import signals
from inotifier.events import Event

_NAMES: dict[Signal, str] = {
    signal: name for name, signal in vars(signals).items() if isinstance(signal, Signal)
}


def capture_events(*captured: Signal, sender: type | None = None) -> CapturedEvents:
    """Return a context manager that records what signals deliver while its block runs.

    Args:
        captured: the signals; all of `inotifier.signals` if there are none.
        sender: the class of a processor, if only its events count.
    """
    return CapturedEvents(captured or tuple(_NAMES), sender)


class CapturedEvents:
    """The events that signals have delivered, in their order.

    Attributes:
        calls: of each, the name of the signal and the keyword arguments that a receiver gets.
    """

    def __init__(self, captured: tuple[Signal, ...], sender: type | None = None) -> None:
        self._sender = sender
        # Signals hold receivers weakly; it is this that keeps them.
        self._receivers = {one: self._receiver(_NAMES.get(one, "")) for one in captured}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def _receiver(self, name: str) -> Callable[..., None]:
        def receive(**kwargs: Any) -> None:
            self.calls.append((name, kwargs))

        return receive

    def __enter__(self) -> CapturedEvents:
        for signal, receiver in self._receivers.items():
            signal.connect(receiver, sender=self._sender)
        return self

    def __exit__(self, *exc: object) -> None:
        for signal, receiver in self._receivers.items():
            signal.disconnect(receiver, sender=self._sender)

    @property
    def events(self) -> list[Event]:
        """The events."""
        return [kwargs["event"] for _, kwargs in self.calls]

    @property
    def names(self) -> list[str]:
        """The names of their signals: "in_create"."""
        return [name for name, _ in self.calls]

    @property
    def pathnames(self) -> list[str]:
        """Their paths."""
        return [event.pathname for event in self.events]

    def __len__(self) -> int:
        return len(self.calls)

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __getitem__(self, index: int) -> Event:
        return self.events[index]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.events!r}>"
