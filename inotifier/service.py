"""The line from the kernel to the processors, built from the entries: start, watch over, stop."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from inotifier import limits
from inotifier.books import NEEDED, Bookkeeping, Books
from inotifier.conf import conf
from inotifier.dispatcher import Dispatcher, Handler, NotingMethods, OwnWrites, Retries
from inotifier.event_processors import send
from inotifier.events import IN_DELETE_SELF, UNASKED, Event, printable
from inotifier.exceptions import InotifierError
from inotifier.later import Deferring
from inotifier.notifier import Inotify, Keeper, KeeperStage, Methods, Reader, Subscription
from inotifier.polling import FIRST, FilePolling, PlaceBooks, PlacePolling, Rounds
from inotifier.recovery import Recovery, dividing_moment
from inotifier.signals import path_lost
from inotifier.state import AnyLedger, MemoryLedger, State
from inotifier.watches import Entry

logger = logging.getLogger(__name__)

_HANGS = 1.0
"""Seconds after which listings that go on are left alone."""

_SWITCH_INTERVAL = 0.0005
"""Seconds after which a busy thread lets others in. The kernel's queue of 16,384 events is full
within 20 ms of a fast writer, and the reader may have to wait for two busy threads in turn."""


class Service:
    """Everything between the kernel and the processors.

    Args:
        entries: what to watch, as `inotifier.watches.load` returns it.
        inotify_fd: an inotify descriptor kept over an exec. What happened since is still in
            its queue, so that a reload misses nothing.
        state: what has been delivered, opened; entries that catch up need it.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        inotify_fd: int | None = None,
        state: State | None = None,
    ) -> None:
        self._state = state
        self.handlers = make_handlers(entries, state)
        self._since = dividing_moment() if state is not None else 0.0
        self._inotify = Inotify(inotify_fd)
        self._adopted = inotify_fd is not None
        self._keeper = Keeper(
            self._inotify, self._lost, adopted=self._adopted, overflowed=self._overflowed
        )
        self._watched = [handler for handler in self.handlers if not handler.entry.polls]
        self._subscriptions: dict[Handler, Subscription] = {}
        self._dispatcher = Dispatcher(conf.workers)
        self._queue_size = conf.queue_size
        self._recovery = Recovery(
            self._keeper.list_quietly,
            self._keeper.after_queue,
            self._has_room,
            lambda: self._stage.wake(),
            self._since,
        )
        self._stage, self._reader = self._make_stages()
        self._pollings = self._make_pollings()
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
    def catching_up(self) -> bool:
        """True while what is there is compared with what was delivered."""
        return self._recovery.busy or any(polling.busy for polling in self._pollings)

    @property
    def looked_at(self) -> int:
        """Number of paths that were compared with what was delivered."""
        return self._recovery.looked_at

    @property
    def queue_depth(self) -> int:
        """Number of events read but not yet delivered."""
        return self._dispatcher.depth

    @property
    def calls(self) -> dict[int, object]:
        """What threads deliver now, by their idents: another object for each call."""
        return self._dispatcher.calls

    @property
    def lag(self) -> float:
        """Seconds by which delivering is behind reading: the age of what is delivered now."""
        busy_for = self._dispatcher.busy_for
        handed = [one.last_event[2] for one in self.handlers if one.last_event is not None]
        if not busy_for or not handed:
            return busy_for
        return min(busy_for, max(0.0, time.time() - max(handed)))

    @property
    def watches(self) -> int:
        """Number of the kernel's watches that stand for the entries."""
        return len(self._keeper.tree.nodes)

    def watches_of(self, handler: Handler) -> int | None:
        """Return how many of them serve the entry of `handler`; None if it is polled."""
        subscription = self._subscriptions.get(handler)
        return None if subscription is None else self._keeper.watches_of(subscription)

    @property
    def unkept(self) -> int:
        """Number of events that wait and would not come again after a restart."""
        return sum(one.pending for one in self.handlers if not one.keeps)

    @property
    def deferred(self) -> tuple[int, int]:
        """Number of events of tasks that wait for their time, and of those that run."""
        return self._dispatcher.deferred

    @property
    def unkept_paths(self) -> list[str]:
        """The paths of tasks that would not come again after a restart."""
        return sorted(
            deferral.pathname
            for handler in self.handlers
            if not handler.keeps
            for deferral in handler.deferrals.listed()
        )

    @property
    def state_problem(self) -> str:
        """Why it is not kept what was delivered, "" if it is, or need not be."""
        return self._state.problem if self._state is not None else ""

    def waits_until(self, deadline: float) -> bool:
        """Tell whether nothing can be delivered before `deadline`, of time.monotonic()."""
        until = self._dispatcher.only_waits_until()
        return until is not None and until > deadline

    @property
    def only_waits(self) -> bool:
        """True if nothing can be delivered now: all that is left is to be delivered again."""
        return self._dispatcher.only_waits_until() is not None

    def watch(self, announce: Callable[[str], object]) -> None:
        """Set all watches; `announce` gets a line for each entry.

        Raises:
            WatchError: the kernel refused one.
            InotifierError: a processor's `prepare` raised.
        """
        for handler in self.handlers:
            entry = handler.entry
            announce(f"{_how(entry)} {printable(entry.path)}, processed by {entry.processor_name}")
            if entry.watch.missing == "create":
                _make(entry.path)
        subscriptions = {handler: self._subscription(handler) for handler in self._watched}
        self._subscriptions = subscriptions
        self._keeper.add(list(subscriptions.values()))
        if self._adopted:
            self._keeper.remove_strangers()
        for handler, subscription in subscriptions.items():
            handler.problem = subscription.problem
        for handler in self.handlers:
            _prepare(handler.entry)

    def run(self) -> None:
        """Begin to read and deliver, what was missed as well."""
        sys.setswitchinterval(_SWITCH_INTERVAL)
        begin(self.handlers, self._since)
        self._dispatcher.start()
        self._recovery.request(self._watched, "startup")
        self._start_reading()

    def _start_reading(self) -> None:
        self._stage.start()
        self._reader.start()
        for polling in self._pollings:
            polling.start()

    def rescan(self) -> None:
        """Compare what is there with what has been delivered, as at the start."""
        self._recovery.request(self._watched, "startup")
        self._stage.wake()
        self.poll_now()

    def poll_now(self) -> None:
        """List at once what is listed again and again; `catching_up` until that is done."""
        for polling in self._pollings:
            polling.hurry()

    def check_alive(self) -> None:
        """Raise InotifierError if a thread has died, so that nobody takes silence for peace."""
        lives = [self._dispatcher.alive, self._stage.alive, self._reader.alive]
        if not all([*lives, *(polling.alive for polling in self._pollings)]):
            raise InotifierError("a thread of the daemon has died; the log tells why")

    def pause(self) -> None:
        """Read nothing more for now; what happens waits in the kernel's queue."""
        for polling in self._pollings:
            polling.end()
        deadline = time.monotonic() + _HANGS
        for polling in self._pollings:
            polling.join(max(0.0, deadline - time.monotonic()))
        self._reader.stop()
        self._stage.finish()

    def go_on(self) -> None:
        """End what `pause` began."""
        self._stage, self._reader = self._make_stages()
        self._pollings = self._make_pollings()
        self._start_reading()

    def finish(self) -> None:
        """Read what the kernel has queued until now, and no more; a second call does nothing."""
        if not self._finished:
            self._finished = True
            self.pause()
            self._dispatcher.finish()

    def _make_stages(self) -> tuple[KeeperStage, Reader]:
        stage = KeeperStage(self._keeper, self._dispatcher.put, self._recovery.step)
        return stage, Reader(self._inotify, stage.put, self._has_room)

    def _make_pollings(self) -> list[Rounds]:
        pollings: list[Rounds] = []
        for handler in self.handlers:
            books = handler.books
            if isinstance(books, PlaceBooks):
                pollings.append(PlacePolling(handler, books, self._dispatcher.put, self._has_room))
            elif isinstance(books, Books) and handler.entry.polls:
                pollings.append(
                    FilePolling(handler, books, self._dispatcher.put, self._has_room, self._lost)
                )
        return pollings

    def _has_room(self) -> bool:
        # At the end nobody comes after us to read what the kernel holds, which has its own limit.
        return self._finished or self._dispatcher.held + self._stage.backlog < self._queue_size

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
        for handler in self.handlers:
            if handler.books is not None:
                handler.books.close()
        return self._inotify.fd

    def _subscription(self, handler: Handler) -> Subscription:
        entry = handler.entry
        watch = entry.watch
        keeps_books = handler.books is not None
        return Subscription(
            entry.path,
            entry.mask | NEEDED if keeps_books else entry.mask,
            recursive=watch.recursive,
            auto_add=watch.recursive if watch.auto_add is None else watch.auto_add,
            follow_symlinks=watch.follow_symlinks,
            excluded=entry.skips,
            wait=watch.missing != "error",
            found=self._found if keeps_books else None,
            watch=watch,
            handler=handler,
        )

    def _found(self, subscription: Subscription) -> None:
        """Compare what is in a root that has come back."""
        self._recovery.request([subscription.handler], "new-directory")

    def _overflowed(self) -> None:
        """Compare everything: events were lost."""
        logger.error(
            "the kernel's queue of events (%s) was full, and some are lost; what they told of "
            "is looked for now, for the entries that catch up",
            limits.described("max_queued_events"),
        )
        self._recovery.request(self._watched, "overflow")

    def _lost(self, subscription: Subscription) -> None:
        """Send `path_lost`, in its turn among the events."""
        entry = subscription.handler.entry
        notice = Handler(entry, Methods(partial(send, path_lost, entry.processor)))
        event = Event(
            mask=IN_DELETE_SELF, path=entry.path, synthetic="path-lost", watch=entry.watch
        )
        self._dispatcher.put([(replace(subscription, handler=notice), event)])


