"""Files that tell how far the deliveries have come."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path

from inotifier.events import Event
from inotifier.watches import Watch

_AGAIN = 0.5
"""Seconds after which another cookie is laid: this one may be lost to an overflow."""


class Cookies:
    """Lays files into a directory of its own, and waits for their events.

    The kernel keeps the order of events, and so does the service: when that of a cookie comes,
    all that happened before it has come.

    Args:
        directory: where they lie; nobody else may write there.
    """

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)
        self._numbers = itertools.count()
        self._last = -1
        self._found = threading.Condition()
        self.entry = Watch(
            directory, "IN_CREATE", self._take, backend="inotify", catch_up=False, name="cookies"
        )

    def _take(self, event: Event) -> None:
        with self._found:
            self._last = int(event.name)
            self._found.notify_all()

    def wait(self, timeout: float, check: Callable[[], object]) -> bool:
        """Wait until all that has happened by now is delivered; tell whether it is.

        Args:
            timeout: seconds to wait.
            check: called now and then; may raise if there is nothing to wait for any more.
        """
        deadline = time.monotonic() + timeout
        first = self._lay()
        while not self._await(first, min(_AGAIN, max(0.0, deadline - time.monotonic()))):
            check()
            if time.monotonic() >= deadline:
                return False
            self._lay()  # a later one tells as much
        return True

    def _lay(self) -> int:
        number = next(self._numbers)
        (self._directory / str(number)).touch()
        return number

    def _await(self, number: int, seconds: float) -> bool:
        with self._found:
            return self._found.wait_for(lambda: self._last >= number, seconds)
