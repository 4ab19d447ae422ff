"""What has surely been delivered, kept over restarts in one SQLite file.

Delivering threads only put a record into a dict. One thread writes them, a second after the
first of them at the latest; what is not written when the process is killed is delivered again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")

_VERSION = 1
_SCHEMA = (
    """CREATE TABLE entries (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, root BLOB NOT NULL,
        since REAL, settled INTEGER NOT NULL DEFAULT 0, mount INTEGER NOT NULL DEFAULT 0)""",
    # `path` is relative to the root of the entry. The root itself is a file without a name.
    """CREATE TABLE directories (
        id INTEGER PRIMARY KEY, entry INTEGER NOT NULL, path BLOB NOT NULL,
        UNIQUE (entry, path))""",
    """CREATE TABLE files (
        directory INTEGER NOT NULL, name BLOB NOT NULL,
        inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
        kind INTEGER NOT NULL, complete INTEGER NOT NULL,
        PRIMARY KEY (directory, name)) WITHOUT ROWID""",
    f"PRAGMA user_version = {_VERSION}",
)

_GATHER = 1.0
"""Seconds between a record and its writing: many rows cost little more than one."""

_QUIET = 0.05
"""Seconds without a new path after which it is not worth while to wait for more."""

_LONGEST_PAUSE = 10.0
"""Seconds between two attempts when writing fails."""

_PATIENCE = 5.0
"""Seconds to wait for another process that has locked the file."""

_MOST_UNWRITTEN = 1_000_000
_GRANT = 1_000
_MOST_PARTS = 256
_MOST_DIRECTORY_IDS = 50_000
_PAGE = 5_000

_SIZES = (1, 8, 64, 512)
"""Rows of one statement. SQLite gives up the GIL at each, and a busy thread gives it back late."""

_UNITS = 96
"""Statements of one transaction: some 50,000 rows."""

# What may pass, or an administrator can mend. All else means that the file is not what it was.
_PASSING = {
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOLFS,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}

# That of os.fsencode, which takes four times as long.
_ENCODING = sys.getfilesystemencoding()

_HALF, _WHOLE = 1 << 63, 1 << 64

_KIND = 0o170000
"""Those bits of a mode that stat.S_IFMT gives."""


def _signed(number: int) -> int:
    """Return the low 64 bits of `number` as SQLite can store them."""
    return (number + _HALF) % _WHOLE - _HALF


class Seen(NamedTuple):
    """What a path looked like.

    Attributes:
        inode: its number.
        size: bytes.
        mtime_ns: time of the last change of its content, in nanoseconds.
        kind: stat.S_IFMT of its mode.
        complete: False while the end of its writing has still to be told.
    """

    inode: int
    size: int
    mtime_ns: int
    kind: int
    complete: bool

    @classmethod
    def of(cls, status: os.stat_result, *, complete: bool = True) -> Seen:
        """Return what `status` says."""
        mtime_ns = status.st_mtime_ns
        if not -_HALF <= mtime_ns < _HALF:  # utime(2) takes years far beyond 2262
            mtime_ns = _signed(mtime_ns)
        kind = status.st_mode & _KIND
        # As the constructor does, in half the time: this is called for most events.
        return tuple.__new__(cls, (status.st_ino, status.st_size, mtime_ns, kind, complete))

    def same(self, other: Seen) -> bool:
        """Tell whether both are the same file, unchanged; whether complete does not count.

        Size and time of a directory change with every file in it, and do not count either.
        """
        if self.kind == stat.S_IFDIR:
            return self.inode == other.inode and self.kind == other.kind
        return self[:4] == other[:4]


class State:
    """The state of all entries, in the file `path`.

    No method raises because of the file: whatever is wrong with it is logged once and shown
    by `problem`. Nothing is opened and no thread runs before `open`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._trouble = ""
        self._backlog = _Backlog()
        self._ledgers: dict[str, Ledger] = {}
        self._tables: _Tables | None = None
        self._writing = threading.Lock()  # held by whoever uses the tables' writer
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def problem(self) -> str:
        """Why nothing, or not everything, is kept; "" if all is well."""
        if not self._backlog.dropped:
            return self._trouble
        lost = f"{self._backlog.dropped} records were dropped: too many are not yet written"
        return f"{self._trouble}; {lost}" if self._trouble else lost

    def open(self) -> None:
        """Open the file, or make it. One that is damaged is set aside."""
        with self._writing:
            try:
                self._tables = _Tables(self.path)
            except (OSError, sqlite3.Error, _Unusable) as exc:
                self._recover(exc)
            if self._tables is None:
                return
        self._backlog.open()
        self._thread = threading.Thread(target=self._run, name="inotifier-state", daemon=True)
        self._thread.start()

    def ledger(self, key: str, root: str) -> Ledger:
        """Return the ledger of an entry. To be called once for each key.

        Args:
            key: names the entry, the same after a restart.
            root: its absolute path. If it was another, what is kept is of other files and goes.
        """
        ledger = self._ledgers[key] = Ledger(self, key, root)
        with self._writing:
            self._write()
        return ledger

    def flush(self) -> None:
        """Return when all that was recorded is written, or `problem` says why not."""
        with self._writing:
            self._write()

    def close(self) -> None:
        """Write what was recorded, and end. A second time does nothing."""
        self._ending.set()
        self._backlog.wake()
        if self._thread:
            self._thread.join()
            self._thread = None
        with self._writing:
            self._write()
            self._backlog.close()
            self._close_tables()

    def _close_tables(self) -> None:
        if self._tables:
            self._tables.close()
            self._tables = None

    # Writing.

    def _run(self) -> None:
        pause = 0.0
        while not self._ending.is_set():
            self._backlog.wanted.wait()
            self._gather(pause)
            self._backlog.hurry.clear()
            if self._ending.is_set():
                return
            with self._writing:
                failed = not self._write()
            pause = min(max(pause * 2, _GATHER), _LONGEST_PAUSE) if failed else 0.0

    def _gather(self, pause: float) -> None:
        """Wait `pause` seconds after a failure; otherwise while records go on to come."""
        if pause:
            self._backlog.hurry.wait(pause)
            return
        end = time.monotonic() + _GATHER
        before, now = -1, len(self._backlog)
        while now != before and time.monotonic() < end and not self._backlog.hurry.wait(_QUIET):
            before, now = now, len(self._backlog)

    def _write(self) -> bool:
        """Write all that is to be written; return whether that worked."""
        # A second time if the file was damaged and there is a new one.
        for _ in range(2):
            if self._tables is None:
                self._backlog.wanted.clear()
                return False
            try:
                self._write_to(self._tables)
            except Exception as exc:  # whatever it is, the thread must live on
                self._tables.roll_back()
                if not self._recover(exc):
                    # Try again later, even if nothing else is recorded.
                    self._backlog.wanted.set()
                    return False
            else:
                self._tell_success()
                return True
        return False

    def _write_to(self, tables: _Tables) -> None:
        for ledger in list(self._ledgers.values()):
            tables.add(ledger)
        for units in _slices(self._backlog.units(), _UNITS):
            with contextlib.ExitStack() as stack:
                tables.begin()
                for unit in units:
                    tables.apply(unit.work)
                if any(isinstance(unit.work, _Change) for unit in units):
                    # No reader may see the change both in the tables and in the backlog.
                    stack.enter_context(tables.reading)
                tables.commit()
                self._backlog.written(sum(unit.ends_part for unit in units))
        # Last: that an entry is settled must not be known before what it rests on.
        for ledger in list(self._ledgers.values()):
            tables.save(ledger)

    def _tell_success(self) -> None:
        if dropped := self._backlog.forgive():
            logger.warning(
                "%d records of the state %s were dropped; what they tell of is delivered again "
                "at the next start",
                dropped,
                self.path,
            )
        if self._trouble:
            self._trouble = ""
            logger.info("the state %s is written again", self.path)

    # Faults. All of it with `_writing` held.

    def _recover(self, exc: Exception) -> bool:
        """Make the best of `exc`; return whether there is a new file to work with."""
        if not _means_damage(exc):
            self._report(exc)
            return False
        self._close_tables()
        try:
            _set_aside(self.path)
            self._tables = _Tables(self.path)
        except (OSError, sqlite3.Error, _Unusable) as second:
            self._backlog.close()
            self._report(second)
            return False
        for ledger in self._ledgers.values():
            ledger._reset()
        logger.error(
            "the state %s cannot be used: %s. It is set aside as %s.damaged and a new one is "
            "begun: what is there now counts as delivered or not as `initial` of its entry says",
            self.path,
            exc,
            self.path.name,
        )
        return True

    def _report(self, exc: Exception) -> None:
        if not self._trouble:
            known = isinstance(exc, (OSError, sqlite3.Error, _Unusable))
            logger.error(
                "cannot keep the state in %s: %s. What is delivered meanwhile may be delivered "
                "again after a restart",
                self.path,
                exc,
                exc_info=None if known else exc,
            )
        self._trouble = f"cannot keep the state in {self.path}: {exc}"

    # Reading.

    def _get(self, ledger: Ledger, pathname: str) -> Seen | None:
        def find(tables: _Tables) -> list[Any]:
            # In one go, so that a change is not written in between.
            found = self._backlog.find(ledger, pathname)
            if not isinstance(found, str):
                return [found]
            if not (place := ledger._place(found)):
                return []
            return [_seen(row) for row in tables.select(_GET, tables.entry(ledger), *place)]

        if ledger._relative(pathname) is None:
            return None
        return next(iter(self._read(find)), None)

    def _select(self, sql: str, ledger: Ledger, *arguments: Any) -> list[Any]:
        return self._read(lambda tables: tables.select(sql, tables.entry(ledger), *arguments))

    def _read(self, query: _Query) -> list[Any]:
        tables = self._tables
        if tables is None:
            return []
        try:
            with tables.reading:
                return query(tables)
        except sqlite3.Error as exc:
            with self._writing:
                if tables is self._tables:  # otherwise another thread has seen to it
                    self._recover(exc)
            return []


