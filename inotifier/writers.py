"""Is somebody still writing to a file? A read lease tells (fcntl(2), F_SETLEASE)."""

from __future__ import annotations

import enum
import fcntl
import os
import signal


class Writers(enum.Enum):
    """The answer."""

    NONE = enum.auto()
    SOME = enum.auto()
    UNKNOWN = enum.auto()
    GONE = enum.auto()


def writers_of(path: bytes) -> Writers:
    """Tell whether somebody has the regular file at `path` open for writing.

    The kernel refuses a read lease (EAGAIN) while somebody has. It gives one only to the owner
    of the file or to a holder of CAP_LEASE, and not on every file system: UNKNOWN then. GONE is
    not NONE: a file that is not at `path` may be written at another.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY
    try:
        fd = os.open(path, flags)
    except (FileNotFoundError, NotADirectoryError):
        return Writers.GONE
    except OSError:
        return Writers.UNKNOWN
    try:
        # A writer who comes while we hold it would send us SIGIO, whose default is death.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return Writers.SOME
    except OSError:
        return Writers.UNKNOWN
    finally:
        os.close(fd)
    return Writers.NONE
