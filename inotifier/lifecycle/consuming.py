"""A consumer as a process: one of each name, with a status, ended by OS signals."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from django.db import connections

from inotifier.bridge.consumer import Consumer
from inotifier.bridge.setup import Assignment, ask, make_consumer, make_queue
from inotifier.conf import conf
from inotifier.exceptions import AlreadyRunning, InotifierError
from inotifier.lifecycle import os_signals
from inotifier.lifecycle.pid_file import PidFile, read_pid
from inotifier.lifecycle.readiness import Announce
from inotifier.lifecycle.status_file import Status, StatusFile, ensure_directories, read_status

_WRITE = 1.0
_ASK = 5.0
"""Seconds after which the status is written, and the server asked for lag and pending."""


def consume(assignment: Assignment, announce: Announce) -> None:
    """Do `assignment` until SIGTERM or SIGINT; return after the message at hand.

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
        _run(assignment, announce)
    finally:
        connections.close_all()
        pid_file.release()


def _run(assignment: Assignment, announce: Announce) -> None:
    with os_signals.queued() as requests:
        consumer = make_consumer(assignment, lambda: not requests.empty())
        announce(f"Consuming {assignment.title}")
        report = Report(consumer, StatusFile(_file(assignment, "status.json")))
        report.write()
        consumer.run(report.tick)
        report.file.remove()
    counters = consumer.counters
    announce(f"Stopped: {counters.delivered} delivered, {counters.failed} failed")


class Report:
    """Writes how a consumer is, from time to time.

    Args:
        consumer: the consumer.
        file: where it is written.
    """

    def __init__(self, consumer: Consumer, file: StatusFile) -> None:
        self.file = file
        self._consumer = consumer
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
        self.file.write(
            {
                "pid": os.getpid(),
                "started": self._started,
                **self._consumer.describe(),
                "queue": self._queue,
            }
        )


def status(assignment: Assignment) -> Status:
    """Return how the consumer and its queue are; "pid" is None if it does not run here.

    Raises:
        ConfigurationError: the settings do not say where the server is, or it refuses.
    """
    pid = read_pid(_file(assignment, "pid"))
    written = read_status(_file(assignment, "status.json"))
    queue, away = ask(make_queue(assignment))
    own = written if pid is not None and written.get("pid") == pid else {}
    return {**own, "pid": pid, "queue": queue, "away": away}


def _file(assignment: Assignment, suffix: str) -> Path:
    return conf.state_dir / f"inotifier.consumer-{assignment.file_name}.{suffix}"
