"""What is remembered of one entry's deliveries, for whoever looks: cheap, bounded, in memory."""

from __future__ import annotations

import time
import traceback
from bisect import bisect_left
from collections import defaultdict, deque
from dataclasses import dataclass

DELIVERED = "delivered"
LATER = "later"
AGAIN = "again"
FAILED = "failed"

BOUNDS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0)
"""Upper ends, in seconds, of the ranges that calls of processors are counted in."""

_SHORT = BOUNDS[0]
MOST_RECENT = 200
_MOST_ERRORS = 20
_LONGEST_TRACEBACK = 8000

Handed = tuple[int, str, float]
"""Mask, path and time of an event."""


@dataclass(frozen=True)
class Failure:
    """What a processor or a receiver raised.

    Attributes:
        timestamp: seconds, `time.time()`, when it did.
        mask: the event's.
        pathname: the event's.
        who: what raised, in words.
        then: when it is called again, in words; "" if it is not.
        traceback: the last lines of it.
    """

    timestamp: float
    mask: int
    pathname: str
    who: str
    then: str
    traceback: str


class Figures:
    """Counts the calls of one entry's processor, and keeps the last ones.

    Any thread may read meanwhile: by `list` and `dict`, which copy at once.

    Attributes:
        recent: the last events with what became of them, and the seconds that the call took.
        failures: the last of them.
        masks: number of events that were taken or given up, by mask.
        durations: number of calls by the range that their seconds fall in; the last is open.
        seconds: that all calls took together.
    """

    __slots__ = ("durations", "failures", "masks", "recent", "seconds")

    def __init__(self) -> None:
        self.recent: deque[tuple[Handed, str, float]] = deque(maxlen=MOST_RECENT)
        self.failures: deque[Failure] = deque(maxlen=_MOST_ERRORS)
        self.masks: defaultdict[int, int] = defaultdict(int)
        self.durations = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def note(self, handed: Handed, outcome: str, seconds: float) -> None:
        """Count a call of the processor.

        Args:
            handed: the event that it got.
            outcome: DELIVERED, LATER, AGAIN or FAILED.
            seconds: that it took.
        """
        self.recent.append((handed, outcome, seconds))
        self.seconds += seconds
        self.durations[bisect_left(BOUNDS, seconds) if seconds > _SHORT else 0] += 1
        if outcome is not AGAIN:
            self.masks[handed[0]] += 1

    def note_failure(
        self, mask: int, pathname: str, who: str, then: str, reason: BaseException
    ) -> None:
        """Keep what was raised as text: the exception itself would keep its frames alive."""
        text = "".join(traceback.format_exception(reason))[-_LONGEST_TRACEBACK:]
        self.failures.append(Failure(time.time(), mask, pathname, who, then, text))
