"""The thread that keeps the kernel's queue empty."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from inotifier.notifier.inotify import Inotify


class Reader:
    """Hand everything that the kernel queues to `sink`, in a thread of its own.

    Args:
        inotify: the instance to read.
        sink: takes each buffer of raw events; must not block.
    """

    def __init__(self, inotify: Inotify, sink: Callable[[bytes], None]) -> None:
        self._inotify = inotify
        self._sink = sink
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="inotifier-reader", daemon=True)

    @property
    def alive(self) -> bool:
        """False once the thread has ended."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to read."""
        self._wake_fd = os.eventfd(0)
        self._thread.start()

    def stop(self) -> None:
        """Read what the kernel has queued until now, then end; a second call does nothing."""
        if self._stopped:
            return
        self._stopped = True
        os.eventfd_write(self._wake_fd, 1)
        self._thread.join()
        os.close(self._wake_fd)

    def _run(self) -> None:
        while self._inotify.wait(self._wake_fd):
            self._sink(self._inotify.read())
        pending = self._inotify.pending_bytes()
        while pending > 0:
            # No longer than what was there at the stop: the writers may go on for ever.
            buffer = self._inotify.read()
            self._sink(buffer)
            pending -= len(buffer)
