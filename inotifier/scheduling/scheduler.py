"""Runs a job for an event: later, once, or not at all."""

from __future__ import annotations

from inotifier import options
from inotifier.events import IN_CLOSE_WRITE, IN_CREATE, IN_MOVED_TO, Event
from inotifier.later import Deferring, Later
from inotifier.scheduling.calls import Calls
from inotifier.scheduling.jobs import Job
from inotifier.scheduling.log import TaskLog
from inotifier.scheduling.runner import Runner
from inotifier.scheduling.tasks import Tasks


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
        options.one_of("singlejob", singlejob, False, True, "latest")
        options.one_of("during_run", during_run, "again", "skip")
        settles = options.flag("settle", settle)
        if settles and not delay:
            raise ValueError("settle is True, but delay is 0; it says how long to stay the same")
        most = options.number_or_none("limit", limit)
        if singlejob and most not in (None, 1):
            raise ValueError(f"limit is {limit!r}, but singlejob runs one job at a time")
        self.log = TaskLog(options.text("logname", logname))
        self._calls = Calls(job, options.seconds_or_none("timeout", timeout), self.log)
        self._tasks = Tasks(
            self._calls,
            self.log,
            delay=options.seconds("delay", delay),
            is_latest=singlejob == "latest",
            skips=during_run == "skip",
            settles=settles,
            limit=1 if singlejob else most,
            runner=runner,
        )

    @property
    def mask(self) -> int:
        """What an entry without a mask of its own watches for: what has come, or has changed."""
        mask = IN_CLOSE_WRITE | IN_MOVED_TO if self._files else IN_MOVED_TO
        return mask | IN_CREATE if self._dirs else mask

    @property
    def pending(self) -> int:
        """Number of paths that have a task."""
        return len(self._tasks)

    def prepare(self, entry_path: str) -> None:
        """Import the job, which is not needed before."""
        self._calls.prepare()

    # As an event processor

    def defer(self, event: Event) -> Later | None:
        """Return the task that runs the job for `event`; None if there is nothing to run."""
        if not self.wants(event):
            return None
        self._calls.prepare()
        return self._tasks.take(event)

    def wants(self, event: Event) -> bool:
        """Tell whether a job is to run for `event`."""
        return self._dirs if event.dir else self._files

    def cancel(self, event: Event) -> None:
        """Take back the task of the event's path, unless its job runs."""
        self._tasks.cancel(event)
