"""Entries whose path is a URL: in fsspec's own memory, on an FTP server, in a Swift container."""

import contextlib
import gc
import logging
import signal
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar
from urllib.parse import quote

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inotifier.exceptions import InotifierError, TryAgain
from inotifier.polling import PlacePolling
from inotifier.scan import Scan
from inotifier.scheduling import TaskScheduler
from inotifier.sources import Poller, SourceError, register_poller, registry
from inotifier.state import State
from inotifier.watches import Watch
from tests.in_process import Receiver, Recorder, Running, Watching, entries
from tests.servers import need
from tests.swift_server import PASSWORD, TENANT, USER, running_swift
from tests.waiting import wait_for

pytestmark = pytest.mark.long

READY = "inotifier.event_processors.FileReadySignaler"
SIGNALER = "inotifier.event_processors.AllEventsSignaler"
ALL = "IN_CREATE|IN_MODIFY|IN_CLOSE_WRITE|IN_DELETE"
URL = "memory://in"
OFTEN = 0.02


@pytest.fixture(autouse=True)
def collected():
    """Connections of some libraries are closed when they are collected."""
    yield
    gc.collect()


class Polled:
    """An entry with a URL, and what was delivered of it."""

    def __init__(self, watching, state: Path | None) -> None:
        self._watching = watching
        self._state = state
        self.recorder = Recorder()
        self.running: Running | None = None

    def start(self, url: str = URL, mask: object = ALL, processor=None, **fields) -> Running:
        self.recorder.events.clear()
        fields = {"recursive": True, "poll_interval": OFTEN, **fields}
        entry = (url, mask, processor or self.recorder, fields)
        self.running = self._watching(entry, state=self._state)
        wait_for(lambda: not self.running.service.catching_up)
        return self.running

    def poll(self, times: int = 3) -> None:
        """Wait until what is there now was listed, and what that means is delivered."""
        service = self.running.service
        for _ in range(times):
            service.rescan()
            wait_for(lambda: not service.catching_up)
            wait_for(lambda: service.queue_depth == 0)

    @property
    def problem(self) -> str:
        return self.running.handlers[0].problem

    @property
    def told(self) -> list[tuple[str, str]]:
        return [
            (event.maskname.removeprefix("IN_"), event.pathname) for event in self.recorder.events
        ]


@pytest.fixture(params=[False, True], ids=["in memory", "with state"])
def polled(request, watching, tmp_path):
    return Polled(watching, tmp_path / "state.sqlite3" if request.param else None)


@pytest.fixture
def kept(watching, tmp_path):
    """With state."""
    return Polled(watching, tmp_path / "state.sqlite3")


@pytest.fixture
def files():
    need("fsspec")
    import fsspec

    files = fsspec.filesystem("memory")
    files.makedirs("/in", exist_ok=True)
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


# What is told


def test_what_is_there_at_the_start_is_known(files, polled):
    files.pipe("/in/old", b"1")
    polled.start()
    polled.poll()
    assert polled.told == []


def test_what_is_created_modified_and_deleted_is_told(files, polled):
    files.pipe({"/in/kept": b"1", "/in/changed": b"1", "/in/gone": b"1"})
    polled.start()
    files.pipe("/in/below/new", b"1")
    polled.poll()
    assert polled.told == [("CREATE", f"{URL}/below/new"), ("CLOSE_WRITE", f"{URL}/below/new")]
    polled.recorder.events.clear()
    files.pipe("/in/changed", b"22")
    polled.poll()
    assert polled.told == [("MODIFY", f"{URL}/changed"), ("CLOSE_WRITE", f"{URL}/changed")]
    polled.recorder.events.clear()
    files.rm("/in/gone")
    polled.poll()
    assert polled.told == [("DELETE", f"{URL}/gone")]


def test_an_event_says_where_it_comes_from(files, polled):
    running = polled.start()
    files.pipe("/in/below/new", b"1")
    polled.poll()
    event = polled.recorder.events[0]
    assert (event.path, event.name, event.pathname) == (
        f"{URL}/below",
        "new",
        f"{URL}/below/new",
    )
    assert (event.synthetic, event.dir, event.watch) == (
        "poll",
        False,
        running.handlers[0].entry.watch,
    )


