"""Waiting for what happens elsewhere: until it has happened, and no longer than a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")

_POLL = 0.005


def wait_for(condition: Callable[[], T], timeout: float = 10, message: str = "") -> T:
    """Return what `condition` returns once it is true; fail after `timeout` seconds.

    `message` says what was waited for; the name of the condition does by default.
    """
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        if time.monotonic() > deadline:
            awaited = message or getattr(condition, "__qualname__", repr(condition))
            pytest.fail(f"waited {timeout:g} s in vain for {awaited}; last seen: {result!r}")
        time.sleep(_POLL)
    return result
