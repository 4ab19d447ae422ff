"""One event loop, in a thread of its own while there are coroutines to run."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import sync_to_async

from inotifier.connections import close_connections, refresh_connections

_LINGER = 1.0
"""Seconds that the loop stays without work."""

_RESTED = 1.0
"""Seconds after which a connection to a database may have become too old."""


class Coroutines:
    """Runs coroutines beside each other.

    Args:
        make_executor: gives what the loop runs blocking functions on.
    """

    def __init__(self, make_executor: Callable[[], ThreadPoolExecutor]) -> None:
        self._make_executor = make_executor
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._number = 0
        self._tasks: set[asyncio.Task[object]] = set()
        self._refreshed = float("-inf")

    def submit(self, make: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Run the coroutine that `make` returns, which must not raise; never blocks.

        Raises:
            RuntimeError: the system has no thread for it.
        """
        with self._lock:
            if self._loop is None:
                self._loop = self._started()
            self._number += 1
            self._loop.call_soon_threadsafe(self._begin, self._loop, make)

    def _started(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        loop.set_default_executor(self._make_executor())
        thread = threading.Thread(
            target=self._run, args=(loop,), name="inotifier-loop", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            loop.close()
            raise
        return loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(sync_to_async(close_connections)())
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    def _begin(
        self, loop: asyncio.AbstractEventLoop, make: Callable[[], Coroutine[Any, Any, object]]
    ) -> None:
        if loop.time() - self._refreshed > _RESTED:
            self._refreshed = loop.time()
            self._keep(loop.create_task(refresh()))
        task = loop.create_task(make())
        self._keep(task)
        task.add_done_callback(lambda _: self._ended(loop))

    def _keep(self, task: asyncio.Task[object]) -> None:
        """Hold `task` until it is done: the loop itself does not."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _ended(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._number -= 1
            if self._number:
                return
        loop.call_later(_LINGER, self._stop_if_idle, loop)

    def _stop_if_idle(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            if self._number or self._loop is not loop:
                return
            if asyncio.all_tasks(loop):  # which a job has left to run by themselves
                loop.call_later(_LINGER, self._stop_if_idle, loop)
                return
            self._loop = None
        loop.stop()


async def forget_cancellation() -> None:
    """Take in a cancellation that the job has asked for, and did not live to see."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0)


async def refresh() -> None:
    """Close the connections of coroutines that are broken or too old."""
    await sync_to_async(refresh_connections)()