def test_a_processor_is_prepared_for_a_place(files, watching):
    class Prepared(Recorder):
        def prepare(self, entry_path):
            self.path = entry_path

    prepared = Prepared()
    watching((f"{URL}/", ALL, prepared))
    assert prepared.path == f"{URL}/"


def test_what_comes_first_can_be_told(files, polled):
    files.pipe("/in/old", b"1")
    polled.start(initial="emit")
    polled.poll()
    assert polled.told == [("CREATE", f"{URL}/old"), ("CLOSE_WRITE", f"{URL}/old")]


@pytest.mark.parametrize("mask", ["IN_CREATE", "IN_CLOSE_WRITE", "IN_DELETE", "IN_MODIFY"])
def test_only_what_is_asked_for_is_told(files, polled, mask):
    files.pipe({"/in/changed": b"1", "/in/gone": b"1"})
    polled.start(mask=mask)
    files.pipe({"/in/changed": b"22", "/in/new": b"1"})
    files.rm("/in/gone")
    polled.poll()
    asked = mask.removeprefix("IN_")
    expected = {
        "CREATE": {"new"},
        "CLOSE_WRITE": {"new", "changed"},
        "DELETE": {"gone"},
        "MODIFY": {"changed"},
    }[asked]
    assert sorted(polled.told) == sorted((asked, f"{URL}/{name}") for name in expected)


def test_the_usual_signals_are_sent(files, polled):
    with Receiver("in_create", "in_delete") as received:
        polled.start(mask="IN_CREATE|IN_DELETE", processor=SIGNALER)
        files.pipe("/in/new", b"1")
        polled.poll()
        files.rm("/in/new")
        polled.poll()
    assert received.names == ["in_create", "in_delete"]
    assert received.pathnames == [f"{URL}/new"] * 2


def test_a_file_is_ready_once(files, polled):
    with Receiver("file_ready") as ready:
        polled.start(mask=None, processor=READY)
        files.pipe({"/in/new": b"1", "/in/upload.part": b"1"})
        polled.poll()
        files.rm("/in/upload.part")
        files.pipe("/in/upload", b"1")
        polled.poll()
    assert ready.pathnames == [f"{URL}/new", f"{URL}/upload"]


@pytest.mark.parametrize("option", [{"settle": 5}, {"marker": ".done"}, {"min_size": 1}])
def test_what_no_place_tells_cannot_be_asked_for(files, watching, option):
    with pytest.raises(InotifierError, match="settle, marker and min_size are for files of this"):
        watching((URL, None, READY, {"options": option}), run=False)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"patterns": ["*.csv"]}, {"a.csv", "b/c.csv"}),
        ({"patterns": ["b/*.csv"]}, {"b/c.csv"}),
        ({"ignore_patterns": ["*.csv"]}, {"d.txt", "b/e.txt"}),
        ({"ignore_directories": ["b"]}, {"a.csv", "d.txt"}),
        ({"regexes": [r"^memory://in/b/"]}, {"b/c.csv", "b/e.txt"}),
        ({"recursive": False}, {"a.csv", "d.txt"}),
    ],
)
def test_an_entry_chooses(files, polled, fields, expected):
    polled.start(mask="IN_CREATE", **fields)
    files.pipe({f"/in/{name}": b"1" for name in ("a.csv", "b/c.csv", "d.txt", "b/e.txt")})
    polled.poll()
    assert set(polled.recorder.pathnames) == {f"{URL}/{name}" for name in expected}


ODD = ["a b", "a?b", "a#b", "a&b", "a%20b", "a+b", "\N{SNOWMAN}", "a:@b", ".", "=", "a\nb"]


