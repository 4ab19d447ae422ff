"""Whether what events go to is away, and when it is worth to try again."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 15.0


def one_line(exc: Exception) -> str:
    """Return what an exception says, on one line."""
    return " ".join(str(exc).split()) or type(exc).__name__


class Outage:
    """Whether the server is away: one line in the log when it goes, and one when it comes back.

    Args:
        server: gives its name, as it may stand in a log.
        waiting: what waits meanwhile, for the log: "events wait".
        describe: gives what an exception says on one line, as it may stand in a log.
        clock: seconds that only grow.
        jitter: a number from 0 to 1, at random.
    """

    def __init__(
        self,
        server: Callable[[], str],
        waiting: str,
        describe: Callable[[Exception], str],
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._server = server
        self._waiting = waiting
        self._describe = describe
        self._clock = clock
        self._jitter = jitter
        self._lock = threading.Lock()
        self._since: float | None = None
        self._delay = 0.0
        self._next = 0.0
        self.reason = ""

    @property
    def lasts(self) -> bool:
        """True while the server is away."""
        return self._since is not None

    def wait(self) -> float:
        """Return the seconds until it is worth to try, 0 if it is now."""
        if self._since is None:
            return 0.0
        with self._lock:
            return max(0.0, self._next - self._clock())

    def note(self, exc: Exception) -> float:
        """Note that the server did not answer; return the seconds until it is worth to try."""
        with self._lock:
            now = self._clock()
            if self._since is None:
                self._since, self._delay = now, _FIRST_WAIT
                self.reason = self._describe(exc)
                logger.warning("%s is away, %s: %s", self._server(), self._waiting, self.reason)
            elif now >= self._next:
                self._delay = min(2 * self._delay, _LONGEST_WAIT)
            else:
                return self._next - now
            wait = self._delay * (0.5 + self._jitter() / 2)
            self._next = now + wait
            return wait

    def end(self) -> None:
        """Note that the server has answered."""
        if self._since is None:
            return
        with self._lock:
            if self._since is not None:
                lasted = self._clock() - self._since
                self._since, self.reason = None, ""
                logger.warning("%s is back after %.1f s", self._server(), lasted)
