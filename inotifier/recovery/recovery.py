"""Runs comparisons, and has their questions answered."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from inotifier.books import Books
from inotifier.dispatcher import Handler
from inotifier.notifier import Batch
from inotifier.recovery.comparison import Comparison, Difference, List
from inotifier.recovery.missed import mark, questions, subscribed

_SLICE = 0.01
"""Seconds that a comparison takes before events get their turn."""

_NO_ROOM = 0.05
"""Seconds to the next look for room."""


class _Request(NamedTuple):
    handler: Handler
    books: Books
    reason: str
    top: str | None = None


class Recovery:
    """Runs comparisons a little at a time, in the thread that keeps the tree.

    Args:
        list_directory: lists a directory.
        after_queue: calls a function once what the kernel has queued by now is decoded, with the
            batch to which questions are added.
        has_room: tells whether there may be more of them.
        wake: has `step` called soon, from any thread.
        since: a `dividing_moment` before the watches stood.
    """

    def __init__(
        self,
        list_directory: List,
        after_queue: Callable[[Callable[[Batch], None]], object],
        has_room: Callable[[], bool],
        wake: Callable[[], object],
        since: float,
    ) -> None:
        self._since = since
        self._list = list_directory
        self._after_queue = after_queue
        self._has_room = has_room
        self._wake = wake
        self._asked: queue.SimpleQueue[_Request | Callable[[], object]] = queue.SimpleQueue()
        self._waiting: dict[tuple[Handler, str | None], _Request] = {}
        self._running: tuple[_Request, Iterator[list[Difference]]] | None = None
        self._lock = threading.Lock()
        self._open = 0  # requests that have not ended

    @property
    def busy(self) -> bool:
        """True while there is something to compare, or to tell of it."""
        return self._open > 0

    def request(self, handlers: Iterable[Handler], reason: str) -> None:
        """Compare for `handlers`, from any thread; the events say `reason`."""
        for handler in handlers:
            if handler.books is not None:
                handler.books.look_below = partial(self._look_below, handler, handler.books)
                self._ask_for(_Request(handler, handler.books, reason))

    def _look_below(self, handler: Handler, books: Books, directory: str) -> None:
        """Compare what is below a directory that has been renamed."""
        self._ask_for(_Request(handler, books, "new-directory", directory))
        self._wake()

    def _ask_for(self, request: _Request) -> None:
        self._count(1)
        self._asked.put(request)

    def _count(self, change: int) -> None:
        with self._lock:
            self._open += change

    def step(self) -> float | None:
        """Go on for a moment; return seconds to the next step, None if there is nothing to do."""
        while not self._asked.empty():
            request = self._asked.get()
            if isinstance(request, _Request):
                key = request.handler, request.top
                if key in self._waiting:
                    self._count(-1)
                self._waiting[key] = request
            else:
                request()
        end = time.monotonic() + _SLICE
        while self._running or self._waiting:
            if not self._has_room():
                return _NO_ROOM
            if time.monotonic() > end:
                return 0.0
            self._compare_portion()
        return None

    def _compare_portion(self) -> None:
        if self._running is None:
            request = self._waiting.pop(next(iter(self._waiting)))
            comparison = Comparison(
                request.handler.entry, request.books, self._since, self._list, top=request.top
            )
            request.books.comparing += 1
            self._running = request, comparison.run()
        request, portions = self._running
        portion = next(portions, None)
        if portion is None:
            self._running = None
            self._after_queue(partial(self._put_mark, request, partial(self._answered, request)))
        elif portion:
            self._after_queue(partial(self._ask, request, portion))

    def _ask(self, request: _Request, differences: Iterable[Difference], batch: Batch) -> None:
        batch += questions(request.handler, request.books, differences, request.reason)

    # Until all questions are answered, and the events of all renames before that are delivered,
    # what a renamed directory holds may have escaped the comparison.

    def _put_mark(self, request: _Request, call: Callable[[], object], batch: Batch) -> None:
        batch.append((subscribed(request.handler), mark(request.books.ledger.root, call)))

    def _answered(self, request: _Request) -> None:
        """Go on in the thread that keeps the tree: all questions are answered."""
        end = partial(self._end, request)
        self._asked.put(partial(self._after_queue, partial(self._put_mark, request, end)))
        self._wake()

    def _end(self, request: _Request) -> None:
        self._asked.put(partial(self._ended, request))
        self._wake()

    def _ended(self, request: _Request) -> None:
        request.books.comparing -= 1
        self._count(-1)