@pytest.mark.parametrize("name", ODD)
def test_a_subject_may_be_called_anything(files, kept, name):
    kept.start(mask="IN_CREATE|IN_DELETE")
    files.pipe(f"/in/{name}", b"1")
    kept.poll()
    [(kind, subject)] = kept.told
    assert kind == "CREATE"
    kept.running.stop()
    kept.start(mask="IN_CREATE|IN_DELETE")
    kept.poll()
    assert kept.told == []
    files.rm("/in", recursive=True)
    kept.poll()
    assert kept.told == [("DELETE", subject)]


# Over a restart


def test_what_changed_while_it_was_down_is_told(files, kept):
    files.pipe({"/in/kept": b"1", "/in/changed": b"1", "/in/gone": b"1"})
    kept.start()
    kept.poll()
    kept.running.stop()
    files.pipe({"/in/changed": b"22", "/in/new": b"1"})
    files.rm("/in/gone")
    kept.start()
    kept.poll()
    assert kept.told == [
        ("DELETE", f"{URL}/gone"),
        ("MODIFY", f"{URL}/changed"),
        ("CLOSE_WRITE", f"{URL}/changed"),
        ("CREATE", f"{URL}/new"),
        ("CLOSE_WRITE", f"{URL}/new"),
    ]


def test_what_does_not_catch_up_begins_anew(files, kept):
    kept.start(catch_up=False)
    kept.running.stop()
    files.pipe("/in/new", b"1")
    kept.start(catch_up=False)
    kept.poll()
    assert kept.told == []


def test_what_was_left_out_is_no_flood_when_it_comes_into_view(files, kept):
    files.pipe("/in/a.csv", b"1")
    kept.start(patterns=["*.csv"])
    kept.poll()
    files.pipe("/in/b.txt", b"1")
    kept.poll()
    kept.running.stop()
    kept.start()
    kept.poll()
    assert kept.told == []
    files.pipe("/in/b.txt", b"22")
    kept.poll()
    assert kept.told == [("MODIFY", f"{URL}/b.txt"), ("CLOSE_WRITE", f"{URL}/b.txt")]


def test_what_lies_below_is_not_deleted_when_it_is_not_listed_any_more(files, kept):
    files.pipe({"/in/a": b"1", "/in/below/b": b"1"})
    kept.start()
    kept.poll()
    kept.running.stop()
    kept.start(recursive=False)
    kept.poll()
    assert kept.told == []


def test_an_at_sign_in_a_path_is_no_user(unsteady, kept):
    kept.start("unsteady://user:secret@a/in@box", mask="IN_CREATE")
    unsteady.answers = {"unsteady://a/in@box/new": 1}
    kept.poll()
    assert kept.running.handlers[0].entry.path == "unsteady://a/in@box"
    event = kept.recorder.events[0]
    assert (event.path, event.name) == ("unsteady://a/in@box", "new")


def test_a_slash_or_another_password_is_the_same_place(unsteady, kept):
    kept.start("unsteady://user:old@a/in")
    kept.running.stop()
    unsteady.answers = {"unsteady://a/in/new": 1}
    kept.start("unsteady://user:new@a/in/", mask="IN_CREATE")
    kept.poll()
    assert kept.told == [("CREATE", "unsteady://a/in/new")]


def test_another_choice_makes_nothing_deleted(files, kept):
    files.pipe({"/in/a.csv": b"1", "/in/b.txt": b"1"})
    kept.start()
    kept.poll()
    kept.running.stop()
    kept.start(patterns=["*.csv"])
    kept.poll()
    files.rm("/in/b.txt")
    kept.poll()
    assert kept.told == []


def test_what_lies_below_is_known_when_it_is_listed_first(files, kept):
    files.pipe({"/in/a": b"1", "/in/below/b": b"1"})
    kept.start(recursive=False)
    kept.poll()
    kept.running.stop()
    files.pipe("/in/c", b"1")
    kept.start(recursive=True)
    kept.poll()
    assert kept.told == [("CREATE", f"{URL}/c"), ("CLOSE_WRITE", f"{URL}/c")]


# Handlers that fail


