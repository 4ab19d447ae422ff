"""Warns of a path that comes again and again: its handler may be writing it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from inotifier.events import IN_CLOSE_WRITE, IN_MOVED_TO, Event, printable

logger = logging.getLogger(__name__)

TELLING = IN_CLOSE_WRITE | IN_MOVED_TO

_LIMIT = 100
_PERIOD = 60.0
_MEMORY = 4096


class Loops:
    """Counts the events of each path of one entry for a minute at a time.

    Args:
        name: the entry's, for the log.
        clock: seconds that only grow.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._counts: dict[str, int] = {}
        self._end = clock() + _PERIOD

    def note(self, event: Event) -> None:
        """Count `event`, whose mask is one of `TELLING`."""
        path = event.pathname
        count = self._counts[path] = self._counts.get(path, 0) + 1
        if count == _LIMIT:
            logger.warning(
                "%s has come %d times within a minute (watch %s); if a handler writes it, "
                "ignore_self=True in its entry ends that",
                printable(path),
                count,
                printable(self._name),
            )
        elif len(self._counts) > _MEMORY or self._clock() > self._end:
            self._counts.clear()
            self._end = self._clock() + _PERIOD
