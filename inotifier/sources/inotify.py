"""Files, by inotify: the kernel says where to look, a look says what has changed."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field

from inotifier.events import (
    IN_ATTRIB,
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_MODIFY,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_ONLYDIR,
    IN_Q_OVERFLOW,
    IN_UNMOUNT,
    printable,
)
from inotifier.exceptions import WatchError
from inotifier.locations import Location, path_of
from inotifier.notifier import Batch, Inotify, Keeper, Subscription
from inotifier.sources.base import Change, changes
from inotifier.sources.files import FilePoller, make_missing
from inotifier.sources.listing import Listing, Part, State

logger = logging.getLogger(__name__)

_MASK = (
    IN_ATTRIB
    | IN_CLOSE_WRITE  # what was written through mmap(2) comes without IN_MODIFY
    | IN_CREATE
    | IN_DELETE
    | IN_MODIFY
    | IN_MOVED_FROM
    | IN_MOVED_TO
    | IN_ONLYDIR
)

_MANY = 100
"""Directories that are looked through apart; for more, listing everything takes less."""


class INotifyPoller(FilePoller):
    """Tells which files of a directory are new, changed or gone, without listing it each time.

    Its answers are those of `FilePoller`, on the same history, for less work: the kernel's events
    tell which paths to look at. Everything is listed only if they cannot tell: after an overflow
    of the kernel's queue, once there have been more directories than the kernel gives watches,
    when `url` leads elsewhere than before, and if it leads to a file.

    Where the kernel has no events for a change (inotify(7)), the answer lacks it: what another
    machine does on a network file system, a file system that is mounted below `url` later, and
    further names of a file that are outside `url`, or gone again at the next call, with what is
    changed through them. (The name of a file that had several when it was last looked at is
    looked at in each call, as is each symbolic link.) What a program writes through mmap(2) is
    told when it closes the file.

    It holds descriptors and an inotify watch for each directory until it is closed, or until nobody
    has it any more.

    Args and Raises are those of `FilePoller`, and one more:

    Raises:
        WatchError: the kernel gives no inotify instance, or not as many watches as it takes.
    """

    def __init__(self, url: Location, recurse: bool = False, *, initial: str = "ignore") -> None:
        self._untold: set[str] = set()
        self._watches: _Watches | None = None
        self._give_back: Callable[[], object] = _nothing
        self._refused = False
        self._doubt = initial != "ignore"
        path = path_of(url)
        make_missing(path)
        if os.path.isdir(path):
            self._watch(_Watches(path, recurse))
        try:
            self._raise_problem()
            super().__init__(url, recurse, initial=initial)
        except BaseException:
            self._unwatch()
            raise

    def get_new_events(self) -> list[Change]:
        """Return what has changed since, as every `Poller` does."""
        self._check_open()
        doubt, self._doubt = self._doubt, True  # until all that was read has led to an answer
        touched = self._read()
        if touched is None or doubt or touched.everything:
            found = super().get_new_events()
        else:
            found = self._look_at(touched)
        self._doubt = touched is not None and touched.doubt
        return found

    def close(self) -> None:
        """Give back the descriptors; a second call does nothing."""
        super().close()
        self._unwatch()

    # Watches

    def _read(self) -> _Touched | None:
        """Return what the kernel has queued; None if the watches do not stand, or did not."""
        if self._watches is not None:
            touched = self._watches.read()
            if self._watches.stand():
                return touched
            self._unwatch()
        if os.path.isdir(self.path):
            try:
                self._watch(_Watches(self.path, self.recurse))
            except WatchError as exc:
                self._refuse(exc)
        return None

    def _raise_problem(self) -> None:
        if self._watches is not None and self._watches.problem:
            raise WatchError(self._watches.problem)

    def _watch(self, watches: _Watches) -> None:
        self._watches = watches
        self._give_back = weakref.finalize(self, watches.close)
        self._refused = False

    def _unwatch(self) -> None:
        self._watches = None
        self._give_back()

    def _refuse(self, exc: WatchError) -> None:
        if not self._refused:
            self._refused = True
            logger.warning("%s is listed at each call for now: %s", printable(self.path), exc)

    # Looking

    def _list(self) -> Listing:
        found = super()._list()
        self._untold = found.untold
        return found

    def _look_at(self, touched: _Touched) -> list[Change]:
        """Return what has changed of what was `touched`."""
        part = Part(touched.paths | self._untold, touched.directories | self._unread)
        if not part.paths and not part.tops:
            return []
        found = Listing()
        for path in (*part.tops, *part.paths):
            found.look(path, recurse=self.recurse)
        self._look_at_further_names(found)
        found.settle()
        before = self._known_of(part, found)
        found.keep(before)
        self._report(found)
        # What was in these before has been looked at.
        self._untold = found.untold
        for path in before:
            del self._known[path]
        self._known.update(found.files)
        return changes(before, found.files)

    def _look_at_further_names(self, found: Listing) -> None:
        """Look at the known files that have just been `found` to have another name."""
        news = found.untold - self._untold
        inodes = {found.files[path][0] for path in news if path in found.files}
        if inodes:
            for path, state in self._known.items():
                if state[0] in inodes and path not in found.files:
                    found.look(path, recurse=False)

    def _known_of(self, part: Part, found: Listing) -> dict[str, State]:
        """Return what is known of `part` and of what was `found`."""
        paths = part.paths | found.files.keys()
        if part.tops:
            paths |= {path for path in self._known if path in part}
        return {path: self._known[path] for path in paths if path in self._known}


@dataclass
class _Touched:
    """Where something has happened.

    Attributes:
        paths: of what is no directory.
        directories: to be looked through with all below.
        everything: True if it may have happened anywhere.
        doubt: True if it can only be told later where something has happened.
    """

    paths: set[str] = field(default_factory=set)
    directories: set[str] = field(default_factory=set)
    everything: bool = False
    doubt: bool = False


class _Watches:
    """The kernel's watches on a directory, and what they tell.

    Args:
        root: the directory.
        recurse: True to watch all directories below as well.

    Raises:
        WatchError: the kernel gives no inotify instance, or refuses `root`.
    """

    def __init__(self, root: str, recurse: bool) -> None:
        self._inotify = Inotify()
        self._keeper = Keeper(self._inotify, lost=lambda subscription: None)
        self._subscription = Subscription(
            root, _MASK, recursive=recurse, auto_add=recurse, persistent=False
        )
        try:
            self._keeper.add([self._subscription])
        except BaseException:
            self.close()
            raise

    @property
    def problem(self) -> str:
        """Why not everything is watched, "" if it is."""
        return self._subscription.problem

    def stand(self) -> bool:
        """Tell whether the path of the root leads to what is watched."""
        return any(
            self._keeper.directories.leads_root_to(subscription, wd)
            for wd, subscription in self._keeper.planted()
        )

    def read(self) -> _Touched:
        """Return what the kernel has queued by now, without waiting."""
        touched = _Touched()
        pending = self._inotify.pending_bytes()
        while pending > 0 and (buffer := self._inotify.read()):
            self._sort(self._keeper.decode(buffer), touched)
            pending -= len(buffer)
        batch: Batch = []
        self._keeper.tick(batch)
        self._sort([*batch, *self._keeper.settle()], touched)
        touched.everything |= bool(self.problem) or len(touched.directories) > _MANY
        touched.doubt = self._keeper.directories.is_looking
        return touched

    def _sort(self, batch: Batch, touched: _Touched) -> None:
        for _, event in batch:
            if (
                event.mask & (IN_Q_OVERFLOW | IN_UNMOUNT)
                or event.pathname == self._subscription.path
            ):
                touched.everything = True
            elif not event.dir:
                touched.paths.add(event.pathname)
            elif self._subscription.recursive:
                touched.directories.add(event.pathname)

    def close(self) -> None:
        """Close what is open."""
        self._keeper.close()
        self._inotify.close()


def _nothing() -> None:
    """Give back nothing: nothing is open."""
