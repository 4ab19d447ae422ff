"""The thread of the tree-keeper: raw buffers in, batches out."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from inotifier.notifier.keeper import Keeper
from inotifier.notifier.subscription import Batch


class KeeperStage:
    """Runs a `Keeper` on what a reader puts.

    Args:
        keeper: decodes, and keeps the tree.
        sink: takes each batch; must not block.
    """

    def __init__(self, keeper: Keeper, sink: Callable[[Batch], None]) -> None:
        self._keeper = keeper
        self._sink = sink
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="inotifier-keeper", daemon=True)
        self.put = self._queue.put

    @property
    def alive(self) -> bool:
        """False once the thread has ended."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def finish(self) -> None:
        """Handle what was put, then end; a second call does nothing."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        wait: float | None = 0.0
        while self._step(wait) is not None:
            wait = self._tick()
        # Nobody reads for us any more, but fences may still be in the kernel's queue.
        if batch := self._keeper.settle():
            self._sink(batch)

    def _step(self, wait: float | None) -> bool | None:
        """Handle one buffer, if one comes within `wait` seconds; None at the end."""
        try:
            buffer = self._queue.get(timeout=wait)
        except queue.Empty:
            return False
        if buffer is None:
            return None
        if batch := self._keeper.decode(buffer):
            self._sink(batch)
        return True

    def _tick(self) -> float | None:
        batch: Batch = []
        wait = self._keeper.tick(batch)
        if batch:
            self._sink(batch)
        return wait
