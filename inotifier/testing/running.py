"""The whole line from the kernel to the receivers, run within the process of the test."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

from inotifier.events import printable
from inotifier.service import Service
from inotifier.state import State
from inotifier.testing.cookies import Cookies
from inotifier.watches import Watch, make_entries, read_entry, watches_of

EVERYTHING = (
    Watch(".", "ALL_EVENTS", recursive=True),
    Watch(".", processor="inotifier.event_processors.FileReadySignaler", recursive=True),
)
"""All events of whatever is below a directory, and `file_ready`."""

_LOOK = 0.002
"""Seconds between two looks whether there is something left."""


class RunningNotifier:
    """What the daemon runs, in threads of this process, while a block runs.

    It reads the settings as the daemon does: INOTIFIER_RETRIES, INOTIFIER_WORKERS and so on.

    Args:
        entries: as in INOTIFIER_WATCH_PATHS, or functions with `on_file`. A relative path lies
            below `path`, and becomes a directory if it is not there. Without any, all is watched
            that is below `path`: each event sends its signal, and each complete file `file_ready`.
        path: a directory; by default a temporary one, which is removed at the end.
        state: the file that keeps what was delivered, for entries that catch up.
        inotify_fd: an inotify descriptor kept from another service.

    Attributes:
        path: the directory.
        service: what runs.

    Raises:
        InotifierError: the entries cannot be watched; the message tells why.
    """

    def __init__(
        self,
        *entries: object,
        path: str | os.PathLike[str] | None = None,
        state: Path | None = None,
        inotify_fd: int | None = None,
    ) -> None:
        self.lines: list[str] = []
        self._runs = False
        with ExitStack() as stack:
            if path is None:
                path = stack.enter_context(TemporaryDirectory(prefix="inotifier-"))
            self.path = Path(path).resolve()
            directory = stack.enter_context(TemporaryDirectory(prefix="inotifier-cookies-"))
            self._cookies = Cookies(directory)
            self.state = None if state is None else stack.enter_context(closing(State(state)))
            if self.state is not None:
                self.state.open()
            asked = [self._placed(watch) for one in entries or EVERYTHING for watch in _read(one)]
            made = make_entries([*asked, self._cookies.entry])
            self.service = Service(made, inotify_fd, self.state)
            stack.callback(self.service.close)
            self.handlers = self.service.handlers[:-1]
            self.service.watch(self.lines.append)
            self.lines.pop()
            self._open = stack.pop_all()

    def _placed(self, watch: Watch) -> Watch:
        given = os.path.expandvars(os.path.expanduser(watch.path))  # noqa: PTH111 - as `conf` does
        if "://" in given or Path(given).is_absolute():
            return watch
        place = self.path / given
        if watch.missing == "error":
            place.mkdir(parents=True, exist_ok=True)
        return dataclasses.replace(watch, path=place)

    def __enter__(self) -> RunningNotifier:
        self.run()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def run(self) -> None:
        """Begin to read and deliver."""
        self._open.callback(sys.setswitchinterval, sys.getswitchinterval())
        self._runs = True
        self.service.run()

    def sync(self, timeout: float = 60.0) -> None:
        """Return when everything that happened until now is delivered.

        That includes what comes later, or again: a file that has to settle, a task with a delay,
        an event whose handler failed. Entries that poll are listed twice for it.

        Args:
            timeout: seconds to wait.

        Raises:
            TimeoutError: it takes longer; the message tells what is left.
            InotifierError: a thread has died.
        """
        deadline = time.monotonic() + timeout
        self.barrier(timeout)
        for _ in range(2):  # what the first round has seen as new, the second finds complete
            self.service.poll_now()
            self._wait(lambda: not self.service.catching_up, deadline)
        self.barrier(max(0.0, deadline - time.monotonic()))
        self._wait(lambda: self.service.queue_depth == 0, deadline)

    def barrier(self, timeout: float = 60.0) -> None:
        """Return when everything that happened until now has been handed to its processor once.

        What is to come later, or again, may be left, and with several workers what others do.

        Raises:
            TimeoutError: it takes longer than `timeout` seconds.
            InotifierError: a thread has died.
        """
        # The second is laid when the first is delivered, and comes in a later batch: what is done
        # at the end of a batch, to connections to databases, is done by then.
        for _ in range(2):
            if not self._cookies.wait(timeout, self.service.check_alive):
                raise TimeoutError(self._left(timeout))

    def _wait(self, condition: Callable[[], bool], deadline: float) -> None:
        begun = time.monotonic()
        while not condition():
            self.service.check_alive()
            if time.monotonic() > deadline:
                raise TimeoutError(self._left(deadline - begun))
            time.sleep(_LOOK)

    def _left(self, seconds: float) -> str:
        left = [
            f"{handler.pending} of {printable(handler.entry.name)}"
            for handler in self.handlers
            if handler.pending
        ]
        return (
            f"not everything was delivered within {seconds:g} s. Events that are left: "
            f"{', '.join(left) or 'none that has been read'}. Does a receiver hang, or is there "
            "something that is to happen later still?"
        )

    def stop(self, timeout: float = 60.0) -> None:
        """Deliver everything that happened until now, except what is to come later, and stop.

        Raises:
            TimeoutError: a handler does not return within `timeout` seconds.
        """
        try:
            if self._runs:
                self._runs = False
                self._end(timeout)
        finally:
            self.close()

    def _end(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        self.service.finish()
        while not self.service.drained(_LOOK):
            if self.service.only_waits:
                self.service.abandon()
            if time.monotonic() > deadline:
                self.service.abandon()
                raise TimeoutError(self._left(timeout))

    def close(self) -> None:
        """Give back what is open."""
        self._open.close()


def _read(entry: object) -> list[Watch]:
    """Return the entries that `entry` stands for, several if it is a function with `on_file`."""
    return (watches_of(entry) if callable(entry) else []) or [read_entry(entry)]