class Failing(Recorder):
    """Raises what it is told to, one reason for each call, and then succeeds."""

    def __init__(self, *reasons: Exception) -> None:
        super().__init__()
        self.reasons = [*reasons]

    def __call__(self, event) -> None:
        super().__call__(event)
        if self.reasons:
            raise self.reasons.pop(0)


def test_what_failed_comes_again(files, polled, settings):
    settings.INOTIFIER_RETRIES, settings.INOTIFIER_RETRY_DELAY = 3, 0.05
    failing = Failing(ValueError(), TryAgain(0.05))
    polled.start(mask="IN_CREATE", processor=failing)
    files.pipe("/in/new", b"1")
    wait_for(lambda: len(failing.events) == 3)
    polled.poll()
    assert len(failing.events) == 3


def test_what_is_held_comes_again_when_it_has_changed(files, kept, settings):
    settings.INOTIFIER_RETRIES = 0
    failing = Failing(ValueError())
    kept.start(mask="IN_CREATE", processor=failing, on_failure="hold")
    files.pipe("/in/new", b"1")
    kept.poll()
    assert len(failing.events) == 1
    files.pipe("/in/new", b"22")
    kept.poll()
    assert len(failing.events) == 2


def test_what_is_held_comes_again_at_the_next_start(files, kept, settings):
    settings.INOTIFIER_RETRIES = 0
    kept.start(mask="IN_CREATE", processor=Failing(ValueError()), on_failure="hold")
    files.pipe("/in/new", b"1")
    kept.poll()
    kept.running.stop()
    kept.start(mask="IN_CREATE", processor=Failing(), on_failure="hold")
    again = kept.running.handlers[0].entry.processor
    kept.poll()
    assert again.pathnames == [f"{URL}/new"]


def test_what_waits_for_its_time_is_not_asked_about_again_and_again(files, polled):
    class Away(Recorder):
        def __call__(self, event) -> None:
            super().__call__(event)
            raise TryAgain(3600)

    away = Away()
    polled.start(mask="IN_CREATE", processor=away)
    files.pipe({f"/in/{number}": b"1" for number in range(10)})
    wait_for(lambda: len(away.events) == 10)
    service = polled.running.service
    for _ in range(10):
        service.rescan()
        wait_for(lambda: not service.catching_up)
    assert service.queue_depth <= 30  # with one question that waits, and a mark
    service.finish()
    service.abandon()


def test_a_slow_handler_gets_what_the_place_became_in_the_end(files, polled):
    """While an event is on its way, the next round waits."""
    opened = threading.Event()

    class Slow(Recorder):
        def __call__(self, event) -> None:
            super().__call__(event)
            assert opened.wait(30)

    slow = Slow()
    polled.start(mask="IN_CREATE|IN_MODIFY|IN_DELETE", processor=slow)
    files.pipe("/in/new", b"1")
    wait_for(lambda: slow.events)
    files.pipe("/in/new", b"22")
    opened.set()
    polled.poll()
    assert slow.masknames == ["IN_CREATE", "IN_MODIFY"]


def test_a_task_of_a_subject_runs_once_though_it_is_listed_meanwhile(files, kept):
    ran = []
    kept.start(processor=TaskScheduler(lambda event, task_id: ran.append(event), delay=0.5))
    files.pipe("/in/new", b"1")
    handler = kept.running.handlers[0]
    wait_for(lambda: handler.seen == 2)  # created, and closed
    wait_for(lambda: ran)
    kept.poll()
    assert [event.pathname for event in ran] == [f"{URL}/new"]
    assert handler.seen == 2
    kept.running.stop()
    kept.start()
    kept.poll()
    assert kept.told == []


def test_a_task_that_fails_is_tried_again(files, polled, settings):
    settings.INOTIFIER_RETRIES, settings.INOTIFIER_RETRY_DELAY = 3, 0.05
    reasons = [ValueError(), ValueError()]
    ran = []

    def job(event, task_id):
        ran.append(event)
        if reasons:
            raise reasons.pop()

    polled.start(mask="IN_CREATE", processor=TaskScheduler(job))
    files.pipe("/in/new", b"1")
    wait_for(lambda: len(ran) == 3)
    polled.poll()
    assert len(ran) == 3


