"""What a delivery means for the record of what has been delivered."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping

from inotifier.events import (
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_MODIFY,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    Event,
)
from inotifier.state import Ledger, Seen

NEEDED = IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO
"""What is watched for besides the mask of an entry, so that its record does not go stale."""

TOLD = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO
"""Events that tell of what is recorded."""

_LEAVING = IN_DELETE | IN_MOVED_FROM

_MEMORY = 1024
"""Files on their way to another name; the other end of some never comes."""

_MOST_ASTRAY = 100_000


class Books:
    """Keeps the ledger of one entry.

    What is recorded of a path is what was seen of it before the delivery, so a change during the
    delivery makes a difference, which the next comparison finds. A file is complete once the end
    of its writing has been told, to those who ask for it.

    Args:
        ledger: where it is kept.
        mask: the events that the entry asks for.
        minds_names: whether `is_told` is asked.

    Attributes:
        comparing: number of comparisons that a renamed directory may escape: it may have gone
            from where they had not been yet to where they had.
        under_way: where the records of renamed directories wait whose other end may still come.
        astray: paths of which an event told, and where nothing, or not all, was found. The event
            that tells why, maybe of a directory above that has moved, is still to come.
        look_below: called with the path of a directory that may hold what was not delivered.
    """

    def __init__(self, ledger: Ledger, mask: int, *, minds_names: bool = False) -> None:
        self.ledger = ledger
        self.mask = mask
        self._minds_names = minds_names
        self._asks_for_ends = bool(mask & IN_CLOSE_WRITE)
        self._asks_for_arrivals = bool(mask & IN_MOVED_TO)
        self.comparing = 0
        self.look_below: Callable[[str], object] = lambda path: None
        self.under_way: dict[str, None] = {}
        self._moving: dict[int, Seen | None] = {}
        # Directories whose arrival waits to be delivered, and where what is recorded below is kept.
        self._detours: dict[str, str] = {}
        self.astray: dict[str, None] = {}
        self._last: tuple[float, str, os.stat_result | None] = (0.0, "", None)
        self._recorded: os.stat_result | None = None

    def known(self, pathname: str) -> Seen | None:
        """Return what is recorded of a path."""
        return self.ledger.get(self._place(pathname))

    def record(self, pathname: str, seen: Seen | None) -> None:
        """Record a path as `seen`, or with None that it is gone."""
        self.ledger.record(self._place(pathname), seen)

    def written_in(self, directory: str) -> Mapping[bytes, Seen]:
        """Return what is written of the paths right in a directory, by their base names."""
        return self.ledger.directory(self._place(directory))

    def holds_below(self, directory: str) -> bool:
        """Tell whether anything is recorded below a directory, itself not counted."""
        return self.ledger.holds_below(self._place(directory))

    def _place(self, pathname: str) -> str:
        """Return the path in the ledger of what is, or will be told to be, at `pathname`."""
        for directory, between in list(self._detours.items()):
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
            self._detours[event.pathname] = self._between(event)

    def delivered(
        self, event: Event, status: os.stat_result | None, *, is_done: bool = True
    ) -> None:
        """Record that `event` was delivered, or had not to be.

        Args:
            event: one of `TOLD`.
            status: what `look` gave before.
            is_done: False if the processor waits for more about its file.
        """
        mask = event.mask
        if status is None or mask & NEEDED:
            self._moved(event, status, is_done=is_done)
            return
        if mask & IN_CLOSE_WRITE:
            complete = is_done
            if not is_done:  # for what it waits may be told of a directory above
                self.is_astray(event.pathname)
            elif self.astray:
                self.astray.pop(event.pathname, None)
        elif status is self._recorded:
            return  # of one look, another event tells nothing new unless it is the end
        else:
            complete = is_done and self.is_complete(status)
        self._recorded = status
        path = self._place(event.pathname) if self._detours else event.pathname
        self.ledger.record(path, Seen.of(status, complete))

    def _moved(self, event: Event, status: os.stat_result | None, *, is_done: bool) -> None:
        """Record what came, went, or is not there any more when its event is delivered."""
        mask = event.mask
        if event.dir and mask & NEEDED:
            self._directory(event)
        elif mask & IN_MOVED_FROM and (self._minds_names or not self._asks_for_arrivals):
            self._remember(event.cookie, self.known(event.pathname))
        if mask & _LEAVING:
            self.astray.pop(event.pathname, None)
        elif status is None:
            self.is_astray(event.pathname)
        else:
            self.astray.pop(event.pathname, None)
        if status is None:
            self.record(event.pathname, None)
        elif mask & IN_MOVED_TO:
            complete = self._has_come(event) and is_done
            self.record(event.pathname, Seen.of(status, complete=complete))

    def forget(self, path: str) -> None:
        """Record that nothing is at `path`, and that nobody need be told."""
        self.astray.pop(path, None)
        self.record(path, None)

    def is_astray(self, path: str) -> None:
        """Note that something was at `path`, and is not there any more."""
        self.astray[path] = None
        if len(self.astray) > _MOST_ASTRAY:
            self.astray.pop(next(iter(self.astray)), None)

    def is_complete(self, status: os.stat_result) -> bool:
        """Tell whether a file that was created with `status` has no end of its writing to come."""
        # A second hard link is made of a file that is there already.
        return not self._asks_for_ends or not stat.S_ISREG(status.st_mode) or status.st_nlink > 1

    def _has_come(self, event: Event) -> bool:
        """Tell whether the file that was renamed is complete."""
        before = self._moving.pop(event.cookie, None)
        # Otherwise nobody was told of the file under its new name, and nothing has ended by that.
        return self._asks_for_arrivals or before is None or before.complete

    def _directory(self, event: Event) -> None:
        """Take what is recorded below a directory along with it."""
        between = self._between(event)
        if event.mask & IN_MOVED_TO:
            self._detours.pop(event.pathname, None)
            self.ledger.rename(between, self._place(event.pathname))
            self.under_way.pop(between, None)
            if self._take_along(event.src_pathname, event.pathname) or self.comparing:
                self.look_below(event.pathname)
        elif event.mask & IN_MOVED_FROM:
            self.under_way[between] = None
            if len(self.under_way) > _MEMORY:
                self.under_way.pop(next(iter(self.under_way)), None)
            self.ledger.rename(self._place(event.pathname), between)
        # What was in a directory that is deleted has events of its own, which may have failed.

    def _between(self, event: Event) -> str:
        """Return where records wait between the two events of a rename."""
        # No path on disk holds a zero byte.
        return f"{self.ledger.root}/\0{event.cookie}"

    def _take_along(self, source: str | None, target: str) -> bool:
        """Note where what is astray below `source` may be; tell whether there is any."""
        if source is None or not self.astray:
            return False
        astray = [path for path in list(self.astray) if path.startswith(f"{source}/")]
        for path in astray:
            self.astray.pop(path, None)
            self.is_astray(target + path[len(source) :])
        return bool(astray)

    def _remember(self, cookie: int, seen: Seen | None) -> None:
        self._moving[cookie] = seen
        if len(self._moving) > _MEMORY:
            del self._moving[next(iter(self._moving))]


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
