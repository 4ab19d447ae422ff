"""Sending what is deferred: several events at once, from one thread, in their order."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any

from inotifier.bridge.outage import Outage
from inotifier.later import Later

_REST = 1.0
"""Seconds without work after which the thread ends; the next event starts another one."""


class Publication(Later):
    """An event on its way: done with when it has been sent.

    Args:
        pipeline: where it waits for its turn.
        payload: what is to be sent.

    Attributes:
        since: the time.monotonic() since which it waits.
    """

    __slots__ = ("_is_put", "_pipeline", "payload", "since")

    def __init__(self, pipeline: Pipeline, payload: Any) -> None:
        super().__init__()
        self._pipeline = pipeline
        self.payload = payload
        self.since = 0.0
        self._is_put = False

    @property
    def due(self) -> float | None:
        return self._pipeline.due

    def start(self) -> None:
        if not self._is_put:  # by a processor that calls this one
            self.since = time.monotonic()
            self._pipeline.put(self)
            self._is_put = True

    def hurry(self) -> None:
        self._pipeline.hurry(self)

    def abandon(self) -> None:
        self._pipeline.abandon()


class Pipeline:
    """Sends events in their order.

    In an outage everything waits. What fails is sent again when the engine says so, and all that
    is behind it waits for that; what the engine gives up is left out.

    Args:
        send: sends payloads, and returns how many of the first have arrived. If these are not
            all, it has noted the outage. What it raises is a failure of all of them.
        outage: whether there is one.
        name: of the thread.
        most: how many to send at once.
        within: seconds for which an event waits for others that are sent with it.
        rest: called by the thread before it ends.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Any]], int],
        outage: Outage,
        name: str,
        *,
        most: int = 500,
        within: float = 0.0,
        rest: Callable[[], object] = lambda: None,
    ) -> None:
        self._send = send
        self._outage = outage
        self._name = name
        self._most = most
        self._within = within
        self._rest = rest
        self._wake = threading.Condition()
        # What follows belongs to whoever holds the lock of `_wake`.
        self._waiting: deque[Publication] = deque()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._again_at = 0.0

    @property
    def due(self) -> float | None:
        """The time.monotonic() before which nothing is sent, None if something may be under way."""
        with self._wake:
            wait = self._wait()
        return time.monotonic() + wait if wait > 0 else None

    def put(self, publication: Publication) -> None:
        """Send `publication` after all that were put before.

        Raises:
            RuntimeError: the system has no thread for it.
        """
        with self._wake:
            if self._thread is None:
                self._closed = False
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                thread.start()  # it may raise: nothing waits then, and the next one tries again
                self._thread = thread
            self._waiting.append(publication)
            if len(self._waiting) in (1, self._most):
                self._wake.notify()

    def hurry(self, publication: Publication) -> None:
        """Let `publication` wait for no others that are sent with it."""
        with self._wake:
            publication.since = float("-inf")
            self._wake.notify()

    def abandon(self) -> None:
        """Send nothing more of what waits."""
        with self._wake:
            self._waiting.clear()
            self._wake.notify()

    def close(self) -> None:
        """End the thread; what waits is sent when more is put."""
        with self._wake:
            self._closed = True
            self._wake.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    # The thread

    def _run(self) -> None:
        try:
            while self._is_needed():
                try:
                    while batch := self._next():
                        self._try(batch)
                finally:
                    self._rest()
        except BaseException:
            with self._wake:
                self._thread = None
            raise

    def _is_needed(self) -> bool:
        """Tell whether there is something to send; if not, what comes next starts another thread.

        That is never while this one rests: they would have the same connection.
        """
        with self._wake:
            if self._waiting and not self._closed:
                return True
            self._thread = None
            return False

    def _next(self) -> list[Publication]:
        """Return what is to be sent next, once it can be; nothing if it is time to rest."""
        with self._wake:
            while not self._closed:
                if (wait := self._wait()) > 0:
                    self._wake.wait(wait)
                elif self._waiting:
                    return list(itertools.islice(self._waiting, self._most))
                elif not self._wake.wait(_REST) and not self._waiting:
                    break
            return []

    def _wait(self) -> float:
        """Return the seconds until something can be sent, not above 0 if it can now."""
        wait = self._outage.wait()
        if wait or not self._waiting:
            return wait
        times = [self._again_at]
        if len(self._waiting) < self._most:
            times.append(self._waiting[0].since + self._within)
        return max(times) - time.monotonic()

    def _try(self, batch: Sequence[Publication]) -> None:
        try:
            number = self._send([one.payload for one in batch])
        except BaseException as exc:  # sys.exit() too: what waits must not wait for ever
            self._fail(batch, exc)
            return
        self._take_out(batch[:number])
        if number == len(batch):
            self._outage.end()
        for publication in batch[:number]:
            publication.done()

    def _fail(self, batch: Sequence[Publication], exc: BaseException) -> None:
        self._outage.end()
        waits = {one: wait for one in batch if (wait := one.failed(exc)) is not None}
        with self._wake:
            self._again_at = time.monotonic() + max((w.seconds for w in waits.values()), default=0)
        self._take_out(batch, but=waits.keys())

    def _take_out(self, batch: Sequence[Publication], but: Collection[Publication] = ()) -> None:
        with self._wake:
            taken = []
            for publication in batch:
                if self._waiting and self._waiting[0] is publication:
                    taken.append(self._waiting.popleft())
            self._waiting.extendleft(one for one in reversed(taken) if one in but)