class Ledger:
    """What has been delivered of one entry. Made by `State.ledger`.

    Paths are absolute; those not below the root are ignored.
    """

    def __init__(self, state: State, key: str, root: str) -> None:
        self.key = key
        self.root = root.rstrip("/") or "/"
        self._prefix = self.root.rstrip("/") + "/"
        self._state = state
        self._backlog = state._backlog
        self._lock = self._backlog.lock
        # Of the backlog, which says how long the batch may become.
        self._batch: dict[str, Seen | None] = {}
        self._room = 0
        self._backlog.ledgers.append(self)
        self._reset()

    def _reset(self) -> None:
        self._since: float | None = None
        self._settled = False
        self._mount = False
        self._saved = True

    @property
    def since(self) -> float | None:
        """Time of the first start of the entry (time.time()), None before."""
        return self._since

    @property
    def settled(self) -> bool:
        """Whether what was there at the first start is recorded completely."""
        return self._settled

    @property
    def mount(self) -> bool:
        """Whether the root was a mount point."""
        return self._mount

    def begin(self, now: float) -> None:
        """Keep that the entry starts for the first time, `now` (time.time())."""
        self._since = now
        self._save()

    def settle(self) -> None:
        """Keep that what was there at the first start is recorded completely."""
        self._settled = True
        self._save()

    def set_mount(self, mount: bool) -> None:
        """Keep whether the root is a mount point."""
        self._mount = mount
        self._save()

    def _save(self) -> None:
        self._saved = False
        self._state.flush()

    def record(self, pathname: str, seen: Seen | None) -> None:
        """Keep that `pathname` was delivered as `seen`, or with None that it is gone."""
        with self._lock:
            if len(self._batch) < self._room:
                self._batch[pathname] = seen
            else:
                self._backlog.admit(self, pathname, seen)

    def get(self, pathname: str) -> Seen | None:
        """Return what was recorded last of `pathname`, written or not."""
        return self._state._get(self, pathname)

    def forget_below(self, pathname: str) -> None:
        """Forget `pathname`, a directory that has gone, and all below."""
        self._backlog.add(_Change(self, pathname, None))

    def rename(self, source: str, target: str) -> None:
        """Let what was recorded of the directory `source`, and below, be that of `target`.

        What stood at the target before is forgotten. This costs by the number of directories
        below, not of files.
        """
        if source != target:
            self._backlog.add(_Change(self, source, target))

    def directory(self, pathname: str) -> Mapping[bytes, Seen]:
        """Return what is written of the paths right in a directory, by their base names."""
        path = self._relative(pathname)
        if path is None:
            return {}
        rows = self._state._select(_DIRECTORY, self, path)
        # As _seen does, without a call for each of a million rows.
        new, kind_of_row, mask = tuple.__new__, Seen, _WHOLE - 1
        return {
            name: new(kind_of_row, (inode & mask, size, mtime_ns, kind, complete == 1))
            for inode, size, mtime_ns, kind, complete, name in rows
        }

    def others(self, visited: Collection[str]) -> Iterator[tuple[str, Seen]]:
        """Yield (pathname, seen) of all that is recorded outside of some directories.

        Args:
            visited: the directories to leave out, not with what lies in those below them. The
                root itself is yielded unless it is one of them.
        """
        self._state.flush()
        last = 0
        while directories := self._state._select(_DIRECTORIES, self, last, _PAGE):
            for last, path in directories:
                pathname = self._pathname(path)
                if pathname not in visited:
                    yield from self._files(last, pathname)

    def _files(self, directory: int, pathname: str) -> Iterator[tuple[str, Seen]]:
        prefix = pathname.rstrip("/") + "/"
        last: str | bytes = ""  # a text, which for SQLite stands before every blob
        while rows := self._state._select(_FILES, self, directory, last, _PAGE):
            for row in rows:
                last = row[5]
                yield (prefix + os.fsdecode(last) if last else self.root), _seen(row)

    # Paths relative to the root, as they are written.

    def _pathname(self, path: bytes) -> str:
        return self._prefix + os.fsdecode(path) if path else self.root

    def _relative(self, pathname: str) -> bytes | None:
        """Return `pathname` relative to the root, None if it is not below."""
        if pathname == self.root:
            return b""
        if not pathname.startswith(self._prefix):
            return None
        try:
            return os.fsencode(pathname[len(self._prefix) :].strip("/"))
        except UnicodeEncodeError:  # no name that a file can have
            return None

    def _place(self, pathname: str) -> tuple[bytes, bytes] | None:
        """Return directory and name, both b"" for the root; None if it is not below."""
        path = self._relative(pathname)
        if path is None:
            return None
        directory, _, name = path.rpartition(b"/")
        return directory, name


