import io
import subprocess
import sys

import pyinotify
import pytest
from django.dispatch import receiver

from inotifier import event_processors, signals
from inotifier.event_processors import AllEventsPrinter, AllEventsSignaler, CreateSignaler, send
from inotifier.events import EVENT_NAMES, Event
from inotifier.exceptions import ReceiversFailed
from inotifier.signals import in_create
from tests.in_process import Receiver, entries

CREATE = pyinotify.IN_CREATE
MASKS = {
    name: mask
    for family in ("OP_FLAGS", "EVENT_FLAGS")
    for name, mask in pyinotify.EventsCodes.FLAG_COLLECTIONS[family].items()
}


def event(maskname: str, name: str = "a") -> Event:
    return Event(mask=MASKS[maskname], path="/t", name=name)


# Signals.


@pytest.mark.parametrize("name", EVENT_NAMES)
def test_the_signaler_sends_the_signal_of_the_name_of_the_event(name):
    given = event(name)
    with Receiver() as received:
        AllEventsSignaler()(given)
    assert received.names == [name.lower()]
    assert received.events == [given]


@pytest.mark.parametrize("name", ["IN_CREATE", "IN_DELETE", "IN_MOVED_TO", "IN_OPEN"])
def test_the_signaler_sends_the_same_signal_for_a_directory(name):
    with Receiver() as received:
        AllEventsSignaler()(Event(mask=MASKS[name] | pyinotify.IN_ISDIR, path="/t", name="d"))
    assert received.names == [name.lower()]


def test_the_overflow_signal_has_an_event_without_a_path():
    with Receiver("in_q_overflow") as received:
        AllEventsSignaler()(Event(mask=pyinotify.IN_Q_OVERFLOW))
    [overflow] = received.events
    assert (overflow.pathname, overflow.src_pathname) == ("", None)


def test_every_event_has_a_signal():
    for name in EVENT_NAMES:
        assert hasattr(signals, name.lower())


def test_the_sender_is_the_class_and_the_processor_comes_along():
    processor = AllEventsSignaler()
    with Receiver("in_create") as received:
        processor(event("IN_CREATE"))
    [(_, kwargs)] = received.calls
    assert kwargs["sender"] is AllEventsSignaler
    assert kwargs["processor"] is processor


def test_a_receiver_can_be_bound_to_a_class_of_processors():
    names = []

    @receiver(in_create, sender=CreateSignaler)
    def receive(event, **kwargs):
        names.append(event.name)

    CreateSignaler()(event("IN_CREATE", name="mine"))
    AllEventsSignaler()(event("IN_CREATE", name="not mine"))
    in_create.disconnect(receive, sender=CreateSignaler)
    assert names == ["mine"]


@pytest.mark.parametrize("name", EVENT_NAMES)
def test_the_create_signaler_sends_in_create_and_nothing_else(name, caplog):
    with Receiver() as received:
        CreateSignaler()(event(name))
    assert received.names == (["in_create"] if name == "IN_CREATE" else [])


def test_failures_of_receivers_are_collected_and_the_others_called():
    def first(**kwargs):
        raise ValueError("first")

    def second(**kwargs):
        raise KeyError("second")

    in_create.connect(first)
    in_create.connect(second)
    try:
        with Receiver("in_create") as good, pytest.raises(ReceiversFailed) as error:
            send(in_create, CreateSignaler(), event("IN_CREATE"))
    finally:
        in_create.disconnect(first)
        in_create.disconnect(second)
    assert good.names == ["in_create"]
    failed = [(who, type(reason)) for who, reason in error.value.failures]
    assert failed == [(first, ValueError), (second, KeyError)]
    assert "2 receiver(s) raised" in str(error.value)
    assert "first: ValueError('first')" in str(error.value)


def test_a_coroutine_function_receives_like_a_function():
    names = []

    async def receive(event, **kwargs):
        names.append(event.name)

    in_create.connect(receive)
    CreateSignaler()(event("IN_CREATE"))
    in_create.disconnect(receive)
    assert names == ["a"]


# The printer.


@pytest.mark.parametrize("name", EVENT_NAMES)
def test_the_printer_prints_the_name_with_spaces_and_the_path(name):
    out = io.StringIO()
    AllEventsPrinter(out=out)(event(name))
    assert out.getvalue() == f"{name.replace('_', ' ')}: /t/a\n"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (event("IN_CLOSE_WRITE", name="x y"), "IN CLOSE WRITE: /t/x y\n"),
        (event("IN_CREATE", name="end "), "IN CREATE: /t/end \n"),
        (event("IN_CREATE", name="caf\udce9"), "IN CREATE: /t/caf\\xe9\n"),
        (event("IN_CREATE", name="two\nlines"), "IN CREATE: /t/two\\nlines\n"),
        (event("IN_CREATE", name="a_b"), "IN CREATE: /t/a_b\n"),
        (event("IN_DELETE_SELF", name=""), "IN DELETE SELF: /t\n"),
        (Event(mask=CREATE | pyinotify.IN_ISDIR, path="/t", name="d"), "IN CREATE: /t/d\n"),
        (Event(mask=pyinotify.IN_Q_OVERFLOW), "IN Q OVERFLOW:\n"),
    ],
    ids=lambda value: value.strip() if isinstance(value, str) else "",
)
def test_the_printer_prints_one_line_for_any_event(given, line):
    out = io.StringIO()
    AllEventsPrinter(out=out)(given)
    assert out.getvalue() == line


