"""The events of one handler that are done with later: until then they are pending."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from inotifier.books import Bookkeeping, look_at
from inotifier.events import Event, printable
from inotifier.forks import end_child, is_child
from inotifier.later import Later, Wait

if TYPE_CHECKING:
    from inotifier.dispatcher.handler import Handler

logger = logging.getLogger(__name__)


class Deferral:
    """Events of one path that are done with when a `Later`, or all of its parts, have ended.

    Attributes:
        later: what the processor returned.
        pathname: the path, whatever is done to the events.
        event: the last of the events.
        number: of the events.
        is_recorded: whether something is recorded of them.
    """

    __slots__ = (
        "_deferrals",
        "_has_failed",
        "_is_there",
        "_mask",
        "_open",
        "_source",
        "event",
        "is_recorded",
        "later",
        "number",
        "pathname",
    )

    def __init__(self, deferrals: Deferrals, later: Later, pathname: str) -> None:
        self._deferrals = deferrals
        self._open = len(later.parts)
        self._has_failed = False
        self._is_there: bool | None = None
        self.later = later
        self.pathname = pathname
        self.number = 0
        self.is_recorded = False

    def add(self, event: Event) -> bool:
        """Add `event`, until `release` without an end; False if there has been one."""
        with self._deferrals.lock:
            if not self._open:
                return False
            self._open += 1
            self.event = event
            # Kept apart from the event, which a job may change.
            self._mask, self._source = event.mask, event.src_pathname
            self.number += 1
            self._deferrals.number += 1
            self._deferrals.open.add(self)
        return True

    def release(self) -> None:
        """End it if its later has ended: all is known of the event that was added."""
        deferrals, handler = self._deferrals, self._deferrals.handler
        with deferrals.lock:
            self._open -= 1
            if self._open:
                return
            deferrals.open.discard(self)
        if self._has_failed:
            handler.failed += self.number
        else:
            handler.delivered += self.number
        if self.is_recorded and handler.books is not None:
            self._record(handler.books, is_held=self._has_failed and handler.holds)
        with deferrals.lock:
            # Not before it is recorded: with the last one, the daemon may end.
            deferrals.number -= self.number
        deferrals.wake()

    def take_back(self) -> None:
        """Forget the event that was added, since its later could not be started."""
        deferrals, books = self._deferrals, self._deferrals.handler.books
        with deferrals.lock:
            self.number -= 1
            deferrals.number -= 1
            if is_empty := not self.number:
                deferrals.open.discard(self)
        if is_empty and self.is_recorded and books is not None:
            self.is_recorded = False
            books.settle(self.pathname, is_told=False, is_there=True)
        self.release()

    def discard(self) -> None:
        """Forget the event that was added, and its only later."""
        with self._deferrals.lock:
            self._deferrals.open.discard(self)
            self._deferrals.number -= self.number

    def hurry(self) -> None:
        """Let its laters wait for no others."""
        for later in self.later.parts:
            later.hurry()

    @property
    def due(self) -> float | None:
        """The time.monotonic() before which nothing happens, None if something may."""
        soonest = None
        for later in self.later.parts:
            if later.has_ended:
                continue
            if (due := later.due) is None:
                return None
            soonest = due if soonest is None else min(soonest, due)
        return soonest

    def takes(self, event: Event, later: Later, deferrals: Deferrals) -> bool:
        """Tell whether `event`, done with when `later` is, belongs to it."""
        return (
            self._deferrals is deferrals
            and self.pathname == event.pathname
            and self.later.parts == later.parts
        )

    # As an owner

    @contextmanager
    def guard(self, later: Later) -> Iterator[None]:
        """Note what is written, and let no forked child come back."""
        self._is_there = look_at(self.pathname) is not None
        notes = self._deferrals.handler.notes
        try:
            with notes.noting() if notes is not None else nullcontext():
                yield
        except BaseException as exc:
            if is_child():
                end_child(exc)
            raise
        if is_child():
            end_child()

    def done(self, later: Later) -> None:
        """Note that `later` has ended."""
        self.release()

    def _record(self, books: Bookkeeping, *, is_held: bool) -> None:
        path = self.pathname
        # What a job saw that has begun counts; otherwise, what is to be seen now.
        is_there = self._is_there if self._is_there is not None else look_at(path) is not None
        try:
            books.settle(path, is_told=not is_held, is_there=is_there)
        except Exception:  # it is delivered again at the next start
            logger.exception("cannot record the delivery of %s", printable(path))

    def failed(self, later: Later, exc: BaseException) -> Wait | None:
        """Return when the job is to run again; None if the events are given up."""
        deferrals = self._deferrals
        if deferrals.is_abandoned:
            return None
        event = self.event
        event.mask, event.pathname, event.src_pathname = self._mask, self.pathname, self._source
        # They are counted when all parts have ended.
        wait = deferrals.handler.fail(event, exc, later.tried, number=0)
        if wait is None:
            self._has_failed = True
            self.release()
        return wait


class Deferrals:
    """What of the events of `handler` is done with later.

    Attributes:
        handler: whose events they are.
        number: of these events.
        open: what they belong to.
        is_hurried: True if what comes from now on waits for no others.
        is_abandoned: True if what fails from now on is left as it is.
        wake: called when some are done with.
        lock: held for moments by whoever changes something of it.
    """

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.number = 0
        self.open: set[Deferral] = set()
        self.is_hurried = False
        self.is_abandoned = False
        self.wake: Callable[[], object] = lambda: None
        self.lock = threading.Lock()

    def listed(self) -> list[Deferral]:
        """Return what is open, whatever happens meanwhile."""
        with self.lock:
            return list(self.open)

    def hurry(self) -> None:
        """Let nothing wait for others that it could be done with."""
        self.is_hurried = True
        for deferral in self.listed():
            deferral.hurry()

    def abandon(self) -> None:
        """Let nothing begin, and nothing fail, any more."""
        self.is_abandoned = True
        for deferral in self.listed():
            for later in deferral.later.parts:
                later.abandon()

    def take(self, later: Later, event: Event, look: Any, *, is_told: bool) -> None:
        """Take `event` as pending until `later` has ended, and start that.

        Args:
            later: what the processor returned.
            event: as it was read.
            look: what was seen of its path before.
            is_told: whether something is recorded of it.

        Raises:
            BaseException: it has failed already.
        """
        deferral = self._joined(later, event)
        books = self.handler.books
        if is_told and books is not None:
            books.defer(event, look, is_new=not deferral.is_recorded)
            deferral.is_recorded = True
        try:
            later.start()
        except BaseException:
            deferral.take_back()
            raise
        if self.is_hurried:
            deferral.hurry()
        deferral.release()

    def _joined(self, later: Later, event: Event) -> Deferral:
        """Return the deferral for `later` that holds `event`."""
        for owner in later.parts[0].owners:
            if isinstance(owner, Deferral) and owner.takes(event, later, self) and owner.add(event):
                return owner
        deferral = Deferral(self, later, event.pathname)
        deferral.add(event)
        for part in later.parts:
            try:
                is_open = part.join(deferral)
            except BaseException:
                deferral.discard()
                raise
            if not is_open:
                deferral.release()
        return deferral