# What is to be written.


class _Change(NamedTuple):
    """A directory was renamed, or is gone if there is no target."""

    ledger: Ledger
    source: str
    target: str | None

    def before(self, pathname: str) -> str | None:
        """Return what the path of `pathname` was before, None if it was not there."""
        if self.target is not None and _is_at_or_below(pathname, self.target):
            return self.source + pathname[len(self.target) :]
        return None if _is_at_or_below(pathname, self.source) else pathname


class _Batch(NamedTuple):
    """The last record of each path in a while."""

    ledger: Ledger
    records: dict[str, Seen | None]


class _Rows(NamedTuple):
    """As much of a batch as one statement can write."""

    ledger: Ledger
    records: list[tuple[str, Seen | None]]


class _Unit(NamedTuple):
    work: _Rows | _Change
    ends_part: bool


class _Backlog:
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
        self._parts: list[_Batch | _Change] = []
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

    def add(self, change: _Change) -> None:
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
            self._parts.append(_Batch(ledger, batch))
            self._sealed += len(batch)

    def _seal_or_merge(self, ledger: Ledger) -> None:
        # A batch that could not be written takes in what came since: no path twice in memory.
        last = next((part for part in reversed(self._parts) if part.ledger is ledger), None)
        if isinstance(last, _Batch):
            self._sealed -= len(last.records)
            last.records.update(ledger._batch)
            self._sealed += len(last.records)
            ledger._batch, ledger._room = {}, 0
        else:
            self._seal(ledger)

    def units(self) -> Iterator[_Unit]:
        """Yield what there is to write by now, in order."""
        self.wanted.clear()
        with self.lock:
            for ledger in self.ledgers:
                self._seal_or_merge(ledger)
            parts = self._parts.copy()
        for part in parts:
            if isinstance(part, _Batch):
                yield from _units_of(part)
            else:
                yield _Unit(part, True)

    def written(self, parts: int) -> None:
        """Forget the first `parts` parts."""
        with self.lock:
            for part in self._parts[:parts]:
                self._sealed -= len(part.records) if isinstance(part, _Batch) else 1
            del self._parts[:parts]

    def find(self, ledger: Ledger, pathname: str) -> Seen | str | None:
        """Return what is recorded of a path, or if nothing is, its path in the tables."""
        with self.lock:
            if pathname in ledger._batch:
                return ledger._batch[pathname]
            for part in reversed(self._parts):
                if part.ledger is not ledger:
                    continue
                if isinstance(part, _Change):
                    before = part.before(pathname)
                    if before is None:
                        return None
                    pathname = before
                elif pathname in part.records:
                    return part.records[pathname]
        return pathname


