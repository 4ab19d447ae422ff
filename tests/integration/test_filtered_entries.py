"""Entries that leave out paths: what is delivered, watched and kept."""

import os
from collections import Counter
from pathlib import Path

import pyinotify
import pytest

from inotifier.filters import JUNK, VCS
from inotifier.watches import Watch
from tests.in_process import Receiver, Recorder, Running
from tests.waiting import wait_for

READY = "inotifier.event_processors.FileReadySignaler"


class Place:
    """A directory that is watched recursively, with filters, and what was delivered of it."""

    def __init__(self, watching, base: Path) -> None:
        self._watching = watching
        self._state = base / "state.sqlite3"
        self.recorder = Recorder()
        self.root = base / "root"
        self.root.mkdir()

    def start(self, mask: object, *, state: bool = False, **fields) -> Running:
        self.recorder.events.clear()
        fields = {"recursive": True, **fields}
        running = self._watching(
            (self.root, mask, self.recorder, fields), state=self._state if state else None
        )
        running.catch_up()
        return running

    def write(self, name: str, text: str = "x") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    @property
    def names(self) -> list[str]:
        return [os.path.relpath(path, self.root) for path in self.recorder.pathnames]

    @property
    def told(self) -> list[tuple[str, str]]:
        return list(zip(self.recorder.masknames, self.names, strict=True))


@pytest.fixture
def place(watching, tmp_path):
    return Place(watching, tmp_path)


def watched(running: Running) -> int:
    """Return how many watches the kernel keeps, but for the fence of the test and that of ours."""
    wds = running.service._inotify.watch_descriptors()
    return len(wds - {running.service._keeper.arrivals.fence_ready}) - 1


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"patterns": ["*.csv"]}, ["a.csv", "sub/b.csv", "sub/tmp_c.csv"]),
        ({"patterns": ["sub/*"]}, ["sub/b.csv", "sub/tmp_c.csv"]),
        ({"ignore_patterns": ["tmp_*", *JUNK]}, ["a.csv", "sub/b.csv"]),
        ({"patterns": ["*.csv"], "ignore_patterns": ["tmp_*"]}, ["a.csv", "sub/b.csv"]),
        ({"regexes": [r"/[ab]\.CSV$"], "case_sensitive": False}, ["a.csv", "sub/b.csv"]),
        ({"ignore_regexes": ["sub", r"~$"]}, ["a.csv"]),
        ({"ignore_directories": ["sub"], "ignore_patterns": [*JUNK]}, ["a.csv"]),
        ({"exclude_filter": pyinotify.ExcludeFilter([".*/sub", ".*~"])}, ["a.csv"]),
    ],
)
def test_only_what_is_in_view_is_delivered(place, fields, names):
    running = place.start("IN_CLOSE_WRITE", **fields)
    for name in ("a.csv", "sub/b.csv", "sub/tmp_c.csv", "notes~"):
        place.write(name)
    running.stop()
    assert Counter(place.names) == Counter(names)
    handler = running.handlers[0]
    assert (handler.delivered, handler.pending) == (len(names), 0)


def test_a_directory_that_is_left_out_takes_no_watch(place):
    for name in ("src/.git/objects/aa/1", "src/a", ".git/b", "src/c/.gitignore"):
        place.write(name)
    running = place.start("ALL_EVENTS", ignore_directories=[*VCS])
    assert watched(running) == 3
    place.write("new/.git/objects/1")
    place.write("new/file")
    running.sync()
    assert watched(running) == 4
    (place.root / "new" / ".git").rename(place.root / "new" / "git")
    running.sync()
    assert watched(running) == 6
    (place.root / "src" / "c").rename(place.root / ".hg")
    running.sync()
    assert watched(running) == 5
    place.recorder.events.clear()
    place.write(".hg/file")
    place.write("src/.git/objects/aa/2")
    running.stop()
    assert place.told == []


def test_what_comes_out_of_a_directory_that_is_left_out_is_new(place):
    place.write("build/a/file")
    running = place.start("IN_CREATE|IN_CLOSE_WRITE|IN_MOVED_TO", ignore_directories=["build"])
    (place.root / "build" / "a").rename(place.root / "a")
    running.stop()
    assert place.told == [
        ("IN_MOVED_TO|IN_ISDIR", "a"),
        ("IN_CREATE", "a/file"),
        ("IN_CLOSE_WRITE", "a/file"),
    ]
    assert place.recorder.events[0].src_pathname is None


def test_a_move_is_judged_by_either_end(place):
    for name in ("a.csv", "b.tmp", "c.csv", "d.tmp"):
        place.write(name)
    running = place.start("IN_MOVED_FROM|IN_MOVED_TO", patterns=["*.csv"])
    for source, target in (
        ("a.csv", "a.new.csv"),
        ("b.tmp", "b.csv"),
        ("c.csv", "c.tmp"),
        ("d.tmp", "d.new.tmp"),
    ):
        (place.root / source).rename(place.root / target)
    running.stop()
    assert place.told == [
        ("IN_MOVED_FROM", "a.csv"),
        ("IN_MOVED_TO", "a.new.csv"),
        ("IN_MOVED_TO", "b.csv"),
        ("IN_MOVED_FROM", "c.csv"),
    ]
    sources = [event.src_pathname for event in place.recorder.events]
    assert sources == [None, str(place.root / "a.csv"), None, None]


