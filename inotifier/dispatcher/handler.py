"""One entry's processor under a guard: what it raises goes no further, and has consequences."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol, runtime_checkable

from inotifier.books import TOLD, Bookkeeping
from inotifier.connections import refresh_connections
from inotifier.dispatcher.deferrals import Deferrals
from inotifier.dispatcher.figures import AGAIN, DELIVERED, FAILED, LATER, Figures
from inotifier.dispatcher.loops import TELLING, Loops
from inotifier.dispatcher.own_writes import OwnWrites
from inotifier.events import Event, mask_names, printable
from inotifier.exceptions import ReceiversFailed, TryAgain, failures_of
from inotifier.filters import PathFilter
from inotifier.forks import end_child, is_child
from inotifier.later import Later, Wait
from inotifier.notifier import Methods
from inotifier.signals import delivery_failed
from inotifier.state import Seen
from inotifier.watches import Entry

logger = logging.getLogger(__name__)


_MOST_DOUBLINGS = 64
"""Beyond, a delay is for ever, or 0."""


@dataclass(frozen=True)
class Retries:
    """What happens with an event whose handler fails.

    Attributes:
        number: how often it is delivered again.
        delay: seconds before the first time; doubled for each further one.
    """

    number: int = 0
    delay: float = 1.0


@runtime_checkable
class Gathering(Protocol):
    """A processor to which one event may be the end of what others began, before a restart even."""

    def expect_end(self, path: str) -> None:
        """Take the next IN_CLOSE_WRITE of `path` for the end of a change that began unseen."""

    def is_done_with(self, path: str) -> bool:
        """Tell whether nothing more is awaited to tell of the file at `path` as it is."""

    def take_told(self, event: Event) -> Iterable[tuple[str, tuple[int, int, int]]]:
        """Return the files of other paths that `event` led it to tell of, and how they were.

        Returns:
            Of each, its path and its inode, size and mtime_ns.
        """

    def take_as_told(self, event: Event, status: os.stat_result) -> None:
        """Take the file with `status`, which `event` renames, as told of before."""


@dataclass(eq=False)
class Handler:
    """An entry's processor, and what has become of its events.

    Attributes:
        entry: the entry.
        methods: what takes its events, by mask.
        retries: what happens with an event when it fails.
        books: keeps what was delivered, if it is kept.
        asked: bits of the events that are for the processor; others are for the books alone.
        own_writes: tells which events to leave out because a handler has caused them.
        notes: what its processor writes later is noted there.
        seen: events read from the kernel, or made.
        delivered: events whose processor returned.
        failed: events given up, because their processor, or a receiver of its signal, raised
            each time.
        retried: deliveries that failed and were, or will be, repeated.
        ignored: events left out: by the filter, or because a handler had caused them.
        last_event: mask, path and time of the last one that was handed over.
        problem: why the entry does not get all its events, "" if it does.
        figures: what is remembered of its calls.
    """

    entry: Entry
    methods: Methods
    retries: Retries = Retries()
    books: Bookkeeping | None = None
    asked: int = -1
    own_writes: OwnWrites | None = None
    notes: OwnWrites | None = None
    seen: int = 0
    delivered: int = 0
    failed: int = 0
    retried: int = 0
    ignored: int = 0
    last_event: tuple[int, str, float] | None = None
    problem: str = ""

    def __post_init__(self) -> None:
        self._loops = Loops(self.entry.name)
        self.holds = self.entry.watch.on_failure == "hold"
        self.deferrals = Deferrals(self)
        self.figures = Figures()
        # What its filter leaves out of a place with a URL is not even asked about.
        self._filter = self.entry.filter if self.entry.url is None else None
        processor = self.entry.processor
        self._gathering = processor if isinstance(processor, Gathering) else None

    @property
    def keeps(self) -> bool:
        """True if it is kept over a restart what was delivered."""
        return self.books is not None and self.entry.catches_up

    @property
    def pending(self) -> int:
        """Number of its events that are not done with."""
        return self.seen - self.delivered - self.failed - self.ignored

    def asks_for(self, event: Event) -> bool:
        """Tell whether `event` is for the processor, and not for the books alone."""
        return bool(event.mask & self.asked)

    def attempt(self, event: Event, tried: int = 0) -> Wait | Deferrals | None:
        """Call the processor; whatever it raises is logged and counted, and goes no further.

        Args:
            event: what it gets.
            tried: how often it has failed on this event.

        Returns:
            When to call again; None if the event is done with; where it is, if that is so later.
        """
        books = self.books if event.mask & TOLD else None
        look = books.look(event) if books is not None else None
        is_asked = event.mask & self.asked
        source = event.src_pathname
        if is_asked and self._filter is not None and not self._shows(self._filter, event):
            self.ignored += 1
            is_asked = 0
        if is_asked and self.own_writes is not None:
            if seconds := self.own_writes.wait_for(event):
                return Wait(seconds, failed=False)
            if self.own_writes.made(event):
                self.ignored += 1
                is_asked = 0
        if is_asked:
            # Kept apart from the event, which the processor may change.
            last = self.last_event = (event.mask, event.pathname, event.timestamp)
            begun = perf_counter()
            try:
                if self._gathering is not None and books is not None:
                    _brief(self._gathering, books, event, look)
                result = self.methods[event.mask](event)
                if result is not None and isinstance(result, Later):
                    event.mask, event.pathname, _ = last
                    event.src_pathname = source
                    deferrals = self._defer(result, event, look, is_told=books is not None)
                    self.figures.note(last, LATER, perf_counter() - begun)
                    return deferrals
            except BaseException as exc:  # sys.exit() too: it must not harm others
                event.mask, event.pathname, _ = last
                seconds = perf_counter() - begun
                wait = self.fail(event, exc, tried)
                self.figures.note(last, FAILED if wait is None else AGAIN, seconds)
                if wait is not None:
                    event.src_pathname = source
                    if books is not None:
                        books.put_off(event)
                    return wait
                if self.holds:
                    if books is not None:
                        books.give_up(event)
                    return None
            else:
                if is_child():
                    end_child()
                self.figures.note(last, DELIVERED, perf_counter() - begun)
                self.delivered += 1
                if books is not None:
                    event.mask, event.pathname, _ = last
                if event.mask & TELLING:
                    self._loops.note(event)
        if books is not None:
            event.src_pathname = source
            if self._gathering is None:
                books.delivered(event, look)
            else:
                _record(self._gathering, books, event, look)
        return None

    def _defer(self, later: Later, event: Event, look: Any, *, is_told: bool) -> Deferrals:
        """Take `event` as done with when `later` is."""
        if is_child():
            end_child()
        self.deferrals.take(later, event, look, is_told=is_told)
        if event.mask & TELLING:
            self._loops.note(event)
        return self.deferrals

    def _shows(self, filter: PathFilter, event: Event) -> bool:
        """Tell whether the processor gets `event`."""
        if event.dir and self._gathering is not None:
            # Where a directory goes, files go that are in view.
            return not filter.skips_directory(event.pathname)
        return filter.lets_through(event)

    def fail(self, event: Event, exc: BaseException, tried: int, number: int = 1) -> Wait | None:
        """Log and count that `event` has failed.

        Args:
            event: what it failed on.
            exc: why.
            tried: how often it had failed before.
            number: of events to count as given up.

        Returns:
            When to try again, None if it is given up.
        """
        if is_child():
            raise exc.failures[0][1] if isinstance(exc, ReceiversFailed) else exc
        # The reason may be a connection that broke; the next call gets a new one.
        refresh_connections()
        if isinstance(exc, TryAgain):
            return Wait(exc.after, failed=False)
        wait = None
        if tried < self.retries.number:
            doubled = 2.0 ** min(tried, _MOST_DOUBLINGS)
            wait = Wait(self.retries.delay * doubled, failed=True)
            self.retried += 1
        self._log(event, exc, f", again in {wait.seconds:g} s" if wait else "")
        if wait is None:
            self.failed += number
            self._tell(event, exc)
        return wait

    def _tell(self, event: Event, exc: BaseException) -> None:
        """Send `delivery_failed`; its receivers, too, may raise what they like."""
        processor = self.entry.processor
        try:
            delivery_failed.send_robust(
                sender=type(processor), event=event, processor=processor, exception=exc
            )
        except BaseException as second:  # of an Exception, Django has written itself
            if is_child():
                raise
            logger.error("a receiver of delivery_failed raised %r", second, exc_info=second)
        if is_child():
            end_child()

    def _log(self, event: Event, exc: BaseException, then: str) -> None:
        for who, reason in failures_of(exc, f"processor {self.entry.processor_name}"):
            with contextlib.suppress(Exception):  # a handler of the user's that raises, too
                logger.error(
                    "%s failed on %s of %s (watch %s)%s: %r",
                    who,
                    mask_names(event.mask),
                    printable(event.pathname) or "no path",
                    printable(self.entry.name),
                    then,
                    reason,
                    exc_info=reason,
                )
            with contextlib.suppress(Exception):  # of an exception that cannot be shown
                self.figures.note_failure(event.mask, event.pathname, who, then, reason)


def _brief(gathering: Gathering, books: Bookkeeping, event: Event, status: Any) -> None:
    """Tell the processor what it cannot know: what came before a restart, or unseen."""
    if books.is_news(event, status):
        gathering.expect_end(event.pathname)
    elif status is not None and books.is_told(event, status):
        gathering.take_as_told(event, status)


def _record(gathering: Gathering, books: Bookkeeping, event: Event, status: Any) -> None:
    """Record what was delivered, and what the processor has told of besides."""
    books.delivered(event, status, is_done=gathering.is_done_with(event.pathname))
    for path, (inode, size, mtime_ns) in gathering.take_told(event):
        books.record_told(path, Seen(inode, size, mtime_ns, stat.S_IFREG, complete=True))
