"""The tasks of one scheduler, from their events to the end of their jobs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

from inotifier.events import Event
from inotifier.exceptions import TryAgain
from inotifier.later import Wait
from inotifier.scheduling.calls import Calls
from inotifier.scheduling.log import TaskLog
from inotifier.scheduling.runner import Runner, shared_runner
from inotifier.scheduling.task import State, Task, look_at
from inotifier.scheduling.turns import Turns

_UNTIL_THREADS = 1.0
"""Seconds after which to see whether the system has threads again."""


class Tasks:
    """Runs a job for each path.

    Whoever changes a task holds the lock. What is to be done then that may take time, or lock
    something else, is returned, and done without the lock.

    Args:
        calls: calls the job.
        log: of the scheduler.
        delay: seconds from the last event of a path to its job.
        is_latest: True to keep one task for all paths.
        skips: True to drop events that come while the job of their path runs.
        settles: True to wait until the file has stayed the same for `delay`.
        limit: number of jobs at a time, None for as many as can be.
        runner: what runs them; None for that of the process.

    Attributes:
        lock: held for moments.
    """

    def __init__(
        self,
        calls: Calls,
        log: TaskLog,
        *,
        delay: float,
        is_latest: bool,
        skips: bool,
        settles: bool,
        limit: int | None,
        runner: Runner | None,
    ) -> None:
        self._log = log
        self._delay = delay
        self._is_latest = is_latest
        self._skips = skips
        self._settles = settles
        self._own_runner = runner
        self.lock = threading.Lock()
        self._tasks: dict[str, Task] = {}
        self._turns = Turns(calls, log, limit, self)

    def __len__(self) -> int:
        """Return the number of paths that have a task."""
        return len(self._tasks)

    @property
    def runner(self) -> Runner:
        """What runs them."""
        return self._own_runner or shared_runner()

    def cancel(self, event: Event) -> None:
        """Take back the task of the event's path, unless its job runs."""
        path = event.pathname
        with self.lock:
            first = self._tasks.get(self._key(event))
            running = first if first is not None and first.state is State.RUNNING else None
            waiting = first if running is None else running.next
            if running is not None and running.path != path:
                running = None
            if waiting is not None and waiting.path != path:
                waiting = None
            if running is not None:
                running.is_cancelled = True
            if waiting is not None:
                if first is not None and first.next is waiting:
                    first.next = None
                self._drop(waiting)
        if running is not None:
            self._log.task(logging.WARNING, running, "cannot cancel task, its job runs")
        if waiting is not None:
            self._log.task(logging.INFO, waiting, "cancel task")
            waiting.done()

    # New events

    def _key(self, event: Event) -> str:
        return "" if self._is_latest else event.pathname

    def take(self, event: Event) -> Task | None:
        """Return the task that runs the job for `event`; None if there is nothing to run."""
        look = look_at(event.pathname) if self._settles else None
        now = self.runner.clock()
        with self.lock:
            first = self._tasks.get(self._key(event))
            running = first if first is not None and first.state is State.RUNNING else None
            before = first if running is None else running.next
            if running is not None and self._skips:
                task = None
            else:
                task = self._task_for(event, before)
                if running is None:
                    self._tasks[task.key] = task
                else:
                    running.next = task
                task.look = look
                self._put_off(task, event, now)
        if task is None:
            self._log.event(
                logging.WARNING, event, first.id if first else "", "skip event, its job runs"
            )
            return None
        message = "re-schedule task, delay=%g" if before is not None else "schedule task, delay=%g"
        self._log.task(logging.INFO, task, message, self._delay)
        if before is not None and before is not task:
            before.done()  # it has given way
        return task

    def _task_for(self, event: Event, before: Task | None) -> Task:
        """Return the task that `event` is for, which may be `before`, the one that waits."""
        key = self._key(event)
        if before is None:
            return Task(self, key, event)
        if before.path == event.pathname:
            return before
        self._drop(before)
        return Task(self, key, event, before.id)

    def _put_off(self, task: Task, event: Event, now: float) -> None:
        """Begin the delay of `task` again. What has failed does not run sooner for that."""
        task.when = max(task.when, now + self._delay)
        task.event = event
        task.tried = 0
        task.is_retry = False
        if task.state is State.READY:
            self._turns.leave(task)
            task.state = State.WAITING

    def _drop(self, task: Task) -> None:
        """Forget `task`, which has not begun."""
        if task.state is State.READY:
            self._turns.leave(task)
        task.state = State.ENDED
        if self._tasks.get(task.key) is task:
            del self._tasks[task.key]
        if task.in_heap:
            task.in_heap = False
            self.runner.timers.forget()

    # Waiting for its time

    def start(self, task: Task) -> None:
        """Let the time of `task` count.

        Raises:
            RuntimeError: the system has no thread for it.
        """
        with self.lock:
            # What comes after a run that is under way is armed at the end of that.
            is_current = self._tasks.get(task.key) is task
            waits = task.state is State.WAITING and not task.in_heap
            then = self._arm(task) if is_current and waits else None
        try:
            _do(then)
        except RuntimeError:
            if self._put_back(task, in_heap=False):
                raise

    def abandon(self, task: Task) -> None:
        """Forget `task`, unless its job runs; it is not done with."""
        with self.lock:
            current = self._tasks.get(task.key)
            if current is not None and current.next is task:
                current.next = None
            if task.state in (State.WAITING, State.READY):
                self._drop(task)

    def fire(self, task: Task, now: float) -> float | None:
        """Go on with `task`, whose time may have come; return the time if it has not."""
        with self.lock:
            if not task.is_wanted:
                return None
            if task.when > now:
                return task.when
            task.in_heap = False
            then = self._go_on(task)
        try:
            _do(then)
        except RuntimeError as exc:
            if self._put_back(task, in_heap=True):
                self._log.task(logging.ERROR, task, "task has to wait: %s", exc)
                return now + _UNTIL_THREADS
        return None

    def _put_back(self, task: Task, *, in_heap: bool) -> bool:
        """Let `task` wait for its time anew; False if something else has become of it."""
        with self.lock:
            if task.state is State.READY:
                self._turns.leave(task)
                task.state = State.WAITING
            elif task.state is not State.WAITING or task.in_heap:
                return False
            task.in_heap = in_heap
            return True

    def _arm(self, task: Task) -> Callable[[], None] | None:
        """Wait for the time of `task`; return what to do now, without the lock."""
        if task.when <= self.runner.clock():
            return self._go_on(task)
        self.runner.timers.add(task.when, task)
        task.in_heap = True
        return None

    def _go_on(self, task: Task) -> Callable[[], None] | None:
        if self._settles and not task.is_retry:
            ask = partial(self._ask_whether_settled, task, task.event)
            return partial(self.runner.call, ask)
        return self._turns.queue(task)

    def _ask_whether_settled(self, task: Task, event: Event) -> None:
        look = look_at(event.pathname)
        with self.lock:
            if task.event is not event or task.state is not State.WAITING or task.in_heap:
                return  # something has happened meanwhile, and it waits anew
            if look == task.look:
                then = self._turns.queue(task)
            else:
                task.look = look
                task.when = self.runner.clock() + self._delay
                then = self._arm(task)
        _do(then)

    # The end of a run

    def end(self, task: Task, failure: BaseException | None) -> None:
        """Say that `task` is done with, or have its job run again."""
        if failure is None:
            self._log.task(logging.INFO, task, "task finished")
            task.done()
            self._leave(task, None)
            return
        with self.lock:
            is_superfluous = task.is_cancelled or task.next is not None
        if is_superfluous:
            wait = None
            self._log_failure(task, failure, "")
            task.done()
        else:
            is_owned = task.is_owned
            wait = task.failed(failure)
            again = f", again in {wait.seconds:g} s" if wait else ""
            self._log_failure(task, failure, again, is_told=is_owned)
        self._leave(task, wait)

    def _log_failure(
        self, task: Task, failure: BaseException, then: str, *, is_told: bool = False
    ) -> None:
        """Log `failure`; whoever is told of it logs the traceback."""
        if isinstance(failure, TryAgain):
            self._log.task(logging.INFO, task, "task is to be tried again%s", then)
            return
        self._log.task(
            logging.ERROR,
            task,
            "job failed%s: %r",
            then,
            failure,
            exc_info=None if is_told else failure,
        )

    def _leave(self, task: Task, wait: Wait | None) -> None:
        """Let `task`, which ran, wait for its next run; without one, let the next task come."""
        is_superfluous = False
        with self.lock:
            following, task.next = task.next, None
            if wait is not None and following is None and not task.is_cancelled:
                task.state = State.WAITING
                task.is_retry = True
                task.when = self.runner.clock() + wait.seconds
                then = self._arm(task)
            else:
                is_superfluous = wait is not None
                task.state = State.ENDED
                del self._tasks[task.key]
                then = None
                if following is not None:
                    self._tasks[task.key] = following
                    then = self._arm(following)
        _do(then)
        if is_superfluous:
            task.done()


def _do(action: Callable[[], None] | None) -> None:
    if action is not None:
        action()
