"""An event that is delivered again: who is called, and what is raised."""

import asyncio
import gc
import math

import pyinotify
import pytest

from inotifier.event_processors import CreateSignaler, CreateViaChunksSignaler, send
from inotifier.events import Event
from inotifier.exceptions import ReceiversFailed, TryAgain
from inotifier.signals import EventSignal, delivery_failed, in_create
from tests.in_process import Receiver


class Scripted:
    """A receiver that raises what it is told to, one reason for each call, and then succeeds."""

    def __init__(self, *reasons: BaseException) -> None:
        self.reasons = list(reasons)
        self.calls = 0

    def __call__(self, **kwargs) -> None:
        self.calls += 1
        if self.reasons:
            raise self.reasons.pop(0)

    def method(self, **kwargs) -> None:
        self(**kwargs)

    async def coroutine(self, **kwargs) -> None:
        await asyncio.sleep(0)
        self(**kwargs)


def an_event() -> Event:
    return Event(mask=pyinotify.IN_CREATE, path="/t", name="a")


@pytest.fixture
def signal():
    return EventSignal()


@pytest.fixture
def event():
    return an_event()


# TryAgain.


@pytest.mark.parametrize("after", [0, -1, math.inf, math.nan])
def test_a_time_that_never_comes_is_refused(after):
    with pytest.raises(ValueError, match="above 0"):
        TryAgain(after)


@pytest.mark.parametrize("after", ["1", None, True])
def test_a_time_that_is_no_number_is_refused(after):
    with pytest.raises(TypeError, match="number of seconds"):
        TryAgain(after)


def test_it_says_when():
    assert TryAgain(2.5).after == 2.5
    assert "2.5 s" in str(TryAgain(2.5))


def test_receivers_that_all_ask_for_another_try_get_the_soonest(signal, event):
    receivers = [Scripted(TryAgain(5)), Scripted(), Scripted(TryAgain(2))]
    for receiver in receivers:
        signal.connect(receiver)
    with pytest.raises(TryAgain) as error:
        send(signal, CreateSignaler(), event)
    assert error.value.after == 2


def test_a_receiver_that_failed_outweighs_one_that_asks_for_another_try(signal, event):
    reason = ValueError("no")
    receivers = [Scripted(TryAgain(5)), Scripted(reason)]
    for receiver in receivers:
        signal.connect(receiver)
    with pytest.raises(ReceiversFailed) as error:
        send(signal, CreateSignaler(), event)
    assert error.value.failures == [(receivers[1], reason)]
    send(signal, CreateSignaler(), event)
    assert [receiver.calls for receiver in receivers] == [2, 2]


# Who is called again.


@pytest.mark.parametrize("kind", ["__call__", "method", "coroutine"])
@pytest.mark.parametrize("weak", [True, False])
@pytest.mark.parametrize("uid", [None, "uid"])
def test_only_those_that_failed_are_called_again(signal, event, kind, weak, uid):
    scripts = [Scripted(), Scripted(ValueError(1), ValueError(2)), Scripted(), Scripted(OSError())]
    for number, script in enumerate(scripts):
        receiver = script if kind == "__call__" else getattr(script, kind)
        signal.connect(receiver, weak=weak, dispatch_uid=uid and f"{uid}{number}")
    failures = [len(signal.deliver(object, event, None)) for _ in range(3)]
    assert failures == [2, 1, 0]
    assert [script.calls for script in scripts] == [1, 3, 1, 2]


def test_once_all_have_succeeded_the_event_is_like_any_other(signal, event):
    good, bad = Scripted(), Scripted(ValueError())
    signal.connect(good)
    signal.connect(bad)
    for _ in range(3):
        signal.deliver(object, event, None)
    assert (good.calls, bad.calls) == (2, 3)
    assert signal._partly is None


def test_another_event_is_delivered_to_all(signal, event):
    good, bad = Scripted(), Scripted(ValueError())
    signal.connect(good)
    signal.connect(bad)
    signal.deliver(object, event, None)
    signal.deliver(object, an_event(), None)
    assert (good.calls, bad.calls) == (2, 2)


def test_an_event_that_is_given_up_is_forgotten(signal):
    bad = Scripted(ValueError(), ValueError())
    signal.connect(bad)
    signal.deliver(object, an_event(), None)
    gc.collect()
    assert len(signal._partly or ()) == 0


def test_senders_are_separate(signal, event):
    good, bad = Scripted(), Scripted(ValueError())
    signal.connect(good)
    signal.connect(bad)
    for sender in (int, str, int):
        signal.deliver(sender, event, None)
    assert (good.calls, bad.calls) == (2, 3)


