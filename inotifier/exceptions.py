"""What inotifier raises. Every message says what happened and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any


class InotifierError(Exception):
    """Base of everything that inotifier raises on purpose."""


class ConfigurationError(InotifierError):
    """A setting that cannot be used."""


class WatchError(InotifierError):
    """The kernel refused an inotify instance or a watch."""


class AlreadyRunning(InotifierError):
    """Another daemon holds the pid file.

    `pid` is its process id, or None while it has not written one yet.
    """

    def __init__(self, pid: int | None, pid_file: str) -> None:
        self.pid = pid
        who = f"pid {pid}" if pid is not None else "its pid is not known yet"
        super().__init__(
            f"already running ({who}), it holds {pid_file}. "
            "Use inotifier_stop, inotifier_restart or inotifier_start --replace."
        )


class NotRunning(InotifierError):
    """No daemon holds the pid file."""


class NotPermitted(InotifierError):
    """The daemon belongs to another user."""


class StartFailed(InotifierError):
    """The daemon ended before its watches stood."""


class ReloadFailed(InotifierError):
    """The daemon kept its old settings, or ended while it took the new ones."""


class ReceiversFailed(InotifierError):
    """Receivers of a signal raised.

    `failures` holds a pair (receiver, exception) for each of them; the other receivers
    were called and succeeded.
    """

    def __init__(self, failures: Sequence[tuple[Callable[..., Any], BaseException]]) -> None:
        self.failures = failures
        names = ", ".join(
            f"{getattr(receiver, '__qualname__', repr(receiver))}: {exception!r}"
            for receiver, exception in failures
        )
        super().__init__(f"{len(failures)} receiver(s) raised: {names}")


def failures_of(exc: BaseException, whole: str) -> list[tuple[str, BaseException]]:
    """Return what is to be logged of a delivery that failed: who, and what that one raised.

    Args:
        exc: what the delivery raised.
        whole: who failed if it was not single receivers.
    """
    if not isinstance(exc, ReceiversFailed):
        return [(whole, exc)]
    return [
        (f"receiver {getattr(receiver, '__qualname__', receiver)}", reason)
        for receiver, reason in exc.failures
    ]


class CommandFailed(InotifierError):
    """A shell command did not end well."""


class RuleFailed(InotifierError):
    """A file rule cannot do what it says without harm; everything stays as it was."""


class UnreadableMessage(InotifierError):
    """A message from outside that is not in a form that can be used."""


class TryAgain(InotifierError):
    """Raise it in a processor or a receiver: an outage elsewhere.

    The event waits `after` seconds and is delivered again, without counting as a failure. Events
    of the same path wait behind it; those of other paths do not.

    Raises:
        TypeError, ValueError: `after` is not a number of seconds above 0.
    """

    def __init__(self, after: float) -> None:
        if isinstance(after, bool) or not isinstance(after, (int, float)):
            raise TypeError(f"after is {after!r}; it should be a number of seconds")
        if not 0 < after < math.inf:
            raise ValueError(f"after is {after!r}; it should be a number of seconds above 0")
        self.after = after
        super().__init__(f"to be tried again after {after:g} s")


def raise_for(failures: Sequence[tuple[Callable[..., Any], BaseException]]) -> None:
    """Raise what `failures`, pairs of receiver and exception, come to.

    Raises:
        ReceiversFailed: if any of them raised.
        TryAgain: if those that raised all asked for it; the shortest time that one asked for.
    """
    if not failures:
        return
    waits = [reason for _, reason in failures if isinstance(reason, TryAgain)]
    if len(waits) < len(failures):
        raise ReceiversFailed([one for one in failures if not isinstance(one[1], TryAgain)])
    soonest = min(waits, key=lambda wait: wait.after)
    raise TryAgain(soonest.after) from soonest
