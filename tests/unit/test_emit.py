"""One event for a receiver under test, as a processor sends it."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inotifier import signals
from inotifier.event_processors import AllEventsSignaler, CreateSignaler, FileReadySignaler
from inotifier.events import EVENT_BITS, IN_CLOSE_WRITE, IN_ISDIR, IN_MOVED_TO, Event
from inotifier.exceptions import ReceiversFailed, TryAgain
from inotifier.testing import capture_events, emit


def receiving(function, signal=signals.in_create):
    """Connect `function` while the block runs."""

    class Connected:
        def __enter__(self):
            signal.connect(function)

        def __exit__(self, *exc):
            signal.disconnect(function)

    return Connected()


def test_a_receiver_gets_a_true_event():
    with capture_events() as captured:
        event = emit(signals.in_close_write, "/srv/incoming/a.csv")
    [(name, kwargs)] = captured.calls
    assert name == "in_close_write"
    assert kwargs["event"] is event
    assert kwargs["sender"] is AllEventsSignaler
    assert isinstance(kwargs["processor"], AllEventsSignaler)
    assert type(event) is Event
    assert (event.mask, event.maskname) == (IN_CLOSE_WRITE, "IN_CLOSE_WRITE")
    assert (event.path, event.name) == ("/srv/incoming", "a.csv")
    assert event.pathname == "/srv/incoming/a.csv"
    assert (event.dir, event.cookie, event.src_pathname) == (False, 0, None)
    assert (event.synthetic, event.watch.path) == (False, "/srv/incoming")
    assert event.timestamp > 0


@pytest.mark.parametrize("name", EVENT_BITS)
def test_each_signal_has_the_mask_of_its_name(name):
    signal = getattr(signals, name.lower())
    with capture_events(signal) as captured:
        event = emit(signal, "/srv/a")
    assert captured.names == [name.lower()]
    assert event.maskname == name


def test_a_path_may_be_relative_and_need_not_exist(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert emit(signals.in_create, "no-such-file").pathname == f"{tmp_path}/no-such-file"


@given(st.binary(min_size=1, max_size=40).filter(lambda name: not {0, 47} & {*name}))
def test_any_name_arrives(name):
    if name not in (b".", b".."):
        path = b"/srv/" + name
        assert os.fsencode(emit(signals.in_create, os.fsdecode(path)).pathname) == path


def test_an_event_of_a_directory():
    event = emit(signals.in_create, "/srv/a", dir=True)
    assert event.dir
    assert event.mask & IN_ISDIR


def test_a_rename_has_its_source():
    event = emit(signals.in_moved_to, "/srv/b", src_pathname="/srv/a")
    assert (event.pathname, event.src_pathname, event.mask) == ("/srv/b", "/srv/a", IN_MOVED_TO)
    assert event.cookie


def test_an_event_may_be_one_that_was_made():
    assert emit(signals.in_create, "/srv/a", synthetic="startup").synthetic == "startup"


@pytest.mark.parametrize("name", ["in_delete_self", "in_move_self", "in_ignored", "path_lost"])
def test_an_event_of_the_entry_itself_has_no_name(name):
    event = emit(getattr(signals, name), "/srv/incoming")
    assert (event.path, event.name, event.pathname) == ("/srv/incoming", "", "/srv/incoming")


def test_an_overflow_is_about_no_path():
    event = emit(signals.in_q_overflow)
    assert (event.path, event.pathname, event.wd) == ("", "", -1)


def test_a_file_that_is_ready_comes_from_its_own_processor():
    with capture_events(signals.file_ready, sender=FileReadySignaler) as captured:
        emit(signals.file_ready, "/srv/a")
    assert captured.pathnames == ["/srv/a"]


@pytest.mark.parametrize("processor", [CreateSignaler, CreateSignaler()])
def test_a_receiver_of_one_processor_gets_only_its_events(processor):
    with capture_events(signals.in_create, sender=CreateSignaler) as captured:
        emit(signals.in_create, "/srv/a")
        emit(signals.in_create, "/srv/b", processor=processor)
    assert captured.pathnames == ["/srv/b"]


def test_what_a_receiver_raises_is_the_cause():
    def fail(**kwargs):
        raise LookupError("here")

    with receiving(fail), pytest.raises(ReceiversFailed, match="here") as error:
        emit(signals.in_create, "/srv/a")
    assert isinstance(error.value.__cause__, LookupError)


def test_a_receiver_that_asks_for_more_time_is_heard():
    def wait(**kwargs):
        raise TryAgain(after=30)

    with receiving(wait), pytest.raises(TryAgain) as error:
        emit(signals.in_create, "/srv/a")
    assert error.value.after == 30


def test_a_coroutine_is_awaited():
    got = []

    async def receive(event, **kwargs):
        got.append(event.name)

    with receiving(receive):
        emit(signals.in_create, "/srv/a")
    assert got == ["a"]


def test_a_path_is_needed():
    with pytest.raises(TypeError, match="needs the path"):
        emit(signals.in_create)


def test_delivery_failed_is_no_signal_of_an_event():
    with pytest.raises(TypeError, match="no signal of an event"):
        emit(signals.delivery_failed, "/srv/a")


def test_captured_events_are_a_sequence_in_their_order():
    with capture_events(signals.in_create, signals.in_delete) as captured:
        emit(signals.in_create, "/srv/a")
        emit(signals.in_modify, "/srv/a")
        emit(signals.in_delete, "/srv/a")
    emit(signals.in_create, "/srv/later")
    assert len(captured) == 2
    assert captured.names == ["in_create", "in_delete"]
    assert [event.maskname for event in captured] == ["IN_CREATE", "IN_DELETE"]
    assert captured[1] is captured.events[1]
    assert "/srv/a" in repr(captured)


def test_a_signal_of_the_users_own_is_captured_too():
    own = signals.EventSignal()
    with capture_events(own) as captured:
        own.deliver(AllEventsSignaler, "event", None)
    assert captured.events == ["event"]
