"""What a delivery means for the record of what has been delivered."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from inotifier.events import (
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_MODIFY,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    Event,
)
from inotifier.state import AnyLedger, Seen, Unreadable
from inotifier.unsettled import Unsettled
from inotifier.writers import Writers, writers_of

NEEDED = IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO
"""What is watched for besides the mask of an entry, so that its record does not go stale."""

TOLD = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO
"""Events that tell of what is recorded."""

_LEAVING = IN_DELETE | IN_MOVED_FROM

_MEMORY = 1024
"""Files on their way to another name; the other end of some never comes."""

_MOST_ASTRAY = 100_000


class Bookkeeping(Protocol):
    """What a handler asks and tells about deliveries; `Books` says it for files.

    What `look` returns is nobody else's matter.
    """

    @property
    def ledger(self) -> AnyLedger:
        """Where it is kept."""

    def look(self, event: Event) -> Any:
        """Return what is to be seen before `event` is delivered."""

    def is_news(self, event: Event, seen: Any) -> bool:
        """Tell whether the end of a file's writing is all that is told of a change."""

    def is_told(self, event: Event, seen: Any) -> bool:
        """Tell whether all but its new name was told of what was renamed."""

    def put_off(self, event: Event) -> None:
        """Note that `event` is to be delivered again, later than what comes after it."""

    def give_up(self, event: Event) -> None:
        """Note that `event` is held: it is not delivered, and not put off any more."""

    def delivered(self, event: Event, seen: Any, *, is_done: bool | None = None) -> None:
        """Record that `event` was delivered, or had not to be."""

    def defer(self, event: Event, seen: Any, *, is_new: bool) -> None:
        """Record nothing of the path of `event` until it is settled."""

    def settle(self, path: str, *, is_told: bool, is_there: bool) -> None:
        """Note that what was deferred of `path` is done with."""

    def record_told(self, pathname: str, seen: Seen) -> None:
        """Record what an event of another path told of."""

    def close(self) -> None:
        """Keep what is known of what is not delivered before the end."""


