"""Finds what was missed: compares what is recorded as delivered with what is there.

A comparison only raises questions. Each is answered when its turn among the events has come, by
what is recorded and what is there then: what the kernel told of meanwhile is recorded by then, and
makes no second event.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from inotifier.books import Books, look_at, on_the_way
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
from inotifier.state import Ledger, Seen
from inotifier.watches import Entry, Watch
from inotifier.writers import Writers, writers_of

_PORTION = 1000
"""Files that are compared before others get their turn."""

_QUIET = 0.2
"""Seconds that a file must stay the same where no lease can tell whether it is written."""

_SLICE = 0.01
"""Seconds that a comparison takes before events get their turn."""

_NO_ROOM = 0.05
"""Seconds to the next look for room."""

_CLOCK_REALTIME_COARSE = 5  # linux/time.h

_cookies = itertools.count(1 << 32)
"""For renames that were not seen; those of the kernel have 32 bits."""

List = Callable[[bytes], Sequence[os.DirEntry[bytes]]]


def _listed(directory: bytes) -> list[os.DirEntry[bytes]]:
    with os.scandir(directory) as items:
        return list(items)


def dividing_moment() -> float:
    """Return a time, in seconds, that no file changed from now on has or precedes.

    The clock for the times of files ticks (clock_getres(2) of CLOCK_REALTIME_COARSE), so this
    waits for the next tick: some milliseconds.
    """
    now = time.time() + 1e-6  # what a float of this size may be off
    while time.clock_gettime(_CLOCK_REALTIME_COARSE) <= now:
        time.sleep(0.001)
    return now


def is_there(ledger: Ledger) -> bool:
    """Tell whether the root of `ledger` is what was watched, and not gone or unmounted.

    Of a root that is not, nothing is known to be gone.
    """
    if ledger.mount and not os.path.ismount(ledger.root):
        return False
    return look_at(ledger.root) is not None


def _is_gone(path: str) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False  # it cannot be told
    return False


class Difference(NamedTuple):
    """A path that is not as it was recorded.

    Attributes:
        kind: "new", "changed", "gone" or "moved".
        path: where it is, or was.
        source: where it was before, if it seems to have moved.
    """

    kind: str
    path: str
    source: str | None = None


class Missed(Question):
    """Asks what has become of a path.

    Args:
        difference: that path, and where it was before.
        books: what is recorded of it.
        watch: the entry, which the events carry.
        reason: why they are made.
    """

    __slots__ = ("before", "beside", "books")

    def __init__(self, difference: Difference, books: Books, watch: Watch, reason: str) -> None:
        super().__init__(
            mask=0,
            path=difference.path,
            src_pathname=difference.source,
            synthetic=reason,
            watch=watch,
        )
        self.books = books
        self.before: dict[str, os.stat_result] = {}
        self.beside: tuple[str, ...] = ()
        if difference.kind in ("gone", "moved"):
            # The answer for a directory touches what is recorded below.
            ends = (difference.path, difference.source or difference.path)
            self.beside = tuple(dict.fromkeys(os.path.dirname(path) for path in ends))

    def answer(self) -> list[Event]:
        """Return the events that were missed; record what nobody asked for."""
        if self.src_pathname is not None:
            return self._rename(self.src_pathname)
        return self._change(self.pathname)

    def _change(self, path: str) -> list[Event]:
        status, known = look_at(path), self.books.ledger.get(path)
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
        if known is None:
            self.books.is_astray(path)
            return []
        if not is_there(self.books.ledger) or not _is_gone(path):
            return []
        if not self.books.mask & IN_DELETE:
            self.books.ledger.record(path, None)
            return []
        return [self._event(IN_DELETE, path, is_dir=stat.S_ISDIR(known.kind))]

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
            complete = not is_written or self.books.is_complete(status)
            self.books.ledger.record(path, Seen.of(status, complete=complete))
        is_dir = stat.S_ISDIR(status.st_mode)
        return [self._event(one, path, is_dir=is_dir) for one in asked]

    def _is_written(self, path: str, status: os.stat_result) -> bool:
        """Tell whether somebody has the file open for writing.

        Raises:
            TryAgain: the kernel does not tell, and it may still be growing.
        """
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
        status, known = look_at(self.pathname), self.books.ledger.get(source)
        is_rename = (
            status is not None
            and known is not None
            and known.same(Seen.of(status))
            and look_at(source) is None
            and self.books.ledger.get(self.pathname) is None
            # What was recorded there since would give way to what comes along.
            and not (stat.S_ISDIR(known.kind) and self.books.ledger.holds_below(self.pathname))
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
            self.books.ledger.record(source, None)
        if events[1] not in asked:
            self.books.ledger.record(self.pathname, known)
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


class Mark(Question):
    """Calls a function when its turn among the events has come."""

    __slots__ = ("call",)
    call: Callable[[], object]

    def answer(self) -> list[Event]:
        """Return nothing to deliver."""
        self.call()
        return []


def mark(path: str, call: Callable[[], object]) -> Mark:
    """Return a mark that stands among the events of `path`."""
    made = Mark(mask=0, path=path)
    made.call = call
    return made


def questions(
    handler: Handler, books: Books, differences: Iterable[Difference], reason: str
) -> Batch:
    """Return what asks about `differences`, for the events of `handler`, whose books these are."""
    subscription, watch = subscribed(handler), handler.entry.watch
    return [(subscription, Missed(one, books, watch, reason)) for one in differences]


def subscribed(handler: Handler) -> Subscription:
    """Return whose questions they are."""
    entry = handler.entry
    return Subscription(entry.path, entry.mask, watch=entry.watch, handler=handler)


class Comparison:
    """One walk over an entry's root, or a directory below, and its record.

    Args:
        entry: whose root.
        books: its record.
        since: a `dividing_moment` before the watches stood. What an entry that starts for the
            first time finds from before then is its baseline, if it is not to be delivered.
        list_directory: lists a directory.
        dry: True to leave the record as it is.
        top: a directory that has been renamed: only what is below is compared.
    """

    def __init__(
        self,
        entry: Entry,
        books: Books,
        since: float,
        list_directory: List = _listed,
        *,
        dry: bool = False,
        top: str | None = None,
    ) -> None:
        self._dry = dry
        self._top = top
        self._ledger = books.ledger
        self._under_way = books.under_way
        self._list = list_directory
        self._new: list[tuple[str, Seen]] = []
        self._gone: list[tuple[str, Seen]] = []
        self._astray: set[str] = set()
        self._visited: set[str] = set()
        self._follows = entry.watch.follow_symlinks
        self._deep = entry.watch.recursive or bool(entry.watch.auto_add)
        if self._ledger.since is None and not dry:
            self._ledger.begin(since)
        self._since = since
        self._ignores_first = entry.watch.initial == "ignore"

    def run(self) -> Iterator[list[Difference]]:
        """Yield what differs in portions, some of them empty, so that others get their turn."""
        root = self._ledger.root
        if not self._ledger.is_kept:
            return
        if not is_there(self._ledger):
            if not self._ledger.mount and not self._dry:
                self._ledger.settle()  # nothing was there at the first start
            return
        if self._top is not None:
            if self._deep:
                yield from self._walk(self._top)
                yield from self._paired()
            return
        if os.path.isdir(root):
            yield from self._walk(root)
            yield from self._missing()
        else:
            yield self._root_file(root)
        yield from self._paired()
        if not self._dry:
            self._ledger.set_mount(os.path.ismount(root))
            self._ledger.settle()

    @property
    def _baseline(self) -> float:
        """Time in nanoseconds until which what is not recorded was there at the first start.

        The record may have to be begun anew at any time.
        """
        if self._ledger.settled or not self._ignores_first:
            return 0.0
        return (self._ledger.since or self._since) * 1e9

    def _root_file(self, root: str) -> list[Difference]:
        status, known = look_at(root), self._ledger.get(root)
        if status is None or (known and known.complete and known.same(Seen.of(status))):
            return []
        if known is None and status.st_ctime_ns <= self._baseline:
            self._take_as_known(root, status)
            return []
        return [Difference("changed" if known else "new", root)]

    def _walk(self, root: str) -> Iterator[list[Difference]]:
        waiting = [os.fsencode(root)]
        followed: set[tuple[int, int]] = set()
        with contextlib.suppress(OSError):
            followed.add(_identity(waiting[0]))
        while waiting:
            directory = waiting.pop()
            self._visited.add(os.fsdecode(directory))
            try:
                items = self._list(directory)
            except OSError:
                continue  # what cannot be read, nothing can be said about
            known = dict(self._ledger.directory(os.fsdecode(directory)))
            for start in range(0, len(items), _PORTION):
                yield self._compare(items[start : start + _PORTION], known)
            for name, seen in known.items():
                self._miss(os.fsdecode(os.path.join(directory, name)), seen)
            if self._deep:
                waiting += [item.path for item in items if self._leads_down(item, followed)]

    def _leads_down(self, item: os.DirEntry[bytes], followed: set[tuple[int, int]]) -> bool:
        """Tell whether to go into `item`; with links, into each directory under one name only."""
        try:
            if not self._follows:
                return item.is_dir(follow_symlinks=False)
            if not item.is_dir():
                return False
            identity = _identity(item.path)
        except OSError:
            return False
        is_new = identity not in followed
        followed.add(identity)
        return is_new

    def _compare(
        self, items: Sequence[os.DirEntry[bytes]], known: dict[bytes, Seen]
    ) -> list[Difference]:
        """Return what differs of `items`, and take them out of `known`."""
        differences = []
        for item in items:
            try:
                status = item.stat(follow_symlinks=False)
            except OSError:
                continue  # it has gone since
            seen = known.pop(item.name, None)
            if seen is None:
                path = os.fsdecode(item.path)
                if status.st_ctime_ns <= self._baseline:
                    self._take_as_known(path, status)
                else:
                    self._new.append((path, Seen.of(status)))
            elif (
                seen.mtime_ns != status.st_mtime_ns
                or seen.size != status.st_size
                or seen.inode != status.st_ino
                or not seen.complete
            ) and not (seen.complete and seen.same(Seen.of(status))):
                differences.append(Difference("changed", os.fsdecode(item.path)))
        return differences

    def _take_as_known(self, path: str, status: os.stat_result) -> None:
        if not self._dry:
            self._ledger.record(path, Seen.of(status))

    def _missing(self) -> Iterator[list[Difference]]:
        """Find what is recorded in directories that are not there any more."""
        for number, (path, seen) in enumerate(self._ledger.others(self._visited)):
            self._miss(path, seen)
            if number % _PORTION == 0:
                yield []
        if not self._dry:
            # Told again: a processor may have left a file for the event of its new name.
            for top in self._astray:
                self._ledger.forget_below(top)

    def _miss(self, path: str, seen: Seen) -> None:
        top = on_the_way(path)
        if not top:
            self._gone.append((path, seen))
        elif top not in self._under_way:
            self._astray.add(top)

    def _paired(self) -> Iterator[list[Difference]]:
        """Yield what is new or has moved, parents first, then what has gone, children first."""
        sources = {
            (seen.inode, seen.size, seen.mtime_ns, seen.kind): path for path, seen in self._gone
        }
        differences = []
        for path, seen in sorted(self._new):
            source = sources.pop((seen.inode, seen.size, seen.mtime_ns, seen.kind), None)
            differences.append(Difference("moved" if source else "new", path, source))
        moved = {difference.source for difference in differences}
        gone = sorted((path for path, _ in self._gone if path not in moved), reverse=True)
        differences += [Difference("gone", path) for path in gone]
        for start in range(0, len(differences), _PORTION):
            yield differences[start : start + _PORTION]


def _identity(path: bytes) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


class _Request(NamedTuple):
    handler: Handler
    books: Books
    reason: str
    top: str | None = None


class Recovery:
    """Runs comparisons a little at a time, in the thread that keeps the tree.

    Args:
        list_directory: lists a directory.
        after_queue: calls a function once what the kernel has queued by now is decoded, with the
            batch to which questions are added.
        has_room: tells whether there may be more of them.
        wake: has `step` called soon, from any thread.
        since: a `dividing_moment` before the watches stood.
    """

    def __init__(
        self,
        list_directory: List,
        after_queue: Callable[[Callable[[Batch], None]], object],
        has_room: Callable[[], bool],
        wake: Callable[[], object],
        since: float,
    ) -> None:
        self._since = since
        self._list = list_directory
        self._after_queue = after_queue
        self._has_room = has_room
        self._wake = wake
        self._asked: queue.SimpleQueue[_Request | Callable[[], object]] = queue.SimpleQueue()
        self._waiting: dict[tuple[Handler, str | None], _Request] = {}
        self._running: tuple[_Request, Iterator[list[Difference]]] | None = None
        self._lock = threading.Lock()
        self._open = 0  # requests that have not ended

    @property
    def busy(self) -> bool:
        """True while there is something to compare, or to tell of it."""
        return self._open > 0

    def request(self, handlers: Iterable[Handler], reason: str) -> None:
        """Compare for `handlers`, from any thread; the events say `reason`."""
        for handler in handlers:
            if handler.books is not None:
                handler.books.look_below = partial(self._look_below, handler, handler.books)
                self._ask_for(_Request(handler, handler.books, reason))

    def _look_below(self, handler: Handler, books: Books, directory: str) -> None:
        """Compare what is below a directory that has been renamed."""
        self._ask_for(_Request(handler, books, "new-directory", directory))
        self._wake()

    def _ask_for(self, request: _Request) -> None:
        self._count(1)
        self._asked.put(request)

    def _count(self, change: int) -> None:
        with self._lock:
            self._open += change

    def step(self) -> float | None:
        """Go on for a moment; return seconds to the next step, None if there is nothing to do."""
        while not self._asked.empty():
            request = self._asked.get()
            if isinstance(request, _Request):
                key = request.handler, request.top
                if key in self._waiting:
                    self._count(-1)
                self._waiting[key] = request
            else:
                request()
        end = time.monotonic() + _SLICE
        while self._running or self._waiting:
            if not self._has_room():
                return _NO_ROOM
            if time.monotonic() > end:
                return 0.0
            self._compare_portion()
        return None

    def _compare_portion(self) -> None:
        if self._running is None:
            request = self._waiting.pop(next(iter(self._waiting)))
            comparison = Comparison(
                request.handler.entry, request.books, self._since, self._list, top=request.top
            )
            request.books.comparing += 1
            self._running = request, comparison.run()
        request, portions = self._running
        portion = next(portions, None)
        if portion is None:
            self._running = None
            self._after_queue(partial(self._put_mark, request, partial(self._answered, request)))
        elif portion:
            self._after_queue(partial(self._ask, request, portion))

    def _ask(self, request: _Request, differences: Iterable[Difference], batch: Batch) -> None:
        batch += questions(request.handler, request.books, differences, request.reason)

    # Until all questions are answered, and the events of all renames before that are delivered,
    # what a renamed directory holds may have escaped the comparison.

    def _put_mark(self, request: _Request, call: Callable[[], object], batch: Batch) -> None:
        batch.append((subscribed(request.handler), mark(request.books.ledger.root, call)))

    def _answered(self, request: _Request) -> None:
        """Go on in the thread that keeps the tree: all questions are answered."""
        end = partial(self._end, request)
        self._asked.put(partial(self._after_queue, partial(self._put_mark, request, end)))
        self._wake()

    def _end(self, request: _Request) -> None:
        self._asked.put(partial(self._ended, request))
        self._wake()

    def _ended(self, request: _Request) -> None:
        request.books.comparing -= 1
        self._count(-1)
