"""The delivery of events: threads, retries, waits, order, and the end."""

import itertools
import logging
import random
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict

import pytest
from django.db import connections
from pyinotify import IN_CLOSE_WRITE, IN_CREATE, IN_ISDIR, IN_MODIFY, IN_MOVED_FROM, IN_MOVED_TO

from inotifier.dispatcher import Dispatcher, Handler, Question, Retries
from inotifier.event_processors import AllEventsSignaler
from inotifier.events import Event
from inotifier.exceptions import ReceiversFailed, TryAgain
from inotifier.notifier import Methods, Subscription
from inotifier.signals import delivery_failed, in_create
from inotifier.watches import Watch
from tests.in_process import Recorder, entries
from tests.waiting import wait_for

WORKERS = pytest.mark.parametrize("workers", [1, 8])


class Clock:
    """A monotonic clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Scripted(Recorder):
    """Raises what it is told to for a name, one reason for each call, and then succeeds."""

    def __init__(self, **reasons: list[BaseException]) -> None:
        super().__init__()
        self.reasons = reasons

    def __call__(self, event) -> None:
        super().__call__(event)
        if reasons := self.reasons.get(event.name):
            raise reasons.pop(0)

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.events]


class Gate(Recorder):
    """Waits at every name that holds "shut" until the gate opens."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = threading.Event()

    def __call__(self, event) -> None:
        super().__call__(event)
        if "shut" in event.name:
            assert self.opened.wait(30)


class Bench:
    """A dispatcher that runs, with a clock of its own."""

    def __init__(self, workers: int, clock=None) -> None:
        self.clock = clock or Clock()
        self.dispatcher = Dispatcher(workers, self.clock)
        self.dispatcher.start()
        self.handlers: list[Handler] = []

    def entry(self, processor, retries=None, **fields) -> Subscription:
        [entry] = entries(Watch("/", processor=processor, **fields))
        handler = Handler(entry, Methods(entry.processor), retries or Retries())
        self.handlers.append(handler)
        return Subscription("/", entry.mask, handler=handler)

    def put(self, subscription: Subscription, *events: Event | str) -> None:
        self.dispatcher.put(
            [(subscription, make(one) if isinstance(one, str) else one) for one in events]
        )

    def advance(self, seconds: float) -> None:
        """Let time pass, and what is due be delivered."""
        self.clock.now += seconds
        self.dispatcher.put([])

    def settle(self) -> None:
        """Return when nothing is left but what waits for its time."""

        def is_settled() -> bool:
            until = self.dispatcher.only_waits_until()
            return not self.dispatcher.depth or (until is not None and until > self.clock())

        wait_for(is_settled, message="the deliveries")

    def finish(self) -> None:
        self.dispatcher.finish()
        assert self.dispatcher.join(30)
        assert self.dispatcher.depth == 0


@pytest.fixture
def bench():
    """Make benches, and end them."""
    benches = []

    def make_bench(workers: int = 1, clock=None) -> Bench:
        benches.append(Bench(workers, clock))
        return benches[-1]

    yield make_bench
    for one in benches:
        one.dispatcher.abandon()
        assert one.dispatcher.join(30)


def make(name: str, mask: int = IN_CREATE, source: str | None = None) -> Event:
    path, _, name = f"/{name}".rpartition("/")
    return Event(mask=mask, path=path or "/", name=name, src_pathname=source and f"/{source}")


def rename(source: str, target: str, flag: int = 0) -> list[Event]:
    return [make(source, IN_MOVED_FROM | flag), make(target, IN_MOVED_TO | flag, source)]


@pytest.fixture
def failures():
    """What `delivery_failed` was sent with."""
    calls = []

    def receive(**kwargs) -> None:
        calls.append(kwargs)

    delivery_failed.connect(receive)
    yield calls
    delivery_failed.disconnect(receive)


def counters(handler: Handler) -> tuple[int, ...]:
    return (
        handler.seen,
        handler.delivered,
        handler.failed,
        handler.retried,
        handler.pending,
    )


# Retries.


