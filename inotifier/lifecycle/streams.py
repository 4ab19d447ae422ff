"""The standard streams of a command, which whoever calls it may have closed."""

from __future__ import annotations

import os
import sys

STREAMS = ("stdin", "stdout", "stderr")


def ensure_streams() -> None:
    """Open /dev/null for each standard stream that is closed.

    Otherwise the next file that is opened would become standard output.
    """
    for fd, name in enumerate(STREAMS):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, "r" if fd == 0 else "w", closefd=False))
