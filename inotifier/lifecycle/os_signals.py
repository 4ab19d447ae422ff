"""OS signals as items of a queue."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
from collections.abc import Iterator
from types import FrameType

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)

Requests = queue.SimpleQueue[signal.Signals]


@contextlib.contextmanager
def queued() -> Iterator[Requests]:
    """Put SIGTERM, SIGINT, SIGHUP and SIGUSR1 into a queue while the block runs.

    What was held back by `hold_back`, in this process or before an exec, comes as well.
    """
    requests: Requests = queue.SimpleQueue()
    home = os.getpid()

    def wake(number: int, frame: FrameType | None) -> None:
        if os.getpid() != home:
            # A child that a receiver has forked: it has no loop that would look at the queue.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        # SimpleQueue.put is safe in a signal handler, unlike Queue.put and Event.set.
        requests.put(signal.Signals(number))  # nosec B113 - it is a queue

    before = {number: signal.signal(number, wake) for number in HANDLED}
    let_through()
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def hold_back() -> None:
    """Let signals wait in the kernel, over an exec as well."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)


def let_through() -> None:
    """End what `hold_back` began."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