@WORKERS
def test_a_failed_event_is_delivered_again_with_doubling_delay(bench, workers):
    bench = bench(workers)
    processor = Scripted(bad=[ValueError()] * 3)
    entry = bench.entry(processor, Retries(3, 1.5))
    bench.put(entry, "bad")
    bench.settle()
    for calls, delay in enumerate([1.5, 3, 6], start=1):
        assert len(processor.events) == calls
        assert bench.dispatcher.waiting == 1
        assert bench.dispatcher.only_waits_until() == pytest.approx(bench.clock.now + delay)
        bench.advance(delay - 0.01)
        bench.settle()
        assert len(processor.events) == calls
        bench.advance(0.02)
        wait_for(lambda expected=calls: len(processor.events) > expected)
        bench.settle()
    assert counters(entry.handler) == (1, 1, 0, 3, 0)
    assert bench.dispatcher.waiting == 0
    assert bench.dispatcher.only_waits_until() is None


@WORKERS
def test_after_the_last_try_delivery_failed_is_sent_once(bench, workers, failures):
    bench = bench(workers)
    reasons = [ValueError(number) for number in range(3)]
    processor = Scripted(bad=list(reasons))
    entry = bench.entry(processor, Retries(2, 0))
    event = make("bad")
    bench.put(entry, event, "good")
    bench.finish()
    assert failures == [
        {
            "signal": delivery_failed,
            "sender": Scripted,
            "event": event,
            "processor": processor,
            "exception": reasons[-1],
        }
    ]
    assert processor.names.count("bad") == 3
    assert counters(entry.handler) == (2, 1, 1, 2, 0)


def test_without_retries_an_event_is_given_up_at_once(bench, failures):
    bench = bench()
    entry = bench.entry(Scripted(bad=[ValueError()]))
    bench.put(entry, "bad")
    bench.finish()
    assert len(failures) == 1
    assert counters(entry.handler) == (1, 0, 1, 0, 0)


@WORKERS
def test_other_paths_are_not_held_up_by_a_retry(bench, workers):
    bench = bench(workers)
    processor = Scripted(bad=[ValueError()])
    bench.put(bench.entry(processor, Retries(1)), "bad", "bad", "good", "other")
    bench.settle()
    assert sorted(processor.names) == ["bad", "good", "other"]
    bench.advance(1)
    bench.finish()
    assert processor.names[3:] == ["bad", "bad"]


@WORKERS
def test_other_entries_are_not_held_up_by_a_retry(bench, workers):
    bench = bench(workers)
    other = Recorder()
    failing = bench.entry(Scripted(bad=[ValueError()]), Retries(1))
    bench.put(failing, "bad")
    bench.put(bench.entry(other), "bad")
    bench.settle()
    assert len(other.events) == 1
    bench.advance(1)
    bench.finish()


@WORKERS
def test_later_events_of_the_path_wait_for_a_retry_in_their_order(bench, workers):
    bench = bench(workers)
    processor = Scripted(bad=[ValueError(), ValueError()])
    events = [make("bad", mask) for mask in (IN_CREATE, IN_MODIFY, IN_CLOSE_WRITE)]
    bench.put(bench.entry(processor, Retries(2)), *events)
    bench.settle()
    assert processor.events == events[:1]
    bench.advance(1)
    wait_for(lambda: len(processor.events) == 2)
    bench.settle()
    bench.advance(2)
    bench.finish()
    assert processor.events == [events[0], events[0], *events]


@WORKERS
def test_a_renamed_file_waits_for_the_retry_of_its_old_name(bench, workers):
    bench = bench(workers)
    processor = Scripted(bad=[ValueError()])
    events = [make("bad"), *rename("bad", "new"), make("new", IN_MODIFY)]
    bench.put(bench.entry(processor, Retries(1)), *events)
    bench.settle()
    assert processor.events == events[:1]
    bench.advance(1)
    bench.finish()
    assert processor.events == [events[0], *events]


