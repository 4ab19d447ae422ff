"""What a delivery means for the record of what has been delivered."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

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
_MOVING = _LEAVING | IN_MOVED_TO

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

    Attributes:
        comparing: number of comparisons that a renamed directory may escape: it may have gone
            from where they had not been yet to where they had.
        under_way: where the records of renamed directories wait whose other end may still come.
        look_below: called with the path of a directory that may hold what was not delivered.
    """

    def __init__(self, ledger: Ledger, mask: int) -> None:
        self.ledger = ledger
        self.mask = mask
        self._asks_for_ends = bool(mask & IN_CLOSE_WRITE)
        self._asks_for_arrivals = bool(mask & IN_MOVED_TO)
        self.comparing = 0
        self.look_below: Callable[[str], object] = lambda path: None
        self.under_way: dict[str, None] = {}
        self._moving: dict[int, Seen | None] = {}
        # Paths of which an event told, and where nothing was when it was delivered. If it is a
        # directory above that has moved, its event is still to come.
        self._astray: dict[str, None] = {}
        self._last: tuple[float, str, os.stat_result | None] = (0.0, "", None)
        self._recorded: tuple[os.stat_result | None, bool] = (None, False)

    def look(self, event: Event) -> os.stat_result | None:
        """Return what is to be seen of the event's path before it, one of `TOLD`, is delivered.

        The events of one file come in runs. Those that were read together all happened before the
        first of them is delivered, so one look serves them.
        """
        timestamp, path, status = self._last
        if path != event.pathname or timestamp != event.timestamp:
            status = look_at(event.pathname)
            self._last = (event.timestamp, event.pathname, status)
        return status

    def is_news(self, event: Event, status: os.stat_result | None) -> bool:
        """Tell whether the end of a file's writing is all that is told of a change.

        Its beginning came before the watches stood, or before a restart. `look` gave `status`.
        """
        if not event.mask & IN_CLOSE_WRITE or event.synthetic or status is None:
            return False
        known = self.ledger.get(event.pathname)
        return known is None or not known.complete or not known.same(Seen.of(status))

    def delivered(self, event: Event, status: os.stat_result | None) -> None:
        """Record that `event` was delivered, or had not to be; `look` gave `status` before."""
        mask = event.mask
        if status is None or mask & _MOVING:
            self._moved(event, status)
            return
        complete = bool(mask & IN_CLOSE_WRITE) or self.is_complete(status)
        # Of one look, the second event tells nothing new unless it is the end.
        recorded, was_complete = self._recorded
        if status is not recorded or complete is not was_complete:
            self._recorded = (status, complete)
            self.ledger.record(event.pathname, Seen.of(status, complete=complete))

    def _moved(self, event: Event, status: os.stat_result | None) -> None:
        mask = event.mask
        if event.dir and mask & _MOVING:
            self._directory(event)
        elif mask & IN_MOVED_FROM and not self._asks_for_arrivals:
            self._remember(event.cookie, self.ledger.get(event.pathname))
        if mask & _LEAVING:
            self._astray.pop(event.pathname, None)
        elif status is None:
            self.is_astray(event.pathname)
        else:
            self._astray.pop(event.pathname, None)
        if status is None:
            self.ledger.record(event.pathname, None)
        elif mask & IN_MOVED_TO:
            self.ledger.record(event.pathname, Seen.of(status, complete=self._has_come(event)))

    def is_astray(self, path: str) -> None:
        """Note that something was at `path`, and is not there any more."""
        self._astray[path] = None
        if len(self._astray) > _MOST_ASTRAY:
            self._astray.pop(next(iter(self._astray)), None)

    def is_complete(self, status: os.stat_result) -> bool:
        """Tell whether a file that was created with `status` has no end of its writing to come."""
        # A second hard link is made of a file that is there already.
        return not self._asks_for_ends or not stat.S_ISREG(status.st_mode) or status.st_nlink > 1

    def _has_come(self, event: Event) -> bool:
        """Tell whether the file that was renamed is complete."""
        if self._asks_for_arrivals:
            return True
        # Nobody was told of the file under its new name, so nothing has ended by that.
        before = self._moving.pop(event.cookie, None)
        return before is None or before.complete

    def _directory(self, event: Event) -> None:
        """Take what is recorded below a directory along with it."""
        # No path on disk holds a zero byte.
        between = f"{self.ledger.root}/\0{event.cookie}"
        if event.mask & IN_MOVED_TO:
            self.ledger.rename(between, event.pathname)
            self.under_way.pop(between, None)
            if self._take_along(event.src_pathname, event.pathname) or self.comparing:
                self.look_below(event.pathname)
        elif event.mask & IN_MOVED_FROM:
            self.under_way[between] = None
            if len(self.under_way) > _MEMORY:
                self.under_way.pop(next(iter(self.under_way)), None)
            self.ledger.rename(event.pathname, between)
        # What was in a directory that is deleted has events of its own, which may have failed.

    def _take_along(self, source: str | None, target: str) -> bool:
        """Note where what is astray below `source` may be; tell whether there is any."""
        if source is None or not self._astray:
            return False
        astray = [path for path in list(self._astray) if path.startswith(f"{source}/")]
        for path in astray:
            self._astray.pop(path, None)
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
