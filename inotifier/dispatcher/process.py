"""What surrounds a call of the user's code: forks, and the connections to databases."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from django.db import close_old_connections, connections

logger = logging.getLogger(__name__)


class _Process:
    """Which process this is, and which one delivers: a handler may have forked."""

    here = os.getpid()
    home = here

    @classmethod
    def note_fork(cls) -> None:
        cls.here = os.getpid()


os.register_at_fork(after_in_child=_Process.note_fork)


def this_one_delivers() -> None:
    """Note that it is this process that delivers."""
    _Process.home = _Process.here


def is_child() -> bool:
    """Tell whether this is a process that a handler has forked."""
    return _Process.here != _Process.home


def end_child(exc: BaseException | None = None) -> None:
    """End a child of a handler's that came back: the threads that deliver are not its own."""
    os._exit(_exit_code(exc))


def _exit_code(exc: BaseException | None) -> int:
    if exc is None:
        return 0
    if isinstance(exc, SystemExit):
        return exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    logger.error("a forked child ended: %r", exc, exc_info=exc)
    return 1


_RESTED = 1.0
"""Seconds after which a connection may have become too old; their ages are whole seconds."""


class _Refreshed(threading.local):
    at = float("-inf")


_refreshed = _Refreshed()


def refresh_connections() -> None:
    """Close this thread's connections that are broken or too old; the next use opens new ones."""
    _close(close_old_connections)
    _refreshed.at = time.monotonic()


def refresh_after_rest() -> None:
    """Do so before a delivery unless it has just been done: it takes longer than a delivery."""
    if time.monotonic() - _refreshed.at > _RESTED:
        refresh_connections()


def close_connections() -> None:
    """Close this thread's connections."""
    _close(connections.close_all)


def _close(close: Callable[[], None]) -> None:
    try:
        close()
    except Exception:  # a server that is gone does not even say goodbye
        logger.exception("a database connection cannot be closed")
