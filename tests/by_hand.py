"""Schedulers whose time passes, and whose jobs run, when the test says so."""

from collections import deque
from collections.abc import Callable

from inotifier.scheduling.runner import Runner
from inotifier.scheduling.timers import Timers


class ByHand(Runner):
    """Runs functions, not coroutines, in the thread of the test."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(lambda: self.now)
        self.timers = Timers(self.clock, thread=False)
        self.calls: deque[Callable[[], object]] = deque()

    def call(self, function: Callable[[], object]) -> None:
        self.calls.append(function)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and what is due become ready; no job runs."""
        self.now += seconds
        self.timers.fire_due()

    def work(self) -> None:
        """Run what is ready, and what becomes so."""
        while self.calls:
            self.calls.popleft()()

    def advance(self, seconds: float) -> None:
        """Let time pass, and run what is due."""
        self.pass_time(seconds)
        self.work()