class Books:
    """Keeps the ledger of one entry.

    What is recorded of a path is what was seen of it before the delivery, so a change during the
    delivery makes a difference, which the next comparison finds. A file is complete once the end
    of its writing has been told, to those who ask for it.

    Args:
        ledger: where it is kept.
        mask: the events that the entry asks for.

    Attributes:
        comparing: the tops of comparisons, asked for or running, that a renamed directory may
            escape: it may have gone from where they had not been yet to where they had.
        under_way: where the records of renamed directories wait whose other end may still come.
        astray: paths at which nothing, or not all, was found when they were looked at, and whether
            an event had told of them. The one that tells why, maybe of a directory above that has
            moved, is still to come.
        look_below: called with the path of a directory that may hold what was not delivered.
    """

    def __init__(self, ledger: AnyLedger, mask: int) -> None:
        self.ledger = ledger
        self.mask = mask
        self._asks_for_ends = bool(mask & IN_CLOSE_WRITE)
        self.comparing: list[str] = []
        self.look_below: Callable[[str], object] = lambda path: None
        self.under_way: dict[str, None] = {}
        self.astray: dict[str, bool] = {}
        self._moving: dict[int, Seen | None] = {}
        # Where what is recorded of directories is kept whose arrival waits to be delivered, and
        # where they are.
        self._detours: dict[str, str] = {}
        self._lock = threading.Lock()  # for the four dicts
        self._unsettled = Unsettled()
        self._last: tuple[float, str, os.stat_result | None] = (0.0, "", None)
        self._recorded: os.stat_result | None = None

    def known(self, pathname: str) -> Seen | None:
        """Return what is recorded of a path."""
        return self.ledger.get(self._place(pathname))

    def expected(self, pathname: str) -> Seen | None:
        """Return what is recorded of a path, or will be once its events are done with."""
        try:
            return self._unsettled[pathname]
        except KeyError:
            return self.known(pathname)

    def _known_by_now(self, pathname: str) -> Seen | None:
        """Return the same, None as well if the state cannot be read."""
        try:
            return self.known(pathname)
        except Unreadable:
            return None

    def record(self, pathname: str, seen: Seen | None) -> None:
        """Record a path as `seen`, or with None that it is gone; once its events are done with."""
        if not (self._unsettled and self._unsettled.put(pathname, seen)):
            self.ledger.record(self._place(pathname), seen)

    def written_in(self, directory: str) -> Mapping[bytes, Seen]:
        """Return what is written of the paths right in a directory, by their base names."""
        return self.ledger.directory(self._place(directory))

    def holds_below(self, directory: str) -> bool:
        """Tell whether anything is recorded below a directory, itself not counted."""
        return self.ledger.holds_below(self._place(directory))

    def _place(self, pathname: str) -> str:
        """Return the path in the ledger of what is, or will be told to be, at `pathname`."""
        if not self._detours:
            return pathname
        with self._lock:
            for between, directory in self._detours.items():
                if pathname.startswith(f"{directory}/"):
                    return between + pathname[len(directory) :]
        return pathname

    def look(self, event: Event) -> os.stat_result | None:
        """Return what is to be seen of the event's path before it, one of `TOLD`, is delivered.

        The events of one file come in runs. Those that were read together all happened before the
        first of them is delivered, so one look serves them.
        """
        timestamp, path, status = self._last
        if path != event.pathname or timestamp != event.timestamp:
            status = look_at(event.pathname)
            self._last = event.timestamp, event.pathname, status
        return status

    def is_news(self, event: Event, status: os.stat_result | None) -> bool:
        """Tell whether the end of a file's writing is all that is told of a change.

        Its beginning came before the watches stood, or before a restart. `look` gave `status`.
        """
        if not event.mask & IN_CLOSE_WRITE or event.synthetic or status is None:
            return False
        known = self.known(event.pathname)
        return known is None or not known.complete or not known.same(Seen.of(status))

    def is_told(self, event: Event, status: os.stat_result) -> bool:
        """Tell whether all but its new name was told of a file that was renamed.

        `look` gave `status`. What a comparison takes for a rename may be a link, which is another
        file, to one that has gone since.
        """
        if event.synthetic or not event.mask & IN_MOVED_TO:
            return False
        before = self._moving.get(event.cookie)
        return before is not None and before.complete and before.same(Seen.of(status))

    def put_off(self, event: Event) -> None:
        """Note that `event` is to be delivered again, later than what comes after it."""
        if event.dir and event.mask & IN_MOVED_TO:
            with self._lock:
                self._detours.setdefault(self._between(event), event.pathname)

    def give_up(self, event: Event) -> None:
        """Note that `event` is held: it is not delivered, and not put off any more."""
        if event.dir and event.mask & IN_MOVED_TO:
            self._end_detour(self._between(event), event.pathname, is_told=False)

    def close(self) -> None:
        """Keep what is known of directories whose arrival is not delivered before the end."""
        for between, directory in list(self._detours.items()):
            self._end_detour(between, directory, is_told=False)

    def record_told(self, pathname: str, seen: Seen) -> None:
        """Record what an event of another path told of."""
        self._pop_astray(pathname)
        self.record(pathname, seen)

    def delivered(
        self, event: Event, status: os.stat_result | None, *, is_done: bool | None = None
    ) -> None:
        """Record that `event` was delivered, or had not to be.

        Args:
            event: one of `TOLD`.
            status: what `look` gave before.
            is_done: whether the processor waits for nothing more about its file; None if it does
                not say.
        """
        mask = event.mask
        if status is None or mask & NEEDED:
            self._moved(event, status, is_done=is_done)
            return
        if mask & IN_CLOSE_WRITE:
            complete = is_done is not False
            if not complete:  # for what it waits may be told of a directory above
                self.note_astray(event.pathname)
            elif self.astray:
                self._pop_astray(event.pathname)
        elif status is self._recorded:
            return  # of one look, another event tells nothing new unless it is the end
        else:
            complete = is_done is not False and self.is_complete(event.pathname, status)
        self._recorded = status
        if self._unsettled:
            self.record(event.pathname, Seen.of(status, complete))
            return
        path = self._place(event.pathname) if self._detours else event.pathname
        self.ledger.record(path, Seen.of(status, complete))

    def defer(self, event: Event, status: os.stat_result | None, *, is_new: bool) -> None:
        """Record nothing of the path of `event` until it is settled.

        Where a directory has moved, what is recorded below goes along at once.

        Args:
            event: one of `TOLD`.
            status: what `look` gave before.
            is_new: True if there will be a `settle` for it; False if it is one with another event
                for which there will be.
        """
        path = event.pathname
        self._unsettled.begin(path, is_new=is_new)
        self._recorded = None
        self.delivered(event, status)
        if is_new or event.dir:
            self._doubt(path, self._unsettled[path])

    def _doubt(self, path: str, seen: Seen | None) -> None:
        """Let nothing recorded of `path` tell that it was delivered as `seen`.

        A directory takes its record along, and not every event tells of a change.
        """
        known = self._known_by_now(path)
        if known is None or seen is None or not (known.complete and known.same(seen)):
            return
        # If that is enough to be told of it again, it stays known, so that its end is told, too.
        is_enough = self._asks_for_ends and stat.S_ISREG(known.kind)
        self.ledger.record(self._place(path), known._replace(complete=False) if is_enough else None)

    def settle(self, path: str, *, is_told: bool, is_there: bool) -> None:
        """Note that what was deferred of `path` is done with.

        The last time, what has been seen of it is recorded, if all was told.

        Args:
            path: that of the event.
            is_told: False if it is to be told again.
            is_there: whether there was something at `path` when it was told.
        """
        place = self._place(path)

        def record(seen: Seen | None, all_told: bool) -> None:
            # What has gone by itself has events of its own, or a directory above has moved.
            if all_told and (is_there or seen is None):
                self.ledger.record(place, seen)

        self._unsettled.settle(path, is_told=is_told, record=record)

    def _moved(self, event: Event, status: os.stat_result | None, *, is_done: bool | None) -> None:
        """Record what came, went, or is not there any more when its event is delivered."""
        mask = event.mask
        if event.dir and mask & NEEDED:
            self._directory(event)
        elif mask & IN_MOVED_FROM:
            self._remember(event.cookie, self._known_by_now(event.pathname))
        if status is None and not mask & _LEAVING:
            self.note_astray(event.pathname)
        else:
            self._pop_astray(event.pathname)
        if status is None:
            self.record(event.pathname, None)
        elif mask & IN_MOVED_TO:
            self.record(event.pathname, self._seen_there(event, status, is_done=is_done))

    def _seen_there(self, event: Event, status: os.stat_result, *, is_done: bool | None) -> Seen:
        """Return what is told of the file that was renamed.

        If it has changed since it was told of under its old name, events of that are to come.
        """
        with self._lock:
            before = self._moving.pop(event.cookie, None)
        if before is None or event.dir:
            return Seen.of(status, is_done is not False)
        return before if is_done is None else before._replace(complete=is_done)

    def forget(self, path: str) -> None:
        """Record that nothing is at `path`, and that nobody need be told."""
        self._pop_astray(path)
        self.record(path, None)

    def note_astray(self, path: str, *, was_told: bool = True) -> None:
        """Note that something was at `path`, and is not there any more, or not told of in full."""
        with self._lock:
            self.astray[path] = was_told
            _bound(self.astray, _MOST_ASTRAY)

    def _pop_astray(self, path: str) -> None:
        with self._lock:
            self.astray.pop(path, None)

    def is_complete(self, path: str, status: os.stat_result) -> bool:
        """Tell whether a file that was created with `status` has no end of its writing to come."""
        if not self._asks_for_ends or not stat.S_ISREG(status.st_mode):
            return True
        # A further hard link is made of a file that is there already, and may be written.
        return status.st_nlink > 1 and writers_of(os.fsencode(path)) is not Writers.SOME

    def _directory(self, event: Event) -> None:
        """Take what is recorded below a directory along with it."""
        between, path = self._between(event), event.pathname
        if event.mask & IN_MOVED_TO:
            self._end_detour(between, path, is_told=True)
            with self._lock:
                self.under_way.pop(between, None)
            self._redirect(event.src_pathname, path)
            if self._take_along(event.src_pathname, path) or self._escapes(
                event.src_pathname, path
            ):
                self.look_below(path)
        elif event.mask & IN_MOVED_FROM:
            with self._lock:
                self.under_way[between] = None
                _bound(self.under_way, _MEMORY)
            self.ledger.rename(self._place(path), between)
        # What was in a directory that is deleted has events of its own, which may have failed.

    def _end_detour(self, between: str, path: str, *, is_told: bool) -> None:
        """Let what is recorded at `between` be that of `path`, or of where that is by now."""
        with self._lock:
            path = self._detours.pop(between, path)
        self.ledger.rename(between, self._place(path))
        if not is_told:
            self.record(path, None)

    def _redirect(self, source: str | None, target: str) -> None:
        """Note where directories are by now that wait to be told of, below one that has moved."""
        with self._lock:
            for between, directory in self._detours.items():
                if source is not None and directory.startswith(f"{source}/"):
                    self._detours[between] = target + directory[len(source) :]

    def _escapes(self, source: str | None, target: str) -> bool:
        """Tell whether a comparison may miss what a directory holds that has moved."""
        for top in list(self.comparing):
            if _is_at_or_below(target, top):
                return True
            if source and (_is_at_or_below(source, top) or _is_at_or_below(top, source)):
                return True
        return False

    def _between(self, event: Event) -> str:
        """Return where records wait between the two events of a rename."""
        # No path on disk holds a zero byte.
        return f"{self.ledger.root}/\0{event.cookie}"

    def _take_along(self, source: str | None, target: str) -> bool:
        """Note where what is astray below `source` may be; tell whether there is any."""
        if source is None:
            return False
        below = f"{source}/"
        # Their events tell of where they are not any more.
        is_open = self._unsettled.holds_below(source)
        with self._lock:
            astray = [path for path in self.astray if path.startswith(below)]
            for path in astray:
                self.astray[target + path[len(source) :]] = self.astray.pop(path)
        return is_open or bool(astray)

    def _remember(self, cookie: int, seen: Seen | None) -> None:
        with self._lock:
            self._moving[cookie] = seen
            _bound(self._moving, _MEMORY)


def _bound(records: dict[Any, Any], limit: int) -> None:
    """Drop the oldest of `records` beyond `limit`."""
    if len(records) > limit:
        del records[next(iter(records))]


def _is_at_or_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def look_at(path: str) -> os.stat_result | None:
    """Return the status of `path` itself, None if it is not there."""
    try:
        return os.lstat(path)
    except (OSError, ValueError):
        return None


def on_the_way(path: str) -> str:
    """Return where the record of a renamed directory waits for its other end, "" if not there."""
    head, zero, tail = path.partition("\0")
    return head + zero + tail.partition("/")[0] if zero else ""
