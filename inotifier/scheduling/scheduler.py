"""Runs a job for an event: later, once, or not at all."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

from django.apps import apps

from inotifier import options
from inotifier.events import IN_CLOSE_WRITE, IN_CREATE, IN_MOVED_TO, Event
from inotifier.exceptions import TryAgain
from inotifier.later import Deferring, Later, Wait
from inotifier.scheduling.coroutines import forget_cancellation, refresh
from inotifier.scheduling.jobs import Job, checked, imported, is_coroutine_function, takes_id
from inotifier.scheduling.log import TaskLog
from inotifier.scheduling.overrun import Overrun
from inotifier.scheduling.runner import Runner, shared_runner
from inotifier.scheduling.task import State, Task, look_at
from inotifier.scheduling.workers import MOST_WORKERS


class TaskScheduler(Deferring):
    """An event processor that runs a job for each path, `delay` seconds after its last event.

    What identifies a task is its path. A new event for a task that waits starts the delay again:
    the job gets the last event, and the task keeps its id. `Cancel` takes a task back that has
    not begun. When a job fails, it runs again as a processor would be called again, without
    waiting for `delay`. Its events are pending until then: a task that waited when the daemon
    ended comes again at its next start, if its entry catches up.

    Args:
        job: called with (event, task_id), or with (event) if it takes no more: a function, which
            is called in a thread; a coroutine function, which runs on one event loop for all
            schedulers; or the dotted path of one.
        files: True for events of files.
        dirs: True for events of directories.
        delay: seconds from the last event of a path to its job.
        logname: its logger is "inotifier." and this.
        singlejob: True to run one job at a time, the others in their turn; "latest" to keep one
            task for all paths: what is waiting gives way to what comes.
        during_run: what becomes of events that come while the job of their path runs: "again" to
            run once more, with the last of them; "skip" to drop them.
        settle: True to wait until size and time of change have stayed the same for `delay`; what
            has gone stays the same.
        limit: number of jobs at a time; None for any number of coroutines, and for as many
            functions as there are threads.
        timeout: seconds after which a job has failed. A coroutine is cancelled. A function cannot
            be stopped: that is logged, and it has failed when it ends; no other job of its path
            begins before.
        global_vars: taken and not used: a function brings its own globals.
        runner: what runs the tasks; that of the process by default.

    Raises:
        TypeError, ValueError: an option is not what it should be; the message says which one.
        ImportError: there is nothing at the dotted path.
    """

    def __init__(
        self,
        job: Job | str,
        files: bool = True,
        dirs: bool = False,
        delay: float = 0,
        logname: str = "sched",
        singlejob: bool | str = False,
        *,
        during_run: str = "again",
        settle: bool = False,
        limit: int | None = None,
        timeout: float | None = None,
        global_vars: object = None,
        runner: Runner | None = None,
    ) -> None:
        self._files = options.flag("files", files)
        self._dirs = options.flag("dirs", dirs)
        self._delay = options.seconds("delay", delay)
        self.log = TaskLog(options.text("logname", logname))
        options.one_of("singlejob", singlejob, False, True, "latest")
        options.one_of("during_run", during_run, "again", "skip")
        self._is_latest = singlejob == "latest"
        self._skips = during_run == "skip"
        self._settles = options.flag("settle", settle)
        if settle and not delay:
            raise ValueError("settle is True, but delay is 0; it says how long to stay the same")
        self._limit = options.number_or_none("limit", limit)
        if singlejob and limit not in (None, 1):
            raise ValueError(f"limit is {limit!r}, but singlejob runs one job at a time")
        if singlejob:
            self._limit = 1
        self._timeout = options.seconds_or_none("timeout", timeout)
        self._own_runner = runner
        self._lock = threading.Lock()
        self._tasks: dict[str, Task] = {}
        self._ready: OrderedDict[Task, None] = OrderedDict()
        self._slots = 0
        self._job: Job | None = None
        self._job_name = job if isinstance(job, str) else ""
        # In settings it is too early to import a job that needs a model.
        if apps.ready or not self._job_name:
            self._set_job(imported(job) if isinstance(job, str) else job)

    def _set_job(self, job: object) -> None:
        self._job = checked(job)
        self._is_coroutine = is_coroutine_function(self._job)
        self._takes_id = takes_id(self._job)
        most = math.inf if self._is_coroutine else MOST_WORKERS
        self._most = most if self._limit is None else self._limit

    @property
    def mask(self) -> int:
        """What an entry without a mask of its own watches for: what has come, or has changed."""
        mask = IN_CLOSE_WRITE | IN_MOVED_TO if self._files else IN_MOVED_TO
        return mask | IN_CREATE if self._dirs else mask

    @property
    def _runner(self) -> Runner:
        return self._own_runner or shared_runner()

    @property
    def pending(self) -> int:
        """Number of paths that have a task."""
        return len(self._tasks)

    def prepare(self, entry_path: str) -> None:
        """Import the job, which is not needed before."""
        if self._job is None:
            self._set_job(imported(self._job_name))

    # As an event processor

    def defer(self, event: Event) -> Later | None:
        """Return the task that runs the job for `event`; None if there is nothing to run."""
        if not self.wants(event):
            return None
        if self._job is None:
            self._set_job(imported(self._job_name))
        return self._take(event)

    def wants(self, event: Event) -> bool:
        """Tell whether a job is to run for `event`."""
        return self._dirs if event.dir else self._files

    def cancel(self, event: Event) -> None:
        """Take back the task of the event's path, unless its job runs."""
        path = event.pathname
        with self._lock:
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
            self.log.task(logging.WARNING, running, "cannot cancel task, its job runs")
        if waiting is not None:
            self.log.task(logging.INFO, waiting, "cancel task")
            waiting.done()

    # New events

    def _key(self, event: Event) -> str:
        return "" if self._is_latest else event.pathname

    def _take(self, event: Event) -> Task | None:
        look = look_at(event.pathname) if self._settles else None
        now = self._runner.clock()
        with self._lock:
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
            self.log.event(
                logging.WARNING, event, first.id if first else "", "skip event, its job runs"
            )
            return None
        message = "re-schedule task, delay=%g" if before is not None else "schedule task, delay=%g"
        self.log.task(logging.INFO, task, message, self._delay)
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
        soonest = task.when if task.is_retry and task.state is State.WAITING else now
        task.when = max(soonest, now + self._delay)
        task.event = event
        task.tried = 0
        task.is_retry = False
        if task.state is State.READY:
            del self._ready[task]
            task.state = State.WAITING

    def _drop(self, task: Task) -> None:
        """Forget `task`, which has not begun."""
        if task.state is State.READY:
            del self._ready[task]
        task.state = State.ENDED
        if self._tasks.get(task.key) is task:
            del self._tasks[task.key]
        if task.in_heap:
            task.in_heap = False
            self._runner.timers.forget()

    # Waiting for its time

    def start(self, task: Task) -> None:
        """Let the time of `task` count."""
        with self._lock:
            # What comes after a run that is under way is armed at the end of that.
            is_current = self._tasks.get(task.key) is task
            waits = task.state is State.WAITING and not task.in_heap
            then = self._arm(task) if is_current and waits else None
        _do(then)

    def abandon(self, task: Task) -> None:
        """Forget `task`, unless its job runs; it is not done with."""
        with self._lock:
            current = self._tasks.get(task.key)
            if current is not None and current.next is task:
                current.next = None
            if task.state in (State.WAITING, State.READY):
                self._drop(task)

    def fire(self, task: Task, now: float) -> float | None:
        """Go on with `task`, whose time may have come; return the time if it has not."""
        with self._lock:
            if not task.is_wanted:
                return None
            if task.when > now:
                return task.when
            task.in_heap = False
            then = self._go_on(task)
        _do(then)
        return None

    def _arm(self, task: Task) -> Callable[[], None] | None:
        """Wait for the time of `task`; return what to do now, without the lock."""
        if task.when <= self._runner.clock():
            return self._go_on(task)
        task.in_heap = True
        self._runner.timers.add(task.when, task)
        return None

    def _go_on(self, task: Task) -> Callable[[], None] | None:
        if self._settles and not task.is_retry:
            ask = partial(self._ask_whether_settled, task, task.event)
            return partial(self._runner.call, ask)
        return self._make_ready(task)

    def _ask_whether_settled(self, task: Task, event: Event) -> None:
        look = look_at(event.pathname)
        with self._lock:
            if task.event is not event or task.state is not State.WAITING or task.in_heap:
                return  # something has happened meanwhile, and it waits anew
            if look == task.look:
                then = self._make_ready(task)
            else:
                task.look = look
                task.when = self._runner.clock() + self._delay
                then = self._arm(task)
        _do(then)

    # Waiting for its turn

    def _make_ready(self, task: Task) -> Callable[[], None] | None:
        """Put `task` behind all others whose time has come; return what to do now."""
        task.state = State.READY
        self._ready[task] = None
        if self._slots >= self._most:
            return None
        self._slots += 1
        return self._give_turn

    def _give_turn(self) -> None:
        """Let whoever is the first by then run, and others of other schedulers before."""
        if self._is_coroutine:
            self._runner.run(self._turn_of_coroutine)
        else:
            self._runner.call(self._turn)

    def _turn(self) -> None:
        task = self._next()
        if task is None:
            return
        try:
            self._end(task, self._perform(task))
        finally:
            self._pass_turn()

    async def _turn_of_coroutine(self) -> None:
        task = self._next()
        if task is None:
            return
        try:
            failure = await self._perform_coroutine(task)
            if failure is None:
                self._end(task, None)
            else:
                await forget_cancellation()
                await refresh()  # the reason may be a connection that broke
                # Who is told of it may be slow, or need a database.
                await asyncio.to_thread(self._end, task, failure)
        finally:
            self._pass_turn()

    def _next(self) -> Task | None:
        """Return whose turn it is; None if that has been cancelled, and the turn is over."""
        with self._lock:
            if not self._ready:
                self._slots -= 1
                return None
            task, _ = self._ready.popitem(last=False)
            task.state = State.RUNNING
        self.log.task(logging.INFO, task, "start task")
        return task

    def _pass_turn(self) -> None:
        with self._lock:
            if not self._ready:
                self._slots -= 1
                return
        self._give_turn()

    # Running

    def _perform(self, task: Task) -> BaseException | None:
        """Call the job; return what it raised."""
        overrun: Overrun | None = None
        failure: BaseException | None = None
        try:
            overrun = self._begin_overrun(task)
            with task.guard():
                _check_result(self._call(task))
        except BaseException as exc:  # sys.exit() too: it must not harm others
            failure = exc
        if overrun is not None and overrun.end():
            return self._timed_out()
        return failure

    async def _perform_coroutine(self, task: Task) -> BaseException | None:
        scope = asyncio.timeout(self._timeout)
        failure: BaseException | None = None
        try:
            with task.guard():
                async with scope:
                    await self._call(task)
        except BaseException as exc:
            failure = exc
        return self._timed_out() if scope.expired() else failure

    def _timed_out(self) -> TimeoutError:
        return TimeoutError(f"its job ran for more than {self._timeout:g} s")

    def _call(self, task: Task) -> Any:
        assert self._job is not None  # noqa: S101
        return self._job(task.event, task.id) if self._takes_id else self._job(task.event)

    def _begin_overrun(self, task: Task) -> Overrun | None:
        if self._timeout is None:
            return None
        return Overrun(self._runner.timers, self.log, task, self._timeout)

    # The end of a run

    def _end(self, task: Task, failure: BaseException | None) -> None:
        """Say that `task` is done with, or have its job run again."""
        if failure is None:
            self.log.task(logging.INFO, task, "task finished")
            task.done()
            self._leave(task, None)
            return
        with self._lock:
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
            self.log.task(logging.INFO, task, "task is to be tried again%s", then)
            return
        self.log.task(
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
        with self._lock:
            following, task.next = task.next, None
            if wait is not None and following is None and not task.is_cancelled:
                task.state = State.WAITING
                task.is_retry = True
                task.when = self._runner.clock() + wait.seconds
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


def _check_result(result: object) -> None:
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError(
            "the job is an ordinary function that returned a coroutine, which nobody runs; make it "
            "an `async def`"
        )


def _do(action: Callable[[], None] | None) -> None:
    if action is not None:
        action()
