"""Entries of files that inotify would not tell everything about."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator

from inotifier.books import Books
from inotifier.dispatcher import Handler
from inotifier.events import printable
from inotifier.notifier import Batch, Subscription
from inotifier.polling.rounds import Rounds
from inotifier.recovery import Comparison, questions, subscribed

logger = logging.getLogger(__name__)

FIRST = math.inf
"""In place of a `dividing_moment`: what the first listing shows was there, whatever its server's
clock says."""


class FilePolling(Rounds):
    """Compares what is in a directory, or a file, with what was delivered.

    Args:
        handler, put, has_room: as for `Rounds`.
        books: what was delivered of the entry.
        lost: called when the root is gone, once.
    """

    def __init__(
        self,
        handler: Handler,
        books: Books,
        put: Callable[[Batch], object],
        has_room: Callable[[], bool],
        lost: Callable[[Subscription], object],
    ) -> None:
        super().__init__(handler, books.ledger, put, has_room)
        self._books = books
        self._lost = lost
        self._is_there = True

    def _round(self) -> None:
        self._look_for_root()
        self._ask_all(self._portions())

    def _portions(self) -> Iterator[Batch | None]:
        for portion in Comparison(self._entry, self._books, FIRST).run():
            if portion is None:
                yield None
            else:
                yield questions(self._handler, self._books, portion, "poll", polled=True)

    def _look_for_root(self) -> None:
        path = self._entry.path
        is_there = os.path.lexists(path)
        if self._is_there and not is_there:
            logger.warning("%s is gone; it is listed again when it returns", printable(path))
            self._lost(subscribed(self._handler))
        self._is_there = is_there
