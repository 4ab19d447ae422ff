"""The pid file: held under flock(2) for life, so that it never lies.

While the lock is held, the file belongs to the daemon that wrote it; whatever a dead one left
is replaced. Two rules make that hold without a gap:

* A daemon locks only a file that it has made itself and that is still empty. So a locked file
  holds no pid but the one of its holder.
* Replacing a left-over happens under a lock on the directory, so that two starts never do it
  at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from inotifier.exceptions import AlreadyRunning, InotifierError, NotPermitted

logger = logging.getLogger(__name__)

_PATIENCE = 10.0
"""Seconds to wait for another command that is at the same file this very moment."""

_POLL = 0.02


class PidFile:
    """The pid file of this process.

    Args:
        path: where it is.
        fd: descriptor of the locked file, kept over an exec.
    """

    def __init__(self, path: Path, fd: int | None = None) -> None:
        self.path = path
        self._fd = fd

    @property
    def fd(self) -> int:
        """Descriptor of the locked file."""
        if self._fd is None:
            raise InotifierError(f"{self.path} is not locked by this process")
        return self._fd

    def acquire(self) -> None:
        """Make the file and lock it.

        Raises:
            AlreadyRunning: another process holds it.
            InotifierError: it cannot be made.
        """
        with _directory_lock(self.path.parent):
            running, pid = _look(self.path)
            if not running:
                self._fd = self._make()
                return
        deadline = time.monotonic() + _PATIENCE
        while running and pid is None and time.monotonic() < deadline:
            time.sleep(_POLL)
            running, pid = _look(self.path)
        raise AlreadyRunning(pid, str(self.path))

    def _make(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()
            fd = os.open(self.path, flags, 0o600)
        except OSError as exc:
            raise InotifierError(
                f"cannot make the pid file {self.path}: {exc.strerror}. "
                "PROJECT_PATH or INOTIFIER_PID_FILE says where it lies."
            ) from exc
        fcntl.flock(fd, fcntl.LOCK_EX)
        return fd

    def write(self, pid: int) -> None:
        """Write `pid`, the process that will hold the file for life."""
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, f"{pid}\n".encode("ascii"), 0)
        # A child that a handler forks must not keep the lock of a daemon that died.
        os.register_at_fork(after_in_child=self.abandon)

    def give_to(self, uid: int, gid: int) -> None:
        """Let the user that the daemon becomes own the file."""
        os.fchown(self.fd, uid, gid)

    def abandon(self) -> None:
        """Close this process's descriptor; the lock stays with whoever shares it."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def release(self) -> None:
        """Remove the file and give up the lock."""
        if self._fd is None:
            return
        try:
            with _directory_lock(self.path.parent):
                if self._is_at_path():
                    self.path.unlink()
        except (OSError, InotifierError):
            # A directory that the daemon's user may not write: no pid is left behind at least.
            os.ftruncate(self._fd, 0)
        self.abandon()

    def refresh(self) -> None:
        """Make the file look fresh to programs that clean /tmp of old files."""
        os.utime(self.fd)

    def keep(self) -> None:
        """Make the file anew if somebody has removed it.

        Raises:
            AlreadyRunning: another daemon has made one meanwhile.
        """
        if self._is_at_path():
            return
        with _directory_lock(self.path.parent):
            running, pid = _look(self.path)
            if running:
                raise AlreadyRunning(pid, str(self.path))
            text = os.pread(self.fd, 32, 0)
            old, self._fd = self.fd, self._make()
            os.pwrite(self.fd, text, 0)
            os.close(old)
        logger.warning("%s was removed; it is there again", self.path)

    def _is_at_path(self) -> bool:
        try:
            return os.path.samestat(self.path.lstat(), os.fstat(self.fd))
        except FileNotFoundError:
            return False


def read_pid(path: Path) -> int | None:
    """Return the pid of the daemon that holds `path`; None if nobody does.

    Waits while a daemon is just starting, 10 seconds at most.

    Raises:
        NotPermitted: the file belongs to another user.
        InotifierError: somebody holds the lock but writes no pid.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        running, pid = _look(path)
        if not running or pid is not None:
            return pid
        if time.monotonic() > deadline:
            raise InotifierError(f"{path} is locked by a process that has written no pid into it")
        time.sleep(_POLL)


def remove_left_over(path: Path) -> bool:
    """Remove what a dead daemon left at `path`; tell whether there was anything."""
    try:
        if not path.exists():
            return False
        with _directory_lock(path.parent):
            if not path.exists() or _look(path)[0]:
                return False
            path.unlink()
    except OSError as exc:
        raise InotifierError(f"cannot remove the pid file {path}: {exc.strerror}") from exc
    return True


def _look(path: Path) -> tuple[bool, int | None]:
    """Return whether somebody holds `path`, and the pid in it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False, None
    except PermissionError as exc:
        raise NotPermitted(
            f"{path} belongs to another user; call this as that user or as root"
        ) from exc
    except OSError as exc:
        raise InotifierError(f"cannot read the pid file {path}: {exc.strerror}") from exc
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise InotifierError(f"the pid file {path} is not a regular file; remove it")
        try:
            # Shared, so that two who look do not take each other for a daemon.
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(fd, 32, 0).strip()
            return True, int(text) if text.isdigit() else None
        return False, None
    finally:
        os.close(fd)


@contextlib.contextmanager
def _directory_lock(directory: Path) -> Iterator[None]:
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise InotifierError(
            f"cannot open {directory}, the directory of the pid file: {exc.strerror}. "
            "PROJECT_PATH or INOTIFIER_PID_FILE says where it lies."
        ) from exc
    try:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise InotifierError(f"{directory} stays locked by another process") from None
                time.sleep(_POLL)
        yield
    finally:
        os.close(fd)


def make_private(directory: Path, owner: tuple[int, int] | None = None) -> None:
    """Make `directory` for its owner alone, and refuse one that is not.

    Below /tmp anybody may have made it before us.

    Args:
        directory: where it is.
        owner: (uid, gid) whose it is to be, if not this process's own.

    Raises:
        InotifierError: it is a symbolic link, another user's, or open to others.
    """
    try:
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
            if owner:
                os.chown(directory, *owner)
        status = directory.lstat()
    except OSError as exc:
        raise InotifierError(f"cannot make the directory {directory}: {exc.strerror}") from exc
    if (
        not stat.S_ISDIR(status.st_mode)
        or status.st_uid != (owner[0] if owner else os.geteuid())
        or stat.S_IMODE(status.st_mode) & 0o077
    ):
        raise InotifierError(
            f"{directory} is not a private directory of this user (mode 0700); remove it, "
            "or set PROJECT_PATH"
        )
