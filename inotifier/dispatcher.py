"""Hands events to the processors of their entries, one after the other, under a guard."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from django.db import close_old_connections, connections

from inotifier.events import Event, mask_names, printable
from inotifier.exceptions import ReceiversFailed
from inotifier.notifier import Batch, Methods
from inotifier.watches import Entry

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Handler:
    """An entry's processor, and what has become of its events.

    Attributes:
        entry: the entry.
        methods: what takes its events, by mask.
        seen: events read from the kernel.
        delivered: events whose processor returned.
        failed: events whose processor, or a receiver of its signal, raised.
        last_event: mask, path and time of the last one that was handed over.
        problem: why the entry does not get all its events, "" if it does.
    """

    entry: Entry
    methods: Methods
    seen: int = 0
    delivered: int = 0
    failed: int = 0
    last_event: tuple[int, str, float] | None = None
    problem: str = ""

    def handle(self, event: Event) -> bool:
        """Call the processor; whatever it raises is logged and counted, and goes no further.

        Returns:
            True if it raised nothing.
        """
        self.last_event = (event.mask, event.pathname, event.timestamp)
        try:
            self.methods[event.mask](event)
        except ReceiversFailed as exc:
            if _Process.is_child():
                raise exc.failures[0][1] from None
            self.failed += 1
            for receiver, reason in exc.failures:
                self._log(f"receiver {getattr(receiver, '__qualname__', receiver)}", event, reason)
        except BaseException as exc:  # the user's code, sys.exit() too: it must not harm others
            if _Process.is_child():
                raise
            self.failed += 1
            self._log(f"processor {self.entry.processor_name}", event, exc)
        else:
            self.delivered += 1
            return True
        return False

    def _log(self, who: str, event: Event, reason: BaseException) -> None:
        mask, pathname, _ = self.last_event or (event.mask, event.pathname, 0.0)
        with contextlib.suppress(Exception):  # a handler of the user's that raises, too
            logger.error(
                "%s failed on %s of %s (watch %s): %r",
                who,
                mask_names(mask),
                printable(pathname) or "no path",
                printable(self.entry.name),
                reason,
                exc_info=reason,
            )


class Dispatcher:
    """A queue of events, and the thread that delivers them in order."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="inotifier-dispatcher", daemon=True)
        self._put = 0
        self._done = 0
        self._abandoned = threading.Event()

    @property
    def depth(self) -> int:
        """Number of events that wait, the one being handled among them."""
        return self._put - self._done

    @property
    def alive(self) -> bool:
        """False once the thread has ended."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to deliver."""
        _Process.home = _Process.here
        self._thread.start()

    def put(self, batch: Batch) -> None:
        """Queue `batch`; never blocks. The handler of its subscriptions is a `Handler`."""
        for subscription, _ in batch:
            subscription.handler.seen += 1
        self._put += len(batch)
        self._queue.put(batch)

    def finish(self) -> None:
        """Take nothing more; end when all that was put is delivered."""
        self._queue.put(None)

    def join(self, timeout: float) -> bool:
        """Wait `timeout` seconds for the end; tell whether it came."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def abandon(self) -> int:
        """Begin no further delivery; return the number of events that are left."""
        self._abandoned.set()
        return self.depth

    def _run(self) -> None:
        try:
            self._deliver()
        except BaseException as exc:
            if _Process.is_child():
                os._exit(_exit_code(exc))
            raise

    def _deliver(self) -> None:
        while (batch := self._queue.get()) is not None:
            _close(close_old_connections)
            for subscription, event in batch:
                if self._abandoned.is_set():
                    break
                delivered = subscription.handler.handle(event)
                if _Process.is_child():
                    os._exit(0)  # a child of the handler's that came back: this is not its loop
                if not delivered:
                    # The reason may be a connection that broke; the next event gets a new one.
                    _close(close_old_connections)
                self._done += 1
            _close(close_old_connections)
        _close(connections.close_all)


class _Process:
    """Which process this is, and which one delivers: a handler may have forked."""

    here = os.getpid()
    home = here

    @classmethod
    def note_fork(cls) -> None:
        cls.here = os.getpid()

    @classmethod
    def is_child(cls) -> bool:
        return cls.here != cls.home


os.register_at_fork(after_in_child=_Process.note_fork)


def _exit_code(exc: BaseException) -> int:
    if isinstance(exc, SystemExit):
        return exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    logger.error("a forked child ended: %r", exc, exc_info=exc)
    return 1


def _close(close: Callable[[], None]) -> None:
    try:
        close()
    except Exception:  # a server that is gone does not even say goodbye
        logger.exception("a database connection cannot be closed")
