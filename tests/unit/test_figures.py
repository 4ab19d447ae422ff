"""What is remembered of deliveries: counts, times, the last events and failures."""

import gc
import logging
import threading
import weakref

import pytest
from pyinotify import IN_CREATE, IN_DELETE

from inotifier.dispatcher import BOUNDS, MOST_RECENT, Figures, Handler, Retries
from inotifier.events import Event
from inotifier.exceptions import ReceiversFailed, TryAgain
from inotifier.later import Later
from inotifier.notifier import Methods
from inotifier.watches import Watch
from tests.in_process import Recorder, entries


def handler_of(processor, retries: int = 0) -> Handler:
    [entry] = entries(Watch("/", processor=processor, name="mine"))
    return Handler(entry, Methods(entry.processor), Retries(retries))


def make(name: str, mask: int = IN_CREATE) -> Event:
    return Event(mask=mask, path="/", name=name, timestamp=7.0)


def raising(*reasons: BaseException):
    left = list(reasons)

    def process(event) -> None:
        if left:
            raise left.pop(0)

    return process


def outcomes(handler: Handler) -> list[str]:
    return [outcome for _, outcome, _ in handler.figures.recent]


def test_what_is_delivered_is_counted_by_mask():
    handler = handler_of(Recorder())
    for mask in (IN_CREATE, IN_CREATE, IN_DELETE):
        handler.attempt(make("a", mask))
    assert handler.figures.masks == {IN_CREATE: 2, IN_DELETE: 1}
    assert outcomes(handler) == ["delivered"] * 3
    assert handler.figures.recent[0][0] == (IN_CREATE, "/a", 7.0)


def test_what_is_tried_again_is_counted_once():
    handler = handler_of(raising(ValueError(), TryAgain(after=1)), retries=1)
    event = make("a")
    for tried in (0, 1, 1):
        handler.attempt(event, tried)
    assert outcomes(handler) == ["again", "again", "delivered"]
    assert handler.figures.masks == {IN_CREATE: 1}
    assert sum(handler.figures.durations) == 3


def test_what_is_given_up_is_counted_and_kept_with_its_traceback():
    handler = handler_of(raising(ValueError("no")), retries=0)
    handler.attempt(make("a"))
    assert outcomes(handler) == ["failed"]
    [failure] = handler.figures.failures
    assert (failure.mask, failure.pathname, failure.then) == (IN_CREATE, "/a", "")
    assert failure.who.startswith("processor ")
    assert failure.traceback.endswith("ValueError: no\n")


def test_each_receiver_that_failed_is_kept():
    def receiver(**kwargs):
        pass

    reasons = [(receiver, ValueError("one")), (receiver, KeyError("two"))]
    handler = handler_of(raising(ReceiversFailed(reasons)))
    handler.attempt(make("a"))
    assert ["one" in each.traceback for each in handler.figures.failures] == [True, False]
    assert all("receiver " in each.who for each in handler.figures.failures)


def test_an_outage_is_no_failure():
    handler = handler_of(raising(TryAgain(after=1)))
    handler.attempt(make("a"))
    assert not handler.figures.failures


def test_what_is_done_later_is_said_to_be():
    class Never(Later):
        def start(self) -> None:
            pass

    handler = handler_of(lambda event: Never())
    handler.attempt(make("a"))
    assert outcomes(handler) == ["later"]
    assert handler.figures.masks == {IN_CREATE: 1}


def test_an_exception_that_is_remembered_keeps_nothing_alive(caplog):
    caplog.set_level(logging.CRITICAL, "inotifier")  # a record keeps its exception

    class Big:
        pass

    kept = []

    def process(event):
        big = Big()
        kept.append(weakref.ref(big))
        raise ValueError

    handler = handler_of(process)
    handler.attempt(make("a"))
    gc.collect()
    assert handler.figures.failures
    assert kept[0]() is None


def test_an_exception_that_cannot_be_shown_harms_nobody():
    class Nasty(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    handler = handler_of(raising(Nasty()))
    assert handler.attempt(make("a")) is None
    assert handler.failed == 1


@pytest.mark.parametrize(
    ("seconds", "index"),
    [(0.0, 0), (BOUNDS[0], 0), (0.0002, 1), (BOUNDS[-1], len(BOUNDS) - 1), (1e9, len(BOUNDS))],
)
def test_a_call_is_counted_in_the_first_range_that_holds_it(seconds, index):
    figures = Figures()
    figures.note((IN_CREATE, "/a", 1.0), "delivered", seconds)
    assert figures.durations.index(1) == index
    assert figures.seconds == seconds


def test_only_the_last_events_and_failures_are_kept():
    figures = Figures()
    for number in range(3 * MOST_RECENT):
        figures.note((IN_CREATE, f"/{number}", float(number)), "delivered", 0.0)
        figures.note_failure(IN_CREATE, f"/{number}", "who", "", ValueError("x" * 50_000))
    assert len(figures.recent) == MOST_RECENT
    assert figures.recent[-1][0][1] == f"/{3 * MOST_RECENT - 1}"
    assert len(figures.failures) == 20
    assert max(len(each.traceback) for each in figures.failures) <= 8000


def test_figures_may_be_read_while_they_change():
    figures = Figures()
    ended = threading.Event()

    def note() -> None:
        mask = 0
        while not ended.is_set():
            mask += 1
            figures.note((mask % 5000, "/a", 1.0), "delivered", 0.0)

    thread = threading.Thread(target=note)
    thread.start()
    try:
        for _ in range(300):
            assert len(list(figures.recent)) <= MOST_RECENT
            assert all(number > 0 for number in dict(figures.masks).values())
    finally:
        ended.set()
        thread.join()
