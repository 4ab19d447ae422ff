"""A thread that looks at one entry's place again and again."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from weakref import WeakValueDictionary

from inotifier.dispatcher import Handler
from inotifier.events import Event, printable
from inotifier.notifier import Batch
from inotifier.recovery import mark, subscribed
from inotifier.state import AnyLedger

logger = logging.getLogger(__name__)

_LOOK = 0.05
"""Seconds to the next look whether there is room, or an answer."""


class Rounds(ABC):
    """Compares what is there with what was delivered of it, round by round.

    That the place hangs, as one on another machine can, holds up nobody else. A round begins when
    the questions of the one before are answered.

    Args:
        handler: whose entry.
        ledger: what was delivered of it.
        put: takes the questions.
        has_room: tells whether there may be more of them.
    """

    def __init__(
        self,
        handler: Handler,
        ledger: AnyLedger,
        put: Callable[[Batch], object],
        has_room: Callable[[], bool],
    ) -> None:
        self._handler = handler
        self._entry = handler.entry
        self._ledger = ledger
        self._put = put
        self._has_room = has_room
        self._rounds = 0
        # By path; one that is answered is gone.
        self._asked: WeakValueDictionary[str, Event] = WeakValueDictionary()
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
        """Put no further questions."""
        self._ended.set()
        self._hurry.set()

    def join(self, timeout: float) -> None:
        """Wait for the end, for `timeout` seconds at most: a place may hang."""
        if self._thread.is_alive():
            self._thread.join(timeout)

    @abstractmethod
    def _round(self) -> None:
        """Look once, and ask about what differs."""

    def _pause(self) -> float:
        """Return seconds until the next round."""
        return self._entry.watch.poll_interval

    def _run(self) -> None:
        while not self._ended.is_set():
            hurried = self._hurry.is_set()
            try:
                self._round()
            except Exception:
                logger.exception("cannot list %s", printable(self._entry.path))
            self._rounds += 1
            if hurried:
                self._hurry.clear()
            self._hurry.wait(self._pause())

    def _ask_all(self, portions: Iterable[Batch | None]) -> None:
        """Put the questions in portions, None being where to write what is recorded.

        Return when they are answered, or at the end.
        """
        for portion in portions:
            if portion is None:
                self._ledger.flush()
            elif news := [(who, question) for who, question in portion if self._is_new(question)]:
                self._wait_for_room()
                self._put(news)
            if self._ended.is_set():
                return
        self._wait_for_answers()

    def _is_new(self, question: Event) -> bool:
        """Tell whether `question` does not wait to be answered already, behind what sleeps."""
        waiting = self._asked.get(question.pathname)
        if waiting is not None and self._is_same(question, waiting):
            return False
        self._asked[question.pathname] = question
        return True

    def _is_same(self, question: Event, waiting: Event) -> bool:
        """Tell whether both questions of one path have the same answer."""
        return True

    def _wait_for_room(self) -> None:
        while not (self._has_room() or self._ended.wait(_LOOK)):
            pass

    def _wait_for_answers(self) -> None:
        answered = threading.Event()
        self._put([(subscribed(self._handler), mark(self._ledger.root, answered.set))])
        while not (answered.wait(_LOOK) or self._ended.is_set()):
            pass