def test_a_task_that_is_held_comes_again_at_the_next_start(files, kept, settings):
    settings.INOTIFIER_RETRIES = 0
    ran = []

    def job(event, task_id):
        ran.append(event)
        raise ValueError

    fields = {"mask": "IN_CREATE", "processor": TaskScheduler(job), "on_failure": "hold"}
    kept.start(**fields)
    files.pipe("/in/new", b"1")
    kept.poll()
    wait_for(lambda: kept.running.service.queue_depth == 0)
    kept.poll()
    assert len(ran) == 1
    kept.running.stop()
    kept.start(**fields)
    kept.poll()
    assert len(ran) == 2


# Places that cannot be listed


class Unsteady(Poller):
    """A place that answers with what it is told to."""

    answers: ClassVar[dict[str, object]]
    problem: ClassVar[Exception | None]
    whole = True
    asked = 0
    closed = 0

    def listing(self):
        type(self).asked += 1
        if self.problem is not None:
            raise self.problem
        return dict(self.answers)

    def close(self):
        super().close()
        type(self).closed += 1


@pytest.fixture
def unsteady():
    Unsteady.answers, Unsteady.problem, Unsteady.asked, Unsteady.closed = {}, None, 0, 0
    register_poller("unsteady")(Unsteady)
    yield Unsteady
    del registry._classes["unsteady"]


def test_an_outage_makes_nothing_deleted_and_nothing_missed(unsteady, polled, caplog):
    caplog.set_level(logging.INFO, logger="inotifier")
    unsteady.answers = {"unsteady://a/kept": 1, "unsteady://a/gone": 1}
    polled.start("unsteady://user:secret@a")
    unsteady.problem = SourceError("unsteady://a is away")
    polled.poll()
    assert polled.told == []
    assert polled.problem == "unsteady://a is away"
    unsteady.answers, unsteady.problem = {"unsteady://a/kept": 1, "unsteady://a/new": 1}, None
    polled.poll()
    assert polled.told == [
        ("DELETE", "unsteady://a/gone"),
        ("CREATE", "unsteady://a/new"),
        ("CLOSE_WRITE", "unsteady://a/new"),
    ]
    assert polled.problem == ""
    lines = [r.getMessage() for r in caplog.records if "unsteady" in r.getMessage()]
    assert len(lines) == 2, lines
    assert "unsteady://a is away" in lines[0]
    assert "can be listed again" in lines[1]
    assert "secret" not in caplog.text


def test_a_place_that_is_away_at_the_start_does_not_hold_up_the_others(unsteady, files, watching):
    unsteady.problem = SourceError("unsteady://a is away")
    one, other = Recorder(), Recorder()
    fields = {"poll_interval": OFTEN, "initial": "emit"}
    running = watching(("unsteady://a", ALL, one, fields), (URL, ALL, other, fields))
    files.pipe("/in/new", b"1")
    wait_for(lambda: other.events)
    unsteady.answers, unsteady.problem = {"unsteady://a/new": 1}, None
    running.service.rescan()
    wait_for(lambda: one.events)


def test_the_pauses_are_doubled_while_it_is_away(unsteady, watching, monkeypatch):
    pauses = []
    pause = PlacePolling._pause

    def measured(self):
        pauses.append(pause(self))
        return 0.001

    monkeypatch.setattr(PlacePolling, "_pause", measured)
    unsteady.problem = SourceError("unsteady://a is away")
    watching(("unsteady://a", ALL, Recorder(), {"poll_interval": 10}))
    wait_for(lambda: len(pauses) > 10)
    for number, seconds in enumerate(pauses[:11], 1):
        expected = min(10 * 2**number, 600)
        assert 0.9 * expected <= seconds <= 1.1 * expected
    unsteady.problem = None
    wait_for(lambda: pauses[-1] < 12)
    assert len({round(seconds, 6) for seconds in pauses}) > 5  # not all at once