@WORKERS
def test_a_file_in_a_renamed_directory_waits_for_the_retry_of_its_old_path(bench, workers):
    bench = bench(workers)
    processor = Scripted(bad=[ValueError()])
    first, after = make("d/bad"), make("e/bad", IN_MODIFY)
    moves = rename("d", "e", IN_ISDIR)
    bench.put(bench.entry(processor, Retries(1)), first)
    bench.settle()
    other = make("e/bad")  # of another entry: it waits for nothing
    bench.put(bench.entry(processor), other)
    bench.put(Subscription("/", 0, handler=bench.handlers[0]), *moves, after)
    bench.settle()
    assert processor.events[:1] == [first]
    assert set(processor.events[1:]) == {other, *moves}
    bench.advance(1)
    bench.finish()
    assert processor.events[-2:] == [first, after]


def test_any_number_of_retries_will_do(bench, caplog):
    """Beyond 1023 doublings a float ends, and 0 seconds are 0 seconds."""
    bench = bench()
    caplog.set_level(logging.CRITICAL, "inotifier")
    entry = bench.entry(Scripted(bad=[ValueError() for _ in range(1100)]), Retries(1100, 0.0))
    bench.put(entry, "bad")
    bench.finish()
    assert counters(entry.handler) == (1, 1, 0, 1100, 0)


def test_any_wait_will_do(bench):
    bench = bench()
    entry = bench.entry(Scripted(bad=[TryAgain(1e300)], worse=[ValueError()]), Retries(1, 1e308))
    bench.put(entry, "bad", "worse", "good")
    wait_for(lambda: entry.handler.delivered == 1)
    bench.settle()
    assert bench.dispatcher.alive
    assert bench.dispatcher.waiting == 2


def test_what_raises_is_called_again_with_what_it_got(bench):
    """A processor may change the event."""
    bench = bench()
    got = []

    def spoil(event):
        got.append((event.mask, event.pathname))
        event.mask, event.pathname = 3, None
        if len(got) < 3:
            raise ValueError

    bench.put(bench.entry(spoil, Retries(2, 0)), "file", "file")
    bench.finish()
    assert got == [(IN_CREATE, "/file")] * 4


# TryAgain.


@WORKERS
@pytest.mark.parametrize("retries", [0, 3])
def test_to_be_tried_again_is_no_failure(bench, workers, retries, failures, caplog):
    bench = bench(workers)
    processor = Scripted(bad=[TryAgain(5), TryAgain(7)])
    entry = bench.entry(processor, Retries(retries))
    bench.put(entry, "bad", "good")
    bench.settle()
    assert bench.dispatcher.only_waits_until() == bench.clock.now + 5
    bench.advance(5)
    wait_for(lambda: processor.names.count("bad") == 2)
    bench.settle()
    assert bench.dispatcher.only_waits_until() == bench.clock.now + 7
    assert counters(entry.handler) == (2, 1, 0, 0, 1)
    bench.advance(7)
    bench.finish()
    assert counters(entry.handler) == (2, 2, 0, 0, 0)
    assert failures == []
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


def test_tries_in_between_do_not_count(bench, failures):
    bench = bench()
    reasons = [ValueError(), TryAgain(1), TryAgain(1), ValueError(), TryAgain(1), KeyError()]
    entry = bench.entry(Scripted(bad=reasons), Retries(2, 0))
    bench.put(entry, "bad")
    processor = entry.handler.entry.processor
    for calls in (2, 3, 5):  # until each TryAgain
        wait_for(lambda n=calls: len(processor.events) == n)
        bench.settle()
        bench.advance(1)
    bench.finish()
    assert [type(one["exception"]) for one in failures] == [KeyError]
    assert counters(entry.handler) == (1, 0, 1, 2, 0)


@pytest.fixture
def receivers():
    """Connect receivers of `in_create`."""
    connected = []

    def connect(*functions):
        for function in functions:
            in_create.connect(function)
            connected.append(function)

    yield connect
    for function in connected:
        in_create.disconnect(function)


class Called:
    """A receiver that raises what it is told to, and then succeeds."""

    def __init__(self, *reasons: BaseException) -> None:
        self.reasons = list(reasons)
        self.calls = 0

    def __call__(self, **kwargs) -> None:
        self.calls += 1
        if self.reasons:
            raise self.reasons.pop(0)


