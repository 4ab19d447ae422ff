"""The SQLite file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import sys
import threading
from collections.abc import Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inotifier.state.backlog import SIZES, Change, Rows
from inotifier.state.seen import HALF, WHOLE, Seen, signed

if TYPE_CHECKING:
    from inotifier.state.ledger import Ledger

_VERSION = 2
_SCHEMA = (
    """CREATE TABLE entries (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, root BLOB NOT NULL,
        since REAL, settled INTEGER NOT NULL DEFAULT 0,
        below_since REAL, below_settled INTEGER NOT NULL DEFAULT 0,
        mount INTEGER NOT NULL DEFAULT 0)""",
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

_PATIENCE = 5.0
"""Seconds to wait for another process that has locked the file."""

_MOST_DIRECTORY_IDS = 50_000

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


class Unusable(Exception):
    """The file is not one that this version can work with."""


_FACTS = ("since", "settled", "below_since", "below_settled", "mount")
_COLUMNS = "inode, size, mtime_ns, kind, complete, name"
_ID = "SELECT id FROM directories WHERE entry = ? AND path = ?"
GET = f"SELECT {_COLUMNS} FROM files WHERE directory = ({_ID}) AND name = ?"  # noqa: S608
DIRECTORY = f"SELECT {_COLUMNS} FROM files WHERE directory = ({_ID}) AND name > x''"  # noqa: S608
DIRECTORIES = "SELECT id, path FROM directories WHERE entry = ? AND id > ? ORDER BY id LIMIT ?"
# Asks for the entry although the directory says it all: of a new file, neither is known.
FILES = (
    f"SELECT {_COLUMNS} FROM files JOIN directories ON id = directory WHERE entry = ? "  # noqa: S608
    "AND directory = ? AND name > ? ORDER BY name LIMIT ?"
)
HOLDS = (
    "SELECT 1 FROM directories JOIN files ON directory = id "
    "WHERE entry = ? AND (path = ? OR path >= ? AND path < ?) LIMIT 1"
)
_EMPTY = "NOT EXISTS (SELECT 1 FROM files WHERE directory = directories.id)"
_BELOW = "entry = ? AND (path = ? OR path >= ? AND path < ?)"


class Tables:
    """The tables in one file, with a connection to write and one to read.

    Args:
        path: of the file, which is made if it is missing.

    Raises:
        OSError: it cannot be made, or is not an ordinary file.
        sqlite3.Error: it cannot be used, now or at all.
        Unusable: it is not one that this version can work with.
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
        sql = f"SELECT id, root, {', '.join(_FACTS)} FROM entries WHERE key = ?"  # noqa: S608
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
            _take_facts(ledger, row[2:])

    def save(self, ledger: Ledger) -> None:
        """Write the facts of an entry if they have changed."""
        if ledger._saved:
            return
        ledger._saved = True
        try:
            sql = f"UPDATE entries SET {' = ?, '.join(_FACTS)} = ? WHERE id = ?"  # noqa: S608
            self._writer.execute(sql, (*_facts(ledger), self._entries[ledger.key]))
        except BaseException:
            ledger._saved = False
            raise

    # Records.

    def apply(self, work: Rows | Change) -> None:
        """Write a part of what is recorded. In a transaction."""
        if isinstance(work, Change):
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
            if inode >= HALF or not -HALF <= mtime_ns < HALF:
                inode, mtime_ns = signed(inode), signed(mtime_ns)
            # sqlite3 asks all its adapters what to do with a bool.
            rows.append((*place, inode, size, mtime_ns, kind, 1 if complete else 0))
        self._execute_many("INSERT OR REPLACE INTO files VALUES ", 7, rows)
        self._execute_many("DELETE FROM files WHERE (directory, name) IN (VALUES ", 2, gone, ")")
        self._forget_empty(ledger, [pathname for pathname, seen in records if seen is None])

    def _forget_empty(self, ledger: Ledger, pathnames: list[str]) -> None:
        """Remove the rows of those `pathnames` that were directories and hold nothing."""
        entry = self._entries[ledger.key]
        paths = (ledger._relative(pathname) for pathname in pathnames)
        rows: list[tuple[Any, ...]] = [(entry, path) for path in paths if path]
        start, end = "DELETE FROM directories WHERE (entry, path) IN (VALUES ", f") AND {_EMPTY}"
        if self._execute_many(start, 2, rows, end):
            self._directories.clear()

    def _execute_many(
        self, start: str, columns: int, rows: list[tuple[Any, ...]], end: str = ""
    ) -> int:
        """Execute one statement for all `rows`; return how many it has changed."""
        if not rows:
            return 0
        # Few sizes, so that SQLite keeps the statements prepared: the last row again and again.
        size = next(size for size in SIZES if size >= len(rows))
        rows.sort()  # in the order of the table, which takes the less time
        filled = [*rows, *[rows[-1]] * (size - len(rows))]
        sql = _sql(start, columns, size, end)
        return self._writer.execute(sql, tuple(chain.from_iterable(filled))).rowcount

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

    def _change(self, change: Change) -> None:
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


@cache
def _sql(start: str, columns: int, rows: int, end: str) -> str:
    row = f"({', '.join('?' * columns)})"
    return start + ", ".join([row] * rows) + end


def _facts(ledger: Ledger) -> tuple[float | None, bool, float | None, bool, bool]:
    """Return what is kept of an entry itself, in the order of `_FACTS`."""
    at_root, below = ledger._at_root, ledger._below
    return at_root.since, at_root.settled, below.since, below.settled, ledger._mount


def _take_facts(ledger: Ledger, facts: Sequence[Any]) -> None:
    at_root, below = ledger._at_root, ledger._below
    at_root.since, at_root.settled = facts[0], bool(facts[1])
    below.since, below.settled = facts[2], bool(facts[3])
    ledger._mount = bool(facts[4])


def _below(entry: int, path: bytes) -> tuple[str, tuple[Any, ...]]:
    """Return an SQL condition, and its arguments, for a directory and those below it."""
    if not path:
        return "entry = ?", (entry,)
    # All that begins with the path and a slash. "0" is what follows the slash.
    return _BELOW, (entry, path, path + b"/", path + b"0")


def seen_of(row: tuple[int, int, int, int, int, bytes]) -> Seen:
    inode, size, mtime_ns, kind, complete, _ = row
    return Seen(inode % WHOLE, size, mtime_ns, kind, complete == 1)


def means_damage(exc: Exception) -> bool:
    code = getattr(exc, "sqlite_errorcode", None)
    if code is None:
        return isinstance(exc, Unusable)
    return code & 0xFF not in _PASSING  # the low byte: which kind of error it is


def _companions(path: Path) -> list[Path]:
    """Return the file and those that SQLite keeps beside it."""
    return [path.with_name(path.name + end) for end in ("", "-wal", "-shm")]


def set_aside(path: Path) -> None:
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
        raise Unusable(f"it was written by another version (schema {version}, not {_VERSION})")
    connection.execute("COMMIT")
    connection.execute(f"DELETE FROM directories WHERE {_EMPTY}")  # noqa: S608
    [(verdict,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
    if verdict != "ok":
        raise Unusable(f"it is damaged ({verdict})")
