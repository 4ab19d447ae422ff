"""The queue of events, and the threads that deliver them."""

from __future__ import annotations

import heapq
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence

from inotifier.connections import close_connections, refresh_after_rest, refresh_connections
from inotifier.dispatcher.deferrals import Deferrals
from inotifier.dispatcher.handler import Handler
from inotifier.dispatcher.order import Delivery, Order, Question
from inotifier.events import Event, printable
from inotifier.exceptions import TryAgain
from inotifier.forks import end_child, is_child, this_one_delivers
from inotifier.later import Wait
from inotifier.notifier import Batch

logger = logging.getLogger(__name__)

_Timer = tuple[float, int, Delivery]

_LONGEST_WAIT = 3600.0
"""Seconds; what is waited for may lie further ahead than a lock can wait."""


class Dispatcher:
    """Delivers what is put, the events of one path of one entry always in their order.

    With one worker, everything is delivered in the order in which it was put, by the thread that
    takes it from the queue; only what waits to be delivered again lets others pass. With more,
    that thread hands out what may be delivered.

    Args:
        workers: number of threads that call processors.
        clock: seconds that only grow.
    """

    def __init__(self, workers: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._queue: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._thread = _thread("inotifier-dispatcher", self._run)
        self._free: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()
        self._workers = [
            _thread(f"inotifier-worker-{number}", self._work)
            for number in range(workers if workers > 1 else 0)
        ]
        self._put = 0
        self._busy_since = 0.0
        self._done = 0  # or deferred: there is nothing more to do here
        self._deferrals: tuple[Deferrals, ...] = ()
        self._calls: dict[int, object] = {}
        self._finishing = False
        self._abandoned = False
        # What follows belongs to whoever holds the lock.
        self._lock = threading.Lock()
        self._order = Order()
        self._timers: list[_Timer] = []
        self._numbers = itertools.count()

    @property
    def depth(self) -> int:
        """Number of events that wait, those among them that are handled now, or later."""
        return self._in_order + sum(one.number for one in self._deferrals)

    @property
    def held(self) -> int:
        """Number of events that are kept: of those that a task is to handle, the last."""
        return self._in_order + sum(len(one.open) for one in self._deferrals)

    @property
    def deferred(self) -> tuple[int, int]:
        """Number of events that tasks are to handle which wait, and of those that are handled."""
        waiting = running = 0
        for deferrals in self._deferrals:
            for one in deferrals.listed():
                if one.due is None:
                    running += one.number
                else:
                    waiting += one.number
        return waiting, running

    @property
    def _in_order(self) -> int:
        return self._put - self._done

    @property
    def waiting(self) -> int:
        """Number of events that wait for their time to be delivered again."""
        return len(self._timers)

    @property
    def calls(self) -> dict[int, object]:
        """What threads deliver now, by their idents: another object for each call."""
        return self._calls.copy()

    @property
    def busy_for(self) -> float:
        """Seconds for which there has always been something to deliver; 0 if there is nothing."""
        if self._in_order <= self.waiting:
            return 0.0
        return self._clock() - self._busy_since

    @property
    def alive(self) -> bool:
        """False once a thread has ended."""
        return all(thread.is_alive() for thread in (self._thread, *self._workers))

    def start(self) -> None:
        """Begin to deliver."""
        this_one_delivers()
        for thread in (self._thread, *self._workers):
            thread.start()

    def put(self, batch: Batch) -> None:
        """Queue `batch`; never blocks. The handler of its subscriptions is a `Handler`."""
        with self._lock:
            for subscription, event in batch:
                if subscription.handler.asks_for(event):
                    subscription.handler.seen += 1
            if self._put == self._done:
                self._busy_since = self._clock()
            self._put += len(batch)
        self._queue.put(batch)

    def finish(self) -> None:
        """Take nothing more; end when all that was put is delivered."""
        self._queue.put(None)

    def join(self, timeout: float) -> bool:
        """Wait `timeout` seconds for the end; tell whether it came."""
        deadline = time.monotonic() + timeout
        threads = (self._thread, *self._workers)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def only_waits_until(self) -> float | None:
        """Return the time on the clock before which nothing can be delivered, None if there is.

        That is so if all that is left waits to be delivered again, or for what does.
        """
        with self._lock:
            # What is in a queue, or in the hands of the only thread, is in no order.
            if self._in_order != self._order.number or not self._order.only_sleeps:
                return None
            times = [self._timers[0][0]] if self._timers else []
        for deferrals in self._deferrals:
            for one in deferrals.listed():
                if one.due is None:
                    return None
                times.append(one.due)
        return min(times, default=None)

    def abandon(self) -> int:
        """Begin no further delivery; return the number of events that are left."""
        self._abandoned = True
        self._queue.put([])
        for deferrals in self._deferrals:
            deferrals.abandon()
        return self.depth

    # The thread of the queue

    def _run(self) -> None:
        try:
            _surviving_forks(self._loop)
        finally:
            for _ in self._workers:
                self._free.put(None)

    def _loop(self) -> None:
        while not self._abandoned and not (self._finishing and not self.depth):
            self._step()
        close_connections()

    def _step(self) -> None:
        """Deliver one batch, or what is due by now."""
        try:
            batch = self._queue.get(timeout=self._time_to_timer())
        except queue.Empty:
            batch = []
        if batch is None:
            self._finishing = True
            for deferrals in self._deferrals:
                deferrals.hurry()
        elif batch or self._timers:
            refresh_after_rest()
            self._deliver(batch)
            self._resume()
            refresh_connections()
            self._calls.pop(threading.get_ident(), None)

    def _deliver(self, batch: Batch) -> None:
        alone, order = not self._workers, self._order
        calls, me = self._calls, threading.get_ident()
        for subscription, event in batch:
            if self._abandoned:
                return
            handler = subscription.handler
            if alone and event.mask and (not order.number or order.is_free(handler, event)):
                calls[me] = event
                wait = handler.attempt(event)
                if wait is None:
                    self._done += 1
                elif isinstance(wait, Wait):
                    self._wait_with(handler, event, wait)
                else:
                    with self._lock:
                        self._leave_to(wait)
            else:
                self._add(handler, event)
            if self._timers and self._timers[0][0] <= self._clock():
                self._resume()

    def _add(self, handler: Handler, event: Event) -> None:
        """Deliver `event` once what is before it is done with."""
        delivery = Delivery(handler, event)
        with self._lock:
            self._order.add(delivery)
            is_free = delivery.is_free
        if is_free:
            self._set_free([delivery])

    def _wait_with(self, handler: Handler, event: Event, wait: Wait) -> None:
        """Deliver `event`, which was tried already, again."""
        delivery = Delivery(handler, event)
        with self._lock:
            self._order.add(delivery)
            self._schedule(delivery, wait)  # alone: nothing else is under way

    # Timers

    def _schedule(self, delivery: Delivery, wait: Wait) -> list[Delivery]:
        """Put `delivery` aside for a time; return what may be delivered now."""
        delivery.tried += wait.failed
        due = self._clock() + wait.seconds
        heapq.heappush(self._timers, (due, next(self._numbers), delivery))
        return self._order.sleep(delivery)

    def _time_to_timer(self) -> float | None:
        with self._lock:
            if not self._timers:
                return None
            return min(max(0.0, self._timers[0][0] - self._clock()), _LONGEST_WAIT)

    def _resume(self) -> None:
        """Deliver again what is due."""
        due = []
        with self._lock:
            now = self._clock()
            while self._timers and self._timers[0][0] <= now:
                due.append(heapq.heappop(self._timers)[2])
                self._order.wake(due[-1])
        self._set_free(due)

    # What may be delivered now

    def _set_free(self, deliveries: list[Delivery]) -> None:
        if self._workers:
            for delivery in deliveries:
                self._free.put(delivery)
            return
        waiting = deliveries[::-1]
        while waiting and not self._abandoned:
            waiting += self._perform(waiting.pop())[::-1]

    def _perform(self, delivery: Delivery) -> list[Delivery]:
        """Deliver; return what may be delivered now that it is done."""
        event = delivery.event
        self._calls[threading.get_ident()] = object()
        if isinstance(event, Question):
            try:
                events = _answer(event)
            except TryAgain as exc:
                with self._lock:
                    return self._put_aside(delivery, Wait(exc.after, failed=False))
            with self._lock:
                delivery.handler.seen += len(events)
                self._put += len(events)
                self._done += 1
                return self._order.replace(delivery, events)
        wait = delivery.handler.attempt(event, delivery.tried)
        with self._lock:
            if isinstance(wait, Wait):
                return self._put_aside(delivery, wait)
            if wait is None:
                self._done += 1
            else:
                self._leave_to(wait)
            return self._order.end(delivery)

    def _leave_to(self, deferrals: Deferrals) -> None:
        """Note that an event is one of `deferrals` now, and holds up no other."""
        if deferrals not in self._deferrals:
            deferrals.wake = self._wake_to_end
            self._deferrals += (deferrals,)
            if self._finishing:
                deferrals.hurry()
        self._done += 1

    def _wake_to_end(self) -> None:
        if self._finishing:
            self._queue.put([])

    def _put_aside(self, delivery: Delivery, wait: Wait) -> list[Delivery]:
        if self._workers:
            self._queue.put([])  # the thread of the queue may have to wake earlier now
        return self._schedule(delivery, wait)

    # The workers

    def _work(self) -> None:
        _surviving_forks(self._perform_all)

    def _perform_all(self) -> None:
        while (delivery := self._free.get()) is not None:
            if self._abandoned:
                continue
            refresh_after_rest()
            self._set_free(self._perform(delivery))
            refresh_connections()
            self._calls.pop(threading.get_ident(), None)
            if self._finishing and not self.depth:
                self._queue.put([])
        close_connections()


def _answer(question: Question) -> Sequence[Event]:
    try:
        return question.answer()
    except TryAgain:
        raise
    except Exception:  # what is wrong with one path must not end the delivery of others
        logger.exception(
            "cannot tell what has become of %s; it is looked at again by the next comparison",
            printable(question.pathname),
        )
        return []


def _thread(name: str, run: Callable[[], None]) -> threading.Thread:
    return threading.Thread(target=run, name=name, daemon=True)


def _surviving_forks(run: Callable[[], None]) -> None:
    """Run a thread's function; a child that a handler forked ends there."""
    try:
        run()
    except BaseException as exc:
        if is_child():
            end_child(exc)
        raise
