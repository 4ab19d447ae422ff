"""The main thread of the daemon: signals, reloads, the status file."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

from django.db import connections

from inotifier.conf import conf
from inotifier.events import printable
from inotifier.lifecycle import os_signals
from inotifier.lifecycle.channel import Channel, Question
from inotifier.lifecycle.detach import open_descriptors
from inotifier.lifecycle.pid_file import PidFile
from inotifier.lifecycle.plan import Handover, Plan
from inotifier.lifecycle.readiness import Reporter
from inotifier.lifecycle.report import Report
from inotifier.lifecycle.settings_check import SettingsCheck
from inotifier.lifecycle.status import describe, summary
from inotifier.lifecycle.status_file import Status, StatusFile
from inotifier.lifecycle.systemd import ServiceManager
from inotifier.progress import Progress, progress
from inotifier.service import Service
from inotifier.state import State
from inotifier.watches import load

logger = logging.getLogger(__name__)

Exposing = Callable[[Callable[[], Status]], AbstractContextManager[object]]
"""Gets what returns the daemon's figures, and shows them to others while its block runs."""

_TICK_WHILE_CHECKING = 0.1
_KEEP_PID_FILE = 3600.0
_STOPS_TO_CUT = 2
_ENDING = 5.0
"""Seconds after the deliveries: commands that run are ended, and reports are sent."""
_MOST_NAMED = 100

_REQUESTS = {"rescan": signal.SIGUSR1, "reload": signal.SIGHUP}


