"""Compares what is recorded as delivered with what is there."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

from inotifier.books import Books, look_at, on_the_way
from inotifier.state import AnyLedger, Seen
from inotifier.watches import Entry
from inotifier.writers import Writers, writers_of

_PORTION = 1000
"""Files that are compared before others get their turn."""

_YOUNG = 600.0
"""Seconds within which a file that is being written has changed."""

_CLOCK_REALTIME_COARSE = 5  # linux/time.h

List = Callable[[bytes], Sequence[os.DirEntry[bytes]]]


def dividing_moment() -> float:
    """Return a time, in seconds, that no file changed from now on has or precedes.

    The clock for the times of files ticks (clock_getres(2) of CLOCK_REALTIME_COARSE), so this
    waits for the next tick: some milliseconds.
    """
    now = time.time() + 1e-6  # what a float of this size may be off
    while time.clock_gettime(_CLOCK_REALTIME_COARSE) <= now:
        time.sleep(0.001)
    return now


def is_there(ledger: AnyLedger) -> bool:
    """Tell whether the root of `ledger` is what was watched, and not gone or unmounted.

    Of a root that is not, nothing is known to be gone.
    """
    if ledger.mount and not os.path.ismount(ledger.root):
        return False
    return look_at(ledger.root) is not None


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


def _listed(directory: bytes) -> list[os.DirEntry[bytes]]:
    with os.scandir(directory) as items:
        return list(items)


class Comparison:
    """One walk over an entry's root, or a directory below, and its record.

    Args:
        entry: whose root.
        books: its record.
        since: a `dividing_moment` before the watches stood, in place of that of the first start
            for an entry that never has started.
        list_directory: lists a directory.
        dry: True to leave the record as it is.
        top: a directory that has been renamed: only what is below is compared.

    Attributes:
        looked_at: number of paths that were compared.
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
        self.looked_at = 0
        self._dry = dry
        self._top = top
        self._books = books
        self._ledger = books.ledger
        self._list = list_directory
        self._new: list[tuple[str, Seen | None]] = []
        self._gone: list[tuple[str, Seen]] = []
        self._left_behind: set[str] = set()
        self._untold: Sequence[str] = ()
        self._visited: set[str] = set()
        self._follows = entry.watch.follow_symlinks
        self._deep = entry.is_deep
        self._skips = entry.skips
        self._since = since
        self._ignores_first = entry.watch.initial == "ignore"

    def run(self) -> Iterator[list[Difference] | None]:
        """Yield what differs in portions, some of them empty, so that others get their turn.

        None asks for what is recorded to be written before the next portion.
        """
        root = self._ledger.root
        if not self._ledger.is_kept:
            return
        yield None
        if not is_there(self._ledger):
            if not self._ledger.mount and not self._dry:
                self._ledger.settle(deep=self._deep)  # nothing was there at the first start
            return
        if self._top is not None:
            if self._deep:
                yield from self._walk(self._top)
                yield from self._paired()
            return
        if os.path.isdir(root):
            yield from self._walk(root)
            yield from self._missing()
            astray = list(self._books.astray.items())
            self._untold = [path for path, told in astray if told and look_at(path) is None]
        else:
            yield self._root_file(root)
        yield from self._paired()
        if not self._dry:
            self._ledger.set_mount(os.path.ismount(root))
            self._ledger.settle(deep=self._deep)

    def _baseline(self, *, below: bool) -> float:
        """Return until when, in nanoseconds, what is not recorded was there at the first start.

        It is the baseline of an entry to which that is not to be delivered. The record may have
        to be begun anew at any time.

        Args:
            below: for directories below the root, which may be watched for less long.
        """
        if not self._ignores_first:
            return 0.0
        return self._ledger.first_seen(self._since, below=below) * 1e9

    def _root_file(self, root: str) -> list[Difference]:
        status, known = look_at(root), self._ledger.get(root)
        if status is None or (known and known.complete and known.same(Seen.of(status))):
            return []
        if known is None and status.st_ctime_ns <= self._baseline(below=False):
            self._take_as_known(root, status)
            return []
        return [Difference("changed" if known else "new", root)]

    def _walk(self, root: str) -> Iterator[list[Difference] | None]:
        top = os.fsencode(self._ledger.root)
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
            known = dict(self._books.written_in(os.fsdecode(directory)))
            below = directory != top
            for start in range(0, len(items), _PORTION):
                baseline = self._baseline(below=below)
                yield self._compare(items[start : start + _PORTION], known, baseline)
            for name, seen in known.items():
                self._miss(os.fsdecode(os.path.join(directory, name)), seen)
            if self._deep:
                waiting += [item.path for item in items if self._leads_down(item, followed)]

    def _leads_down(self, item: os.DirEntry[bytes], followed: set[tuple[int, int]]) -> bool:
        """Tell whether to go into `item`; with links, into each directory under one name only."""
        try:
            if not item.is_dir(follow_symlinks=self._follows):
                return False
            if self._skips is not None and self._skips(os.fsdecode(item.path)):
                return False
            if not self._follows:
                return True
            identity = _identity(item.path)
        except OSError:
            return False
        is_new = identity not in followed
        followed.add(identity)
        return is_new

    def _compare(
        self, items: Sequence[os.DirEntry[bytes]], known: dict[bytes, Seen], baseline: float
    ) -> list[Difference]:
        """Return what differs of `items`, and take them out of `known`."""
        self.looked_at += len(items)
        differences = []
        for item in items:
            try:
                status = item.stat(follow_symlinks=False)
            except OSError:
                continue  # it has gone since
            seen = known.pop(item.name, None)
            if seen is None:
                path = os.fsdecode(item.path)
                if status.st_ctime_ns <= baseline:
                    self._take_as_known(path, status)
                else:
                    # Which of its names a file with several has moved from cannot be told.
                    is_linked = stat.S_ISREG(status.st_mode) and status.st_nlink > 1
                    self._new.append((path, None if is_linked else Seen.of(status)))
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
            complete = self._books.is_complete(path, status) or not self._is_written(path, status)
            self._books.record(path, Seen.of(status, complete=complete))

    def _is_written(self, path: str, status: os.stat_result) -> bool:
        """Tell whether a file is being written; not of each, for that opens them."""
        is_young = status.st_mtime > self._since - _YOUNG
        return is_young and writers_of(os.fsencode(path)) is Writers.SOME

    def _missing(self) -> Iterator[list[Difference] | None]:
        """Find what is recorded in directories that are not there any more."""
        yield None
        for number, (path, seen) in enumerate(self._ledger.others(self._visited)):
            if self._is_seen(path):
                self._miss(path, seen)
            if number % _PORTION == 0:
                yield []
        if not self._dry:
            # Told again: a processor may have left a file for the event of its new name.
            for top in self._left_behind:
                self._ledger.forget_below(top)

    def _is_seen(self, path: str) -> bool:
        """Tell whether what is at `path` is watched by what the entry says now."""
        if on_the_way(path):
            return True
        directory = os.path.dirname(path)
        if self._skips is not None and self._skips(directory):
            return False
        return self._deep or directory == self._ledger.root

    def _miss(self, path: str, seen: Seen) -> None:
        top = on_the_way(path)
        if not top:
            self._gone.append((path, seen))
        elif top not in self._books.under_way:
            self._left_behind.add(top)

    def _paired(self) -> Iterator[list[Difference]]:
        """Yield what is new or has moved, parents first, then what has gone, children first."""
        sources = {seen.identity: path for path, seen in self._gone}
        differences: list[Difference] = []
        moved: set[str | None] = set()
        for path, seen in sorted(self._new, key=itemgetter(0)):
            source = None if seen is None else sources.pop(seen.identity, None)
            moved.add(source)
            differences.append(Difference("moved" if source else "new", path, source))
        gone = {*self._untold, *(path for path, _ in self._gone)} - moved
        differences += [Difference("gone", path) for path in sorted(gone, reverse=True)]
        for start in range(0, len(differences), _PORTION):
            yield differences[start : start + _PORTION]


def _identity(path: bytes) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino
