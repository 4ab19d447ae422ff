"""What runs the tasks of all schedulers of a process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Coroutine
from typing import Any

from inotifier.scheduling.coroutines import Coroutines
from inotifier.scheduling.timers import Timers
from inotifier.scheduling.workers import Executor, Workers


class Runner:
    """Timers, workers for functions, and a loop for coroutines; threads start when needed.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.timers = Timers(clock)
        self._workers = Workers()
        self._coroutines = Coroutines(lambda: Executor(self._workers))

    def call(self, function: Callable[[], object]) -> None:
        """Call `function`, which must not raise, in a thread."""
        self._workers.submit(function)

    def run(self, make: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Run the coroutine that `make` returns, which must not raise, on the loop."""
        self._coroutines.submit(make)


class _Shared:
    runner = Runner()

    @classmethod
    def renew(cls) -> None:
        cls.runner = Runner()


os.register_at_fork(after_in_child=_Shared.renew)  # it has none of the threads


def shared_runner() -> Runner:
    """Return the runner of this process."""
    return _Shared.runner
