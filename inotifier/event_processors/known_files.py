"""What is remembered of files: which are on their way, and which were sent."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MAX_PENDING = 100_000
MAX_SENT = 100_000
MAX_MOVING = 1_000


class FileState(NamedTuple):
    """What tells one content of a file from another."""

    inode: int
    size: int
    mtime_ns: int


@dataclass(eq=False)
class Pending:
    """A file that has come or changed since it was sent.

    Attributes:
        since: when that was noted first, in seconds of the processor's clock.
        is_open: True while its IN_CLOSE_WRITE is awaited.
        changed: False if nothing was noted since it was last looked at to be sent.
        looked_at: how it was when its quiet time began.
        looked: when that was.
        inode: its number, once it was looked at.
    """

    since: float
    is_open: bool = False
    changed: bool = True
    looked_at: FileState | None = None
    looked: float = 0.0
    inode: str = ""


@dataclass(eq=False)
class _Moving:
    """Records on their way to other names, by what follows the old name of what was renamed.

    Attributes:
        path: the old name.
    """

    path: str
    pending: dict[str, Pending] = field(default_factory=dict)
    sent: dict[str, FileState] = field(default_factory=dict)


class KnownFiles:
    """The records of one processor. Each kind is bounded: the oldest goes first."""

    def __init__(self) -> None:
        self._pending: dict[str, Pending] = {}
        self._sent: dict[str, FileState] = {}
        self._paths: dict[FileState, str] = {}
        self._moving: dict[int, _Moving] = {}
        self._by_inode: dict[str, str] = {}
        self._lock = threading.Lock()

    def is_pending(self, path: str) -> bool:
        """Tell whether the file has come or changed since it was sent."""
        return path in self._pending

    def is_open(self, path: str) -> bool:
        """Tell whether the IN_CLOSE_WRITE of the file is awaited."""
        pending = self._pending.get(path)
        return pending is not None and pending.is_open

    def is_unchanged(self, path: str) -> bool:
        """Tell whether the file was sent and has not changed since."""
        return path in self._sent and path not in self._pending

    def sent(self, path: str) -> FileState | None:
        """Return how the file was when it was sent."""
        return self._sent.get(path)

    def soil(self, path: str, now: float, *, is_open: bool) -> Pending:
        """Note that the file has come or changed."""
        with self._lock:
            pending = self._begin(path, now)
            pending.is_open = is_open
            pending.changed = True
            return pending

    def look(self, path: str, now: float) -> Pending:
        """Return the record of a file that is about to be looked at."""
        with self._lock:
            pending = self._begin(path, now)
            pending.changed = False
            return pending

    def _begin(self, path: str, now: float) -> Pending:
        pending = self._pending.get(path)
        if pending is None:
            pending = Pending(now)
            _put(self._pending, path, pending, MAX_PENDING)
        return pending

    def note_inode(self, path: str, inode: int) -> None:
        """Remember the inode of a file that has come and may be written."""
        with self._lock:
            if pending := self._pending.get(path):
                pending.inode = str(inode)
                _put(self._by_inode, pending.inode, path, MAX_SENT)

    def take_open(self, inode: str) -> str | None:
        """Return the path of the file with `inode`, if its IN_CLOSE_WRITE is awaited."""
        with self._lock:
            path = self._by_inode.pop(inode, "")
            pending = self._pending.get(path)
            is_open = pending is not None and pending.is_open and pending.inode == inode
            return path if is_open else None

    def note_sent(self, path: str, state: FileState) -> None:
        """Note that the file was sent as `state`, under another name maybe."""
        with self._lock:
            self._note_sent(path, state)

    def clean(self, path: str, state: FileState) -> None:
        """Note that the file was sent as `state`, which is how it was at the last look."""
        with self._lock:
            self._note_sent(path, state)
            pending = self._pending.get(path)
            if pending is not None and not pending.changed:
                self._end(path)

    def _end(self, path: str) -> None:
        if pending := self._pending.pop(path, None):
            _drop(self._by_inode, pending.inode, path)

    def _note_sent(self, path: str, state: FileState) -> None:
        if before := self._sent.get(path):
            _drop(self._paths, before, path)
        _put(self._sent, path, state, MAX_SENT)
        _put(self._paths, state, path, MAX_SENT)

    def forget(self, path: str) -> None:
        """Forget the file, which is gone."""
        with self._lock:
            self._end(path)
            if state := self._sent.pop(path, None):
                _drop(self._paths, state, path)

    def forget_unsent(self, path: str) -> None:
        """Forget the file, which is none to send, unless it was sent before."""
        with self._lock:
            if path not in self._sent:
                self._end(path)

    def leave(self, path: str, cookie: int, *, is_dir: bool) -> None:
        """Take the records of what has left `path`, and of what is below it."""
        with self._lock:
            moving = self._take(path, is_dir)
            if cookie and (moving.pending or moving.sent):
                lost = _put(self._moving, cookie, moving, MAX_MOVING)
                if lost is not None:
                    self._lose(lost)

    def _lose(self, moving: _Moving) -> None:
        """Forget what has left for good."""
        for rest, state in moving.sent.items():
            _drop(self._paths, state, moving.path + rest)
        for rest, pending in moving.pending.items():
            _drop(self._by_inode, pending.inode, moving.path + rest)

    def path_of(self, state: FileState) -> str | None:
        """Return where a file was when it was sent as `state`, None if none was."""
        return self._paths.get(state)

    def arrive(
        self, path: str, cookie: int, source: str | None, now: float, *, is_dir: bool
    ) -> list[str]:
        """Give what has come to `path` the records that it had at `source`.

        A file without any has come at `now`. What was sent from its path stays, for it may have
        been this file: a listing can show the rename before its event does.

        Returns:
            Paths of the files among them that have come or changed since they were sent.
        """
        with self._lock:
            moving = self._moving.pop(cookie, None)
            # Another path's events may wait, or be in another thread.
            if moving is None and source is not None:
                moving = self._take(source, is_dir)
            if not is_dir:
                self._end(path)
                if moving is None or not moving.sent:
                    self._begin(path, now)
            if moving is None:
                return []
            for rest, state in moving.sent.items():
                self._note_sent(path + rest, state)
            for rest, pending in moving.pending.items():
                _put(self._pending, path + rest, pending, MAX_PENDING)
                if self._by_inode.get(pending.inode) == moving.path + rest:
                    self._by_inode[pending.inode] = path + rest
            return [path + rest for rest in moving.pending]

    def _take(self, path: str, is_dir: bool) -> _Moving:
        return _Moving(
            path, _take_from(self._pending, path, is_dir), _take_from(self._sent, path, is_dir)
        )


def _take_from(records: dict[str, V], path: str, is_dir: bool) -> dict[str, V]:
    if not is_dir:
        return {"": records.pop(path)} if path in records else {}
    below = [one for one in records if one.startswith(f"{path}/")]
    return {one[len(path) :]: records.pop(one) for one in below}


def _drop(records: dict[K, str], key: K, path: str) -> None:
    """Drop what `records` have for `key`, unless it belongs to another path by now."""
    if records.get(key) == path:
        del records[key]


def _put(records: dict[K, V], key: K, value: V, limit: int) -> V | None:
    """Make `value` the newest of `records`; drop the oldest beyond `limit`, and return it."""
    records.pop(key, None)
    records[key] = value
    return records.pop(next(iter(records))) if len(records) > limit else None
