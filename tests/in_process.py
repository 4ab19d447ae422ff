"""The whole line from the kernel to the processors, within the process of the test."""

from pathlib import Path

from inotifier import signals, watches
from inotifier.events import EVENT_NAMES, Event
from inotifier.testing import CapturedEvents, RunningNotifier
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
    return watches.make_entries(raw)


class Running(RunningNotifier):
    """A service that runs, or is to run when the test wants it to."""

    def sync(self, timeout: float = 60) -> None:
        """Return when everything that happened until now was handed to its processor once."""
        self.barrier(timeout)

    def catch_up(self) -> None:
        """Return when what was missed, and what happened until now, is delivered."""
        self.sync()  # an overflow that has been read may not have begun its comparison
        wait_for(lambda: not self.service.catching_up, 60, "the comparison")
        self.sync()
        wait_for(lambda: self.service.queue_depth == 0, 60, "the deliveries")

    def _end(self, timeout: float) -> None:
        """Deliver also what is to come later."""
        self.service.finish()
        assert self.service.drained(timeout)

    def cut(self) -> None:
        """Stop as a daemon does whose time is over: what waits is left."""
        self.service.finish()
        self.service.abandon()
        assert self.service.drained(60)
        self.close()

    def close(self) -> None:
        self._runs = False
        super().close()


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
        running = Running(*raw, path="/", inotify_fd=inotify_fd, state=state)
        self._started.append(running)
        if run:
            running.run()
        return running

    def __enter__(self) -> "Watching":
        return self

    def __exit__(self, *exc: object) -> None:
        for running in self._started:
            running.stop()


class Receiver(CapturedEvents):
    """Records what the signals with these `names` deliver; those of all events without any."""

    def __init__(self, *names: str, sender: type | None = None) -> None:
        chosen = names or tuple(map(str.lower, EVENT_NAMES))
        super().__init__(tuple(getattr(signals, name) for name in chosen), sender)
