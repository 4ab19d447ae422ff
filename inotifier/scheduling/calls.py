"""Calls jobs: beside each other, for as long as they may take, and whatever they raise."""

from __future__ import annotations

import asyncio
import inspect
import math
from typing import TYPE_CHECKING, Any

from django.apps import apps

from inotifier.scheduling.jobs import Job, checked, imported, is_coroutine_function, takes_id
from inotifier.scheduling.overrun import Overrun
from inotifier.scheduling.workers import MOST_WORKERS

if TYPE_CHECKING:
    from inotifier.scheduling.log import TaskLog
    from inotifier.scheduling.task import Task
    from inotifier.scheduling.timers import Timers


class Calls:
    """The job of a scheduler.

    Args:
        job: as `TaskScheduler` takes it.
        timeout: seconds that it may take; None for any number.
        log: of the scheduler.

    Attributes:
        is_coroutine: True if `wait_for` calls it, False if `call` does.
        most: how many of it can run at a time.
    """

    def __init__(self, job: Job | str, timeout: float | None, log: TaskLog) -> None:
        self._timeout = timeout
        self._log = log
        self._job: Job | None = None
        self._name = job if isinstance(job, str) else ""
        # In settings it is too early to import a job that needs a model.
        if apps.ready or not self._name:
            self._set(imported(job) if isinstance(job, str) else job)

    def prepare(self) -> None:
        """Import the job, unless that has been done."""
        if self._job is None:
            self._set(imported(self._name))

    def _set(self, job: object) -> None:
        self._job = checked(job)
        self.is_coroutine = is_coroutine_function(self._job)
        self.most = math.inf if self.is_coroutine else MOST_WORKERS
        self._takes_id = takes_id(self._job)

    def call(self, task: Task, timers: Timers) -> BaseException | None:
        """Call the job, a function; return what it raised.

        Args:
            task: that it is called for.
            timers: call what tells that its time is over.
        """
        overrun: Overrun | None = None
        failure: BaseException | None = None
        try:
            if self._timeout is not None:
                overrun = Overrun(timers, self._log, task, self._timeout)
            with task.guard():
                _check_result(self._begin(task))
        except BaseException as exc:  # sys.exit() too: it must not harm others
            failure = exc
        if overrun is not None and overrun.end():
            return self._timed_out()
        return failure

    async def wait_for(self, task: Task) -> BaseException | None:
        """Wait for the job, a coroutine; return what it raised."""
        scope = asyncio.timeout(self._timeout)
        failure: BaseException | None = None
        try:
            with task.guard():
                async with scope:
                    await self._begin(task)
        except BaseException as exc:
            failure = exc
        return self._timed_out() if scope.expired() else failure

    def _timed_out(self) -> TimeoutError:
        return TimeoutError(f"its job ran for more than {self._timeout:g} s")

    def _begin(self, task: Task) -> Any:
        assert self._job is not None  # noqa: S101
        return self._job(task.event, task.id) if self._takes_id else self._job(task.event)


def _check_result(result: object) -> None:
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError(
            "the job is an ordinary function that returned a coroutine, which nobody runs; make it "
            "an `async def`"
        )