class Supervisor:
    """Runs a `Service` until it is told to stop.

    Args:
        plan: where the daemon lives.
        pid_file: locked by this process.
        reporter: told when the watches stand, or why they do not.
        predecessor: what the daemon was before it re-executed itself.
        expose: shows the daemon's figures.
    """

    def __init__(
        self,
        plan: Plan,
        pid_file: PidFile,
        reporter: Reporter,
        predecessor: Handover | None = None,
        expose: Exposing = lambda _: nullcontext(),
    ) -> None:
        self._expose = expose
        self._plan = plan
        self._pid_file = pid_file
        self._reporter = reporter
        self._started = predecessor.started if predecessor else time.time()
        self._inotify_fd = predecessor.inotify_fd if predecessor else None
        self._answered = predecessor.reloads if predecessor else 0
        self._reload_state = "done"
        self._reload_error = ""
        self._asked = 0
        self._answering = 0
        self._stops = 0
        self._check: SettingsCheck | None = None
        self._kept = time.monotonic()
        self._status_file = StatusFile(plan.status_file)
        self._manager = ServiceManager.taken() if plan.foreground else ServiceManager()
        self._report: Report | None = None

    def run(self) -> None:
        """Watch until SIGTERM or SIGINT, then deliver what was read."""
        with os_signals.queued() as self._requests, self._open(), self._expose(self._figures):
            self._begin()
            try:
                while self._step():
                    pass
            finally:
                self._manager.stopping(conf.shutdown_timeout + _ENDING)
                self._drain()
                self._service.close()
                self._state.close()
                if self._check:
                    self._check.cancel()
        self._status_file.remove()

    def _begin(self) -> None:
        self._pid_file.write(os.getpid())
        self._watch()
        status = self._write_status()
        self._reporter.ready()
        self._manager.ready(summary(status))
        logger.info(
            "entries that are watched: %d; process %d", len(self._service.handlers), os.getpid()
        )

    def _watch(self) -> None:
        entries = load()
        self._state = State(conf.state_file)
        if any(entry.catches_up for entry in entries):
            self._state.open()
        try:
            service = Service(entries, self._inotify_fd, self._state)
            try:
                with progress("setting watches", lambda: f"{service.watches:,} directories"):
                    service.watch(self._reporter.announce)
            except BaseException:
                service.close()
                raise
        except BaseException:
            self._state.close()
            raise
        service.run()
        self._service = service
        self._report = Report(service)
        self._comparing = Progress(
            "looking for what was missed",
            lambda: f"{service.looked_at:,} paths compared",
        )
        self._comparing.start()

    def _step(self) -> bool:
        """Wait for a signal or a tick and act on it; False if it is time to stop."""
        self._receive(_TICK_WHILE_CHECKING if self._check else self._manager.tick)
        if not self._stops:
            self._service.check_alive()
            self._show_life()
            self._pursue_reload()
            self._manager.tell(summary(self._write_status()))
            self._keep_pid_file()
        return not self._stops

    def _show_life(self) -> None:
        """Let whoever looks know that this thread goes round."""
        self._manager.ping(self._service.calls)
        if self._report:
            self._report.tick()

    def _receive(self, timeout: float) -> None:
        """Wait `timeout` seconds for a request and count it."""
        try:
            request = self._requests.get(timeout=timeout)
        except queue.Empty:
            return
        if request == signal.SIGHUP:
            self._asked += 1
        elif request == signal.SIGUSR1:
            self._service.rescan()
        else:
            self._stops += 1

    def _receive_waiting(self) -> None:
        """Count the requests that are here already."""
        while not self._requests.empty():
            self._receive(0.0)

    def _wait_for_deliveries(self) -> int:
        """Wait until what was read is delivered, or need not be; return how much is not in time."""
        deadline = time.monotonic() + conf.shutdown_timeout
        while self._service.queue_depth and time.monotonic() < deadline and not self._stops:
            if self._service.only_waits and not self._service.unkept:
                return 0  # it comes again at the next start
            self._receive(_TICK_WHILE_CHECKING)
            self._show_life()
        return self._service.queue_depth

    def _drain(self, *, is_reload: bool = False) -> None:
        """Deliver what was read, until the timeout or a second signal to stop."""
        self._comparing.stop()
        self._service.finish()
        deadline = time.monotonic() + conf.shutdown_timeout
        while time.monotonic() < deadline and self._stops < _STOPS_TO_CUT:
            if self._service.drained(0.1):
                return
            if self._service.waits_until(deadline):
                break
            if is_reload and self._service.only_waits and not self._service.unkept:
                break
            self._receive(0.0)
            self._show_life()
        waiting, running = self._service.deferred
        if left := self._service.abandon():
            lost = self._service.unkept
            logger.error(
                "stopping with %d event(s) not delivered; %d come at the next start, %d are lost%s",
                left,
                left - lost,
                lost,
                f" (in tasks: {waiting} that wait, {running} that run)"
                if waiting or running
                else "",
            )
        if paths := self._service.unkept_paths:
            logger.error(
                "lost with their tasks, since their entries do not catch up: %s%s",
                ", ".join(map(printable, paths[:_MOST_NAMED])),
                f" and {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else "",
            )

    # Reload: a fresh interpreter checks the settings and the code, and only if they are good
    # does this process give itself up for a new one.

    def _pursue_reload(self) -> None:
        if self._check is None:
            if self._asked:
                self._check_settings()
            return
        outcome = self._check.outcome()
        if outcome is None:
            return
        self._check = None
        if outcome.good:
            self._reexecute()
        else:
            self._refuse(outcome.text)

    def _check_settings(self) -> None:
        self._answering, self._asked = self._asked, 0
        self._reload_state = "checking"
        logger.info("reload: checking the new settings")
        self._manager.reloading()
        try:
            self._check = SettingsCheck(self._plan)
        except OSError as exc:
            self._refuse(f"cannot run the check: {exc}")

    def _refuse(self, reason: str) -> None:
        self._answered += self._answering
        self._reload_state, self._reload_error = "refused", reason
        logger.error("reload refused, the daemon goes on as it was:\n%s", reason)
        self._manager.ready(summary(self._write_status()))

    def _reexecute(self) -> None:
        """Replace this process by a new one with the same pid, pid file and inotify instance."""
        logger.info("reload: the new settings are good, executing anew")
        # Until the new one handles them, signals wait: their default would be death.
        os_signals.hold_back()
        self._service.pause()
        left = self._wait_for_deliveries()
        self._receive_waiting()
        if left and not self._stops:
            os_signals.let_through()
            self._service.go_on()
            self._refuse(
                f"{left} event(s) could not be delivered within INOTIFIER_SHUTDOWN_TIMEOUT "
                f"({conf.shutdown_timeout:g} s)"
            )
            return
        if self._stops:
            os_signals.let_through()
            self._service.go_on()
            return
        self._drain(is_reload=True)
        self._state.close()
        # Whoever asked until now is answered by what is read from disk from now on.
        self._answered += self._answering + self._asked
        handover = Handover(
            plan=self._plan,
            pid_file_fd=self._pid_file.fd,
            inotify_fd=self._service.inotify_fd,
            started=self._started,
            reloads=self._answered,
        )
        connections.close_all()
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        kept = {0, 1, 2, handover.pid_file_fd, handover.inotify_fd}
        try:
            for fd in open_descriptors():
                with contextlib.suppress(OSError):  # that of the listing is closed again
                    os.set_inheritable(fd, fd in kept)
            os.chdir(self._plan.directory)
            command = self._plan.call("inotifier_start")
            self._manager.replacing()
            environment = {**handover.environment(), **self._manager.variables}
            os.execve(command[0], command, environment)  # noqa: S606
        except OSError as exc:
            self._stay(handover, f"cannot execute anew: {exc}")

    def _stay(self, handover: Handover, reason: str) -> None:
        """Go on in this process, which could not be replaced."""
        # Before there are threads and children, which would hold them back as well.
        os_signals.let_through()
        os.chdir(conf.working_directory)
        for fd in (handover.pid_file_fd, handover.inotify_fd):
            os.set_inheritable(fd, False)
        self._inotify_fd = self._service.release()
        self._watch()
        self._answering = self._asked = 0
        self._refuse(reason)

    def _write_status(self) -> Status:
        """Write how the daemon is, and return it."""
        status: Status = {**self._own_status(), **describe(self._service)}
        if not status["catching_up"]:
            self._comparing.stop()
        self._status_file.write(status)
        return status

    def _own_status(self) -> Status:
        return {
            "pid": os.getpid(),
            "started": self._started,
            "reload": {
                "answered": self._answered,
                "state": self._reload_state,
                "error": self._reload_error,
            },
        }

    # Questions, in the threads of those who ask

    @contextlib.contextmanager
    def _open(self) -> Iterator[None]:
        try:
            channel = Channel(self._plan.socket, self._answer)
        except OSError as exc:
            logger.error("cannot answer questions at %s: %s", self._plan.socket, exc)
            yield
            return
        with contextlib.closing(channel):
            yield

    def _answer(self, question: Question) -> Status:
        wanted = question.get("ask")
        if wanted == "page" and self._report:
            return {**self._own_status(), **self._report.page(question)}
        if wanted in _REQUESTS:
            self._requests.put(_REQUESTS[wanted])
            return {"accepted": True}
        return self._figures()

    def _figures(self) -> Status:
        """Return what is counted; of a daemon that starts, only who it is."""
        return {**self._own_status(), **(self._report.figures() if self._report else {})}

    def _keep_pid_file(self) -> None:
        self._pid_file.keep()
        if time.monotonic() - self._kept > _KEEP_PID_FILE:
            self._kept = time.monotonic()
            self._pid_file.refresh()