def _units_of(batch: _Batch) -> Iterator[_Unit]:
    slices = _slices(iter(batch.records.items()), _SIZES[-1])
    records = next(slices)
    for following in slices:
        yield _Unit(_Rows(batch.ledger, records), False)
        records = following
    yield _Unit(_Rows(batch.ledger, records), True)


def _slices(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while found := list(islice(items, size)):
        yield found


def _is_at_or_below(pathname: str, directory: str) -> bool:
    return pathname == directory or pathname.startswith(directory.rstrip("/") + "/")


# The file.


class _Unusable(Exception):
    """The file is not one that this version can work with."""


_COLUMNS = "inode, size, mtime_ns, kind, complete, name"
_ID = "SELECT id FROM directories WHERE entry = ? AND path = ?"
_GET = f"SELECT {_COLUMNS} FROM files WHERE directory = ({_ID}) AND name = ?"  # noqa: S608
_DIRECTORY = f"SELECT {_COLUMNS} FROM files WHERE directory = ({_ID}) AND name > x''"  # noqa: S608
_DIRECTORIES = "SELECT id, path FROM directories WHERE entry = ? AND id > ? ORDER BY id LIMIT ?"
# Asks for the entry although the directory says it all: of a new file, neither is known.
_FILES = (
    f"SELECT {_COLUMNS} FROM files JOIN directories ON id = directory WHERE entry = ? "  # noqa: S608
    "AND directory = ? AND name > ? ORDER BY name LIMIT ?"
)
_BELOW = "entry = ? AND (path = ? OR path >= ? AND path < ?)"


class _Tables:
    """The tables in one file, with a connection to write and one to read.

    Args:
        path: of the file, which is made if it is missing.

    Raises:
        OSError: it cannot be made, or is not an ordinary file.
        sqlite3.Error: it cannot be used, now or at all.
        _Unusable: it is not one that this version can work with.
    """

    def __init__(self, path: Path) -> None:
        _make_private(path)
        self._writer = _connect(path)
        try:
            _prepare(self._writer)
            self._reader = _connect(path)
        except BaseException:
            self._writer.close()
            raise
        self.reading = threading.Lock()  # held by whoever uses the reader
        self._entries: dict[str, int] = {}
        self._directories: dict[tuple[str, str], int] = {}  # ids by key and path

    def close(self) -> None:
        # The writer last: it takes the -wal along.
        with self.reading, contextlib.suppress(sqlite3.Error):
            self._reader.close()
        with contextlib.suppress(sqlite3.Error):
            self._writer.close()

    def select(self, sql: str, *arguments: Any) -> list[Any]:
        """Return rows. With `reading` held."""
        return self._reader.execute(sql, arguments).fetchall()

    def begin(self) -> None:
        self._writer.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._writer.execute("COMMIT")

    def roll_back(self) -> None:
        self._directories.clear()
        with contextlib.suppress(sqlite3.Error):
            self._writer.rollback()

    # Entries.

    def entry(self, ledger: Ledger) -> int | None:
        """Return the id of an entry, None if there is none yet."""
        return self._entries.get(ledger.key)

    def add(self, ledger: Ledger) -> None:
        """Read the row of an entry, or make it."""
        if ledger.key in self._entries:
            return
        key, root = os.fsencode(ledger.key), os.fsencode(ledger.root)
        self.begin()
        sql = "SELECT id, root, since, settled, mount FROM entries WHERE key = ?"
        row = self._writer.execute(sql, (key,)).fetchone()
        if row and row[1] != root:
            self._remove_below(row[0], b"")
            self._writer.execute("DELETE FROM entries WHERE id = ?", row[:1])
            row = None
        if row is None:
            sql = "INSERT INTO entries (key, root) VALUES (?, ?) RETURNING id"
            [(entry,)] = self._writer.execute(sql, (key, root)).fetchall()
        else:
            entry = row[0]
        self.commit()
        self._entries[ledger.key] = entry
        if row and ledger._saved:
            ledger._since, ledger._settled, ledger._mount = row[2], bool(row[3]), bool(row[4])

    def save(self, ledger: Ledger) -> None:
        """Write the facts of an entry if they have changed."""
        if ledger._saved:
            return
        ledger._saved = True
        facts = (ledger._since, ledger._settled, ledger._mount, self._entries[ledger.key])
        try:
            sql = "UPDATE entries SET since = ?, settled = ?, mount = ? WHERE id = ?"
            self._writer.execute(sql, facts)
        except BaseException:
            ledger._saved = False
            raise

    # Records.

    def apply(self, work: _Rows | _Change) -> None:
        """Write a part of what is recorded. In a transaction."""
        if isinstance(work, _Change):
            self._change(work)
        else:
            self._put(work.ledger, work.records)

    def _put(self, ledger: Ledger, records: list[tuple[str, Seen | None]]) -> None:
        rows: list[tuple[Any, ...]] = []
        gone: list[tuple[Any, ...]] = []
        for pathname, seen in records:
            place = self._find(ledger, pathname, make=seen is not None)
            if place is None:
                continue
            if seen is None:
                gone.append(place)
                continue
            inode, size, mtime_ns, kind, complete = seen
            if inode >= _HALF or not -_HALF <= mtime_ns < _HALF:
                inode, mtime_ns = _signed(inode), _signed(mtime_ns)
            rows.append((*place, inode, size, mtime_ns, kind, complete))
        self._execute_many("INSERT OR REPLACE INTO files VALUES ", 7, rows)
        self._execute_many("DELETE FROM files WHERE (directory, name) IN (VALUES ", 2, gone, ")")

    def _execute_many(
        self, start: str, columns: int, rows: Sequence[tuple[Any, ...]], end: str = ""
    ) -> None:
        if not rows:
            return
        size = next(size for size in _SIZES if size >= len(rows))
        row = f"({', '.join('?' * columns)})"
        sql = start + ", ".join([row] * size) + end
        # Few sizes, so that SQLite keeps the statements prepared: the last row again and again.
        filled = [*rows, *[rows[-1]] * (size - len(rows))]
        self._writer.execute(sql, tuple(chain.from_iterable(filled)))

    def _find(self, ledger: Ledger, pathname: str, *, make: bool) -> tuple[int, bytes] | None:
        """Return directory and name in the tables, None if it has no place there."""
        head, _, tail = pathname.rpartition("/")
        known = self._directories.get((ledger.key, head))
        if known is None or not tail:
            return self._look_up(ledger, pathname, make=make)
        try:
            return known, tail.encode(_ENCODING, "surrogateescape")
        except UnicodeEncodeError:
            return None

    def _look_up(self, ledger: Ledger, pathname: str, *, make: bool) -> tuple[int, bytes] | None:
        place = ledger._place(pathname)
        if place is None:
            return None
        path, name = place
        directory = self._directory(self._entries[ledger.key], path, make=make)
        if directory is None:
            return None
        if name and not pathname.endswith("/"):
            if len(self._directories) >= _MOST_DIRECTORY_IDS:
                self._directories.clear()
            self._directories[ledger.key, pathname.rpartition("/")[0]] = directory
        return directory, name

    def _directory(self, entry: int, path: bytes, *, make: bool) -> int | None:
        row = self._writer.execute(_ID, (entry, path)).fetchone()
        if row is None and make:
            sql = "INSERT INTO directories (entry, path) VALUES (?, ?) RETURNING id"
            [row] = self._writer.execute(sql, (entry, path)).fetchall()
        return row[0] if row else None

    # Directories that go or move.

    def _change(self, change: _Change) -> None:
        entry = self._entries[change.ledger.key]
        source = change.ledger._relative(change.source)
        target = None if change.target is None else change.ledger._relative(change.target)
        if target is not None:
            self._remove(entry, target)
        if source and target:
            self._move(entry, source, target)
        elif source is not None:
            self._remove(entry, source)
        self._directories.clear()

    def _remove(self, entry: int, path: bytes) -> None:
        self._remove_below(entry, path)
        directory, _, name = path.rpartition(b"/")
        sql = f"DELETE FROM files WHERE directory = ({_ID}) AND name = ?"  # noqa: S608
        self._writer.execute(sql, (entry, directory, name))

    def _remove_below(self, entry: int, path: bytes) -> None:
        condition, arguments = _below(entry, path)
        sql = f"DELETE FROM files WHERE directory IN (SELECT id FROM directories WHERE {condition})"  # noqa: S608
        self._writer.execute(sql, arguments)
        self._writer.execute(f"DELETE FROM directories WHERE {condition}", arguments)  # noqa: S608

    def _move(self, entry: int, source: bytes, target: bytes) -> None:
        condition, arguments = _below(entry, source)
        sql = f"UPDATE directories SET path = CAST(? || substr(path, ?) AS BLOB) WHERE {condition}"  # noqa: S608
        self._writer.execute(sql, (target, len(source) + 1, *arguments))
        old, _, name = source.rpartition(b"/")
        new, _, new_name = target.rpartition(b"/")
        directory = self._directory(entry, new, make=True)
        sql = f"UPDATE files SET directory = ?, name = ? WHERE directory = ({_ID}) AND name = ?"  # noqa: S608
        self._writer.execute(sql, (directory, new_name, entry, old, name))


_Query = Callable[[_Tables], list[Any]]


def _below(entry: int, path: bytes) -> tuple[str, tuple[Any, ...]]:
    """Return an SQL condition, and its arguments, for a directory and those below it."""
    if not path:
        return "entry = ?", (entry,)
    # All that begins with the path and a slash. "0" is what follows the slash.
    return _BELOW, (entry, path, path + b"/", path + b"0")


def _seen(row: tuple[int, int, int, int, int, bytes]) -> Seen:
    inode, size, mtime_ns, kind, complete, _ = row
    return Seen(inode % _WHOLE, size, mtime_ns, kind, complete == 1)


def _means_damage(exc: Exception) -> bool:
    code = getattr(exc, "sqlite_errorcode", None)
    if code is None:
        return isinstance(exc, _Unusable)
    return code & 0xFF not in _PASSING  # the low byte: which kind of error it is


def _companions(path: Path) -> list[Path]:
    """Return the file and those that SQLite keeps beside it."""
    return [path.with_name(path.name + end) for end in ("", "-wal", "-shm")]


def _set_aside(path: Path) -> None:
    damaged = path.with_name(f"{path.name}.damaged")
    for old, new in zip(_companions(path), _companions(damaged), strict=True):
        new.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            old.rename(new)


def _make_private(path: Path) -> None:
    """Make the file, or take from others the right to read it; SQLite's own files follow it."""
    for companion in _companions(path):
        if companion.is_symlink():
            raise OSError(f"{companion} is a symbolic link")
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} is not a regular file")
        if stat.S_IMODE(status.st_mode) != 0o600:
            os.fchmod(fd, 0o600)
    finally:
        os.close(fd)
    for companion in _companions(path)[1:]:
        with contextlib.suppress(FileNotFoundError):
            companion.chmod(0o600)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)


def _prepare(connection: sqlite3.Connection) -> None:
    """Check the file, and make the tables if it is a new one."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {1 << 22}")
    # In KiB. Records that come in any order touch many pages, each time anew.
    connection.execute("PRAGMA cache_size = -8000")
    connection.execute("BEGIN IMMEDIATE")
    [(version,)] = connection.execute("PRAGMA user_version")
    [(tables,)] = connection.execute("SELECT count(*) FROM sqlite_master")
    if version == 0 and tables == 0:
        for statement in _SCHEMA:
            connection.execute(statement)
    elif version != _VERSION:
        raise _Unusable(f"it was written by another version (schema {version}, not {_VERSION})")
    connection.execute("COMMIT")
    [(verdict,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
    if verdict != "ok":
        raise _Unusable(f"it is damaged ({verdict})")
