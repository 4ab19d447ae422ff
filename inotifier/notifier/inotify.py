"""The three system calls of inotify(7), with paths as bytes: any name passes through."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import termios
from pathlib import Path

from inotifier import limits
from inotifier.events import printable
from inotifier.exceptions import WatchError

_SMALL_READ = 32 * 1024
_LARGE_READ = 1024 * 1024
"""Room for a read: an allocation of this size costs a call of the kernel of its own, so it is made
only while a small one is filled."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.inotify_init1.argtypes = [ctypes.c_int]
_add_watch = _libc.inotify_add_watch
_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]
_rm_watch = _libc.inotify_rm_watch
_rm_watch.argtypes = [ctypes.c_int, ctypes.c_int]


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
        self._room = _SMALL_READ

    def add_watch(self, path: bytes, mask: int) -> int:
        """Watch `path` for `mask` and return the watch descriptor.

        A second call for the same inode returns the same descriptor and replaces its mask, or
        adds to it with IN_MASK_ADD.

        Raises:
            OSError: the kernel refused; `refusal` makes a message of it.
        """
        wd: int = _add_watch(self.fd, path, mask)
        if wd < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), os.fsdecode(path))
        return wd

    def remove_watch(self, wd: int) -> None:
        """Stop watching; IN_IGNORED follows. A descriptor that is gone already is no error."""
        _rm_watch(self.fd, wd)

    def watch_descriptors(self) -> set[int]:
        """Return the descriptors of all watches that stand, from proc_pid_fdinfo(5)."""
        lines = Path(f"/proc/self/fdinfo/{self.fd}").read_text(encoding="ascii")
        return {int(wd, 16) for wd in re.findall(r"^inotify wd:([0-9a-f]+) ", lines, re.M)}

    def read(self) -> bytes:
        """Return what the kernel has queued, as many whole events as fit; b"" if nothing."""
        try:
            buffer = os.read(self.fd, self._room)
        except BlockingIOError:
            return b""
        self._room = _LARGE_READ if len(buffer) > _SMALL_READ // 2 else _SMALL_READ
        return buffer

    def pending_bytes(self) -> int:
        """Return the size of what waits in the kernel's queue, in bytes."""
        size = bytearray(4)
        fcntl.ioctl(self.fd, termios.FIONREAD, size)
        return int.from_bytes(size, "little")

    def close(self) -> None:
        """Close the instance, and with it all its watches."""
        os.close(self.fd)


class Fences:
    """Marks in the kernel's queue: what was queued before a mark is read before it.

    Removing a watch queues IN_IGNORED for its descriptor. So a mark is a watch on a file of
    our own that is removed. One such watch stands ready, so that a mark can be placed even
    when the user has no watch left.
    """

    def __init__(self, inotify: Inotify) -> None:
        self._inotify = inotify
        self._file: int | None = None
        self._ready: int | None = None

    def prepare(self) -> None:
        """Set up the watch that stands ready."""
        if self._ready is None:
            self._ready = self._next()

    def place(self) -> int | None:
        """Put a mark into the queue; return its descriptor, None if the kernel gives none."""
        self.prepare()
        wd = self._ready
        if wd is not None:
            self._inotify.remove_watch(wd)
            self._ready = self._next()
        return wd

    @property
    def ready(self) -> int | None:
        """The descriptor of the watch that stands ready."""
        return self._ready

    def _next(self) -> int | None:
        if self._file is None:
            self._file = os.memfd_create("inotifier-fence")
        try:
            # Nobody ever writes to the file, so the mask says nothing.
            return self._inotify.add_watch(b"/proc/self/fd/%d" % self._file, _DELETE_SELF)
        except OSError:
            return None

    def close(self) -> None:
        """Close the private file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


_DELETE_SELF = 0x400


def _new_instance() -> int:
    fd = int(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    if fd >= 0:
        return fd
    code = ctypes.get_errno()
    if code == errno.EMFILE:
        raise WatchError(
            "the kernel gives no further inotify instance: the limit of the process (ulimit -n) "
            f"or of its user ({limits.described('max_user_instances')}) is reached. "
            "Raise the limit, or stop other programs that watch files."
        )
    raise WatchError(f"the kernel gives no inotify instance: {os.strerror(code)}")


def refusal(path: str, code: int, needed: int = 1) -> WatchError:
    """Return the error that says why `path` cannot be watched.

    Args:
        path: what the kernel refused.
        code: its errno.
        needed: number of watches that the whole entry takes.
    """
    if code != errno.ENOSPC:
        return WatchError(f"cannot watch {printable(path)}: {os.strerror(code)}")
    return WatchError(
        f"cannot watch all of {printable(path)}: it needs {needed} watch(es), and the limit of "
        f"this user is reached ({limits.described('max_user_watches')} for all his programs). "
        "Raise it with 'sysctl -w fs.inotify.max_user_watches=N', or watch fewer directories."
    )