@WORKERS
def test_only_receivers_that_asked_for_another_try_are_called_again(bench, workers, receivers):
    bench = bench(workers)
    good, waiting = Called(), Called(TryAgain(2), TryAgain(2))
    receivers(good, waiting)
    entry = bench.entry(AllEventsSignaler)
    bench.put(entry, "file")
    for calls in (1, 2):
        wait_for(lambda n=calls: waiting.calls == n)
        bench.settle()
        bench.advance(2)
    bench.finish()
    assert (good.calls, waiting.calls) == (1, 3)
    assert counters(entry.handler) == (1, 1, 0, 0, 0)


@WORKERS
def test_receivers_that_succeeded_are_not_called_again(bench, workers, receivers, failures):
    bench = bench(workers)
    reason = OSError()
    good, once, never = Called(), Called(ValueError()), Called(*[ValueError()] * 2, reason)
    receivers(good, once, never)
    entry = bench.entry(AllEventsSignaler, Retries(2, 0))
    bench.put(entry, "file")
    bench.finish()
    assert (good.calls, once.calls, never.calls) == (1, 2, 3)
    assert counters(entry.handler) == (1, 0, 1, 2, 0)
    [failure] = failures
    assert isinstance(failure["exception"], ReceiversFailed)
    assert failure["exception"].failures == [(never, reason)]
    assert failure["sender"] is AllEventsSignaler


# Several workers.