def test_what_a_poller_of_somebody_else_raises_is_no_end(unsteady, polled, caplog):
    unsteady.problem = KeyError("ftp://user:secret@host")
    polled.start("unsteady://a")
    polled.poll()
    assert "KeyError" in polled.problem
    assert "secret" not in polled.problem + caplog.text
    unsteady.problem, unsteady.answers = None, {"unsteady://a/new": 1}
    polled.poll()
    assert polled.problem == ""


def test_a_poller_is_closed_at_the_end(unsteady, polled):
    polled.start("unsteady://a").stop()
    # One was made to see whether it can be; the other one was asked.
    wait_for(lambda: unsteady.closed == 2)


def test_subjects_with_slashes_are_told_without_recursion(unsteady, kept):
    """A container of Swift has no directories, and neither have rows of a database."""
    kept.start("unsteady://a", recursive=False)
    unsteady.answers = {"unsteady://a/top": 1, "unsteady://a/below/it": 1}
    kept.poll()
    assert {subject for _, subject in kept.told} == {*unsteady.answers}
    kept.recorder.events.clear()
    unsteady.answers = {}
    kept.poll()
    assert sorted(kept.told) == [
        ("DELETE", "unsteady://a/below/it"),
        ("DELETE", "unsteady://a/top"),
    ]


def test_places_that_hang_hold_up_the_end_once(unsteady, watching, monkeypatch):
    released = threading.Event()
    joined = []

    def join(self, timeout):
        joined.append(timeout)
        released.wait(timeout)

    def hang(self):
        released.wait(60)
        return {}

    monkeypatch.setattr(unsteady, "listing", hang)
    monkeypatch.setattr(PlacePolling, "join", join)
    running = watching(*[(f"unsteady://{n}", ALL, Recorder()) for n in range(4)])
    try:
        running.stop()
    finally:
        released.set()
    assert len(joined) == 4
    assert sum(joined[1:]) < 0.5  # all wait for the same second


def test_a_scan_goes_on_when_one_place_cannot_be_listed(unsteady, tmp_path, files, settings):
    one, other = Recorder(), Recorder()
    raw = [("unsteady://a", ALL, one), (URL, ALL, other)]
    unsteady.problem = KeyError("ftp://user:secret@host")
    files.pipe("/in/old", b"1")

    def scanned():
        with contextlib.closing(State(tmp_path / "state.sqlite3")) as state:
            state.open()
            scan = Scan(entries(*raw), state, 1, 1000)
            scan.deliver()
        return scan

    scanned()
    files.pipe("/in/new", b"1")
    scan = scanned()
    assert other.pathnames == [f"{URL}/new"] * 2
    assert [handler.problem for handler in scan.handlers] == [
        "unsteady://a cannot be listed: KeyError: 'ftp://host'",
        "",
    ]


def test_a_subject_may_lie_anywhere(unsteady, kept):
    """Pollers of somebody else's call what they find as they like."""
    kept.start("unsteady://a", mask="IN_CREATE|IN_DELETE")
    unsteady.answers = {"row 5": 1, "unsteady://a": 1, "unsteady://ab": 1, "\ud800": 1}
    kept.poll()
    kept.running.stop()
    kept.start("unsteady://a", mask="IN_CREATE|IN_DELETE")
    kept.poll()
    assert kept.told == []
    unsteady.answers = {}
    kept.poll()
    assert sorted(kept.recorder.pathnames) == sorted(
        ["row 5", "unsteady://a", "unsteady://ab", "\ud800"]
    )


