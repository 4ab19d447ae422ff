"""The whole line from the kernel to the processors, within the process of the test."""

import itertools
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.dispatch import Signal
from django.test import override_settings

from inotifier import signals, watches
from inotifier.events import EVENT_NAMES, Event
from inotifier.service import Service
from inotifier.state import State
from tests.waiting import wait_for


class Recorder:
    """A processor that keeps its events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def seen(self) -> list[tuple[str, str]]:
        """The events as (maskname, pathname)."""
        return [(event.maskname, event.pathname) for event in self.events]

    @property
    def pathnames(self) -> list[str]:
        return [event.pathname for event in self.events]

    @property
    def masknames(self) -> list[str]:
        return [event.maskname for event in self.events]


def entries(*raw: object) -> list[watches.Entry]:
    """Return the entries that the setting `raw` stands for."""
    with override_settings(INOTIFIER_WATCH_PATHS=list(raw)):
        return watches.load()


class Running:
    """A service that runs, and a fence in its stream of events."""

    def __init__(
        self, raw: tuple[object, ...], inotify_fd: int | None, run: bool, state: Path | None
    ) -> None:
        self._directory = TemporaryDirectory(prefix="fence-")
        self._fence = Recorder()
        self._numbers = itertools.count()
        self._stopped = False
        fence = (self._directory.name, "IN_CREATE", self._fence, {"catch_up": False})
        self.lines: list[str] = []
        self.state = None
        if state is not None:
            self.state = State(state)
            self.state.open()
        try:
            self.service = Service(entries(*raw, fence), inotify_fd, self.state)
        except BaseException:
            self._directory.cleanup()
            raise
        self.handlers = self.service.handlers[:-1]
        try:
            self.service.watch(self.lines.append)
        except BaseException:
            self.close()
            raise
        self.lines.pop()
        self._runs = False
        if run:
            self.run()

    def run(self) -> None:
        self._runs = True
        self.service.run()

    def sync(self) -> None:
        """Return when everything that happened until now is delivered."""
        # The kernel keeps the order, and so does the service.
        mark = Path(self._directory.name, str(next(self._numbers)))
        mark.touch()
        wait_for(lambda: str(mark) in self._fence.pathnames, 60, "the fence")

    def catch_up(self) -> None:
        """Return when what was missed, and what happened until now, is delivered."""
        self.sync()  # an overflow that has been read may not have begun its comparison
        wait_for(lambda: not self.service.catching_up, 60, "the comparison")
        self.sync()
        wait_for(lambda: self.service.queue_depth == 0, 60, "the deliveries")

    def stop(self) -> None:
        """Deliver everything that happened until now, and stop."""
        if self._stopped:
            return
        self._stopped = True
        if self._runs:
            self.service.finish()
            assert self.service.drained(60)
        self.close()

    def cut(self) -> None:
        """Stop as a daemon does whose time is over: what waits is left."""
        self.service.finish()
        self.service.abandon()
        assert self.service.drained(60)
        self.close()

    def close(self) -> None:
        self._stopped = True
        self.service.close()
        if self.state is not None:
            self.state.close()
        self._directory.cleanup()


class Watching:
    """Starts services, and stops them when it is left."""

    def __init__(self) -> None:
        self._started: list[Running] = []

    def __call__(
        self,
        *raw: object,
        inotify_fd: int | None = None,
        run: bool = True,
        state: Path | None = None,
    ) -> Running:
        """Watch the entries `raw`; without `run`, the kernel's queue fills up meanwhile."""
        running = Running(raw, inotify_fd, run, state)
        self._started.append(running)
        return running

    def __enter__(self) -> "Watching":
        return self

    def __exit__(self, *exc: object) -> None:
        for running in self._started:
            running.stop()


class Receiver:
    """A receiver of signals that keeps what it got; connected while the block runs."""

    def __init__(self, *names: str, sender: type | None = None) -> None:
        self._signals: dict[str, Signal] = {
            name: getattr(signals, name) for name in names or map(str.lower, EVENT_NAMES)
        }
        self._sender = sender
        self._receivers: dict[str, Callable[..., None]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __enter__(self) -> "Receiver":
        for name, signal in self._signals.items():
            self._receivers[name] = self._receiver(name)
            signal.connect(self._receivers[name], sender=self._sender)
        return self

    def __exit__(self, *exc: object) -> None:
        for name, signal in self._signals.items():
            signal.disconnect(self._receivers[name], sender=self._sender)

    def _receiver(self, name: str) -> Callable[..., None]:
        def receive(**kwargs: Any) -> None:
            self.calls.append((name, kwargs))

        return receive

    @property
    def names(self) -> list[str]:
        """The signals that came."""
        return [name for name, _ in self.calls]

    @property
    def events(self) -> list[Event]:
        return [kwargs["event"] for _, kwargs in self.calls]

    @property
    def pathnames(self) -> list[str]:
        return [event.pathname for event in self.events]
