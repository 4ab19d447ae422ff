"""What the management commands do: start, stop, reload, ask."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import signal
import sys
import time
from contextlib import AbstractContextManager
from typing import NoReturn

from django.db import connections

from inotifier.conf import conf
from inotifier.events import printable
from inotifier.exceptions import InotifierError, NotRunning, ReloadFailed
from inotifier.lifecycle import detach, os_signals
from inotifier.lifecycle.first_process import leave_to_child
from inotifier.lifecycle.pid_file import PidFile, read_pid, remove_left_over
from inotifier.lifecycle.plan import Handover, Plan, new_owner
from inotifier.lifecycle.process import Process
from inotifier.lifecycle.readiness import Announce, PipeReporter, Reporter, Waiting
from inotifier.lifecycle.status_file import Status, ensure_directories, read_status
from inotifier.lifecycle.supervisor import Exposing, Supervisor
from inotifier.progress import progress
from inotifier.scan import Scan
from inotifier.state import State
from inotifier.watches import load

logger = logging.getLogger(__name__)

_RELOAD_PATIENCE = 150.0  # longer than two checks of the settings
_STATUS_PATIENCE = 15.0
_FIND_PATIENCE = 2.0
_ENDING_PATIENCE = 5.0


def start(plan: Plan, announce: Announce, timeout: float, expose: Exposing) -> None:
    """Start a daemon; return when its watches stand.

    In the foreground, return when it has stopped. Detached, the daemon itself leaves by
    SystemExit and only the caller's process returns.

    Args:
        plan: what to start.
        announce: takes lines for the user.
        timeout: seconds that a detached daemon may take to set its watches.
        expose: shows the daemon's figures.

    Raises:
        AlreadyRunning: there is one.
        InotifierError: anything else that keeps it from watching; nothing is left running.
    """
    if plan.foreground:
        leave_to_child()
    owner = new_owner()
    ensure_directories((plan.pid_file.parent, plan.status_file.parent), owner)
    pid_file = PidFile(plan.pid_file)
    pid_file.acquire()
    try:
        if owner:
            pid_file.give_to(*owner)
        connections.close_all()
        if plan.foreground:
            detach.stay(owner)
            _supervise(Supervisor(plan, pid_file, Reporter(announce), expose=expose))
            pid_file.release()
        else:
            _start_detached(plan, pid_file, owner, announce, timeout, expose)
    except Exception:
        pid_file.release()
        raise


def scan(plan: Plan, announce: Announce, *, dry: bool) -> None:
    """Deliver what was missed, in this process, while no daemon runs.

    Args:
        plan: which daemon must not run.
        announce: takes lines for the user.
        dry: True to tell what would be delivered, and to leave everything as it is.

    Raises:
        AlreadyRunning: there is a daemon.
        InotifierError: the settings cannot be used, or there is nowhere to keep what was delivered.
    """
    owner = new_owner()
    ensure_directories((plan.pid_file.parent, plan.status_file.parent), owner)
    pid_file = PidFile(plan.pid_file)
    pid_file.acquire()
    try:
        if owner:
            pid_file.give_to(*owner)
        detach.stay(owner)
        for request in (signal.SIGHUP, signal.SIGUSR1):
            signal.signal(request, signal.SIG_IGN)  # they are for a daemon
        pid_file.write(os.getpid())
        with contextlib.closing(State(conf.state_file)) as state:
            state.open()
            if state.problem:
                raise InotifierError(state.problem)
            _scan(Scan(load(), state, conf.workers, conf.queue_size), announce, dry=dry)
    finally:
        pid_file.release()


def _scan(found: Scan, announce: Announce, *, dry: bool) -> None:
    if dry:
        # What it prints would run into the line that moves.
        with _progress(found, quiet=sys.stdout.isatty()):
            for handler, difference in found.differences():
                path = printable(difference.path)
                if difference.source is not None:
                    path = f"{printable(difference.source)} -> {path}"
                announce(f"{printable(handler.entry.name)}: {difference.kind} {path}")
    else:
        with _progress(found):
            found.deliver()
        for handler in found.handlers:
            announce(
                f"{printable(handler.entry.name)}: {handler.delivered} event(s) delivered, "
                f"{handler.failed} failed, {handler.pending} left for later"
            )
    if problems := [handler.problem for handler in found.handlers if handler.problem]:
        raise InotifierError("\n".join(map(printable, problems)))


def _progress(found: Scan, *, quiet: bool = False) -> AbstractContextManager[object]:
    def state() -> str:
        delivered = sum(handler.delivered for handler in found.handlers)
        return f"{found.looked_at:,} paths compared, {delivered:,} events delivered"

    return progress("looking for what was missed", state, quiet=quiet)


def rescan(plan: Plan) -> None:
    """Have the daemon look for what it missed.

    Raises:
        NotRunning: there is none.
        NotPermitted: it belongs to another user.
    """
    with _find(plan) as process:
        process.signal(signal.SIGUSR1)


def _start_detached(
    plan: Plan,
    pid_file: PidFile,
    owner: tuple[int, int] | None,
    announce: Announce,
    timeout: float,
    expose: Exposing,
) -> None:
    read_fd, write_fd = os.pipe()
    # Ctrl+C in between would leave a child that nobody knows.
    os_signals.hold_back()
    child = os.fork()
    if child == 0:
        os_signals.let_through()
        os.close(read_fd)
        _be_daemon(plan, pid_file, owner, PipeReporter(write_fd), expose)
    os.close(write_fd)
    waiting = Waiting(read_fd)
    try:
        os_signals.let_through()
        waiting.until_ready(announce, timeout)
    except BaseException:
        # The child ends as soon as the daemon, its grandchild, is on its own; or it hangs.
        _end_half_started(child, by_itself=waiting.ending)
        waiting.learn_pid(_ENDING_PATIENCE)
        _end_half_started(waiting.pid, by_itself=waiting.ending)
        raise
    finally:
        os.close(read_fd)
        os.waitpid(child, 0)
    pid_file.abandon()


def _be_daemon(
    plan: Plan,
    pid_file: PidFile,
    owner: tuple[int, int] | None,
    reporter: PipeReporter,
    expose: Exposing,
) -> NoReturn:
    """Run the daemon in this process, and leave the process."""
    try:
        detach.detach(owner, keep=[pid_file.fd, reporter.fd])
        reporter.hello()
        detach.open_logs()
        _supervise(Supervisor(plan, pid_file, reporter, expose=expose))
    except BaseException as exc:
        reporter.failed(str(exc) if isinstance(exc, InotifierError) else repr(exc))
        raise SystemExit(1) from exc
    finally:
        # Not now: a thread of a handler may keep the process, and so what it holds, alive.
        atexit.register(pid_file.release)
    raise SystemExit(0)


def _supervise(supervisor: Supervisor) -> None:
    try:
        supervisor.run()
    except BaseException as exc:
        logger.critical("the daemon ends: %s", exc, exc_info=exc)
        raise


def _end_half_started(pid: int | None, *, by_itself: bool) -> None:
    if pid is None:
        return
    try:
        with Process(pid) as process:
            # What is registered with atexit has its time: logs and reports of errors are sent.
            if not (by_itself and process.wait(_ENDING_PATIENCE)):
                process.end(_ENDING_PATIENCE)
    except NotRunning:
        pass


def resume(handover: Handover, expose: Exposing) -> None:
    """Go on as the daemon that this process was before it re-executed itself.

    Args:
        handover: what it left.
        expose: shows the daemon's figures.
    """
    plan = handover.plan
    pid_file = PidFile(plan.pid_file, handover.pid_file_fd)
    try:
        if plan.foreground:
            detach.stay(None)
        else:
            detach.resume()
        _supervise(Supervisor(plan, pid_file, Reporter(logger.info), handover, expose))
    finally:
        atexit.register(pid_file.release)


def stop(plan: Plan, timeout: float) -> bool:
    """Stop the daemon and wait for its end.

    Args:
        plan: which daemon.
        timeout: seconds to wait before SIGKILL.

    Returns:
        False if it had to be killed.

    Raises:
        NotRunning: there is none.
        NotPermitted: it belongs to another user.
    """
    with _find(plan) as process:
        return process.end(timeout)


def reload(plan: Plan) -> None:
    """Make the daemon take new settings and code; return when its new watches stand.

    Raises:
        ReloadFailed: it goes on as it was, or it ended; the message tells which and why.
        NotRunning: there is none.
        NotPermitted: it belongs to another user.
    """
    with _find(plan) as process:
        written = read_status(plan.status_file)
        # While it starts, there may still be what another one has written.
        before = written.get("reload", {}) if written.get("pid") == process.pid else {}
        # An answer that is under way is to somebody who asked before us.
        target = before.get("answered", 0) + (2 if before.get("state") == "checking" else 1)
        process.signal(signal.SIGHUP)
        begun = time.monotonic()
        deadline = begun + _RELOAD_PATIENCE + conf.shutdown_timeout
        while time.monotonic() < deadline:
            ended = process.wait(0.05)
            status = read_status(plan.status_file)
            answer = status.get("reload", {})
            if ended:
                raise ReloadFailed("the daemon ended while it took the new settings; see its log")
            if status.get("pid") != process.pid and time.monotonic() > begun + _STATUS_PATIENCE:
                raise ReloadFailed(
                    f"the daemon does not tell how it is in {plan.status_file}; it was asked to "
                    "reload, its log has the answer. Does it run with other settings or another "
                    "HOME or XDG_STATE_HOME, or is the disk full?"
                )
            if status.get("pid") == process.pid and answer.get("answered", 0) >= target:
                if answer["state"] == "refused":
                    raise ReloadFailed(answer["error"])
                return
    raise ReloadFailed("the daemon has not answered; see its log")


def status(plan: Plan) -> Status | None:
    """Return the daemon's status, None if there is no daemon."""
    try:
        with _find(plan) as process:
            pid = process.pid
    except NotRunning:
        return None
    written = read_status(plan.status_file)
    return {**(written if written.get("pid") == pid else {}), "pid": pid}


def _find(plan: Plan) -> Process:
    """Return the daemon, for certain: it holds the pid file while we hold its pidfd."""
    deadline = time.monotonic() + _FIND_PATIENCE
    while time.monotonic() < deadline:
        pid = read_pid(plan.pid_file)
        if pid is None:
            if remove_left_over(plan.pid_file):
                raise NotRunning(
                    f"No daemon holds {plan.pid_file}, which a dead one left. Removed it."
                )
            raise NotRunning(f"No pid file exists at {plan.pid_file}.")
        # A daemon that ends lets go of the file shortly before it is gone.
        with contextlib.suppress(NotRunning):
            process = Process(pid)
            if process.has_open(plan.pid_file) is not False and read_pid(plan.pid_file) == pid:
                return process
            process.close()
        time.sleep(0.02)
    raise InotifierError(
        f"{plan.pid_file} is locked, but not by what is the process {pid} here. If the daemon runs "
        "in another container, call this there; otherwise see who holds the file with 'fuser' or "
        "'lsof'"
    )
