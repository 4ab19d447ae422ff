"""What has been delivered of one entry."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inotifier.state.backlog import Change
from inotifier.state.seen import WHOLE, Seen
from inotifier.state.tables import DIRECTORIES, DIRECTORY, FILES, seen_of

if TYPE_CHECKING:
    from inotifier.state.state import State

_PAGE = 5_000


@dataclass
class Start:
    """The first start of an entry.

    Attributes:
        since: its time (time.time()), None before.
        settled: whether what was there is recorded completely.
    """

    since: float | None = None
    settled: bool = False


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

    def _reset(self, since: float | None = None) -> None:
        self._at_root, self._below = Start(since), Start(since)
        self._mount = False
        self._saved = since is None

    @property
    def is_kept(self) -> bool:
        """False if nothing can be known, because the state cannot be used."""
        return self._state.is_open

    @property
    def mount(self) -> bool:
        """Whether the root was a mount point."""
        return self._mount

    def begin(self, now: float, *, deep: bool) -> None:
        """Keep that the entry starts `now` (time.time()), if it never has before.

        Args:
            now: what was there before is the first that is seen.
            deep: whether it watches below its root as well, which may begin later.
        """
        starts = (self._at_root, self._below) if deep else (self._at_root,)
        new = [start for start in starts if start.since is None]
        for start in new:
            start.since = now
        if new:
            self._saved = False
            self._state.flush()

    def first_seen(self, otherwise: float, *, below: bool) -> float:
        """Return until when what is not recorded may have been there at the first start.

        Args:
            otherwise: the answer if the entry has never started.
            below: for directories below the root.

        Returns:
            A time (time.time()), 0 if all that was there is recorded.
        """
        start = self._below if below else self._at_root
        if start.settled:
            return 0.0
        return otherwise if start.since is None else start.since

    def settle(self, *, deep: bool) -> None:
        """Keep that what was there at the first start is recorded, with `deep` below as well."""
        self._at_root.settled = True
        self._below.settled = self._below.settled or deep
        self._save_soon()

    def set_mount(self, mount: bool) -> None:
        """Keep whether the root is a mount point."""
        self._mount = mount
        self._save_soon()

    def _save_soon(self) -> None:
        self._saved = False
        self._backlog.wanted.set()

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
        self._backlog.add(Change(self, pathname, None))

    def rename(self, source: str, target: str) -> None:
        """Let what was recorded of the directory `source`, and below, be that of `target`.

        What stood at the target before is forgotten. This costs by the number of directories
        below, not of files.
        """
        if source != target:
            self._backlog.add(Change(self, source, target))

    def when_written(self, call: Callable[[], object]) -> None:
        """Have `call` called, in another thread, once what is recorded by now is written.

        Or when it turns out that it cannot be written.
        """
        self._state.when_written(call)

    def flush(self) -> None:
        """Return when what is recorded by now is written, or cannot be."""
        self._state.flush()

    def holds_below(self, pathname: str) -> bool:
        """Tell whether anything is recorded below a directory, itself not counted."""
        return self._relative(pathname) is not None and self._state._holds_below(self, pathname)

    def directory(self, pathname: str) -> Mapping[bytes, Seen]:
        """Return what is written of the paths right in a directory, by their base names."""
        path = self._relative(pathname)
        if path is None:
            return {}
        rows = self._state._select(DIRECTORY, self, path)
        # As seen_of does, without a call for each of a million rows.
        new, kind_of_row, mask = tuple.__new__, Seen, WHOLE - 1
        return {
            name: new(kind_of_row, (inode & mask, size, mtime_ns, kind, complete == 1))
            for inode, size, mtime_ns, kind, complete, name in rows
        }

    def others(self, visited: Collection[str]) -> Iterator[tuple[str, Seen]]:
        """Yield (pathname, seen) of all that is written of what lies outside of some directories.

        Args:
            visited: the directories to leave out, not with what lies in those below them. The
                root itself is yielded unless it is one of them.
        """
        last = 0
        while directories := self._state._select(DIRECTORIES, self, last, _PAGE):
            for last, path in directories:
                pathname = self._pathname(path)
                if pathname not in visited:
                    yield from self._files(last, pathname)

    def _files(self, directory: int, pathname: str) -> Iterator[tuple[str, Seen]]:
        prefix = pathname.rstrip("/") + "/"
        last: str | bytes = ""  # a text, which for SQLite stands before every blob
        while rows := self._state._select(FILES, self, directory, last, _PAGE):
            for row in rows:
                last = row[5]
                yield (prefix + os.fsdecode(last) if last else self.root), seen_of(row)

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
