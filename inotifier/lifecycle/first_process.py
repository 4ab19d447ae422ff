"""What process 1 of a container has to do, beside the work: the daemon is its child."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import NoReturn

_FORWARDED = {
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
}


def leave_to_child() -> None:
    """If this is process 1, leave all that follows to a child; only that returns.

    The kernel makes process 1 the parent of each process below it that has lost its own, one that
    a command left in the background for instance, and whoever does not wait for it has a zombie.
    The daemon itself cannot: it would take the exit codes of its own children from those who ask
    for them. And the kernel spares process 1 every signal that it has no handler for.
    """
    if os.getpid() != 1:
        return
    # Until they are waited for, signals wait; none is lost, and none ends this process.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*_FORWARDED, signal.SIGCHLD})
    child = os.fork()
    if child:
        _attend(child)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    _take_terminal()


def _attend(child: int) -> NoReturn:
    """Hand signals on to `child`, wait for whatever ends, and end as the child does."""
    while True:
        number = signal.sigwait({*_FORWARDED, signal.SIGCHLD})
        if number != signal.SIGCHLD:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)
            continue
        while (ended := _ended()) is not None:
            pid, status = ended
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                os._exit(code if code >= 0 else 128 - code)  # as shells have it


def _ended() -> tuple[int, int] | None:
    """Return a child that has ended, and how; None if there is none."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def _take_terminal() -> None:
    """Be the one that Ctrl+C ends: process 1 would hand it on, and it would come twice."""
    os.setpgid(0, 0)
    with contextlib.suppress(OSError):  # it is no terminal
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        try:
            os.tcsetpgrp(0, os.getpgrp())
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
