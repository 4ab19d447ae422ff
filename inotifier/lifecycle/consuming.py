"""A consumer as a process: one of each name, with a status, ended by OS signals."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from pathlib import Path
from typing import Any

from django.db import connections

from inotifier.bridge.consumer import Consumer
from inotifier.bridge.setup import Assignment, ask, make_consumer, make_queue
from inotifier.bridge.under_way import UnderWay
from inotifier.conf import conf
from inotifier.exceptions import AlreadyRunning, InotifierError
from inotifier.lifecycle import os_signals
from inotifier.lifecycle.overseer import Overseer
from inotifier.lifecycle.pid_file import PidFile, read_pid
from inotifier.lifecycle.readiness import Announce
from inotifier.lifecycle.status_file import Status, StatusFile, ensure_directories, read_status

logger = logging.getLogger(__name__)

_HUNG_UP = 128 + signal.SIGHUP
"""What shells tell of a program that SIGHUP has ended."""

_WRITE = 1.0
_ASK = 5.0
"""Seconds after which the status is written, and the server asked for lag and pending."""


def consume(assignment: Assignment, announce: Announce) -> int:
    """Do `assignment` until an OS signal asks for the end, after the message at hand.

    SIGTERM and SIGINT do, and SIGHUP. If it takes longer than INOTIFIER_SHUTDOWN_TIMEOUT, or a
    second one comes, this process exits with 1.

    Returns:
        The exit code: 0, or 129 after SIGHUP, so that a service manager begins anew.

    Raises:
        InotifierError: a consumer of this name runs here already, or the settings cannot be used.
    """
    pid_file = PidFile(_file(assignment, "pid"))
    ensure_directories((pid_file.path.parent,), None)
    try:
        pid_file.acquire()
    except AlreadyRunning as exc:
        raise InotifierError(
            f"a consumer of the name {assignment.consumer!r} runs already (pid {exc.pid}); "
            "give this one another name: --consumer"
        ) from exc
    try:
        pid_file.write(os.getpid())
        return _run(assignment, announce)
    finally:
        connections.close_all()
        pid_file.release()


def _run(assignment: Assignment, announce: Announce) -> int:
    # That is what nohup is for.
    is_kept = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    ignored = {signal.SIGUSR1, signal.SIGHUP} if is_kept else {signal.SIGUSR1}
    with os_signals.queued() as requests:
        overseer = Overseer(requests, ignored, conf.shutdown_timeout)
        under_way = UnderWay()
        consumer = make_consumer(assignment, lambda: overseer.stop is not None, under_way)
        announce(f"Consuming {assignment.title}")
        report = Report(consumer, under_way, StatusFile(_file(assignment, "status.json")))
        report.write()
        overseer.watch(consumer.run, report.tick, report.cut)
        report.file.remove()
    counters = consumer.counters
    announce(f"Stopped: {counters.delivered} delivered, {counters.failed} failed")
    return _HUNG_UP if overseer.stop == signal.SIGHUP else 0


class Report:
    """Writes how a consumer is, from time to time.

    Args:
        consumer: the consumer.
        under_way: what it is busy with.
        file: where it is written.
    """

    def __init__(self, consumer: Consumer, under_way: UnderWay, file: StatusFile) -> None:
        self.file = file
        self._consumer = consumer
        self._under_way = under_way
        self._started = time.time()
        self._written = self._asked = float("-inf")
        self._queue: dict[str, Any] = {}

    def tick(self) -> None:
        """Write the status if it is time."""
        if time.monotonic() - self._written > _WRITE:
            self.write()

    def write(self) -> None:
        """Write the status."""
        self._written = time.monotonic()
        if self._written - self._asked > _ASK and not self._consumer.outage.lasts:
            self._asked = self._written
            with contextlib.suppress(InotifierError):  # the consumer meets it as well, and tells
                self._queue = ask(self._consumer.queue)[0] or self._queue
        call = self._under_way.call
        self.file.write(
            {
                "pid": os.getpid(),
                "started": self._started,
                **self._consumer.describe(),
                "busy": call and {"title": call[0], "since": call[1]},
                "queue": self._queue,
            }
        )

    def cut(self) -> None:
        """Tell that the message at hand is left, and that nobody runs any more."""
        if call := self._under_way.call:
            logger.error(
                "stopping though receivers have %s in hand, for %.0f s now; it comes again",
                call[0],
                time.time() - call[1],
            )
        else:
            logger.error("stopping though the consumer has not ended")
        self.file.remove()


def status(assignment: Assignment) -> Status:
    """Return how the consumer and its queue are; "pid" is None if it does not run here.

    Raises:
        ConfigurationError: the settings do not say where the server is, or it refuses.
    """
    pid = read_pid(_file(assignment, "pid"))
    written = read_status(_file(assignment, "status.json"))
    queue, away = ask(make_queue(assignment))
    own = written if pid is not None and written.get("pid") == pid else {}
    # The two may differ: of a replica, one command can be answered, and the other refused.
    reasons = dict.fromkeys(reason for reason in (own.get("away"), away) if reason)
    return {**own, "pid": pid, "queue": queue, "away": "; ".join(reasons)}


def _file(assignment: Assignment, suffix: str) -> Path:
    return conf.state_dir / f"inotifier.consumer-{assignment.file_name}.{suffix}"
