"""The JSON form of an event: what it keeps, and what it refuses."""

import json
import os
from importlib import resources

import jsonschema
import pyinotify
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inotifier import Watch, json_form, masks
from inotifier.events import EVENT_NAMES, Event
from inotifier.exceptions import UnreadableMessage
from inotifier.json_form import is_event, parse
from tests.unit.test_architecture import run_without

SCHEMA = json.loads(resources.files("inotifier").joinpath("event.schema.json").read_bytes())
FIELDS = [
    "mask",
    "maskname",
    "path",
    "name",
    "pathname",
    "dir",
    "wd",
    "cookie",
    "src_pathname",
    "synthetic",
    "timestamp",
    "id",
    "host",
    "watch_name",
]
LEAST = {"v": 1, "id": "a", "mask": pyinotify.IN_CREATE, "path": "/srv"}

validator = jsonschema.Draft202012Validator(SCHEMA)
names = st.binary(min_size=1, max_size=255).filter(
    lambda name: not set(name) & set(b"\0/") and name not in (b".", b"..")
)
events = st.builds(
    lambda bit, is_dir, path, name, **others: Event(
        mask=bit | pyinotify.IN_ISDIR * is_dir,
        path=os.fsdecode(b"/" + path),
        name=os.fsdecode(name),
        **others,
    ),
    bit=st.sampled_from([masks.parse_mask(name) for name in EVENT_NAMES[:12]]),
    is_dir=st.booleans(),
    path=names,
    name=names | st.just(b""),
    wd=st.integers(-1, 2**31 - 1),
    cookie=st.integers(0, 2**32 - 1),
    src_pathname=st.none() | names.map(lambda name: "/" + os.fsdecode(name)),
    synthetic=st.sampled_from([False, "startup", "overflow", "poll"]),
    timestamp=st.floats(0, 2**33),
    watch=st.none() | names.map(lambda name: Watch("/srv", name=os.fsdecode(name))),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_masks_are_those_of_pyinotify():
    flags = pyinotify.EventsCodes.ALL_FLAGS
    assert {name: getattr(masks, name) for name in flags} == flags
    families = pyinotify.EventsCodes.FLAG_COLLECTIONS
    assert list(EVENT_NAMES) == [*families["OP_FLAGS"], *families["EVENT_FLAGS"]]


@given(events)
def test_an_event_comes_back_as_it_was(event):
    text = event.to_json()
    assert text.isascii()
    validator.validate(json.loads(text))
    again = Event.from_json(text)
    assert isinstance(again, pyinotify.Event)
    assert [getattr(again, field) for field in FIELDS] == [
        getattr(event, field) for field in FIELDS
    ]
    assert os.fsencode(again.pathname) == os.fsencode(event.pathname)
    assert repr(again) == repr(event)
    assert again.to_json() == text


def test_a_name_that_is_not_utf_8_keeps_its_bytes():
    event = Event(mask=pyinotify.IN_CREATE, path="/srv", name=os.fsdecode(b"caf\xe9"))
    assert r"caf\udce9" in event.to_json()
    assert os.fsencode(Event.from_json(event.to_json()).pathname) == b"/srv/caf\xe9"


def test_an_event_may_be_made_of_what_the_text_stands_for():
    event = Event(mask=pyinotify.IN_CREATE, path="/srv", name=os.fsdecode(b"caf\xe9"))
    again = Event.from_json(json.loads(event.to_json()))
    assert again.to_json() == event.to_json()


@given(events)
def test_what_tasks_get_can_be_stored_and_comes_back(event):
    value = json_form.quoted(json_form.as_dict(event, None, None))
    text = json.dumps(value, ensure_ascii=False)
    text.encode()
    validator.validate(value)
    again = Event.from_json(text)
    assert {f: getattr(again, f) for f in FIELDS} == {f: getattr(event, f) for f in FIELDS}


def test_names_are_quoted_only_if_they_must_be():
    def stored(name):
        event = Event(mask=pyinotify.IN_CREATE, path="/srv", name=os.fsdecode(name))
        return json_form.quoted(json_form.as_dict(event, None, None))

    plain = stored("100% \u00e9".encode())
    assert (plain["name"], "quoted" in plain) == ("100% \u00e9", False)
    odd = stored(b"100% \xe9")
    assert (odd["name"], odd["path"], odd["quoted"]) == ("100%25%20%E9", "/srv", True)


@pytest.mark.parametrize(
    ("path", "name", "message"),
    [
        ("/\u00e9", "", "its field path is '/\\\\xe9'; it should be quoted as in a URL"),
        ("/", "%2f", "its field name is '/'; it should be a base name"),
        ("/%00", "", "it should be a string without the character 0"),
    ],
)
def test_what_is_quoted_wrongly_is_refused(path, name, message):
    with pytest.raises(UnreadableMessage, match=message):
        Event.from_json({**LEAST, "quoted": True, "path": path, "name": name})


def test_an_overflow_has_no_path():
    event = Event.from_json(Event(mask=pyinotify.IN_Q_OVERFLOW).to_json())
    assert (event.pathname, event.maskname) == ("", "IN_Q_OVERFLOW")


def test_an_id_is_kept_and_no_two_are_the_same():
    events = [Event(mask=pyinotify.IN_CREATE) for _ in range(1000)]
    ids = [event.id for event in events]
    assert len(set(ids)) == 1000
    assert ids == [event.id for event in events]


def test_what_is_made_of_an_event_anew_has_the_id_that_it_had():
    cause = Event(mask=pyinotify.IN_MOVED_TO, path="/srv", name="directory")
    ids = []
    for name in ("a", "b", "a", os.fsdecode(b"caf\xe9")):
        made = Event(mask=pyinotify.IN_MOVED_TO, path="/srv/directory", name=name)
        made.take_id_of(cause)
        ids.append(made.id)
    assert ids[0] == ids[2]
    assert len({*ids, cause.id}) == 4


def test_a_forked_child_makes_ids_of_its_own():
    before = Event(mask=pyinotify.IN_CREATE).id
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write_fd, Event(mask=pyinotify.IN_CREATE).id.encode())
        os._exit(0)
    os.close(write_fd)
    with os.fdopen(read_fd) as file:
        child = file.read()
    os.waitpid(pid, 0)
    assert child[:20] != before[:20]


