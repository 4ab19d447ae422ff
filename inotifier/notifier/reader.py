"""The thread that keeps the kernel's queue empty."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable

from inotifier.notifier.inotify import Inotify

_NO_ROOM = 0.02
"""Seconds to the next look for room."""


class Reader:
    """Hand everything that the kernel queues to `sink`, in a thread of its own.

    Args:
        inotify: the instance to read.
        sink: takes each buffer of raw events; must not block.
        has_room: tells whether more may be read. While not, events wait in the kernel's queue,
            and once that is full they are lost, of which IN_Q_OVERFLOW tells.
    """

    def __init__(
        self,
        inotify: Inotify,
        sink: Callable[[bytes], None],
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        self._inotify = inotify
        self._sink = sink
        self._has_room = has_room
        self._stopped = False
        self._rest = threading.Event()
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
        self._rest.set()
        os.eventfd_write(self._wake_fd, 1)
        self._thread.join()
        os.close(self._wake_fd)

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._inotify.fd, select.POLLIN)
        poll.register(self._wake_fd, select.POLLIN)
        while not self._stopped:
            if not self._has_room():
                self._rest.wait(_NO_ROOM)
                continue
            # No waiting while there is more: each return from the kernel may have to wait for the
            # other threads, and meanwhile the kernel's queue fills.
            buffer = self._inotify.read()
            if not buffer:
                poll.poll()
                buffer = self._inotify.read()
            if buffer:
                self._sink(buffer)
        pending = self._inotify.pending_bytes()
        while pending > 0 and self._has_room():
            # No longer than what was there at the stop: the writers may go on for ever.
            buffer = self._inotify.read()
            self._sink(buffer)
            pending -= len(buffer)
