"""One catch-up of all entries, without watching them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from inotifier.books import Books
from inotifier.conf import conf
from inotifier.dispatcher import Dispatcher, Handler
from inotifier.notifier import Batch
from inotifier.polling import Place, PlaceBooks, PlaceDifference
from inotifier.recovery import Comparison, Difference, dividing_moment, questions
from inotifier.service import begin, make_handlers
from inotifier.sources import SourceError
from inotifier.state import State
from inotifier.watches import Entry

_LOOK = 0.2
"""Seconds between two looks whether it is done."""


class Scan:
    """Finds what was missed, and delivers it.

    Args:
        entries: whose; those that do not catch up are left out.
        state: what has been delivered, opened.
        workers: threads that call processors.
        queue_size: number of events to hold in memory.
    """

    def __init__(
        self, entries: Sequence[Entry], state: State, workers: int, queue_size: int
    ) -> None:
        self.handlers = [one for one in make_handlers(entries, state) if one.keeps]
        self._since = dividing_moment()
        self._queue_size = queue_size
        self._dispatcher = Dispatcher(workers)
        self._files: list[_Files] = []

    @property
    def looked_at(self) -> int:
        """Number of paths that were compared, those in places with a URL aside."""
        return sum(files.looked_at for files in self._files)

    def differences(self) -> Iterator[tuple[Handler, Difference | PlaceDifference]]:
        """Yield what would be delivered; nothing is recorded.

        The `problem` of a handler tells that its place cannot be listed.
        """
        for handler in self.handlers:
            with closing(self._compared(handler)) as compared:
                try:
                    for portion in compared.differences(dry=True):
                        for difference in portion or ():
                            if _is_shown(handler.entry, difference.path):
                                yield handler, difference
                except SourceError as exc:
                    handler.problem = str(exc)

    def deliver(self) -> None:
        """Deliver what was missed; return when that is done, or has to wait for long.

        The `problem` of a handler tells that its place cannot be listed.
        """
        begin(self.handlers, self._since)
        self._dispatcher.start()
        try:
            for handler in self.handlers:
                try:
                    self._deliver_to(handler)
                except SourceError as exc:
                    handler.problem = str(exc)
            self._dispatcher.finish()
            while not self._dispatcher.join(_LOOK):
                if self._waits_longer():
                    break
        finally:
            self._dispatcher.abandon()

    def _waits_longer(self) -> bool:
        """Tell whether all that is left waits, and for longer than a stop would wait for it."""
        until = self._dispatcher.only_waits_until()
        return until is not None and until > time.monotonic() + conf.shutdown_timeout

    def _deliver_to(self, handler: Handler) -> None:
        with closing(self._compared(handler)) as compared:
            for portion in compared.differences(dry=False):
                while self._dispatcher.depth > self._queue_size:
                    if self._waits_longer():
                        return
                    time.sleep(0.05)
                if portion is None:
                    compared.flush()
                elif portion:
                    self._dispatcher.put(compared.questions(portion, "scan"))

    def _compared(self, handler: Handler) -> _Compared:
        books = handler.books
        if isinstance(books, PlaceBooks):
            return Place(handler, books)
        if isinstance(books, Books):
            files = _Files(handler, books, self._since)
            self._files.append(files)
            return files
        raise TypeError(f"{books!r} cannot be compared")


class _Compared(Protocol):
    """What is there, and what was delivered of it."""

    def differences(self, *, dry: bool) -> Iterator[Sequence[Any] | None]:
        """Yield what differs in portions; None asks for `flush`."""

    def flush(self) -> None:
        """Return when what is recorded is written."""

    def questions(self, differences: Sequence[Any], reason: str) -> Batch:
        """Return what asks about `differences`; `reason` says why the events are made."""

    def close(self) -> None:
        """Give back what is open."""


class _Files:
    """The files of an entry."""

    def __init__(self, handler: Handler, books: Books, since: float) -> None:
        self._handler = handler
        self._books = books
        self._since = since
        self._comparison: Comparison | None = None

    @property
    def looked_at(self) -> int:
        """Number of paths that were compared."""
        return 0 if self._comparison is None else self._comparison.looked_at

    def flush(self) -> None:
        self._books.ledger.flush()

    def differences(self, *, dry: bool) -> Iterator[list[Difference] | None]:
        self._comparison = Comparison(self._handler.entry, self._books, self._since, dry=dry)
        return self._comparison.run()

    def questions(self, differences: Sequence[Difference], reason: str) -> Batch:
        return questions(self._handler, self._books, differences, reason)

    def close(self) -> None:
        pass


def _is_shown(entry: Entry, path: str) -> bool:
    if entry.url is not None:  # what its filter leaves out is no difference
        return True
    return entry.filter is None or entry.filter.passes(path, Path(path).is_dir())