@hypothesis.settings(max_examples=40)
@given(
    listings=st.lists(
        st.one_of(
            st.dictionaries(st.sampled_from("abcd"), st.integers(1, 3)),
            st.sampled_from(["away", "restart"]),
        ),
        max_size=8,
    )
)
def test_what_is_told_leads_to_what_is_listed(listings):
    """Whatever comes between, the events are those that make of one listing the next."""
    register_poller("unsteady")(Unsteady)
    Unsteady.answers, Unsteady.problem, Unsteady.asked, Unsteady.closed = {}, None, 0, 0
    view: dict[str, int] = {}
    with TemporaryDirectory() as directory, Watching() as watching:
        polled = Polled(watching, Path(directory, "state.sqlite3"))
        polled.start("unsteady://a", poll_interval=60)
        for listing in [*listings, {}]:
            Unsteady.problem = SourceError("away") if listing == "away" else None
            if listing == "restart":
                polled.running.stop()
                polled.start("unsteady://a", poll_interval=60)
            elif isinstance(listing, dict):
                Unsteady.answers = {f"unsteady://a/{name}": n for name, n in listing.items()}
            polled.poll(1)
            expected = _steps(view, Unsteady.answers) if Unsteady.problem is None else []
            assert sorted(polled.told) == sorted(expected)
            view = view if Unsteady.problem else dict(Unsteady.answers)
            polled.recorder.events.clear()
    del registry._classes["unsteady"]


def _steps(before, now):
    for subject in before.keys() - now.keys():
        yield "DELETE", subject
    for subject, state in now.items():
        if before.get(subject) != state:
            yield "MODIFY" if subject in before else "CREATE", subject
            yield "CLOSE_WRITE", subject


# On a file server


def test_a_file_that_grows_on_a_server_is_closed_when_it_stays_the_same(ftp, polled):
    ftp.start()
    polled.start(ftp.url)
    file = ftp.root / "new"
    file.write_bytes(b"1")
    wait_for(lambda: ("CREATE", f"{ftp.public}new") in polled.told)
    polled.poll()
    assert polled.told == [("CREATE", f"{ftp.public}new"), ("CLOSE_WRITE", f"{ftp.public}new")]


# ftplib leaves a socket whose server has gone to the collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_server_that_goes_and_comes_back(ftp, kept, caplog):
    process = ftp.start()
    kept.start(ftp.url, source_options={"timeout": 10})
    process.kill()
    process.wait()
    wait_for(lambda: kept.problem, 30)
    (ftp.root / "new").write_bytes(b"1")
    ftp.start()
    kept.running.service.rescan()
    wait_for(lambda: kept.told, 30)
    kept.poll()
    assert kept.told == [("CREATE", f"{ftp.public}new"), ("CLOSE_WRITE", f"{ftp.public}new")]
    assert ftp.password[:8] not in caplog.text


def test_a_server_that_hangs_does_not_hold_up_the_end(ftp, kept):
    process = ftp.start()
    kept.start(ftp.url, source_options={"timeout": 5})
    process.send_signal(signal.SIGSTOP)
    try:
        kept.running.service.rescan()
        kept.running.stop()
    finally:
        process.send_signal(signal.SIGCONT)


# In a container of Swift


@pytest.fixture(scope="module")
def swift(tmp_path_factory):
    with running_swift(tmp_path_factory.mktemp("swift")) as running:
        yield running


def test_the_objects_of_a_container(swift, kept):
    from swiftclient import Connection

    with contextlib.closing(
        Connection(swift.auth, f"{TENANT}:{USER}", PASSWORD, retries=0, timeout=30)
    ) as client:
        client.put_container("in coming")
        place = f"{swift.host}/auth/v1.0?{quote('in coming')}"
        kept.start(
            f"swift://{USER}+{TENANT}:{quote(PASSWORD, safe='')}@{place}",
            patterns=["b/*.csv"],
            source_options={"auth_version": 1, "timeout": 30},
        )
        for name in ("a.csv", "b/a c.csv", "b/d.txt"):
            client.put_object("in coming", name, b"1")
        kept.poll()
    subject = f"swift://{place}&name=b/a%20c.csv"
    assert kept.told == [("CREATE", subject), ("CLOSE_WRITE", subject)]
    event = kept.recorder.events[0]
    assert (event.path, event.name) == (f"swift://{place}", "a c.csv")


# Entries that cannot be


def test_a_watch_shows_no_password():
    assert "secret" not in repr(
        Watch("s3://key:secret@bucket", source_options={"secret": "secret"})
    )
