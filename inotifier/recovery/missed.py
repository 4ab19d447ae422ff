"""What has become of a path? The answer is what was missed.

It is given when its turn among the events has come, by what is recorded and what is there then:
what the kernel told of meanwhile is recorded by then, and makes no second event.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Callable, Iterable

from inotifier.books import Books, look_at
from inotifier.dispatcher import Handler, Question
from inotifier.events import (
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_ISDIR,
    IN_MODIFY,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    Event,
)
from inotifier.exceptions import TryAgain
from inotifier.notifier import Batch, Subscription
from inotifier.recovery.comparison import Difference, is_there
from inotifier.state import Seen
from inotifier.watches import Watch
from inotifier.writers import Writers, writers_of

_QUIET = 0.2
"""Seconds that a file must stay the same where no lease can tell whether it is written."""

_cookies = itertools.count(1 << 32)
"""For renames that were not seen; those of the kernel have 32 bits."""


class Missed(Question):
    """Asks what has become of a path.

    Args:
        difference: that path, and where it was before.
        books: what is recorded of it.
        watch: the entry, which the events carry.
        reason: why they are made.
        polled: True if the kernel does not know who writes: a file has been written when it is
            found as it was told of before.

    Attributes:
        kind: that of the difference.
        before: how files were when it was asked before, where nothing tells who writes.
    """

    __slots__ = ("before", "beside", "books", "kind", "polled")

    def __init__(
        self,
        difference: Difference,
        books: Books,
        watch: Watch,
        reason: str,
        *,
        polled: bool = False,
    ) -> None:
        super().__init__(
            mask=0,
            path=difference.path,
            src_pathname=difference.source,
            synthetic=reason,
            watch=watch,
        )
        self.books = books
        self.kind = difference.kind
        self.polled = polled
        self.before: dict[str, os.stat_result] = {}
        self.beside: tuple[str, ...] = ()
        if difference.kind in ("gone", "moved"):
            # What becomes of a directory decides what is recorded below.
            ends = (difference.path, difference.source or difference.path)
            self.beside = tuple(dict.fromkeys(os.path.dirname(path) for path in ends))

    def answer(self) -> list[Event]:
        """Return the events that were missed; record what nobody asked for."""
        if self.src_pathname is not None:
            return self._rename(self.src_pathname)
        return self._change(self.pathname)

    def _change(self, path: str) -> list[Event]:
        status, known = look_at(path), self.books.expected(path)
        if status is None:
            return self._gone(path, known)
        seen = Seen.of(status)
        if known is None or known.kind != seen.kind:
            return self._tell(path, status, IN_CREATE)
        if not known.same(seen):
            return self._tell(
                path, status, IN_MODIFY if stat.S_ISREG(status.st_mode) else IN_CREATE
            )
        if not known.complete:
            return self._tell(path, status, 0)
        return []

    def _gone(self, path: str, known: Seen | None) -> list[Event]:
        was_told = self.books.astray.get(path, False)
        if known is None and not (self.kind == "gone" and was_told):
            if self.kind in ("new", "changed"):
                self.books.note_astray(path, was_told=was_told)
            return []
        if not is_there(self.books.ledger) or not _is_gone(path):
            return []
        if not self.books.mask & IN_DELETE:
            self.books.forget(path)
            return []
        is_dir = known is not None and stat.S_ISDIR(known.kind)
        return [self._event(IN_DELETE, path, is_dir=is_dir)]

    def _tell(self, path: str, status: os.stat_result, mask: int) -> list[Event]:
        """Return an event with `mask`, if any, and one for the end of its writing, if it has."""
        is_file = stat.S_ISREG(status.st_mode)
        is_written = is_file and self._is_written(path, status)
        masks = [mask, IN_CLOSE_WRITE] if is_file and not is_written else [mask]
        asked = [one for one in masks if one & self.books.mask]
        if not asked and mask == IN_CREATE and not is_written:
            # However it came, who asks for arrivals only is told of one.
            asked = [IN_MOVED_TO] if self.books.mask & IN_MOVED_TO else []
        if not asked:
            complete = not is_written or self.books.is_complete(path, status)
            self.books.record(path, Seen.of(status, complete=complete))
        is_dir = stat.S_ISDIR(status.st_mode)
        return [self._event(one, path, is_dir=is_dir) for one in asked]

    def _is_written(self, path: str, status: os.stat_result) -> bool:
        """Tell whether somebody has the file open for writing.

        Raises:
            TryAgain: the kernel does not tell, and it may still be growing.
        """
        if self.polled:
            known = self.books.expected(path)
            return known is None or not known.same(Seen.of(status))
        writers = writers_of(os.fsencode(path))
        if writers is not Writers.UNKNOWN:
            return writers is Writers.SOME
        before = self.before.get(path)
        self.before[path] = status
        if before is None or not Seen.of(before).same(Seen.of(status)):
            raise TryAgain(_QUIET)
        return False

    def _rename(self, source: str) -> list[Event]:
        """Return the two events of a rename, if it is one."""
        status, known = look_at(self.pathname), self.books.expected(source)
        is_rename = (
            status is not None
            and known is not None
            and known.same(Seen.of(status))
            and look_at(source) is None
            and self.books.expected(self.pathname) is None
            # What was recorded there since would give way to what comes along.
            and not (stat.S_ISDIR(known.kind) and self.books.holds_below(self.pathname))
        )
        if not is_rename or status is None or known is None:
            return [*self._change(source), *self._change(self.pathname)]
        cookie, is_dir = next(_cookies), stat.S_ISDIR(status.st_mode)
        events = [
            self._event(IN_MOVED_FROM, source, is_dir=is_dir, cookie=cookie),
            self._event(IN_MOVED_TO, self.pathname, is_dir=is_dir, cookie=cookie, source=source),
        ]
        asked = [event for event in events if event.mask & self.books.mask]
        if is_dir and len(asked) == 1:
            # Half a rename cannot take along what is recorded below.
            return [*self._change(source), *self._change(self.pathname)]
        if events[0] not in asked:
            self.books.record(source, None)
        if events[1] not in asked:
            self.books.record(self.pathname, known)
        return asked

    def _event(
        self, mask: int, path: str, *, is_dir: bool, cookie: int = 0, source: str | None = None
    ) -> Event:
        directory, name = os.path.split(path) if path != self.books.ledger.root else (path, "")
        return Event(
            mask=mask | IN_ISDIR if is_dir else mask,
            path=directory,
            name=name,
            cookie=cookie,
            src_pathname=source,
            synthetic=self.synthetic,
            watch=self.watch,
        )


def _is_gone(path: str) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False  # it cannot be told
    return False


class Mark(Question):
    """Calls a function when all that stands before it is delivered, or waits for its time."""

    is_mark = True
    __slots__ = ("call",)
    call: Callable[[], object]

    def answer(self) -> list[Event]:
        """Return nothing to deliver."""
        self.call()
        return []


def mark(root: str, call: Callable[[], object]) -> Mark:
    """Return a mark that stands among the events of the entry with `root`."""
    made = Mark(mask=0, path=root)
    made.call = call
    return made


def questions(
    handler: Handler,
    books: Books,
    differences: Iterable[Difference],
    reason: str,
    *,
    polled: bool = False,
) -> Batch:
    """Return what asks about `differences`, for the events of `handler`, whose books these are.

    `reason` and `polled` are those of `Missed`.
    """
    subscription, watch = subscribed(handler), handler.entry.watch
    return [(subscription, Missed(one, books, watch, reason, polled=polled)) for one in differences]


def subscribed(handler: Handler) -> Subscription:
    """Return whose questions they are."""
    entry = handler.entry
    return Subscription(entry.path, entry.mask, watch=entry.watch, handler=handler)
