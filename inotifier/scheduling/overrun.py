"""Functions that run for too long: nobody can stop them, but somebody can tell."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inotifier.scheduling.log import TaskLog
    from inotifier.scheduling.task import Task
    from inotifier.scheduling.timers import Timers


class Overrun:
    """Tells when the time of a function is over.

    Args:
        timers: call it at that time.
        log: of the scheduler.
        task: whose job it is.
        timeout: seconds from now.
    """

    def __init__(self, timers: Timers, log: TaskLog, task: Task, timeout: float) -> None:
        self._timers = timers
        self._log = log
        self._task = task
        self._timeout = timeout
        self._is_over = False
        self.is_wanted = True
        timers.add(timers.clock() + timeout, self)

    def fire(self, now: float) -> None:
        """Tell that the time is over."""
        if self.is_wanted:
            self._is_over = True
            self._log.task(
                logging.ERROR,
                self._task,
                "job runs for more than %g s and cannot be stopped; it fails when it ends",
                self._timeout,
            )

    def end(self) -> bool:
        """Note that the function has ended; tell whether its time was over."""
        self.is_wanted = False
        if not self._is_over:
            self._timers.forget()
        return self._is_over
