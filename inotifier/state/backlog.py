"""What is recorded and not yet written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from inotifier.state.seen import Seen

if TYPE_CHECKING:
    from inotifier.state.ledger import Ledger

T = TypeVar("T")

_MOST_UNWRITTEN = 1_000_000
_GRANT = 1_000
_MOST_PARTS = 256

SIZES = (1, 8, 64, 512)
"""Rows of one statement. SQLite gives up the GIL at each, and a busy thread gives it back late."""


class Change(NamedTuple):
    """A directory was renamed, or is gone if there is no target."""

    ledger: Ledger
    source: str
    target: str | None

    def before(self, pathname: str) -> str | None:
        """Return what the path of `pathname` was before, None if it was not there."""
        if self.target is not None and _is_at_or_below(pathname, self.target):
            return self.source + pathname[len(self.target) :]
        return None if _is_at_or_below(pathname, self.source) else pathname


class Batch(NamedTuple):
    """The last record of each path in a while."""

    ledger: Ledger
    records: dict[str, Seen | None]


class Rows(NamedTuple):
    """As much of a batch as one statement can write."""

    ledger: Ledger
    records: list[tuple[str, Seen | None]]


class Unit(NamedTuple):
    work: Rows | Change
    ends_part: bool


class Backlog:
    """What is recorded and not yet written.

    Each ledger has a batch that grows. A change of many paths at once closes it: what was
    recorded before is written before.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.ledgers: list[Ledger] = []
        self.dropped = 0
        self.wanted = threading.Event()  # there is something to write
        self.hurry = threading.Event()  # it should be written at once
        self._calls: list[Callable[[], object]] = []  # after the next writing
        self._parts: list[Batch | Change] = []
        self._sealed = 0  # records in the parts
        self._most = 0  # how many records there may be; none while nothing is kept

    def __len__(self) -> int:
        with self.lock:
            return self._sealed + sum(len(ledger._batch) for ledger in self.ledgers)

    def open(self) -> None:
        with self.lock:
            self._most = _MOST_UNWRITTEN

    def close(self) -> None:
        """Drop everything, now and in future."""
        with self.lock:
            self._most = self._sealed = self.dropped = 0
            self._parts = []
            for ledger in self.ledgers:
                ledger._batch, ledger._room = {}, 0

    def call_when_written(self, call: Callable[[], object]) -> None:
        with self.lock:
            self._calls.append(call)
        self.wake()

    def take_calls(self) -> list[Callable[[], object]]:
        """Return what is to be called once what is recorded by now is written."""
        with self.lock:
            calls, self._calls = self._calls, []
        return calls

    def wake(self) -> None:
        self.hurry.set()
        self.wanted.set()

    def forgive(self) -> int:
        """Return how many records were dropped, and begin to count anew."""
        with self.lock:
            dropped, self.dropped = self.dropped, 0
        return dropped

    def admit(self, ledger: Ledger, pathname: str, seen: Seen | None) -> None:
        """Take a record for which the batch of its ledger has no room left. With `lock` held.

        A batch that was taken away leaves none: the first record of the next one comes here
        and wakes the writer.
        """
        if self._grant(ledger) or pathname in ledger._batch:
            ledger._batch[pathname] = seen
            self.wanted.set()
        else:
            self._drop()

    def add(self, change: Change) -> None:
        with self.lock:
            if not self._grant(change.ledger):
                self._drop()
                return
            self._seal(change.ledger)
            self._parts.append(change)
            self._sealed += 1
            if len(self._parts) > _MOST_PARTS:
                self.hurry.set()
        self.wanted.set()

    def _drop(self) -> None:
        if self._most:
            self.dropped += 1

    def _grant(self, ledger: Ledger) -> bool:
        """Let the batch of a ledger grow, if all of them together may."""
        if self._free() < _GRANT:
            for other in self.ledgers:
                other._room = len(other._batch)
        room = min(self._free(), _GRANT)
        ledger._room += room
        return room > 0

    def _free(self) -> int:
        return max(self._most - self._sealed - sum(ledger._room for ledger in self.ledgers), 0)

    def _seal(self, ledger: Ledger) -> None:
        batch, ledger._batch, ledger._room = ledger._batch, {}, 0
        if batch:
            self._parts.append(Batch(ledger, batch))
            self._sealed += len(batch)

    def _seal_or_merge(self, ledger: Ledger) -> None:
        # A batch that could not be written takes in what came since: no path twice in memory.
        last = next((part for part in reversed(self._parts) if part.ledger is ledger), None)
        if isinstance(last, Batch):
            self._sealed -= len(last.records)
            last.records.update(ledger._batch)
            self._sealed += len(last.records)
            ledger._batch, ledger._room = {}, 0
        else:
            self._seal(ledger)

    def units(self) -> Iterator[Unit]:
        """Yield what there is to write by now, in order."""
        self.wanted.clear()
        with self.lock:
            if self._calls:
                self.wanted.set()  # they came after those that are called for this
            for ledger in self.ledgers:
                self._seal_or_merge(ledger)
            parts = self._parts.copy()
        for part in parts:
            if isinstance(part, Batch):
                yield from _units_of(part)
            else:
                yield Unit(part, True)

    def written(self, parts: int) -> None:
        """Forget the first `parts` parts."""
        with self.lock:
            for part in self._parts[:parts]:
                self._sealed -= len(part.records) if isinstance(part, Batch) else 1
            del self._parts[:parts]

    def find_below(self, ledger: Ledger, directory: str) -> bool | str:
        """Tell whether anything is recorded below `directory`.

        Returns:
            Its path in the tables if that depends on what is written there.
        """
        gone: set[str] = set()
        with self.lock:
            parts = [part for part in self._parts if part.ledger is ledger]
            for part in reversed([*parts, Batch(ledger, ledger._batch)]):
                if isinstance(part, Batch):
                    gone |= {path for path, seen in part.records.items() if seen is None}
                    if any(_is_below(path, directory) for path in part.records.keys() - gone):
                        return True
                    continue
                if part.target is not None and _is_below(part.target, directory):
                    return True
                before = part.before(directory)
                if before is None:
                    return False
                directory = before
        return directory

    def find(self, ledger: Ledger, pathname: str) -> Seen | str | None:
        """Return what is recorded of a path, or if nothing is, its path in the tables."""
        with self.lock:
            if pathname in ledger._batch:
                return ledger._batch[pathname]
            for part in reversed(self._parts):
                if part.ledger is not ledger:
                    continue
                if isinstance(part, Change):
                    before = part.before(pathname)
                    if before is None:
                        return None
                    pathname = before
                elif pathname in part.records:
                    return part.records[pathname]
        return pathname


def _units_of(batch: Batch) -> Iterator[Unit]:
    portions = slices(iter(batch.records.items()), SIZES[-1])
    records = next(portions)
    for following in portions:
        yield Unit(Rows(batch.ledger, records), False)
        records = following
    yield Unit(Rows(batch.ledger, records), True)


def slices(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while found := list(islice(items, size)):
        yield found


def _is_at_or_below(pathname: str, directory: str) -> bool:
    return pathname == directory or pathname.startswith(directory.rstrip("/") + "/")


def _is_below(pathname: str, directory: str) -> bool:
    return pathname != directory and _is_at_or_below(pathname, directory)
