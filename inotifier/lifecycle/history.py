"""How many events came, in steps of ten seconds, over the last ten minutes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise

from inotifier.dispatcher import Handler

STEP = 10.0
"""Seconds that each number stands for."""

STEPS = 60


class History:
    """Keeps counters of `handlers` as they were, whenever `sample` is called.

    Args:
        handlers: whose.
        clock: seconds that only grow.
    """

    def __init__(
        self, handlers: Sequence[Handler], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._handlers = handlers
        self._clock = clock
        # The number of each step, and what had been seen when it began.
        self._samples: deque[tuple[int, list[int]]] = deque(maxlen=STEPS + 1)
        self._begun = clock()
        self.sample()

    def sample(self) -> None:
        """Begin the steps that are due; to be called more often than they are."""
        now = self._step
        seen = [handler.seen for handler in self._handlers]
        begin = self._samples[-1][0] + 1 if self._samples else now
        for step in range(max(begin, now - STEPS), now + 1):
            self._samples.append((step, seen))

    def counts(self, index: int) -> list[int]:
        """Return how many events of handler `index` came in each step; the last goes on."""
        totals = [seen[index] for _, seen in list(self._samples)]
        totals.append(self._handlers[index].seen)
        found = [later - earlier for earlier, later in pairwise(totals)]
        return ([0] * STEPS + found)[-STEPS:]

    def rate(self, index: int) -> float:
        """Return the events of handler `index` a second, over the last ten to twenty seconds."""
        step, seen = list(self._samples)[-2:][0]
        now = self._clock()
        seconds = now - max(step * STEP, self._begun)
        return (self._handlers[index].seen - seen[index]) / max(1.0, seconds)

    @property
    def _step(self) -> int:
        return int(self._clock() // STEP)