def test_two_entries_see_their_own_end_of_a_move(watching, tmp_path):
    csv, everything = Recorder(), Recorder()
    (tmp_path / "b.tmp").touch()
    running = watching(
        (tmp_path, "IN_MOVED_TO", csv, {"patterns": ["*.csv"]}),
        (tmp_path, "IN_MOVED_TO", everything),
    )
    (tmp_path / "b.tmp").rename(tmp_path / "b.csv")
    running.stop()
    assert [event.src_pathname for event in csv.events] == [None]
    assert [event.src_pathname for event in everything.events] == [str(tmp_path / "b.tmp")]


def test_what_was_missed_is_filtered_as_well(place):
    place.start("IN_CREATE|IN_CLOSE_WRITE", state=True, patterns=["*.csv"]).stop()
    for name in ("a.csv", "a.tmp", "sub/b.csv"):
        place.write(name)
    place.start("IN_CREATE|IN_CLOSE_WRITE", state=True, patterns=["*.csv"]).stop()
    assert place.told == [
        ("IN_CREATE", "a.csv"),
        ("IN_CLOSE_WRITE", "a.csv"),
        ("IN_CREATE", "sub/b.csv"),
        ("IN_CLOSE_WRITE", "sub/b.csv"),
    ]
    place.start("IN_CREATE|IN_CLOSE_WRITE", state=True, patterns=["*.csv"]).stop()
    assert place.told == []


def test_what_was_out_of_view_before_the_settings_changed_is_no_news(place):
    running = place.start("IN_CLOSE_WRITE", state=True, patterns=["*.csv"])
    place.write("live.txt")
    running.stop()
    place.start("IN_CLOSE_WRITE", state=True, patterns=["*.csv", "*.txt"]).stop()
    assert place.told == []
    place.write("down.txt")
    place.start("IN_CLOSE_WRITE", state=True, patterns=["*.csv", "*.txt"]).stop()
    assert place.told == [("IN_CLOSE_WRITE", "down.txt")]


def test_a_directory_that_is_left_out_is_not_compared(place, monkeypatch):
    place.write("node_modules/a/b")
    place.write("src/a")
    running = place.start("IN_CREATE", state=True, ignore_directories=["node_modules"])
    keeper, listed = running.service._keeper, []
    monkeypatch.setattr(
        running.service._recovery,
        "_list",
        lambda path: listed.append(os.fsdecode(path)) or keeper.list_quietly(path),
    )
    place.write("node_modules/a/c")
    running.service.rescan()
    running.catch_up()
    running.stop()
    assert listed == [str(place.root), str(place.root / "src")]
    assert place.told == []


def test_files_that_are_renamed_into_view_are_ready(place, watching, tmp_path):
    place.write("old.tmp")
    fields = {"recursive": True, "patterns": ["*.csv"]}
    with Receiver("file_ready") as ready:
        for _ in range(2):
            running = watching((place.root, None, READY, fields), state=tmp_path / "ready")
            running.catch_up()
            place.write("never.tmp")
            place.write("upload.tmp").rename(place.root / "upload.csv")
            place.write("d/x.csv")
            running.stop()
            (place.root / "old.tmp").replace(place.root / "old.csv")
            place.write("old.tmp")
    names = Counter(os.path.relpath(path, place.root) for path in ready.pathnames)
    assert names == {"upload.csv": 2, "d/x.csv": 2, "old.csv": 1}


def test_a_file_is_ready_though_its_directory_is_renamed_meanwhile(place, watching):
    fields = {"recursive": True, "patterns": ["*.csv"], "catch_up": False}
    with Receiver("file_ready") as ready:
        running = watching(Watch(place.root, processor=READY, **fields))
        (place.root / "d").mkdir()
        with (place.root / "d" / "x.csv").open("w") as file:
            file.write("half")
            file.flush()
            (place.root / "d").rename(place.root / "e")
            running.sync()
            file.write("whole")
        wait_for(lambda: ready.pathnames)
        running.stop()
    assert ready.pathnames == [str(place.root / "e" / "x.csv")]


# The documents that the project came from.

FILES = [
    "a.py",
    "b.jpg",
    "Cat.JPEG",
    "tmp_d.py",
    "tmp_e.jpg",
    "__pycache__/f.py",
    "sub/g.py",
    "sub/__MACOSX/h.jpg",
]


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ("{path}", ["a.py", "b.jpg", "Cat.JPEG", "tmp_d.py", "tmp_e.jpg"]),
        ({"path": "{path}", "recursive": True}, FILES),
        (
            {
                "path": "{path}",
                "recursive": True,
                "patterns": ["*.py"],
                "ignore_patterns": ["tmp_*"],
                "ignore_directories": ["__pycache__"],
            },
            ["a.py", "sub/g.py"],
        ),
        (
            {
                "path": "{path}",
                "recursive": True,
                "case_sensitive": False,
                "regexes": [r".*\.jpe?g$"],
                "ignore_patterns": ["^tmp_.*"],
                "ignore_directories": ["__MACOSX"],
            },
            ["b.jpg", "Cat.JPEG"],
        ),
    ],
    ids=["a path", "a tree", "globs", "regular expressions"],
)
def test_entries_of_platypush_work_as_they_are(watching, tmp_path, entry, names):
    root = tmp_path / "root"
    for directory in ("", "__pycache__", "sub", "sub/__MACOSX"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    path = str(root)
    with Receiver("in_create") as received:
        running = watching(path if isinstance(entry, str) else {**entry, "path": path})
        for name in FILES:
            (root / name).write_text("x")
        running.stop()
    assert [os.path.relpath(path, root) for path in received.pathnames] == names
