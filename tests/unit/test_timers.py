"""One heap, whatever becomes of what stands in it."""

import threading

from inotifier.scheduling.timers import Timers
from tests.waiting import wait_for


class Item:
    """Keeps when it was called, and tells when to be called again."""

    def __init__(self, again: float | None = None) -> None:
        self.is_wanted = True
        self.again = again
        self.calls: list[float] = []

    def fire(self, now: float) -> float | None:
        self.calls.append(now)
        again, self.again = self.again, None
        return again


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_is_called_at_its_time():
    clock = Clock()
    timers = Timers(clock, thread=False)
    items = [Item() for _ in range(10)]
    for number, item in enumerate(reversed(items)):
        timers.add(number, item)
    for clock.now in range(10):
        timers.fire_due()
    assert [item.calls for item in items] == [[number] for number in reversed(range(10))]


def test_what_is_called_too_early_is_called_again():
    clock = Clock()
    timers = Timers(clock, thread=False)
    timers.add(1, item := Item(again=5))
    for clock.now in range(1, 10):
        timers.fire_due()
    assert item.calls == [1, 5]


def test_what_is_not_wanted_does_not_fill_the_heap():
    timers = Timers(Clock(), thread=False)
    kept = [Item() for _ in range(10)]
    for number, item in enumerate(kept):
        timers.add(number, item)
    for number in range(100_000):
        timers.add(1e6 + number, item := Item())
        item.is_wanted = False
        timers.forget()
        assert len(timers) < 2500
    assert sum(entry[2].is_wanted for entry in timers._heap) == len(kept)


def test_one_that_fails_does_not_end_the_others(caplog):
    clock = Clock()
    timers = Timers(clock, thread=False)
    timers.add(0, Failing())
    timers.add(0, item := Item())
    timers.fire_due()
    assert item.calls == [0]
    assert "a timer failed" in caplog.text


class Failing(Item):
    def fire(self, now: float) -> None:
        raise ValueError("no")


def test_a_thread_waits_for_the_first_whenever_that_comes():
    timers = Timers()
    timers.add(timers.clock() + 1e12, late := Item())  # longer than a lock can wait
    for _ in range(20):
        timers.add(timers.clock() + 0.001, soon := Item())
        wait_for(lambda: soon.calls)
    assert late.calls == []
    assert [thread.name for thread in threading.enumerate()].count("inotifier-timers") == 1
    late.is_wanted = False
    timers.forget()
    timers.add(timers.clock(), last := Item())
    wait_for(lambda: last.calls)


def test_a_thread_ends_when_nothing_is_wanted_any_more():
    timers = Timers()
    timers.add(timers.clock() + 3600, late := Item())
    timers.add(timers.clock(), soon := Item())
    wait_for(lambda: soon.calls)
    thread = timers._thread
    assert thread is not None
    late.is_wanted = False
    timers.forget()
    thread.join(10)
    assert not thread.is_alive()
