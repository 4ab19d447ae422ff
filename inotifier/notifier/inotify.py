"""The three system calls of inotify(7), with paths as `str` that may hold any byte."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import select
import termios
from pathlib import Path

from inotifier.events import printable
from inotifier.exceptions import WatchError

_SYSCTL = Path("/proc/sys/fs/inotify")
_READ_SIZE = 256 * 1024

_libc = ctypes.CDLL(None, use_errno=True)
_libc.inotify_init1.argtypes = [ctypes.c_int]
_libc.inotify_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]
_libc.inotify_rm_watch.argtypes = [ctypes.c_int, ctypes.c_int]


class Inotify:
    """One inotify instance.

    Args:
        fd: the descriptor of an instance that stands already, kept over an exec; its queue
            and its watches go on. A new instance is made without it.

    Raises:
        WatchError: the kernel gives no further instance.
    """

    def __init__(self, fd: int | None = None) -> None:
        self.fd = _new_instance() if fd is None else fd

    def add_watch(self, path: str, mask: int) -> int:
        """Watch `path` for `mask` and return the watch descriptor.

        A second call for the same inode returns the same descriptor and replaces its mask, or
        adds to it with IN_MASK_ADD.

        Raises:
            WatchError: the kernel refused; the message names the limit if one was reached.
        """
        wd = int(_libc.inotify_add_watch(self.fd, os.fsencode(path), mask))
        if wd < 0:
            raise _refusal(path, ctypes.get_errno())
        return wd

    def remove_watch(self, wd: int) -> None:
        """Stop watching; IN_IGNORED follows. A descriptor that is gone already is no error."""
        _libc.inotify_rm_watch(self.fd, wd)

    def watches(self) -> dict[int, int]:
        """Return the mask of each watch that stands, by descriptor, from proc_pid_fdinfo(5)."""
        lines = Path(f"/proc/self/fdinfo/{self.fd}").read_text(encoding="ascii")
        found = re.findall(r"^inotify wd:([0-9a-f]+) .* mask:([0-9a-f]+) ", lines, re.M)
        return {int(wd, 16): int(mask, 16) for wd, mask in found}

    def wait(self, wake_fd: int) -> bool:
        """Block until there is something to read; False if `wake_fd` became readable first."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        poll.register(wake_fd, select.POLLIN)
        return wake_fd not in dict(poll.poll())

    def read(self) -> bytes:
        """Return what the kernel has queued, as many whole events as fit; b"" if nothing."""
        try:
            return os.read(self.fd, _READ_SIZE)
        except BlockingIOError:
            return b""

    def pending_bytes(self) -> int:
        """Return the size of what waits in the kernel's queue, in bytes."""
        size = bytearray(4)
        fcntl.ioctl(self.fd, termios.FIONREAD, size)
        return int.from_bytes(size, "little")

    def close(self) -> None:
        """Close the instance, and with it all its watches."""
        os.close(self.fd)


def _new_instance() -> int:
    fd = int(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    if fd >= 0:
        return fd
    code = ctypes.get_errno()
    if code == errno.EMFILE:
        raise WatchError(
            "the kernel gives no further inotify instance: the limit of the process (ulimit -n) "
            f"or of its user ({_limit('max_user_instances')}) is reached. Raise the limit, or "
            "stop other programs that watch files."
        )
    raise WatchError(f"the kernel gives no inotify instance: {os.strerror(code)}")


def _refusal(path: str, code: int) -> WatchError:
    reason = os.strerror(code)
    if code == errno.ENOSPC:
        reason = (
            f"the limit of watches for this user is reached ({_limit('max_user_watches')}). "
            "Raise it with 'sysctl -w fs.inotify.max_user_watches=N', or watch fewer directories"
        )
    return WatchError(f"cannot watch {printable(path)}: {reason}")


def _limit(name: str) -> str:
    try:
        value = (_SYSCTL / name).read_text(encoding="ascii").strip()
    except OSError:
        value = "unknown"
    return f"fs.inotify.{name}={value}"
