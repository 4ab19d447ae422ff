"""What stands beside a consumer: takes OS signals, writes the status, and ends what does not end.

It has a thread of its own, for a receiver may take any time.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Collection

from inotifier.lifecycle.os_signals import Requests

logger = logging.getLogger(__name__)

_ROUND = 0.1
_STOPS_TO_CUT = 2


class Overseer:
    """Watches over a consumer.

    Args:
        requests: the OS signals that come.
        ignored: those that do not ask for the end.
        timeout: seconds that the message at hand may take after one that asks for the end.

    Attributes:
        stop: the first one that asked for the end; None while none has.
    """

    def __init__(
        self, requests: Requests, ignored: Collection[signal.Signals], timeout: float
    ) -> None:
        self.stop: signal.Signals | None = None
        self._requests = requests
        self._ignored = ignored
        self._timeout = timeout
        self._stops = 0
        self._deadline = float("inf")
        self._ended = threading.Event()

    def watch(
        self, work: Callable[[], object], tick: Callable[[], object], cut: Callable[[], object]
    ) -> None:
        """Do `work`.

        Args:
            work: what is to return soon once `stop` is set.
            tick: called several times a second until then.
            cut: called if the time is over, or at a second request for the end; the process ends
                after it.
        """
        thread = threading.Thread(
            target=self._run, args=(tick, cut), name="inotifier-overseer", daemon=True
        )
        thread.start()
        try:
            work()
        finally:
            self._ended.set()
            thread.join()

    def _run(self, tick: Callable[[], object], cut: Callable[[], object]) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(queue.Empty):
                self._take(self._requests.get(timeout=_ROUND))
            if self.stop is None:
                self._tell(tick)
            elif self._is_over():
                self._end(cut)

    def _tell(self, tick: Callable[[], object]) -> None:
        try:
            tick()
        except Exception:  # somebody must take the signals
            logger.exception("cannot tell how the consumer is")

    def _take(self, request: signal.Signals) -> None:
        if request in self._ignored:
            logger.warning("%s means nothing to a consumer", request.name)
            return
        if self.stop is None:
            self.stop = request
            self._deadline = time.monotonic() + self._timeout
        self._stops += 1

    def _is_over(self) -> bool:
        is_late = time.monotonic() > self._deadline or self._stops >= _STOPS_TO_CUT
        return is_late and not self._ended.is_set()

    def _end(self, cut: Callable[[], object]) -> None:
        try:
            cut()
            logging.shutdown()
        finally:
            os._exit(1)
