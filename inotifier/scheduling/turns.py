"""Whose turn it is, of the tasks whose time has come."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from inotifier.scheduling.calls import Calls
from inotifier.scheduling.coroutines import forget_cancellation, refresh
from inotifier.scheduling.log import TaskLog
from inotifier.scheduling.runner import Runner
from inotifier.scheduling.task import State, Task


class Owner(Protocol):
    """Whose tasks they are."""

    lock: threading.Lock

    @property
    def runner(self) -> Runner:
        """What runs them."""

    def end(self, task: Task, failure: BaseException | None) -> None:
        """Go on with `task`, whose job has ended, or raised `failure`."""


class Turns:
    """Runs no more than so many tasks at a time, in the order in which their time came.

    Args:
        calls: calls the job.
        log: of the scheduler.
        limit: number of tasks at a time; None for as many as `calls` can take.
        owner: whose tasks they are.
    """

    def __init__(self, calls: Calls, log: TaskLog, limit: int | None, owner: Owner) -> None:
        self._calls = calls
        self._log = log
        self._limit = limit
        self._owner = owner
        self._ready: OrderedDict[Task, None] = OrderedDict()
        self._taken = 0

    # For whoever holds the lock

    def queue(self, task: Task) -> Callable[[], None] | None:
        """Put `task` behind all others; return what to do now, without the lock."""
        task.state = State.READY
        self._ready[task] = None
        if self._taken >= (self._limit or self._calls.most):
            return None
        self._taken += 1
        return self._give

    def leave(self, task: Task) -> None:
        """Take `task` out, whose turn has not come."""
        del self._ready[task]

    # Without the lock

    def _give(self) -> None:
        """Let whoever is the first by then run, and others of other schedulers before.

        Raises:
            RuntimeError: the system has no thread for it.
        """
        try:
            if self._calls.is_coroutine:
                self._owner.runner.run(self._wait_for_next)
            else:
                self._owner.runner.call(self._call_next)
        except RuntimeError:
            with self._owner.lock:
                self._taken -= 1
            raise

    def _call_next(self) -> None:
        task = self._next()
        if task is None:
            return
        try:
            self._owner.end(task, self._calls.call(task, self._owner.runner.timers))
        finally:
            self._pass_on()

    async def _wait_for_next(self) -> None:
        task = self._next()
        if task is None:
            return
        try:
            failure = await self._calls.wait_for(task)
            if failure is None:
                self._owner.end(task, None)
            else:
                await forget_cancellation()
                await refresh()  # the reason may be a connection that broke
                # Who is told of it may be slow, or need a database.
                await asyncio.to_thread(self._owner.end, task, failure)
        finally:
            self._pass_on()

    def _next(self) -> Task | None:
        """Return whose turn it is; None if nobody waits any more, and the turn is over."""
        with self._owner.lock:
            if not self._ready:
                self._taken -= 1
                return None
            task, _ = self._ready.popitem(last=False)
            task.state = State.RUNNING
        self._log.task(logging.INFO, task, "start task")
        return task

    def _pass_on(self) -> None:
        with self._owner.lock:
            if not self._ready:
                self._taken -= 1
                return
        self._give()
