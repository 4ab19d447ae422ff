"""Calls things at their time: one heap and one thread, however many wait."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

logger = logging.getLogger(__name__)

_LINGER = 1.0
"""Seconds that the thread stays when nothing waits."""

_LONGEST_WAIT = 3600.0
"""Seconds; what is waited for may lie further ahead than a lock can wait."""

_FEW = 1000
"""So many that are not wanted any more may stay in the heap."""


class Timed(Protocol):
    """What stands in the heap."""

    @property
    def is_wanted(self) -> bool:
        """False if it need not be called any more."""

    def fire(self, now: float) -> float | None:
        """Do what is due at `now`, quickly; return when to be called again, if at all."""


class Timers:
    """Calls what was added when its time has come.

    What is put off needs no new place in the heap: called too early, it tells its new time.

    Args:
        clock: seconds that only grow.
        thread: False if it is told by `fire_due` that time has passed.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, thread: bool = True) -> None:
        self.clock = clock
        self._has_thread = thread
        self._heap: list[tuple[float, int, Timed]] = []
        self._numbers = itertools.count()
        self._unwanted = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        """Return how many stand in the heap, wanted or not."""
        return len(self._heap)

    def add(self, when: float, item: Timed) -> None:
        """Call `item` at `when`; it must not stand in the heap.

        Raises:
            RuntimeError: the system has no thread for it.
        """
        with self._changed:
            if self._has_thread and self._thread is None:
                thread = threading.Thread(target=self._run, name="inotifier-timers", daemon=True)
                thread.start()
                self._thread = thread
            heapq.heappush(self._heap, (when, next(self._numbers), item))
            if self._heap[0][2] is item:
                self._changed.notify()

    def forget(self) -> None:
        """Note that something in the heap is not wanted any more."""
        with self._changed:
            self._unwanted += 1
            is_worth_while = self._unwanted > max(_FEW, len(self._heap) / 2)
            if is_worth_while or self._unwanted >= len(self._heap):
                self._heap = [entry for entry in self._heap if entry[2].is_wanted]
                heapq.heapify(self._heap)
                self._unwanted = 0
                self._changed.notify()

    def fire_due(self) -> None:
        """Call everything whose time has come."""
        while (item := self._pop()) is not None:
            try:
                again = item.fire(self.clock())
            except Exception:  # one must not end the others
                logger.exception("a timer failed: %r", item)
            else:
                if again is not None:
                    self.add(again, item)

    def _pop(self) -> Timed | None:
        """Take out the first whose time has come."""
        with self._changed:
            now = self.clock()
            while self._heap and self._heap[0][0] <= now:
                item = heapq.heappop(self._heap)[2]
                if item.is_wanted:
                    return item
                self._unwanted = max(0, self._unwanted - 1)
        return None

    def _run(self) -> None:
        while self._wait():
            self.fire_due()

    def _wait(self) -> bool:
        """Wait for the first; False if there is none, and the thread is to end."""
        with self._changed:
            if not self._heap:
                self._changed.wait(_LINGER)
            if not self._heap:
                self._thread = None
                return False
            rest = self._heap[0][0] - self.clock()
            if rest > 0:
                self._changed.wait(min(rest, _LONGEST_WAIT))
            return True