def test_the_entry_is_told_by_its_name_or_else_its_path():
    named = Event(mask=pyinotify.IN_CREATE, watch=Watch("/srv", name="inbox"))
    assert json.loads(named.to_json())["watch"] == "inbox"
    unnamed = Event(mask=pyinotify.IN_CREATE, watch=Watch("/srv"))
    assert Event.from_json(unnamed.to_json()).watch_name == "/srv"


def test_signal_and_processor_go_along():
    found = json.loads(Event(mask=pyinotify.IN_CREATE | pyinotify.IN_ISDIR).to_json())
    assert (found["signal"], found["processor"]) == ("in_create", None)
    text = Event(mask=pyinotify.IN_CREATE).to_json(signal="file_ready", processor="a.<locals>.B")
    validator.validate(json.loads(text))
    Event.from_json(text)


def test_the_least_that_an_event_needs():
    validator.validate(LEAST)
    event = Event.from_json(json.dumps({**LEAST, "of another version": []}))
    assert (event.maskname, event.pathname, event.name) == ("IN_CREATE", "/srv", "")
    assert (event.synthetic, event.src_pathname, event.watch_name) == (False, None, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"v": 2}, "its version is 2, and this django-inotifier reads 1"),
        ({"v": True}, "its version is True"),
        ({"v": "1"}, "its version is '1'"),
        ({"quoted": "yes"}, "its field quoted is 'yes'; it should be true or false"),
        ({"id": ""}, "its field id is ''"),
        ({"id": "ü"}, "its field id"),
        ({"id": 3}, "its field id is 3"),
        ({"id": "x" * 129}, "its field id"),
        ({"mask": 0}, "its field mask is 0"),
        ({"mask": 3}, "its field mask is 3"),
        ({"mask": 0xFFF}, "its field mask is 4095"),
        ({"mask": pyinotify.IN_ISDIR}, "its field mask"),
        ({"mask": True}, "its field mask is True"),
        ({"mask": 1.0}, "its field mask is 1.0"),
        ({"mask": 2**70}, "its field mask is a huge number"),
        ({"path": None}, "its field path is None"),
        ({"path": "a\0b"}, "its field path"),
        ({"path": "\ud800"}, "its field path"),
        ({"path": "x" * 65537}, "its field path"),
        ({"name": "a/b"}, "its field name is 'a/b'; it should be a base name"),
        ({"name": ".."}, "its field name is '..'"),
        ({"dir": 1}, "its field dir is 1; it should be true or false"),
        ({"wd": -2}, "its field wd is -2"),
        ({"cookie": -1}, "its field cookie is -1"),
        ({"cookie": 2**64}, "its field cookie is a huge number"),
        ({"src_pathname": {}}, "its field src_pathname is a dict of 0"),
        ({"synthetic": True}, "its field synthetic is True"),
        ({"timestamp": "now"}, "its field timestamp is 'now'"),
        ({"timestamp": False}, "its field timestamp is False"),
        ({"host": 1}, "its field host is 1"),
        ({"watch": []}, "its field watch is a list of 0"),
        ({"signal": "__class__.x"}, "its field signal"),
        ({"signal": None}, "its field signal is None"),
        ({"processor": 7}, "its field processor is 7"),
    ],
    ids=str,
)
def test_what_is_not_in_the_form_is_refused(change, message):
    with pytest.raises(UnreadableMessage) as caught:
        Event.from_json(json.dumps({**LEAST, **change}))
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300
    # What a schema cannot say; and to it, 1.0 is a whole number.
    if change.keys() != {"name"} and change not in ({"mask": 1.0}, {"path": "\ud800"}):
        assert not validator.is_valid({**LEAST, **change})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is no JSON"),
        ("{", "it is no JSON"),
        (b"\xff", "it is no JSON"),
        ("[" * 100_000, "it is "),
        ('{"a":' * 100_000, "it is "),
        ("1" * 5000, "it is no JSON"),
        ("[]", "it is a list and not an object"),
        ("NaN", "NaN is no number of JSON"),
        ('{"timestamp": Infinity}', "Infinity is no number of JSON"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_what_is_no_json_is_refused(text, message):
    with pytest.raises(UnreadableMessage, match=message):
        Event.from_json(text)


@given(st.binary() | st.text() | values.map(json.dumps))
def test_whatever_comes_is_refused_in_one_way(text):
    with pytest.raises(UnreadableMessage):
        Event.from_json(text)


@given(st.dictionaries(st.sampled_from(sorted(SCHEMA["properties"].keys() - {"maskname"})), values))
def test_whatever_stands_in_the_fields_gives_an_event_or_is_refused_in_one_way(fields):
    text = json.dumps({**LEAST, **fields})
    try:
        event = Event.from_json(text)
    except UnreadableMessage:
        return
    os.fsencode(event.pathname)
    assert event.maskname
    assert repr(event)
    validator.validate(json.loads(text))


def test_what_claims_to_be_an_event_is_told_from_other_json():
    assert is_event(parse(json.dumps({**LEAST, "v": 2})))
    assert not is_event(parse('{"type": "event", "id": 3}'))
    assert not is_event(parse("[1]"))


def test_where_pyinotify_is_missing_an_event_looks_the_same():
    event = Event(
        mask=pyinotify.IN_CREATE | pyinotify.IN_ISDIR,
        path="/srv",
        name=os.fsdecode(b"caf\xe9"),
        timestamp=1.5,
    )
    program = f"""
import copy, pickle, weakref
from inotifier.events import Event
event = Event.from_json({event.to_json()!r})
weakref.ref(event)
event.anything = 1
assert pickle.loads(pickle.dumps(event)).id == copy.copy(event).id == event.id
assert "pyinotify" not in sys.modules
print(ascii([repr(event), *(getattr(event, field) for field in {FIELDS!r})]))
"""
    result = run_without(["pyinotify", "daemon", "redis"], program)
    assert result.returncode == 0, result.stderr
    expected = [repr(event), *(getattr(event, field) for field in FIELDS)]
    assert result.stdout.strip() == ascii(expected)
