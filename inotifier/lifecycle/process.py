"""A process to be waited for and signalled, never one that got its number later."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from pathlib import Path
from types import TracebackType

from inotifier.exceptions import InotifierError, NotPermitted, NotRunning

_KILL_PATIENCE = 10.0
_LONGEST = 1e6  # seconds; poll(2) counts milliseconds in an int


class Process:
    """A running process, held by a pidfd (pidfd_open(2)).

    Args:
        pid: its process id.

    Raises:
        NotRunning: there is no such process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._fd = os.pidfd_open(pid)
        except ProcessLookupError:
            raise NotRunning(f"no process with id {pid}") from None
        except OSError as exc:
            raise InotifierError(f"cannot watch the process {pid}: {exc.strerror}") from exc

    def has_open(self, path: Path) -> bool | None:
        """Tell whether the process has the file at `path` open; None if that may not be known.

        A number that a process of another container wrote down is that of a stranger here.
        """
        try:
            file = path.lstat()
            descriptors = list(Path(f"/proc/{self.pid}/fd").iterdir())
        except OSError:
            return None  # of another user, for instance
        for descriptor in descriptors:
            with contextlib.suppress(OSError):  # it was closed meanwhile
                if os.path.samestat(descriptor.stat(), file):
                    return True
        return False

    def signal(self, number: signal.Signals) -> None:
        """Send the OS signal `number`; a process that has ended meanwhile is no error.

        Raises:
            NotPermitted: it belongs to another user.
        """
        try:
            signal.pidfd_send_signal(self._fd, number)
        except ProcessLookupError:
            pass
        except PermissionError:
            raise NotPermitted(
                f"the daemon (pid {self.pid}) belongs to another user; "
                "call this as that user or as root"
            ) from None

    def wait(self, timeout: float) -> bool:
        """Wait `timeout` seconds for the end of the process; tell whether it came."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(min(max(0.0, timeout), _LONGEST) * 1000))

    def end(self, timeout: float) -> bool:
        """Send SIGTERM, wait `timeout` seconds, then send SIGKILL and wait for the end.

        Returns:
            True if SIGTERM was enough.
        """
        self.signal(signal.SIGTERM)
        if self.wait(timeout):
            return True
        self.signal(signal.SIGKILL)
        if not self.wait(_KILL_PATIENCE):
            raise InotifierError(f"the process {self.pid} does not end, not even by SIGKILL")
        return False

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the process."""
        os.close(self._fd)