def make_handlers(entries: Sequence[Entry], state: State | None) -> list[Handler]:
    """Return a handler for each of `entries`, with books of those that catch up."""
    own_writes = OwnWrites() if any(entry.watch.ignore_self for entry in entries) else None
    numbers: Counter[str] = Counter()
    return [
        Handler(
            entry,
            _methods(entry, own_writes),
            _retries(entry),
            books=_books(entry, state, numbers),
            asked=entry.mask | UNASKED,
            own_writes=own_writes if entry.watch.ignore_self else None,
            notes=own_writes,
        )
        for entry in entries
    ]


def begin(handlers: Iterable[Handler], since: float) -> None:
    """Keep that their entries start for the first time, if they do.

    Args:
        handlers: those that keep books.
        since: a `dividing_moment` before the watches stood.
    """
    for handler in handlers:
        if handler.books is not None:
            first = FIRST if handler.entry.polls else since
            handler.books.ledger.begin(first, deep=handler.entry.is_deep)


def _retries(entry: Entry) -> Retries:
    number = entry.watch.retries
    return Retries(conf.retries if number is None else number, conf.retry_delay)


def _methods(entry: Entry, own_writes: OwnWrites | None) -> Methods:
    processor = entry.processor
    if isinstance(processor, Deferring):
        processor = processor.defer
    return Methods(processor) if own_writes is None else NotingMethods(processor, own_writes)


def _books(entry: Entry, state: State | None, numbers: Counter[str]) -> Bookkeeping | None:
    ledger: AnyLedger
    if entry.catches_up and state is not None:
        # The same path and processor may stand in more than one entry, with other options.
        key = f"{entry.place}\0{entry.processor_name}"
        numbers[key] += 1
        ledger = state.ledger(f"{key}\0{numbers[key]}", entry.path)
    elif entry.polls:
        ledger = MemoryLedger(entry.path)
    else:
        return None
    return Books(ledger, entry.mask) if entry.url is None else PlaceBooks(ledger, entry.mask)


def _how(entry: Entry) -> str:
    return f"Polling every {entry.watch.poll_interval:g} s" if entry.polls else "Adding watch on"


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
