"""Entries that inotify would not tell everything about: listed again and again, and compared."""

from __future__ import annotations

import logging
import math
import os
import threading
from collections.abc import Callable

from inotifier.books import Books
from inotifier.dispatcher import Handler
from inotifier.events import printable
from inotifier.notifier import Batch, Subscription
from inotifier.recovery import Comparison, mark, questions, subscribed

logger = logging.getLogger(__name__)

_LOOK = 0.05
"""Seconds to the next look whether there is room, or an answer."""


_HANGS = 1.0
"""Seconds after which a listing that goes on is left alone."""

FIRST = math.inf
"""In place of a `dividing_moment`: what the first listing shows was there, whatever its server's
clock says."""


class Polling:
    """Compares one entry with what was delivered of it, in a thread of its own.

    That the place hangs, as one on a file server can, holds up nobody else. A round begins when
    the questions of the one before are answered.

    Args:
        handler: whose entry.
        books: what was delivered of it.
        put: takes the questions.
        has_room: tells whether there may be more of them.
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
        self.handler = handler
        self._books = books
        self._put = put
        self._has_room = has_room
        self._lost = lost
        self._interval = handler.entry.watch.poll_interval
        self._is_there = True
        self._rounds = 0
        self._ended = threading.Event()
        self._hurry = threading.Event()
        name = f"inotifier-polling-{handler.entry.name}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def alive(self) -> bool:
        """False once the thread has ended."""
        return self._thread.is_alive()

    @property
    def busy(self) -> bool:
        """True until the first round, or one that was asked for, is over."""
        return not self._rounds or self._hurry.is_set()

    def start(self) -> None:
        """Begin with the first round."""
        self._thread.start()

    def hurry(self) -> None:
        """Begin the next round as soon as this one is over."""
        self._hurry.set()

    def end(self) -> None:
        """Put no further questions; a place that hangs does not hold up a stop for long."""
        self._ended.set()
        self._hurry.set()
        if self._thread.is_alive():
            self._thread.join(_HANGS)

    def _run(self) -> None:
        while not self._ended.is_set():
            hurried = self._hurry.is_set()
            try:
                self._round()
            except Exception:
                logger.exception("cannot list %s", printable(self.handler.entry.path))
            self._rounds += 1
            if hurried:
                self._hurry.clear()
            self._hurry.wait(self._interval)

    def _round(self) -> None:
        self._look_for_root()
        comparison = Comparison(self.handler.entry, self._books, FIRST)
        for portion in comparison.run():
            if portion is None:
                self._books.ledger.flush()
            elif portion:
                self._wait_for_room()
                self._put(questions(self.handler, self._books, portion, "poll", polled=True))
            if self._ended.is_set():
                return
        self._wait_for_answers()

    def _look_for_root(self) -> None:
        entry = self.handler.entry
        is_there = os.path.lexists(entry.path)
        if self._is_there and not is_there:
            logger.warning("%s is gone; it is listed again when it returns", printable(entry.path))
            self._lost(subscribed(self.handler))
        self._is_there = is_there

    def _wait_for_room(self) -> None:
        while not (self._has_room() or self._ended.wait(_LOOK)):
            pass

    def _wait_for_answers(self) -> None:
        answered = threading.Event()
        self._put([(subscribed(self.handler), mark(self._books.ledger.root, answered.set))])
        while not (answered.wait(_LOOK) or self._ended.is_set()):
            pass
