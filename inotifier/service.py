"""The line from the kernel to the processors, built from the entries: start, watch over, stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from inotifier.dispatcher import Dispatcher, Handler
from inotifier.events import printable
from inotifier.exceptions import InotifierError
from inotifier.notifier import Inotify, Reader, Subscription, WatchTable
from inotifier.watches import Entry


class Service:
    """Everything between the kernel and the processors.

    Args:
        entries: what to watch, as `inotifier.watches.load` returns it.
        inotify_fd: an inotify descriptor kept over an exec. What happened since is still in
            its queue, so that a reload misses nothing.
    """

    def __init__(self, entries: Sequence[Entry], inotify_fd: int | None = None) -> None:
        self.handlers = [Handler(entry) for entry in entries]
        self._inotify = Inotify(inotify_fd)
        self._table = WatchTable(self._inotify)
        self._by_subscription: dict[Subscription, Handler] = {}
        self._dispatcher = Dispatcher()
        self._reader = Reader(self._inotify, self._take)
        self._finished = False

    @property
    def inotify_fd(self) -> int:
        """The descriptor to keep over an exec."""
        return self._inotify.fd

    @property
    def overflows(self) -> int:
        """How often the kernel's queue was full."""
        return self._table.overflows

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
        for handler in self.handlers:
            entry = handler.entry
            announce(
                f"Adding watch on {printable(entry.path)}, processed by {entry.processor_name}"
            )
            subscription = Subscription(entry.path, entry.mask, entry.watch)
            self._by_subscription[subscription] = handler
            self._table.add(subscription)
            _prepare(entry)
        self._table.settle()

    def run(self) -> None:
        """Begin to read and deliver."""
        self._dispatcher.start()
        self._reader.start()

    def check_alive(self) -> None:
        """Raise InotifierError if a thread has died, so that nobody takes silence for peace."""
        if not (self._dispatcher.alive and self._reader.alive):
            raise InotifierError("a thread of the daemon has died; the log tells why")

    def pause(self) -> None:
        """Read nothing more for now; what happens waits in the kernel's queue."""
        self._reader.stop()

    def go_on(self) -> None:
        """End what `pause` began."""
        self._reader = Reader(self._inotify, self._take)
        self._reader.start()

    def finish(self) -> None:
        """Read what the kernel has queued until now, and no more; a second call does nothing."""
        if not self._finished:
            self._finished = True
            self._reader.stop()
            self._dispatcher.finish()

    def drained(self, timeout: float) -> bool:
        """Wait `timeout` seconds, after `finish`, until all is delivered; tell whether it is."""
        return self._dispatcher.join(timeout)

    def abandon(self) -> int:
        """Begin no further delivery; return the number of events that are left."""
        return self._dispatcher.abandon()

    def close(self) -> None:
        """Give the watches back to the kernel."""
        self._inotify.close()

    def _take(self, buffer: bytes) -> None:
        batch = self._table.decode(buffer)
        self._dispatcher.put([(self._by_subscription[who], event) for who, event in batch])


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