class Slow:
    """Notes what is handled at the same time, and in which order for each file."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.lock = threading.Lock()
        self.at_once: Counter[str] = Counter()
        self.most = 0
        self.overlaps: list[str] = []
        self.order: dict[str, list[object]] = defaultdict(list)

    def __call__(self, event) -> None:
        file = str(event.timestamp).partition(".")[0]
        with self.lock:
            self.at_once[file] += 1
            self.most = max(self.most, sum(self.at_once.values()))
            if self.at_once[file] > 1:
                self.overlaps.append(event.pathname)
            self.order[file].append(event.cookie)
        time.sleep(self.seconds)
        with self.lock:
            self.at_once[file] -= 1


def files(number: int, each: int = 1) -> list[Event]:
    """Return events of files; the timestamp tells the file, the cookie the order."""
    events = []
    for turn, file in itertools.product(range(each), range(number)):
        event = make(str(file))
        event.timestamp, event.cookie = float(file), turn
        events.append(event)
    return events


def test_eight_workers_take_an_eighth_of_the_time(bench):
    bench = bench(8)
    slow = Slow(0.05)
    entry = bench.entry(slow)
    began = time.monotonic()
    bench.put(entry, *files(200))
    bench.finish()
    # 10 s with one, 1.3 s with eight on a machine that has nothing else to do.
    assert time.monotonic() - began < 5
    assert 1 < slow.most <= 8
    assert counters(entry.handler) == (200, 200, 0, 0, 0)


def test_one_worker_handles_one_after_the_other(bench):
    bench = bench(1)
    slow = Slow(0.001)
    bench.put(bench.entry(slow), *files(50))
    bench.finish()
    assert slow.most == 1
    assert list(slow.order) == [str(number) for number in range(50)]


def test_events_of_a_path_are_handled_one_after_the_other(bench):
    bench = bench(8)
    slow = Slow(0.001)
    entry = bench.entry(slow)
    events = files(20, 40)
    for start in range(0, len(events), 7):
        bench.put(entry, *events[start : start + 7])
    bench.finish()
    assert slow.overlaps == []
    assert slow.most > 1
    assert all(order == list(range(40)) for order in slow.order.values())


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("seed", range(3))
def test_order_is_kept_through_renames_and_failures(bench, workers, seed):
    """Files are renamed, alone and with their directories; deliveries fail and wait."""
    chance = random.Random(seed)
    bench = bench(workers, time.monotonic)
    slow = Slow()

    def process(event) -> None:
        slow(event)
        if chance.random() < 0.1:
            slow.order[str(int(event.timestamp))].pop()
            raise (ValueError() if chance.random() < 0.5 else TryAgain(0.001))

    entry = bench.entry(process, Retries(50, 0))
    # Where each file is; a cookie for each of its events, in their order.
    places = {file: f"{file % 3}/{file}" for file in range(12)}
    turns: Counter[int] = Counter()

    def event_of(file: int, mask: int, source: str | None = None) -> Event:
        event = make(places[file], mask, source)
        event.timestamp, event.cookie = float(file), turns[file]
        turns[file] += 1
        return event

    for _ in range(400):
        if chance.random() < 0.1:
            source, target = f"{chance.randrange(3)}", f"{chance.randrange(3, 6)}"
            moves = rename(source, target, IN_ISDIR)
            for number, move in enumerate(moves):
                move.timestamp, move.cookie = 1e6 + chance.randrange(10**9), number
            bench.put(entry, *moves)
            for file, place in places.items():
                if place.startswith(f"{source}/"):
                    places[file] = target + place[1:]
        file = chance.randrange(12)
        if chance.random() < 0.3:
            old = places[file]
            first = event_of(file, IN_MOVED_FROM)
            places[file] = f"{chance.randrange(6)}/{file}-{turns[file]}"
            bench.put(entry, first, event_of(file, IN_MOVED_TO, old))
        else:
            bench.put(entry, event_of(file, IN_MODIFY))
    bench.finish()
    assert slow.overlaps == []
    for file, number in turns.items():
        assert slow.order[str(file)] == list(range(number))
    handler = entry.handler
    assert handler.seen == handler.delivered
    assert (handler.failed, handler.pending) == (0, 0)


def test_what_is_below_a_moved_directory_is_handled_after_it(bench):
    bench = bench(8)
    gate = Gate()
    entry = bench.entry(gate)
    events = [make("d/shut"), *rename("d", "e", IN_ISDIR), make("e/file"), make("d/file")]
    bench.put(entry, *events, "other")
    wait_for(lambda: entry.handler.delivered == 1)
    assert {event.name for event in gate.events} == {"shut", "other"}
    gate.opened.set()
    bench.finish()
    handled = [event for event in gate.events if event.name != "other"]
    assert handled[:3] == events[:3]
    assert set(handled[3:]) == set(events[3:])


def test_events_may_be_put_from_several_threads(bench):
    bench = bench(8)
    slow = Slow()
    entry = bench.entry(slow)

    def put(writer: int) -> None:
        for number in range(200):
            event = make(f"{writer}")
            event.timestamp, event.cookie = float(writer), number
            bench.put(entry, event)

    threads = [threading.Thread(target=put, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bench.finish()
    assert all(order == list(range(200)) for order in slow.order.values())
    assert counters(entry.handler) == (1200, 1200, 0, 0, 0)


@WORKERS
def test_the_log_names_the_file_that_failed(bench, workers, caplog):
    bench = bench(workers)
    gate = threading.Barrier(workers)

    def fail(event):
        gate.wait(30)
        raise ValueError(event.name)

    bench.put(bench.entry(fail), *[str(number) for number in range(workers)])
    bench.finish()
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == workers
    for number in range(workers):
        assert any(
            f"of /{number} " in message and f"ValueError('{number}')" in message
            for message in messages
        )


@WORKERS
@pytest.mark.parametrize("reason", [SystemExit(1), KeyboardInterrupt()])
def test_a_handler_that_exits_ends_no_thread(bench, workers, reason):
    bench = bench(workers)
    entry = bench.entry(Scripted(bad=[reason] * 20))
    bench.put(entry, *["bad"] * 20, "good")
    bench.settle()
    assert bench.dispatcher.alive
    bench.finish()
    assert counters(entry.handler) == (21, 1, 20, 0, 0)


@WORKERS
@pytest.mark.parametrize("reason", [ValueError(), SystemExit(1)])
def test_a_receiver_of_delivery_failed_may_raise(bench, workers, reason):
    bench = bench(workers)

    def receive(**kwargs):
        raise reason

    delivery_failed.connect(receive)
    try:
        entry = bench.entry(Scripted(bad=[ValueError()]))
        bench.put(entry, "bad", "good")
        bench.finish()
    finally:
        delivery_failed.disconnect(receive)
    assert counters(entry.handler) == (2, 1, 1, 0, 0)


FORKING = """
import os, sys, threading, warnings
import django
from django.conf import settings
from pyinotify import IN_CREATE