def test_signals_are_separate(event):
    good, bad = Scripted(), Scripted(ValueError())
    first, second = EventSignal(), EventSignal()
    for signal in (first, second):
        signal.connect(good)
        signal.connect(bad)
    for signal in (first, second, first):
        signal.deliver(object, event, None)
    assert (good.calls, bad.calls) == (2, 3)


def test_one_function_that_is_connected_twice_counts_twice(signal, event):
    receiver = Scripted()
    receiver.reasons = []
    second = ValueError("the second call")

    def receive(**kwargs):
        receiver(**kwargs)
        if receiver.calls == 2:
            raise second

    signal.connect(receive)
    signal.connect(receive, sender=int)
    signal.deliver(int, event, None)
    signal.deliver(int, event, None)
    assert receiver.calls == 3


def test_a_receiver_connected_between_tries_is_called(signal, event):
    good, bad, late = Scripted(), Scripted(ValueError()), Scripted()
    signal.connect(good)
    signal.connect(bad)
    signal.deliver(object, event, None)
    signal.connect(late)
    signal.deliver(object, event, None)
    assert (good.calls, bad.calls, late.calls) == (1, 2, 1)


def test_a_receiver_disconnected_between_tries_is_not_called(signal, event):
    good, bad = Scripted(), Scripted(ValueError())
    signal.connect(good)
    signal.connect(bad)
    signal.deliver(object, event, None)
    signal.disconnect(bad)
    assert signal.deliver(object, event, None) == []
    assert (good.calls, bad.calls) == (1, 1)


@pytest.mark.parametrize("weak", [True, False])
def test_another_receiver_under_the_same_uid_is_called(signal, event, weak):
    good, bad, other = Scripted(), Scripted(ValueError()), Scripted()
    signal.connect(good, weak=weak, dispatch_uid="one")
    signal.connect(bad)
    signal.deliver(object, event, None)
    signal.disconnect(dispatch_uid="one")
    signal.connect(other, weak=weak, dispatch_uid="one")
    signal.deliver(object, event, None)
    assert (good.calls, other.calls) == (1, 1)


def test_what_cannot_be_held_weakly_is_delivered_to_all_again(signal):
    good, bad = Scripted(), Scripted(ValueError())
    signal.connect(good)
    signal.connect(bad)
    signal.deliver(object, None, None)
    signal.deliver(object, None, None)
    assert (good.calls, bad.calls) == (2, 2)


def test_delivery_failed_is_a_plain_signal():
    assert not isinstance(delivery_failed, EventSignal)


# Uploads in chunks.


@pytest.fixture
def failing_once():
    receiver = Scripted(ValueError())
    in_create.connect(receiver)
    yield receiver
    in_create.disconnect(receiver)


def again(processor, event):
    with pytest.raises(ReceiversFailed):
        processor(event)
    processor(event)
    processor(event)


def test_a_renamed_upload_that_failed_is_sent_again(tmp_path, failing_once):
    part = tmp_path / "x.part"
    part.touch()
    processor = CreateViaChunksSignaler()
    processor(Event(mask=pyinotify.IN_CREATE, path=str(tmp_path), name="x.part"))
    moves = {"path": str(tmp_path), "cookie": 7}
    processor(Event(mask=pyinotify.IN_MOVED_FROM, name="x.part", **moves))
    with Receiver("in_create") as received:
        again(processor, Event(mask=pyinotify.IN_MOVED_TO, name="x", **moves))
    assert failing_once.calls == 2
    assert received.names == ["in_create"]


def test_a_linked_upload_that_failed_is_sent_again(tmp_path, failing_once):
    part = tmp_path / "x.part"
    part.touch()
    processor = CreateViaChunksSignaler()
    processor(Event(mask=pyinotify.IN_CREATE, path=str(tmp_path), name="x.part"))
    (tmp_path / "x").hardlink_to(part)
    with Receiver("in_create") as received:
        again(processor, Event(mask=pyinotify.IN_CREATE, path=str(tmp_path), name="x"))
    assert failing_once.calls == 2
    assert received.names == ["in_create"]


def test_an_upload_may_be_sent_after_its_time_is_over(tmp_path, failing_once):
    now = [0.0]
    processor = CreateViaChunksSignaler(max_age=60, clock=lambda: now[0])
    moves = {"path": str(tmp_path), "cookie": 7}
    (tmp_path / "x.part").touch()
    processor(Event(mask=pyinotify.IN_CREATE, path=str(tmp_path), name="x.part"))
    processor(Event(mask=pyinotify.IN_MOVED_FROM, name="x.part", **moves))
    event = Event(mask=pyinotify.IN_MOVED_TO, name="x", **moves)
    with pytest.raises(ReceiversFailed):
        processor(event)
    now[0] = 1000.0
    processor(event)
    assert failing_once.calls == 2
