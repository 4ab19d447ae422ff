"""What systemd, or whatever else has started the daemon, is told of it: sd_notify(3)."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping

logger = logging.getLogger(__name__)

_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")

_STATUS_PAUSE = 10.0
"""Seconds between two lines of status: nobody reads faster, and the journal keeps none."""

_PATIENCE = 5.0
"""Seconds to wait for a manager that does not read."""

_MOST_TICK = 1.0


class ServiceManager:
    """Who has started the daemon and wants to hear of it; nobody, without variables.

    Args:
        variables: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, as far as they are set.
        clock: seconds that only grow.

    Attributes:
        variables: the same, for who takes this process's place.
        tick: seconds after which `ping` should be called again.
    """

    def __init__(
        self,
        variables: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.variables = dict(variables or {})
        self._clock = clock
        self._address = _address(self.variables.get("NOTIFY_SOCKET", ""))
        self._interval = _watchdog_seconds(self.variables) / 2
        self.tick = min(_MOST_TICK, self._interval / 2 or _MOST_TICK)
        self._pinged = clock()
        self._status = ""
        self._told = 0.0
        self._calls: dict[int, tuple[object, float]] = {}
        self._is_stuck = False
        self._is_deaf = False

    @classmethod
    def taken(cls) -> ServiceManager:
        """Return the one that the environment names, and remove it from there.

        What handlers start is not to speak for the daemon.
        """
        found = {name: os.environ.pop(name, None) for name in _VARIABLES}
        return cls({name: value for name, value in found.items() if value is not None})

    def ready(self, status: str) -> None:
        """Say that the daemon does its work, for the first time or again."""
        self._status, self._told = status, self._clock()
        # The process that was started may be a shell around this one.
        self._send(READY=1, MAINPID=os.getpid(), STATUS=status)
        self._ping_now()

    def reloading(self) -> None:
        """Say that the settings are read anew; `ready` ends that."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(RELOADING=1, MONOTONIC_USEC=now, STATUS="Checking the new settings")

    def replacing(self) -> None:
        """Begin the time that the process's successor has for its first ping."""
        self._ping_now()

    def stopping(self, seconds: float) -> None:
        """Say that the daemon stops, and that it may take `seconds`."""
        self._send(
            STOPPING=1,
            EXTEND_TIMEOUT_USEC=int(seconds * 1e6),
            STATUS="Delivering what was read",
        )

    def tell(self, status: str) -> None:
        """Show `status`, one line, unless it is shown already, or the last one is too new."""
        now = self._clock()
        if self._address and status != self._status and now - self._told >= _STATUS_PAUSE:
            self._status, self._told = status, now
            self._send(STATUS=status)

    def ping(self, calls: Mapping[int, object]) -> None:
        """Say that the daemon moves, if it does and if it is time to.

        A thread whose call lasts longer than half the time after which the manager takes the
        daemon for dead does not move. So one that returns within that time never has it killed.

        Args:
            calls: what threads call now, by their idents; another object for each call.
        """
        if not self._interval:
            return
        now = self._clock()
        self._calls = {
            ident: (call, self._calls[ident][1] if self._has_seen(ident, call) else now)
            for ident, call in calls.items()
        }
        stuck = [ident for ident, (_, since) in self._calls.items() if now - since > self._interval]
        if stuck and not self._is_stuck:
            _log_stuck(stuck, self._interval)
        self._is_stuck = bool(stuck)
        if not stuck and now - self._pinged > self._interval - self.tick:
            self._ping_now()

    def _has_seen(self, ident: int, call: object) -> bool:
        return ident in self._calls and self._calls[ident][0] is call

    def _ping_now(self) -> None:
        if self._interval:
            self._pinged = self._clock()
            self._send(WATCHDOG=1)

    def _send(self, **fields: object) -> None:
        if not self._address:
            return
        text = "\n".join(f"{name}={value}" for name, value in fields.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(_PATIENCE)
                sender.connect(self._address)
                sender.send(text.encode(errors="backslashreplace"))
        except OSError as exc:
            if not self._is_deaf:
                logger.warning("cannot tell the service manager %s: %s", next(iter(fields)), exc)
            self._is_deaf = True
        else:
            self._is_deaf = False


def _address(given: str) -> str:
    """Return the address of a socket of this machine, "" if it is none."""
    if given.startswith("@"):
        return "\0" + given[1:]  # unix(7): in the abstract namespace
    return given if given.startswith("/") else ""


def _watchdog_seconds(variables: Mapping[str, str]) -> float:
    """Return the seconds without a ping after which the daemon is taken for dead; 0: never."""
    number = variables.get("WATCHDOG_USEC", "")
    for_whom = variables.get("WATCHDOG_PID", str(os.getpid()))
    is_ours = number.isdecimal() and for_whom == str(os.getpid())
    return int(number) / 1e6 if is_ours else 0.0


def _log_stuck(idents: list[int], seconds: float) -> None:
    frames = sys._current_frames()
    stacks = [traceback.format_stack(frames[ident]) for ident in idents if ident in frames]
    logger.error(
        "a handler has taken longer than %g s, half of WatchdogSec; the service manager is not "
        "told that the daemon is alive until it returns. It is at\n%s",
        seconds,
        "\n".join("".join(stack) for stack in stacks),
    )