warnings.simplefilter("ignore")
settings.configure(INSTALLED_APPS=["inotifier"])
django.setup()

from inotifier.dispatcher import Dispatcher, Handler
from inotifier.events import Event
from inotifier.notifier import Methods, Subscription
from inotifier.signals import delivery_failed
from inotifier.watches import Watch, Entry

here, codes = os.getpid(), []
HOW = {
    "returns": lambda: None,
    "raises": lambda: 1 / 0,
    "exits": lambda: sys.exit(7),
}

def fork(what):
    child = os.fork()
    if child == 0:
        HOW[what]()
    else:
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

def process(event):
    if event.name == "told":
        raise ValueError
    fork(event.name)

def receive(**kwargs):
    fork("returns")

delivery_failed.connect(receive)
entry = Entry(watch=Watch("/"), path="/", mask=IN_CREATE, processor=process,
              processor_name="process", origin=process)
handler = Handler(entry, Methods(process))
subscription = Subscription("/", IN_CREATE, handler=handler)
dispatcher = Dispatcher(int(sys.argv[1]))
dispatcher.start()
for name in ("returns", "raises", "exits", "told"):
    dispatcher.put([(subscription, Event(mask=IN_CREATE, path="/", name=name))])
dispatcher.finish()
assert dispatcher.join(30)
assert os.getpid() == here
print(sorted(codes), handler.delivered, handler.failed)
"""


@WORKERS
def test_a_handler_may_fork(workers):
    # In a process of its own: forking the test's would take its threads' locks along.
    done = subprocess.run(
        [sys.executable, "-c", FORKING, str(workers)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "[0, 0, 1, 7] 3 1\n", done.stderr


# Questions.


class Asked(Question):
    """Is answered with what it is told."""

    __slots__ = ("events",)

    def answer(self):
        if isinstance(self.events, BaseException):
            raise self.events
        return self.events


def ask(name: str, events) -> Asked:
    question = Asked(mask=0, path=f"/{name}")
    question.events = events
    return question


@WORKERS
def test_the_events_of_an_answer_are_delivered_in_its_place(bench, workers):
    bench = bench(workers)
    processor = Recorder()
    entry = bench.entry(processor)
    first, last = make("a"), make("a", IN_CLOSE_WRITE)
    answer = [make("a", IN_MODIFY), make("a", IN_MODIFY)]
    bench.put(entry, first, ask("a", answer), last, ask("a", []))
    bench.finish()
    assert processor.events == [first, *answer, last]
    assert counters(entry.handler) == (4, 4, 0, 0, 0)


@WORKERS
def test_an_answer_that_raises_ends_no_thread(bench, workers, caplog):
    bench = bench(workers)
    processor = Recorder()
    entry = bench.entry(processor)
    bench.put(entry, *[ask("a\n", RuntimeError("odd"))] * 20, "a\n", "b")
    bench.settle()
    assert bench.dispatcher.alive
    bench.finish()
    assert sorted(processor.pathnames) == ["/a\n", "/b"]
    assert counters(entry.handler) == (2, 2, 0, 0, 0)
    assert r"/a\n" in caplog.text
    assert "odd" in caplog.text


# The end.


@WORKERS
def test_the_end_waits_for_what_waits(bench, workers):
    bench = bench(workers, time.monotonic)
    processor = Scripted(bad=[TryAgain(0.05)], worse=[ValueError()])
    entry = bench.entry(processor, Retries(1, 0.1))
    bench.put(entry, "bad", "bad", "worse")
    bench.finish()
    assert counters(entry.handler) == (3, 3, 0, 1, 0)


@WORKERS
def test_the_end_does_not_come_before_its_time(bench, workers):
    bench = bench(workers)
    bench.put(bench.entry(Scripted(bad=[TryAgain(5)])), "bad")
    bench.dispatcher.finish()
    assert not bench.dispatcher.join(0.05)
    bench.settle()
    bench.advance(5)
    assert bench.dispatcher.join(30)


@WORKERS
def test_what_waits_may_be_abandoned(bench, workers):
    bench = bench(workers)
    processor = Scripted(bad=[TryAgain(5)])
    entry = bench.entry(processor)
    bench.put(entry, "bad", "bad", "good")
    bench.settle()
    assert bench.dispatcher.abandon() == 2
    assert bench.dispatcher.join(30)
    assert sorted(processor.names) == ["bad", "good"]
    assert counters(entry.handler) == (3, 1, 0, 0, 2)


@WORKERS
def test_what_is_abandoned_is_not_begun(bench, workers):
    """A handler that runs is waited for, in each thread."""
    bench = bench(workers)
    gate = Gate()
    entry = bench.entry(gate)
    bench.put(entry, *[f"shut{number}" for number in range(workers)], *["shut0", "free"] * 20)
    wait_for(lambda: len(gate.events) == workers)
    assert bench.dispatcher.abandon() == workers + 40
    assert not bench.dispatcher.join(0.05)
    gate.opened.set()
    assert bench.dispatcher.join(30)
    assert len(gate.events) == workers
    assert counters(entry.handler) == (workers + 40, workers, 0, 0, 40)
    assert not bench.dispatcher.alive


def test_the_end_comes_when_each_worker_has_ended(bench):
    bench = bench(4)
    bench.put(bench.entry(Recorder()), *map(str, range(100)))
    bench.finish()
    names = {thread.name for thread in threading.enumerate()}
    assert not [name for name in names if name.startswith("inotifier-")]


# What is left.


@WORKERS
def test_only_waits_if_nothing_else_is_left(bench, workers):
    bench = bench(workers)
    gate = Gate()
    waits = bench.entry(Scripted(bad=[TryAgain(5)]))
    assert bench.dispatcher.only_waits_until() is None
    shut = bench.entry(gate)
    # In one batch, so that the second comes while the first waits.
    bench.dispatcher.put(
        [(waits, make("bad")), (waits, make("bad")), (shut, make("shut")), (shut, make("after"))]
    )
    wait_for(lambda: gate.events and bench.dispatcher.waiting)
    assert bench.dispatcher.only_waits_until() is None
    gate.opened.set()
    bench.settle()
    assert bench.dispatcher.only_waits_until() == bench.clock.now + 5
    assert bench.dispatcher.depth == 2
    bench.advance(5)
    bench.finish()


@WORKERS
def test_the_soonest_is_what_is_waited_for(bench, workers):
    bench = bench(workers)
    processor = Scripted(a=[TryAgain(9)], b=[TryAgain(3)], c=[TryAgain(6)])
    bench.put(bench.entry(processor), "a", "b", "c")
    bench.settle()
    began = bench.clock.now
    for after, name in ((3, "b"), (6, "c"), (9, "a")):
        assert bench.dispatcher.only_waits_until() == began + after
        bench.advance(3)
        wait_for(lambda n=name: processor.names.count(n) == 2)
        bench.settle()
    bench.finish()


# Databases.


@WORKERS
def test_each_thread_closes_its_connections(bench, workers, monkeypatch):
    """Around each delivery those that are old, at the end all."""
    bench = bench(workers)
    calls: dict[str, set[str]] = defaultdict(set)

    class Connection:
        def close_if_unusable_or_obsolete(self) -> None:
            calls["old"].add(threading.current_thread().name)

        def close(self) -> None:
            calls["all"].add(threading.current_thread().name)

    barrier = threading.Barrier(workers)

    def use(event) -> None:
        connections["default"] = Connection()
        barrier.wait(30)

    bench.put(bench.entry(use), *map(str, range(workers)))
    bench.finish()
    assert len(calls["old"]) == workers
    assert calls["old"] == calls["all"]


def test_a_connection_is_closed_after_a_retry(bench):
    bench = bench()
    closed = []

    class Connection:
        def close_if_unusable_or_obsolete(self) -> None:
            closed.append(bool(closed))

        def close(self) -> None:
            pass

    reasons = [TryAgain(1)]

    def use(event) -> None:
        if reasons:
            raise reasons.pop()
        connections["default"] = Connection()

    entry = bench.entry(use)
    bench.put(entry, "file")
    bench.settle()
    bench.advance(1)
    wait_for(lambda: closed)
    bench.finish()
