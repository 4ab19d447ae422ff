import copy
import os
import pickle

import pyinotify
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyinotify import EventsCodes

from inotifier.events import EVENT_NAMES, Event, join, mask_names, parse_mask, printable
from inotifier.exceptions import ConfigurationError

CREATE, DELETE, OVERFLOW = pyinotify.IN_CREATE, pyinotify.IN_DELETE, pyinotify.IN_Q_OVERFLOW
FLAGS = pyinotify.IN_ONLYDIR | pyinotify.IN_DONT_FOLLOW | pyinotify.IN_EXCL_UNLINK

file_names = st.binary(min_size=1, max_size=255).filter(lambda name: not set(name) & set(b"\0/"))


@pytest.mark.parametrize(
    ("value", "mask"),
    [
        (CREATE, CREATE),
        (CREATE | DELETE, CREATE | DELETE),
        (0xFFF, pyinotify.ALL_EVENTS),
        ("IN_CREATE", CREATE),
        ("IN_CREATE|IN_DELETE", CREATE | DELETE),
        (" IN_CREATE | IN_DELETE ", CREATE | DELETE),
        ("ALL_EVENTS", pyinotify.ALL_EVENTS),
        ("ALL", pyinotify.ALL_EVENTS),
        ("IN_CLOSE", pyinotify.IN_CLOSE_WRITE | pyinotify.IN_CLOSE_NOWRITE),
        ("IN_MOVE", pyinotify.IN_MOVED_FROM | pyinotify.IN_MOVED_TO),
        (["IN_CREATE", "IN_DELETE"], CREATE | DELETE),
        (("IN_CREATE", DELETE), CREATE | DELETE),
        pytest.param({"IN_CREATE", "IN_DELETE"}, CREATE | DELETE, id="a set"),
        (["IN_CREATE|IN_DELETE", ["IN_OPEN"]], CREATE | DELETE | pyinotify.IN_OPEN),
        (CREATE | FLAGS, CREATE | FLAGS),
        (CREATE | pyinotify.IN_ISDIR, CREATE | pyinotify.IN_ISDIR),
        (CREATE | OVERFLOW, CREATE | OVERFLOW),
    ],
    ids=repr,
)
def test_mask_may_be_an_int_a_name_names_or_a_list(value, mask):
    assert parse_mask(value) == mask


@pytest.mark.parametrize("name", sorted(EventsCodes.OP_FLAGS))
def test_every_event_that_can_be_asked_for_is_a_mask_by_its_name(name):
    assert parse_mask(name) == EventsCodes.OP_FLAGS[name]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (True, "is neither an int nor names of events"),
        (1.0, "is neither an int nor names of events"),
        (object, "is neither an int nor names of events"),
        (b"IN_CREATE", "is neither an int nor names of events"),
        ([b"IN_CREATE"], "is neither an int nor names of events"),
        ([None], "is neither an int nor names of events"),
        (-1, "is negative"),
        ("IN_CRAETE", "holds the unknown name 'IN_CRAETE'; known are ALL, ALL_EVENTS"),
        ("in_create", "holds the unknown name 'in_create'"),
        ("IN_CREATE|", "holds the unknown name ''"),
        ("", "holds the unknown name ''"),
        (CREATE | 0x10000, "holds unknown bits: 0x10000"),
        (1 << 40, "holds unknown bits: 0x10000000000"),
        (CREATE | pyinotify.IN_ONESHOT, "holds IN_ONESHOT, which no entry can use"),
        (CREATE | pyinotify.IN_MASK_ADD, "holds IN_MASK_ADD, which no entry can use"),
        (0, "holds no event to wait for"),
        ([], "holds no event to wait for"),
        ("IN_ONLYDIR", "holds no event to wait for"),
        ("IN_Q_OVERFLOW", "holds no event to wait for"),
    ],
    ids=repr,
)
def test_what_is_wrong_with_a_mask_is_said(value, message):
    with pytest.raises(ConfigurationError) as error:
        parse_mask(value)
    assert message in str(error.value)
    assert repr(value) in str(error.value) or repr(value)[1:-1] in str(error.value)


def test_a_mask_that_can_be_read_only_once_is_refused():
    # The settings are read more than once; the second time it would be empty.
    with pytest.raises(ConfigurationError, match="neither an int nor names"):
        parse_mask(name for name in ["IN_CREATE"])


@pytest.mark.parametrize(
    ("mask", "names"),
    [
        (CREATE, "IN_CREATE"),
        (CREATE | DELETE, "IN_CREATE|IN_DELETE"),
        (pyinotify.ALL_EVENTS, "ALL_EVENTS"),
        (pyinotify.ALL_EVENTS | pyinotify.IN_ONLYDIR, "ALL_EVENTS|IN_ONLYDIR"),
        (CREATE | 0x10000, "IN_CREATE|0x10000"),
        (0, ""),
    ],
)
def test_mask_names_names_each_bit(mask, names):
    assert mask_names(mask) == names


@given(st.sets(st.sampled_from(sorted(EventsCodes.OP_FLAGS)), min_size=1))
def test_names_of_a_mask_mean_the_mask(names):
    mask = parse_mask(names)
    assert parse_mask(mask_names(mask)) == mask