def test_the_printer_prints_to_the_standard_output_of_the_moment(capsys):
    printer = AllEventsPrinter()
    printer(event("IN_CREATE"))
    assert capsys.readouterr().out == "IN CREATE: /t/a\n"


def test_the_printer_shows_each_line_at_once():
    program = (
        "import sys\n"
        "from inotifier.event_processors import AllEventsPrinter\n"
        "from inotifier.events import Event\n"
        "AllEventsPrinter()(Event(mask=0x100, path='/t', name='a'))\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        # The process is still alive and has closed nothing when the line is here.
        assert process.stdout.readline() == b"IN CREATE: /t/a\n"
        assert process.poll() is None
        process.stdin.close()


# pyinotify's rules of dispatch.


class Calls(pyinotify.ProcessEvent):
    """Base of processors that note which of their methods were called."""

    def my_init(self, calls=None):
        self.calls = [] if calls is None else calls


def noting(*methods: str) -> Calls:
    """Return a processor that has the methods named."""

    def note(method):
        return lambda self, event: self.calls.append(method)

    return type("Noting", (Calls,), {method: note(method) for method in methods})()


@pytest.mark.parametrize(
    ("name", "methods", "called"),
    [
        ("IN_CREATE", ["process_IN_CREATE", "process_default"], "process_IN_CREATE"),
        ("IN_CREATE", ["process_IN_DELETE", "process_default"], "process_default"),
        ("IN_CLOSE_WRITE", ["process_IN_CLOSE", "process_default"], "process_IN_CLOSE"),
        ("IN_CLOSE_NOWRITE", ["process_IN_CLOSE", "process_default"], "process_IN_CLOSE"),
        (
            "IN_CLOSE_WRITE",
            ["process_IN_CLOSE_WRITE", "process_IN_CLOSE"],
            "process_IN_CLOSE_WRITE",
        ),
        ("IN_MOVED_FROM", ["process_IN_MOVED", "process_default"], "process_IN_MOVED"),
        ("IN_MOVED_TO", ["process_IN_MOVED", "process_default"], "process_IN_MOVED"),
        ("IN_MOVE_SELF", ["process_IN_MOVE", "process_default"], "process_IN_MOVE"),
        ("IN_DELETE_SELF", ["process_IN_DELETE", "process_default"], "process_IN_DELETE"),
        ("IN_Q_OVERFLOW", ["process_IN_Q_OVERFLOW", "process_default"], "process_IN_Q_OVERFLOW"),
        ("IN_OPEN", ["process_IN_CREATE"], None),
        ("IN_Q_OVERFLOW", ["process_default"], None),
    ],
)
def test_the_method_of_the_name_then_of_the_family_then_the_default(name, methods, called, caplog):
    processor = noting(*methods)
    processor(event(name))
    assert processor.calls == ([called] if called else [])


def test_a_directory_is_dispatched_like_a_file():
    processor = noting("process_IN_CREATE")
    processor(Event(mask=CREATE | pyinotify.IN_ISDIR, path="/t", name="d"))
    assert processor.calls == ["process_IN_CREATE"]


def test_a_mask_of_two_events_is_none_of_pyinotify():
    with pytest.raises(pyinotify.ProcessEventError, match="Unknown mask"):
        noting()(Event(mask=CREATE | pyinotify.IN_DELETE))


def test_options_arrive_in_my_init():
    calls: list[str] = []
    assert Calls(calls=calls).calls is calls


@pytest.mark.parametrize(("answer", "goes_on"), [(None, True), (False, True), (True, False)])
def test_a_nested_processor_comes_first_and_may_stop_the_chain(answer, goes_on):
    order = []

    def inner(event):
        order.append("inner")
        return answer

    class Outer(pyinotify.ProcessEvent):
        def process_default(self, event):
            order.append("outer")

    Outer(inner)(event("IN_CREATE"))
    assert order == (["inner", "outer"] if goes_on else ["inner"])


@pytest.mark.parametrize(("name", "sent"), [("a.csv", ["in_create"]), ("a.txt", [])])
def test_chain_if_true_filters_for_a_bundled_processor(name, sent):
    only_csv = pyinotify.ChainIfTrue(func=lambda event: event.pathname.endswith(".csv"))
    with Receiver() as received:
        AllEventsSignaler(only_csv)(event("IN_CREATE", name=name))
    assert received.names == sent


def test_pyinotifys_own_processors_take_our_events():
    out = io.StringIO()
    stats = pyinotify.Stats()
    pyinotify.PrintAllEvents(stats, out=out)(event("IN_CREATE"))
    assert "maskname=IN_CREATE name=a" in out.getvalue()
    assert "IN_CREATE=1" in repr(stats)


# Names.


@pytest.mark.parametrize(
    "name",
    [
        "AllEventsPrinter",
        "AllEventsSignaler",
        "CreateSignaler",
        "CreateViaChunksSignaler",
        "FileReadySignaler",
    ],
)
def test_a_bundled_processor_is_called_by_the_package(name):
    processor = getattr(event_processors, name)
    [entry] = entries((".", None, processor))
    assert entry.processor_name == f"inotifier.event_processors.{name}"
