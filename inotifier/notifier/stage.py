"""The thread of the tree-keeper: raw buffers in, batches out."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from inotifier.notifier.keeper import Keeper, earlier
from inotifier.notifier.subscription import Batch

_FEW = 512
"""Bytes: at most sixteen events or so."""

_USUAL_SIZE = 32
"""Bytes of one event with a name."""


class KeeperStage:
    """Runs a `Keeper` on what a reader puts.

    Args:
        keeper: decodes, and keeps the tree.
        sink: takes each batch; must not block.
        background: does a little of what else there is to do in this thread; returns the seconds
            to the next call, None if there is nothing.
    """

    def __init__(
        self,
        keeper: Keeper,
        sink: Callable[[Batch], None],
        background: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._keeper = keeper
        self._sink = sink
        self._background = background
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="inotifier-keeper", daemon=True)
        self._turn = threading.Lock()
        # Bytes, the one counted by the reader's thread, the other by this one.
        self._put = 0
        self._done = 0

    @property
    def alive(self) -> bool:
        """False once the thread has ended."""
        return self._thread.is_alive()

    @property
    def backlog(self) -> int:
        """Number of events, estimated, that wait to be decoded."""
        return (self._put - self._done) // _USUAL_SIZE

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def put(self, buffer: bytes) -> None:
        """Take `buffer` from the one thread that reads.

        A few events that mean nothing to the tree are decoded at once if nothing is before them:
        while all is quiet, the way through one more thread is a third of what an event takes.
        """
        if len(buffer) > _FEW or self._put != self._done or not self._decode_at_once(buffer):
            self._put += len(buffer)
            self._queue.put(buffer)

    def _decode_at_once(self, buffer: bytes) -> bool:
        if not self._turn.acquire(blocking=False):
            return False
        try:
            plain = self._keeper.is_plain(buffer)
            if plain:
                self._hand_on(self._keeper.decode(buffer))
            return plain
        finally:
            self._turn.release()

    def wake(self) -> None:
        """Have the background called soon, from any thread."""
        self._queue.put(b"")

    def finish(self) -> None:
        """Handle what was put, then end; a second call does nothing."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        wait: float | None = 0.0
        while self._step(wait) is not None:
            wait = self._tick()
        # Nobody reads for us any more, but fences may still be in the kernel's queue.
        self._hand_on(self._keeper.settle())

    def _step(self, wait: float | None) -> bool | None:
        """Handle one buffer, if one comes within `wait` seconds; None at the end."""
        try:
            buffer = self._queue.get(timeout=wait)
        except queue.Empty:
            return False
        if buffer is None:
            return None
        with self._turn:
            self._hand_on(self._keeper.decode(buffer))
            self._done += len(buffer)
        return True

    def _tick(self) -> float | None:
        batch: Batch = []
        with self._turn:
            wait = self._keeper.tick(batch)
            self._hand_on(batch)
            return earlier(wait, self._background())

    def _hand_on(self, batch: Batch) -> None:
        if batch:
            self._sink(batch)
