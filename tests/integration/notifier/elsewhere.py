"""Running a part of a test in a child process, as another user or with other limits."""

from __future__ import annotations

import ctypes
import os
import pickle
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

NOBODY = 65534
_CLONE_NEWUSER = 0x10000000


def in_a_child(act: Callable[[], T], prepare: Callable[[], object]) -> T:
    """Return what `act` returns in a child process, in which `prepare` has been called first."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        try:
            prepare()
            answer = (True, act())
        except BaseException:
            answer = (False, traceback.format_exc())
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(pickle.dumps(answer))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        done, value = pickle.loads(pipe.read())
    os.waitpid(pid, 0)
    assert done, value
    return value


def as_nobody(act: Callable[[], T]) -> T:
    """Return what `act` returns for a user without any right."""
    if os.geteuid() != 0:
        pytest.skip("only root may become somebody else")

    def become_nobody() -> None:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    return in_a_child(act, become_nobody)


def limited(name: str, value: int, act: Callable[[], T]) -> T:
    """Return what `act` returns where the limit `name` of inotify is `value`.

    A user namespace has limits of its own (user_namespaces(7), /proc/sys/user).
    """

    def limit() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_NEWUSER):
            raise OSError(ctypes.get_errno(), "unshare")
        Path("/proc/sys/user", name).write_text(f"{value}")

    try:
        in_a_child(lambda: None, limit)
    except AssertionError:
        pytest.skip("this machine gives no user namespace whose limits we may set")
    return in_a_child(act, limit)


@contextmanager
def open_to_all() -> Iterator[Path]:
    """A directory that every user may use; those of pytest are its user's own."""
    with tempfile.TemporaryDirectory(prefix="inotifier-") as path:
        Path(path).chmod(0o777)
        yield Path(path)
