"""What a processor or a receiver does wrong harms nothing else."""

import asyncio
import gc
import logging
from pathlib import Path

import pyinotify
import pytest
from django.dispatch import receiver

from inotifier.events import Event
from inotifier.lifecycle.status import describe
from inotifier.signals import EventSignal, in_create
from inotifier.watches import Watch
from tests.in_process import Receiver, Recorder

SIGNALER = "inotifier.event_processors.AllEventsSignaler"


class Failing(Recorder):
    """A processor that fails on every name that holds "bad"."""

    def __init__(self, reason: BaseException) -> None:
        super().__init__()
        self._reason = reason

    def __call__(self, event) -> None:
        super().__call__(event)
        if "bad" in event.name:
            raise self._reason


def logged(caplog) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "inotifier.dispatcher.handler" and record.levelno == logging.ERROR
    ]


def test_the_next_event_is_delivered_after_one_that_failed(watching, tmp_path):
    failing = Failing(ValueError("no"))
    running = watching((tmp_path, "IN_CREATE", failing))
    for name in ("bad1", "good1", "bad2", "good2"):
        (tmp_path / name).touch()
    running.stop()
    assert [event.name for event in failing.events] == ["bad1", "good1", "bad2", "good2"]


def test_the_other_entries_get_an_event_that_failed(watching, tmp_path):
    other = Recorder()
    running = watching(
        (tmp_path, "IN_CREATE", Failing(ValueError("no"))), (tmp_path, "IN_CREATE", other)
    )
    (tmp_path / "bad").touch()
    running.stop()
    assert other.pathnames == [str(tmp_path / "bad")]


def test_failures_are_counted(watching, tmp_path):
    running = watching((tmp_path, "IN_CREATE", Failing(ValueError("no"))))
    for name in ("bad1", "good1", "bad2", "good2", "good3"):
        (tmp_path / name).touch()
    running.stop()
    [handler] = running.handlers
    assert (handler.seen, handler.delivered, handler.failed) == (5, 3, 2)
    assert handler.last_event[1].endswith("/good3")


def test_a_failure_is_logged_with_path_watch_and_traceback(watching, tmp_path, caplog):
    running = watching(Watch(tmp_path, "IN_CREATE", Failing(ValueError("no")), name="uploads"))
    (tmp_path / "bad").touch()
    running.stop()
    [message] = logged(caplog)
    assert message == (
        f"processor {__name__}.Failing failed on IN_CREATE of {tmp_path}/bad "
        "(watch uploads): ValueError('no')"
    )
    assert "Traceback" in caplog.text


def test_a_failure_on_an_odd_name_is_one_line_of_the_log(watching, tmp_path, caplog):
    running = watching((tmp_path, "IN_CREATE", Failing(ValueError("no"))))
    (tmp_path / "bad\udce9\n").touch()
    running.stop()
    [message] = logged(caplog)
    assert rf"{tmp_path}/bad\xe9\n (watch {tmp_path})" in message


def test_a_processor_that_exits_does_not_end_the_daemon(watching, tmp_path, caplog):
    failing = Failing(SystemExit(1))
    running = watching((tmp_path, "IN_CREATE", failing))
    (tmp_path / "bad").touch()
    (tmp_path / "good").touch()
    running.stop()
    assert [event.name for event in failing.events] == ["bad", "good"]
    assert "SystemExit(1)" in logged(caplog)[0]


def test_a_function_of_another_shape_is_a_failure_like_any_other(watching, tmp_path, caplog):
    running = watching((tmp_path, "IN_CREATE", lambda: None))
    (tmp_path / "file").touch()
    running.stop()
    assert running.handlers[0].failed == 1
    assert "TypeError" in logged(caplog)[0]


@pytest.fixture
def raising_receivers():
    """Two receivers that raise."""

    def first(event, **kwargs):
        raise ValueError("first")

    def second(event, **kwargs):
        raise KeyError("second")

    in_create.connect(first)
    in_create.connect(second)
    yield
    in_create.disconnect(first)
    in_create.disconnect(second)


