"""The kernel's events of some entries, beside the daemon."""

from __future__ import annotations

import os
import queue
from collections.abc import Iterable, Sequence
from pathlib import Path

from inotifier.events import IN_DELETE_SELF, Event, printable
from inotifier.exceptions import InotifierError
from inotifier.notifier import Batch, Inotify, Keeper, KeeperStage, Reader, Subscription
from inotifier.watches import Entry, Watch, make_entry

_MOST = 100_000
"""Events that wait to be shown before reading stops: a terminal may be slow, or stopped."""


def entries_of(paths: Iterable[str], events: object, *, recursive: bool) -> list[Entry]:
    """Return entries for `paths`, relative ones below the current directory.

    Raises:
        InotifierError: one cannot be watched; the message tells why.
    """
    return [
        make_entry(
            Watch(Path(path).absolute(), events, _nothing, recursive=recursive, backend="inotify"),
            repr(path),
        )
        for path in paths
    ]


def _nothing(event: Event) -> None:
    """Take an event."""


class Live:
    """What the kernel tells of `entries`. Nobody else gets these events, and nothing is recorded.

    Args:
        entries: what to watch; their processors are not called. Places with a URL are left out.

    Attributes:
        entries: those that are watched.
        notes: what is not seen, in words.

    Raises:
        InotifierError: there is nothing to watch.
        WatchError: the kernel gives no inotify instance.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.entries = [entry for entry in entries if entry.url is None]
        if not self.entries:
            raise InotifierError(
                "all entries are places with a URL, which only the daemon lists; name a path here"
            )
        self.notes = [*_notes(entries)]
        self._inotify = Inotify()
        self._keeper = Keeper(self._inotify, self._lost)
        self._stage = KeeperStage(self._keeper, self._put)
        self._reader = Reader(self._inotify, self._stage.put, lambda: self._queue.qsize() < _MOST)
        self._runs = False

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def watch(self) -> None:
        """Set the watches, and begin to read.

        Raises:
            WatchError: the kernel refused one.
        """
        subscriptions = [_subscription(entry) for entry in self.entries]
        self._keeper.add(subscriptions)
        self.notes += [one.problem for one in subscriptions if one.problem]
        self._runs = True
        self._stage.start()
        self._reader.start()

    def get(self, timeout: float) -> Event | None:
        """Return the next event; None if none comes within `timeout` seconds.

        Raises:
            InotifierError: a thread has died.
        """
        try:
            return self._queue.get(timeout=timeout)
        except queue.Empty:
            if not (self._stage.alive and self._reader.alive):
                raise InotifierError("a thread has died; the log tells why") from None
            return None

    def close(self) -> None:
        """Give the watches back."""
        if self._runs:
            self._runs = False
            self._reader.stop()
            self._stage.finish()
        self._keeper.close()
        self._inotify.close()

    def _put(self, batch: Batch) -> None:
        for subscription, event in batch:
            filter = subscription.handler.filter
            if filter is None or filter.lets_through(event):
                self._queue.put(event)

    def _lost(self, subscription: Subscription) -> None:
        """Tell that a root is gone, as the signal `path_lost` does."""
        self._queue.put(
            Event(
                mask=IN_DELETE_SELF,
                path=subscription.path,
                synthetic="path-lost",
                watch=subscription.watch,
            )
        )


def _subscription(entry: Entry) -> Subscription:
    watch = entry.watch
    return Subscription(
        entry.path,
        entry.mask,
        recursive=watch.recursive,
        auto_add=watch.recursive if watch.auto_add is None else watch.auto_add,
        follow_symlinks=watch.follow_symlinks,
        excluded=entry.skips,
        wait=watch.missing != "error",
        watch=watch,
        handler=entry,
    )


def _notes(entries: Iterable[Entry]) -> Iterable[str]:
    for entry in entries:
        name = printable(entry.name)
        if entry.url is not None:
            yield f"{name} is a place with a URL, which only the daemon lists"
        elif entry.polls:
            yield f"{name} is listed by the daemon; here, only what this machine does is seen"
        elif not os.path.lexists(entry.path):
            yield f"{name} is not there yet"
