"""The state: ledgers, a thread that writes them, and what goes wrong with the file."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inotifier.exceptions import InotifierError
from inotifier.state.backlog import Backlog, Change, slices
from inotifier.state.ledger import Ledger
from inotifier.state.seen import Seen
from inotifier.state.tables import GET, HOLDS, Tables, Unusable, means_damage, seen_of, set_aside

logger = logging.getLogger(__name__)

_GATHER = 1.0
"""Seconds between a record and its writing: many rows cost little more than one."""

_QUIET = 0.05
"""Seconds without a new path after which it is not worth while to wait for more."""

_LONGEST_PAUSE = 10.0
"""Seconds between two attempts when writing fails."""

_UNITS = 96
"""Statements of one transaction: some 50,000 rows."""


class Unreadable(InotifierError):
    """It cannot be told for now what is recorded."""


_Query = Callable[[Tables], list[Any]]


class State:
    """The state of all entries, in the file `path`.

    No method raises because of the file: whatever is wrong with it is logged once and shown
    by `problem`. Nothing is opened and no thread runs before `open`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._trouble = ""
        self._backlog = Backlog()
        self._ledgers: dict[str, Ledger] = {}
        self._tables: Tables | None = None
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

    @property
    def is_open(self) -> bool:
        """True while there is a file to work with."""
        return self._tables is not None

    def open(self) -> None:
        """Open the file, or make it. One that is damaged is set aside."""
        with self._writing:
            try:
                self._tables = Tables(self.path)
            except (OSError, sqlite3.Error, Unusable) as exc:
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

    def when_written(self, call: Callable[[], object]) -> None:
        """Have `call` called, in another thread, once `flush` would return.

        While there is nothing to write with, that is at once, and in this thread.
        """
        if self._thread is None:
            call()
            return
        self._backlog.call_when_written(call)

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
            calls = self._backlog.take_calls()
            with self._writing:
                failed = not self._write()
            for call in calls:
                call()
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

    def _write_to(self, tables: Tables) -> None:
        for ledger in list(self._ledgers.values()):
            tables.add(ledger)
        for units in slices(self._backlog.units(), _UNITS):
            with contextlib.ExitStack() as stack:
                tables.begin()
                for unit in units:
                    tables.apply(unit.work)
                if any(isinstance(unit.work, Change) for unit in units):
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
            logger.info("the state %s is written again", self.path)
            self._trouble = ""

    # Faults. All of it with `_writing` held.

    def _recover(self, exc: Exception) -> bool:
        """Make the best of `exc`; return whether there is a new file to work with."""
        if not means_damage(exc):
            self._report(exc)
            return False
        self._close_tables()
        try:
            set_aside(self.path)
            self._tables = Tables(self.path)
        except (OSError, sqlite3.Error, Unusable) as second:
            self._backlog.close()
            self._report(second)
            return False
        for ledger in self._ledgers.values():
            ledger._reset(time.time())
        logger.error(
            "the state %s cannot be used: %s. It is set aside as %s.damaged and a new one is "
            "begun: what was there until now counts as delivered or not as `initial` of its entry "
            "says",
            self.path,
            exc,
            self.path.name,
        )
        return True

    def _report(self, exc: Exception) -> None:
        if not self._trouble:
            known = isinstance(exc, (OSError, sqlite3.Error, Unusable))
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
        def find(tables: Tables) -> list[Any]:
            # In one go, so that a change is not written in between.
            found = self._backlog.find(ledger, pathname)
            if not isinstance(found, str):
                return [found]
            if not (place := ledger._place(found)):
                return []
            return [seen_of(row) for row in tables.select(GET, tables.entry(ledger), *place)]

        if ledger._relative(pathname) is None:
            return None
        return next(iter(self._read(find)), None)

    def _holds_below(self, ledger: Ledger, pathname: str) -> bool:
        def find(tables: Tables) -> list[Any]:
            found = self._backlog.find_below(ledger, pathname)
            path = None if isinstance(found, bool) else ledger._relative(found)
            if path is None:
                return [1] if found is True else []
            return tables.select(HOLDS, tables.entry(ledger), path, path + b"/", path + b"0")

        return bool(self._read(find))

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
                    begun_anew = self._recover(exc)
                    if not begun_anew and self._tables is not None:
                        raise Unreadable(f"cannot read the state {self.path}: {exc}") from exc
            return []