def test_all_receivers_are_called_whatever_one_of_them_does(watching, tmp_path, raising_receivers):
    running = watching((tmp_path, "IN_CREATE", SIGNALER))
    with Receiver("in_create") as good:
        (tmp_path / "file").touch()
        running.stop()
    assert good.pathnames == [str(tmp_path / "file")]


def test_every_failing_receiver_is_logged_and_the_event_counted_once(
    watching, tmp_path, raising_receivers, caplog
):
    running = watching((tmp_path, "IN_CREATE", SIGNALER))
    (tmp_path / "file").touch()
    running.stop()
    assert [message.rpartition(": ")[2] for message in logged(caplog)] == [
        "ValueError('first')",
        "KeyError('second')",
    ]
    where = f"first failed on IN_CREATE of {tmp_path}/file (watch {tmp_path})"
    assert where in logged(caplog)[0]
    [handler] = running.handlers
    assert (handler.delivered, handler.failed) == (0, 1)


def test_a_receiver_may_be_a_coroutine_function(watching, tmp_path):
    names = []

    @receiver(in_create)
    async def receive(event, **kwargs):
        names.append(event.name)

    running = watching((tmp_path, "IN_CREATE", SIGNALER))
    for name in ("a", "b"):
        (tmp_path / name).touch()
    running.stop()
    in_create.disconnect(receive)
    assert names == ["a", "b"]


def test_a_coroutine_function_that_raises_is_logged(watching, tmp_path, caplog):
    @receiver(in_create)
    async def receive(event, **kwargs):
        raise ValueError("async")

    running = watching((tmp_path, "IN_CREATE", SIGNALER))
    (tmp_path / "file").touch()
    running.stop()
    in_create.disconnect(receive)
    assert "receive failed on IN_CREATE" in logged(caplog)[0]
    assert running.handlers[0].failed == 1


@pytest.mark.parametrize("reason", [SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError()])
def test_whatever_a_processor_raises_the_next_event_comes(watching, tmp_path, reason):
    running = watching((tmp_path, "IN_CREATE", Failing(reason)))
    (tmp_path / "bad").touch()
    (tmp_path / "good").touch()
    running.stop()
    [handler] = running.handlers
    assert (handler.failed, handler.delivered) == (1, 1)


def test_a_receiver_may_change_the_event(watching, tmp_path):
    def spoil(event):
        event.pathname, event.mask = Path(event.pathname), 3

    running = watching((tmp_path, "IN_CREATE", spoil))
    (tmp_path / "file").touch()
    running.stop()
    last = describe(running.service)["entries"][0]["last_event"]
    assert (last["maskname"], last["pathname"]) == ("IN_CREATE", str(tmp_path / "file"))


@pytest.mark.parametrize("reason", [SystemExit(1), asyncio.CancelledError(), ValueError()])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_all_receivers_are_called_whatever_the_first_raises(reason, asynchronous):
    called = []

    def fail(**kwargs):
        raise reason

    async def fail_later(**kwargs):
        raise reason

    def receive(**kwargs):
        called.append(kwargs["event"])

    event = Event(mask=pyinotify.IN_CREATE, path="/", name="x")
    signals = EventSignal()
    signals.connect(fail_later if asynchronous else fail, weak=False)
    signals.connect(receive, weak=False)
    [(_, raised)] = signals.deliver(object, event, None)
    assert type(raised) is type(reason)
    assert called == [event]


def test_a_receiver_that_nobody_holds_is_called_no_more():
    class Receiver:
        def receive(self, **kwargs):
            raise AssertionError

    receiver = Receiver()
    signal = EventSignal()
    signal.connect(receiver.receive)
    assert len(signal.deliver(object, None, None)) == 1
    del receiver
    gc.collect()
    assert signal.deliver(object, None, None) == []


def test_a_receiver_that_is_disconnected_is_called_no_more():
    called = []

    def receive(**kwargs):
        called.append(kwargs["sender"])

    signal = EventSignal()
    signal.connect(receive, sender=int)
    signal.deliver(int, None, None)
    signal.deliver(str, None, None)
    signal.disconnect(receive, sender=int)
    signal.deliver(int, None, None)
    assert called == [int]
