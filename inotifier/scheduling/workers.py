"""Threads that run functions, as many as are needed, and end when nothing is to do."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from inotifier.connections import close_connections, refresh_after_rest, refresh_connections

logger = logging.getLogger(__name__)

MOST_WORKERS = 32

_LINGER = 10.0
"""Seconds that a thread stays without work, with its connections to databases."""


class Workers:
    """Runs functions in threads that keep no process alive.

    Args:
        most: number of threads at the most.
    """

    def __init__(self, most: int = MOST_WORKERS) -> None:
        self._most = most
        self._calls: deque[Callable[[], object]] = deque()
        self._threads = 0
        self._idle = 0
        self._changed = threading.Condition()

    def submit(self, call: Callable[[], object]) -> None:
        """Run `call`, which should not raise, when its turn has come; never blocks.

        Raises:
            RuntimeError: the system has not a single thread for it.
        """
        with self._changed:
            if len(self._calls) < self._idle:
                self._changed.notify()
            elif self._threads < self._most:
                self._start()
            self._calls.append(call)

    def _start(self) -> None:
        try:
            threading.Thread(target=self._run, name="inotifier-job", daemon=True).start()
        except RuntimeError:
            if not self._threads:
                raise
        else:
            self._threads += 1

    def _run(self) -> None:
        try:
            while (call := self._next()) is not None:
                refresh_after_rest()
                try:
                    call()
                except Exception:  # nothing of the user's comes here: the worker must live on
                    logger.exception("a worker failed")
                refresh_connections()
        finally:
            close_connections()

    def _next(self) -> Callable[[], object] | None:
        """Return what to do; None if the thread is to end."""
        with self._changed:
            if not self._calls:
                self._idle += 1
                self._changed.wait(_LINGER)
                self._idle -= 1
            if not self._calls:
                self._threads -= 1
                return None
            return self._calls.popleft()


class Executor(ThreadPoolExecutor):
    """What a loop runs blocking functions on: threads of its own would hold up the exit."""

    def __init__(self, workers: Workers) -> None:
        super().__init__(1)
        self._workers = workers

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run `fn` on the workers."""
        future: Future[Any] = Future()

        def fulfil() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as exc:
                future.set_exception(exc)
            else:
                future.set_result(result)

        self._workers.submit(fulfil)
        return future
