"""The line from the kernel to the processors, built from the entries: start, watch over, stop."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from inotifier.dispatcher import Dispatcher, Handler
from inotifier.event_processors import send
from inotifier.events import IN_DELETE_SELF, Event, printable
from inotifier.exceptions import InotifierError
from inotifier.notifier import Inotify, Keeper, KeeperStage, Methods, Reader, Subscription
from inotifier.signals import path_lost
from inotifier.watches import Entry


class Service:
    """Everything between the kernel and the processors.

    Args:
        entries: what to watch, as `inotifier.watches.load` returns it.
        inotify_fd: an inotify descriptor kept over an exec. What happened since is still in
            its queue, so that a reload misses nothing.
    """

    def __init__(self, entries: Sequence[Entry], inotify_fd: int | None = None) -> None:
        self.handlers = [Handler(entry, Methods(entry.processor)) for entry in entries]
        self._inotify = Inotify(inotify_fd)
        self._adopted = inotify_fd is not None
        self._keeper = Keeper(self._inotify, self._lost, adopted=self._adopted)
        self._dispatcher = Dispatcher()
        self._stage, self._reader = self._make_stages()
        self._finished = False

    @property
    def inotify_fd(self) -> int:
        """The descriptor to keep over an exec."""
        return self._inotify.fd

    @property
    def overflows(self) -> int:
        """How often the kernel's queue was full."""
        return self._keeper.overflows

    @property
    def queue_depth(self) -> int:
        """Number of events read but not yet delivered."""
        return self._dispatcher.depth

    def watch(self, announce: Callable[[str], object]) -> None:
        """Set all watches; `announce` gets a line for each entry.

        Raises:
            WatchError: the kernel refused one.
            InotifierError: a processor's `prepare` raised.
        """
        subscriptions = []
        for handler in self.handlers:
            entry = handler.entry
            announce(
                f"Adding watch on {printable(entry.path)}, processed by {entry.processor_name}"
            )
            if entry.watch.missing == "create":
                _make(entry.path)
            subscriptions.append(_subscription(handler))
        self._keeper.add(subscriptions)
        if self._adopted:
            self._keeper.remove_strangers()
        for handler, subscription in zip(self.handlers, subscriptions, strict=True):
            handler.problem = subscription.problem
            _prepare(handler.entry)

    def run(self) -> None:
        """Begin to read and deliver."""
        self._dispatcher.start()
        self._stage.start()
        self._reader.start()

    def check_alive(self) -> None:
        """Raise InotifierError if a thread has died, so that nobody takes silence for peace."""
        if not (self._dispatcher.alive and self._stage.alive and self._reader.alive):
            raise InotifierError("a thread of the daemon has died; the log tells why")

    def pause(self) -> None:
        """Read nothing more for now; what happens waits in the kernel's queue."""
        self._reader.stop()
        self._stage.finish()

    def go_on(self) -> None:
        """End what `pause` began."""
        self._stage, self._reader = self._make_stages()
        self._stage.start()
        self._reader.start()

    def finish(self) -> None:
        """Read what the kernel has queued until now, and no more; a second call does nothing."""
        if not self._finished:
            self._finished = True
            self.pause()
            self._dispatcher.finish()

    def _make_stages(self) -> tuple[KeeperStage, Reader]:
        stage = KeeperStage(self._keeper, self._dispatcher.put)
        return stage, Reader(self._inotify, stage.put)

    def drained(self, timeout: float) -> bool:
        """Wait `timeout` seconds, after `finish`, until all is delivered; tell whether it is."""
        return self._dispatcher.join(timeout)

    def abandon(self) -> int:
        """Begin no further delivery; return the number of events that are left."""
        return self._dispatcher.abandon()

    def close(self) -> None:
        """Give the watches back to the kernel."""
        os.close(self.release())

    def release(self) -> int:
        """Close everything but the inotify instance; return its descriptor."""
        self._keeper.close()
        return self._inotify.fd

    def _lost(self, subscription: Subscription) -> None:
        """Send `path_lost`, in its turn among the events."""
        entry = subscription.handler.entry
        notice = Handler(entry, Methods(partial(send, path_lost, entry.processor)))
        event = Event(
            mask=IN_DELETE_SELF, path=entry.path, synthetic="path-lost", watch=entry.watch
        )
        self._dispatcher.put([(replace(subscription, handler=notice), event)])


def _subscription(handler: Handler) -> Subscription:
    entry = handler.entry
    watch = entry.watch
    return Subscription(
        entry.path,
        entry.mask,
        recursive=watch.recursive,
        auto_add=watch.recursive if watch.auto_add is None else watch.auto_add,
        follow_symlinks=watch.follow_symlinks,
        wait=watch.missing != "error",
        watch=watch,
        handler=handler,
    )


def _make(path: str) -> None:
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        pass  # a file: it is watched as one
    except OSError as exc:
        raise InotifierError(f"cannot make {printable(path)}: {exc.strerror}") from exc


def _prepare(entry: Entry) -> None:
    prepare: Any = getattr(entry.processor, "prepare", None)
    if prepare is None:
        return
    try:
        prepare(entry.path)
    except Exception as exc:  # the user's code; the daemon must say why it does not start
        raise InotifierError(
            f"prepare() of {entry.processor_name} failed on {printable(entry.path)}: {exc!r}"
        ) from exc
