"""One catch-up of all entries, without watching them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from inotifier.conf import conf
from inotifier.dispatcher import Dispatcher, Handler
from inotifier.recovery import Comparison, Difference, dividing_moment, questions
from inotifier.service import begin, make_handlers
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

    def differences(self) -> Iterator[tuple[Handler, Difference]]:
        """Yield what would be delivered; nothing is recorded."""
        for handler in self.handlers:
            for portion in self._portions(handler, dry=True):
                for difference in portion:
                    if _is_shown(handler.entry, difference.path):
                        yield handler, difference

    def deliver(self) -> None:
        """Deliver what was missed; return when that is done, or has to wait for long."""
        begin(self.handlers, self._since)
        self._dispatcher.start()
        try:
            for handler in self.handlers:
                self._deliver_to(handler)
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
        for portion in self._portions(handler, dry=False):
            while self._dispatcher.depth > self._queue_size:
                if self._waits_longer():
                    return
                time.sleep(0.05)
            if handler.books is not None and portion:
                self._dispatcher.put(questions(handler, handler.books, portion, "scan"))

    def _portions(self, handler: Handler, *, dry: bool) -> Iterator[list[Difference]]:
        if handler.books is None:
            return
        for portion in Comparison(handler.entry, handler.books, self._since, dry=dry).run():
            if portion is None:
                handler.books.ledger.flush()
            else:
                yield portion


def _is_shown(entry: Entry, path: str) -> bool:
    return entry.filter is None or entry.filter.passes(path, Path(path).is_dir())
