"""What a starting daemon tells the command that started it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import time
from collections.abc import Callable
from typing import Any

from inotifier.exceptions import InotifierError, StartFailed

Announce = Callable[[str], object]


class Reporter:
    """Tells of a start in this process: lines go to `announce`.

    Args:
        announce: takes each line for the user.
    """

    def __init__(self, announce: Announce) -> None:
        self.announce = announce

    def ready(self) -> None:
        """Say that the watches stand."""
        self.announce("File monitoring started")

    def failed(self, reason: str) -> None:
        """Say why there is no daemon. In this process the exception itself says it."""


class PipeReporter(Reporter):
    """Tells the waiting parent of a detached daemon, through the pipe `fd`."""

    def __init__(self, fd: int) -> None:
        super().__init__(lambda line: self._send(line=line))
        self.fd = fd
        self._open = True

    def hello(self) -> None:
        """Say which process the daemon is."""
        self._send(pid=os.getpid())

    def ready(self) -> None:
        """Say that the watches stand; the parent may go."""
        super().ready()
        self._send(ready=True)
        os.close(self.fd)
        self._open = False

    def failed(self, reason: str) -> None:
        """Say why there will be no daemon."""
        self._send(error=reason)

    def _send(self, **message: object) -> None:
        if not self._open:
            return  # it was ready, so that nobody listens, and the number may be another file's
        # The parent may have been interrupted.
        with contextlib.suppress(BrokenPipeError):
            os.write(self.fd, json.dumps(message).encode("ascii") + b"\n")


class Waiting:
    """The parent's end of the pipe.

    Attributes:
        pid: the daemon's process id once it has said it.
        ending: True once it has said that it ends, or has ended.
    """

    def __init__(self, fd: int) -> None:
        self.pid: int | None = None
        self.ending = False
        self._fd = fd
        self._rest = b""

    def until_ready(self, announce: Announce, timeout: float) -> None:
        """Return when the daemon is ready; its lines go to `announce`.

        Raises:
            StartFailed: it said why it is not, it ended, or `timeout` seconds passed.
        """
        deadline = time.monotonic() + timeout
        while True:
            message = self._next(deadline, timeout)
            if "pid" in message:
                self.pid = message["pid"]
            elif "line" in message:
                announce(message["line"])
            elif "error" in message:
                self.ending = True
                raise StartFailed(message["error"])
            else:
                return

    def learn_pid(self, timeout: float) -> None:
        """Wait `timeout` seconds for what process the daemon is, or for its end.

        A daemon that was given up before it said so would go on, and nobody would find it.
        """
        deadline = time.monotonic() + timeout
        with contextlib.suppress(StartFailed):
            while self.pid is None:
                self.pid = self._next(deadline, timeout).get("pid")

    def _next(self, deadline: float, timeout: float) -> dict[str, Any]:
        while b"\n" not in self._rest:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._fd], [], [], left)[0]:
                raise StartFailed(f"the daemon was not ready within {timeout:g} s, so it was ended")
            data = os.read(self._fd, 65536)
            if not data:
                self.ending = True
                raise StartFailed(
                    "the daemon ended before its watches stood and gave no reason; "
                    "INOTIFIER_DAEMON_STDERR names a file that may have it"
                )
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        message = json.loads(line)
        if not isinstance(message, dict):
            raise InotifierError(f"unexpected message from the daemon: {line!r}")
        return message
