"""Entries whose path is a URL."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator

from inotifier.dispatcher import Handler
from inotifier.events import Event, printable
from inotifier.notifier import Batch
from inotifier.polling.place import Place
from inotifier.polling.place_books import PlaceBooks
from inotifier.polling.rounds import Rounds
from inotifier.sources import SourceError

logger = logging.getLogger(__name__)

_LONGEST = 600.0
"""Seconds between two rounds of a place that cannot be listed, if `poll_interval` is not longer."""

_JITTER = 0.1
"""Part by which a pause may be longer or shorter, so that many daemons do not ask at once."""


class PlacePolling(Rounds):
    """Compares what the listing of a place shows with what was delivered.

    While it cannot be listed, the pauses are doubled; the log tells when that begins and ends, and
    the handler's `problem` why.

    Args:
        handler, put, has_room: as for `Rounds`.
        books: what was delivered of the place.
    """

    def __init__(
        self,
        handler: Handler,
        books: PlaceBooks,
        put: Callable[[Batch], object],
        has_room: Callable[[], bool],
    ) -> None:
        super().__init__(handler, books.ledger, put, has_room)
        self._place = Place(handler, books)
        self._failures = 0
        self._failing_since = 0.0

    def _round(self) -> None:
        try:
            self._ask_all(self._portions())
        except SourceError as exc:
            self._failed(exc)
        else:
            self._succeeded()

    def _portions(self) -> Iterator[Batch | None]:
        for portion in self._place.differences():
            yield None if portion is None else self._place.questions(portion, "poll")

    def _is_same(self, question: Event, waiting: Event) -> bool:
        return self._place.is_same(question, waiting)

    def _failed(self, exc: SourceError) -> None:
        self._handler.problem = str(exc)
        self._failures += 1
        if self._failures == 1:
            self._failing_since = time.monotonic()
            logger.error(
                "%s: %s; it is asked again, at most every %g s",
                printable(self._entry.name),
                printable(self._handler.problem),
                self._longest,
            )

    def _succeeded(self) -> None:
        if self._failures:
            seconds = time.monotonic() - self._failing_since
            logger.warning(
                "%s can be listed again, after %.0f s", printable(self._entry.name), seconds
            )
        self._failures = 0
        self._handler.problem = ""

    @property
    def _longest(self) -> float:
        return max(self._entry.watch.poll_interval, _LONGEST)

    def _pause(self) -> float:
        # The power of a large number would be too large for a float.
        pause = self._entry.watch.poll_interval * 2.0 ** min(self._failures, 64)
        return min(pause, self._longest) * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311

    def _run(self) -> None:
        try:
            super()._run()
        finally:
            self._place.close()
