"""Runs comparisons, and has their questions answered."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from inotifier.books import Books
from inotifier.dispatcher import Handler
from inotifier.notifier import Batch
from inotifier.recovery.comparison import Comparison, Difference, List
from inotifier.recovery.missed import mark, questions, subscribed

logger = logging.getLogger(__name__)

_SLICE = 0.01
"""Seconds that a comparison takes before events get their turn."""

_NO_ROOM = 0.05
"""Seconds to the next look for room."""


class _Request(NamedTuple):
    handler: Handler
    books: Books
    reason: str
    top: str | None = None

    @property
    def highest(self) -> str:
        """The directory at and below which everything is compared."""
        return self.top or self.books.ledger.root

    @property
    def key(self) -> tuple[Handler, str | None]:
        """What is compared: an entry, or a directory in it."""
        return self.handler, self.top


@dataclass(eq=False)
class _Run:
    """A request that is being met, by steps; parked while it has to wait for something."""

    request: _Request
    steps: Iterator[bool] = field(default_factory=lambda: iter(()))
    is_parked: bool = False


class Recovery:
    """Runs comparisons a little at a time, in the thread that keeps the tree.

    Args:
        list_directory: lists a directory.
        after_queue: calls a function once what the kernel has queued by now is decoded, with the
            batch to which questions are added.
        has_room: tells whether there may be more of them.
        wake: has `step` called soon, from any thread.
        since: a `dividing_moment` before the watches stood.

    Attributes:
        looked_at: number of paths that were compared.
    """

    def __init__(
        self,
        list_directory: List,
        after_queue: Callable[[Callable[[Batch], None]], object],
        has_room: Callable[[], bool],
        wake: Callable[[], object],
        since: float,
    ) -> None:
        self.looked_at = 0
        self._since = since
        self._list = list_directory
        self._after_queue = after_queue
        self._has_room = has_room
        self._wake = wake
        self._asked: queue.SimpleQueue[_Request | _Run] = queue.SimpleQueue()
        self._waiting: dict[tuple[Handler, str | None], _Request] = {}
        self._runs: dict[tuple[Handler, str | None], _Run] = {}
        self._lock = threading.Lock()
        self._open = 0  # requests that have not ended

    @property
    def busy(self) -> bool:
        """True while there is something to compare, or to tell of it."""
        return self._open > 0

    def request(self, handlers: Iterable[Handler], reason: str) -> None:
        """Compare for `handlers`, from any thread; the events say `reason`."""
        for handler in handlers:
            if isinstance(handler.books, Books):
                handler.books.look_below = partial(self._look_below, handler, handler.books)
                self._ask_for(_Request(handler, handler.books, reason))

    def _look_below(self, handler: Handler, books: Books, directory: str) -> None:
        """Compare what is below a directory that has been renamed."""
        self._ask_for(_Request(handler, books, "new-directory", directory))
        self._wake()

    def _ask_for(self, request: _Request) -> None:
        with self._lock:
            self._open += 1
            request.books.comparing.append(request.highest)
        self._asked.put(request)

    def _close(self, request: _Request) -> None:
        with self._lock:
            self._open -= 1
            request.books.comparing.remove(request.highest)

    def step(self) -> float | None:
        """Go on for a moment; return seconds to the next step, None if there is nothing to do."""
        self._take_what_is_asked()
        end = time.monotonic() + _SLICE
        while key := self._next():
            if not self._has_room():
                return _NO_ROOM
            if time.monotonic() > end:
                return 0.0
            run = self._runs[key]
            if not self._go_on_with(run):
                del self._runs[key]
                self._close(run.request)
        return None

    def _go_on_with(self, run: _Run) -> bool:
        """Take one step of `run`; tell whether there are more."""
        try:
            run.is_parked = next(run.steps)
        except StopIteration:
            return False
        except Exception:  # what is wrong with one entry must not end the watching of all
            logger.exception("a comparison ended early; the next one looks at everything again")
            return False
        return True

    def _take_what_is_asked(self) -> None:
        while not self._asked.empty():
            asked = self._asked.get()
            if isinstance(asked, _Run):
                asked.is_parked = False
                continue
            if asked.key in self._waiting:
                self._close(self._waiting[asked.key])
            self._waiting[asked.key] = asked

    def _next(self) -> tuple[Handler, str | None] | None:
        """Return the key of a run that can go on, None if all have to wait."""
        for key in [key for key in self._waiting if key not in self._runs]:
            run = self._runs[key] = _Run(self._waiting.pop(key))
            run.steps = self._steps(run)
        return next((key for key, run in self._runs.items() if not run.is_parked), None)

    def _steps(self, run: _Run) -> Iterator[bool]:
        """Compare, and ask; yield True to be parked until `run` is asked to go on."""
        request = run.request
        # What is on its way to the processors is not recorded before it is delivered.
        yield self._wait_for_deliveries(run)
        comparison = Comparison(
            request.handler.entry, request.books, self._since, self._list, top=request.top
        )
        counted = 0
        for portion in comparison.run():
            self.looked_at += comparison.looked_at - counted
            counted = comparison.looked_at
            if portion is None:
                request.books.ledger.when_written(partial(self._go_on, run))
                yield True
            else:
                if portion:
                    self._after_queue(partial(self._ask, request, portion))
                yield False
        # Until all questions are answered, and the events of all renames before that are
        # delivered, what a renamed directory holds may have escaped the comparison.
        yield self._wait_for_deliveries(run)
        yield self._wait_for_deliveries(run)

    def _wait_for_deliveries(self, run: _Run) -> bool:
        """Have `run` go on once what has happened by now is delivered, or waits for its time."""
        self._after_queue(partial(self._put_mark, run))
        return True

    def _go_on(self, run: _Run) -> None:
        self._asked.put(run)
        self._wake()

    def _ask(self, request: _Request, differences: Iterable[Difference], batch: Batch) -> None:
        batch += questions(request.handler, request.books, differences, request.reason)

    def _put_mark(self, run: _Run, batch: Batch) -> None:
        root = run.request.books.ledger.root
        batch.append((subscribed(run.request.handler), mark(root, partial(self._go_on, run))))
