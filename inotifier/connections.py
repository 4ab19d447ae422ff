"""The connections to databases of threads that run the user's code."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from django.db import close_old_connections, connections

logger = logging.getLogger(__name__)

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
    """Do so before a call unless it has just been done: it takes longer than a delivery."""
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