def test_there_are_fifteen_events():
    assert len(EVENT_NAMES) == len(set(EVENT_NAMES)) == 15


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"plain", "plain"),
        ("é → 文".encode(), "é → 文"),
        (b"caf\xe9", r"caf\xe9"),
        (b"two\nlines", r"two\nlines"),
        (b"\x1b[31mred", r"\x1b[31mred"),
        (b"tab\there", r"tab\there"),
        ("line\u2028separator".encode(), r"line\u2028separator"),
        ("right\u202eleft".encode(), r"right\u202eleft"),
        (b"end ", "end "),
    ],
)
def test_printable_shows_any_name_on_one_line(name, shown):
    assert printable(os.fsdecode(name)) == shown


@given(file_names)
def test_printable_can_be_encoded_and_is_one_line(name):
    shown = printable(os.fsdecode(name))
    assert len(shown.encode().splitlines()) == 1
    assert shown.isprintable()


@given(file_names)
def test_name_of_an_event_is_the_bytes_of_the_file(name):
    event = Event(mask=CREATE, path="/watched", name=os.fsdecode(name))
    assert os.fsencode(event.name) == name
    assert os.fsencode(event.pathname) == b"/watched/" + name


EVENTS = {
    "file": Event(mask=CREATE, path="/t", name="a", wd=1),
    "self": Event(mask=pyinotify.IN_DELETE_SELF, path="/t", wd=1, dir=True),
    "overflow": Event(mask=OVERFLOW),
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
@pytest.mark.parametrize(
    ("attribute", "type_"),
    [
        ("wd", int),
        ("mask", int),
        ("maskname", str),
        ("path", str),
        ("name", str),
        ("pathname", str),
        ("dir", bool),
        ("cookie", int),
        ("src_pathname", type(None)),
        ("synthetic", bool),
        ("watch", type(None)),
        ("timestamp", float),
    ],
)
def test_every_attribute_is_always_there(event, attribute, type_):
    assert type(getattr(event, attribute)) is type_


def test_an_overflow_is_about_no_path_and_no_watch():
    event = EVENTS["overflow"]
    assert (event.wd, event.path, event.name, event.pathname) == (-1, "", "", "")
    assert event.src_pathname is None


def test_an_event_is_one_of_pyinotify():
    assert isinstance(Event(mask=CREATE), pyinotify.Event)


@pytest.mark.parametrize(
    ("mask", "name", "directory"),
    [
        (CREATE, "IN_CREATE", False),
        (CREATE | pyinotify.IN_ISDIR, "IN_CREATE|IN_ISDIR", True),
        (OVERFLOW, "IN_Q_OVERFLOW", False),
    ],
)
def test_maskname_and_dir_follow_from_the_mask(mask, name, directory):
    event = Event(mask=mask)
    assert (event.maskname, event.dir) == (name, directory)


def test_dir_can_be_told_where_the_kernel_does_not():
    assert Event(mask=pyinotify.IN_DELETE_SELF, path="/t", dir=True).dir


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            EVENTS["file"],
            "<Event dir=False mask=0x100 maskname=IN_CREATE name=a path=/t pathname=/t/a wd=1 >",
        ),
        (
            EVENTS["self"],
            "<Event dir=True mask=0x400 maskname=IN_DELETE_SELF name='' path=/t pathname=/t wd=1 >",
        ),
        (
            Event(mask=pyinotify.IN_MOVED_TO, path="/t", name="b", wd=2, src_pathname="/t/a"),
            "<Event dir=False mask=0x80 maskname=IN_MOVED_TO name=b path=/t pathname=/t/b"
            " src_pathname=/t/a wd=2 >",
        ),
    ],
    ids=["file", "self", "moved"],
)
def test_repr_is_that_of_pyinotify(event, text):
    assert repr(event) == str(event) == text


@given(file_names)
def test_repr_of_any_name_can_be_written_to_a_log(name):
    text = repr(Event(mask=CREATE, path="/t", name=os.fsdecode(name)))
    assert len(text.encode().splitlines()) == 1


def test_pyinotify_prints_an_event_with_a_name_that_is_not_utf_8(tmp_path):
    with (tmp_path / "out").open("w", encoding="utf-8") as out:
        pyinotify.PrintAllEvents(out=out)(Event(mask=CREATE, path="/t", name="caf\udce9"))
    assert r"name=caf\xe9" in (tmp_path / "out").read_text(encoding="utf-8")


@pytest.mark.parametrize("again", [copy.copy, lambda event: pickle.loads(pickle.dumps(event))])
def test_an_event_can_be_copied_and_sent_to_another_process(again):
    event = EVENTS["file"]
    twin = again(event)
    assert repr(twin) == repr(event)
    assert twin.timestamp == event.timestamp


def test_an_event_holds_what_a_processor_adds_to_it():
    event = Event(mask=CREATE)
    event.note = "mine"
    assert event.note == "mine"


def test_timestamp_is_now_unless_told():
    before = Event(mask=CREATE).timestamp
    assert before <= Event(mask=CREATE).timestamp
    assert Event(mask=CREATE, timestamp=5.0).timestamp == 5.0


@pytest.mark.parametrize(
    ("path", "name", "joined"),
    [("/a", "b", "/a/b"), ("/", "b", "/b"), ("/a", "", "/a"), ("", "", "")],
)
def test_join(path, name, joined):
    assert join(path, name) == joined
