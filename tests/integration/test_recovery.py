"""What was missed is delivered at the next start: created, changed, gone, moved, each once."""

import contextlib
import os
import shutil
import sqlite3
import struct
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from inotifier.events import IN_CLOSE_WRITE, IN_DELETE, IN_MOVED_TO, IN_Q_OVERFLOW, Event
from inotifier.exceptions import InotifierError, TryAgain
from inotifier.notifier import Keeper
from inotifier.state import State
from inotifier.state.tables import Unusable
from inotifier.writers import Writers
from tests.in_process import Receiver, Recorder, Running
from tests.waiting import wait_for

READY = "inotifier.event_processors.FileReadySignaler"
MASK = "IN_CREATE|IN_MODIFY|IN_CLOSE_WRITE|IN_DELETE|IN_MOVED_FROM|IN_MOVED_TO"


_HEADER = struct.Struct("iIII")  # inotify(7)


class Inbox(Recorder):
    """Raises `error`, if it is set, for events that have one of `fatal` bits; asks for events that
    it `refuses` to come again."""

    error: Exception | None = None
    fatal = -1
    refuses: Callable[[Event], object] | None = None

    def __call__(self, event):
        super().__call__(event)
        if self.refuses is not None and self.refuses(event):
            raise TryAgain(0.05)
        if self.error is not None and event.mask & self.fatal:
            raise self.error


class Project:
    """Starts one entry again and again, with the same state."""

    def __init__(self, watching, base: Path) -> None:
        self._watching = watching
        self.root = base / "root"
        self.root.mkdir()
        self.state = base / "state.sqlite3"
        self.recorder = Inbox()

    def start(self, mask: object = MASK, **fields) -> Running:
        """Start, and catch up; what was recorded before is forgotten."""
        running = self.begin(mask, **fields)
        running.catch_up()
        return running

    def begin(self, mask: object = MASK, **fields) -> Running:
        self.recorder.events.clear()
        fields = {"recursive": True, "name": "the inbox", **fields}
        return self._watching((self.root, mask, self.recorder, fields), state=self.state)

    @property
    def told(self) -> list[tuple[str, str]]:
        """The events as (name without IN_, path below the root)."""
        return [
            (event.maskname.removeprefix("IN_"), os.path.relpath(event.pathname, self.root))
            for event in self.recorder.events
        ]


@pytest.fixture
def project(watching, tmp_path):
    return Project(watching, tmp_path)


def write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_what_is_there_at_the_first_start_is_the_baseline(project):
    write(project.root / "a" / "file")
    project.start().stop()
    assert project.told == []
    project.start().stop()
    assert project.told == []


def test_what_is_there_at_the_first_start_may_be_delivered(project):
    write(project.root / "a" / "file")
    project.start(initial="emit").stop()
    assert project.told == [
        ("CREATE|IN_ISDIR", "a"),
        ("CREATE", "a/file"),
        ("CLOSE_WRITE", "a/file"),
    ]
    assert {event.synthetic for event in project.recorder.events} == {"startup"}
    project.start(initial="emit").stop()
    assert project.told == []


def test_what_came_while_the_daemon_was_down_is_delivered_once(project):
    project.start().stop()
    write(project.root / "new" / "file")
    project.start().stop()
    assert project.told == [
        ("CREATE|IN_ISDIR", "new"),
        ("CREATE", "new/file"),
        ("CLOSE_WRITE", "new/file"),
    ]
    project.start().stop()
    assert project.told == []


def test_what_the_daemon_delivered_does_not_come_again(project):
    running = project.start()
    write(project.root / "a" / "one")
    write(project.root / "two")
    (project.root / "two").rename(project.root / "a" / "three")
    os.link(project.root / "a" / "one", project.root / "link")
    (project.root / "symlink").symlink_to("nowhere")
    os.mkfifo(project.root / "fifo")
    running.stop()
    project.start().stop()
    assert project.told == []


def test_a_file_that_changed_is_delivered(project):
    file = write(project.root / "file", "old")
    project.start().stop()
    file.write_text("newer")
    project.start().stop()
    assert project.told == [("MODIFY", "file"), ("CLOSE_WRITE", "file")]


def test_an_older_time_is_a_change(project):
    file = write(project.root / "file")
    project.start().stop()
    os.utime(file, (1, 1))
    project.start().stop()
    assert project.told == [("MODIFY", "file"), ("CLOSE_WRITE", "file")]


def test_what_is_gone_is_delivered_children_first(project):
    write(project.root / "a" / "b" / "file")
    project.start().stop()
    shutil.rmtree(project.root / "a")
    project.start().stop()
    assert project.told == [
        ("DELETE", "a/b/file"),
        ("DELETE|IN_ISDIR", "a/b"),
        ("DELETE|IN_ISDIR", "a"),
    ]
    project.start().stop()
    assert project.told == []


def test_a_file_that_moved_is_delivered_as_a_pair(project):
    file = write(project.root / "a" / "file")
    project.start().stop()
    file.rename(project.root / "other")
    project.start().stop()
    assert project.told == [("MOVED_FROM", "a/file"), ("MOVED_TO", "other")]
    origin, target = project.recorder.events
    assert target.src_pathname == str(file)
    assert origin.cookie == target.cookie > 0
    project.start().stop()
    assert project.told == []


def test_what_moved_with_its_directory_is_not_gone(project):
    write(project.root / "a" / "b" / "file")
    project.start().stop()
    (project.root / "a").rename(project.root / "c")
    running = project.start()
    running.service.rescan()
    running.catch_up()
    running.stop()
    assert project.told == [("MOVED_FROM|IN_ISDIR", "a"), ("MOVED_TO|IN_ISDIR", "c")]


def test_a_file_with_two_names_is_not_told_to_have_moved(project):
    (project.root / "a").mkdir()
    write(project.root / "a" / "file")
    project.start("IN_CREATE|IN_MOVED_TO").stop()
    (project.root / "a").rename(project.root / "c")
    os.link(project.root / "c" / "file", project.root / "b")
    project.start("IN_CREATE|IN_MOVED_TO").stop()
    assert project.told == [
        ("CREATE", "b"),
        ("CREATE|IN_ISDIR", "c"),
        ("CREATE", "c/file"),
    ]


def test_a_file_that_moved_and_changed_is_gone_and_new(project):
    file = write(project.root / "file")
    project.start().stop()
    file.rename(project.root / "other")
    write(project.root / "other", "changed")
    project.start().stop()
    assert project.told == [("CREATE", "other"), ("CLOSE_WRITE", "other"), ("DELETE", "file")]


def test_only_what_was_asked_for_is_sent(project):
    write(project.root / "changed")
    write(project.root / "gone")
    write(project.root / "moved")
    project.start("IN_CLOSE_WRITE").stop()
    write(project.root / "changed", "again")
    write(project.root / "new" / "file")
    (project.root / "gone").unlink()
    (project.root / "moved").rename(project.root / "other")
    project.start("IN_CLOSE_WRITE").stop()
    assert project.told == [("CLOSE_WRITE", "changed"), ("CLOSE_WRITE", "new/file")]
    project.start("IN_CLOSE_WRITE").stop()
    assert project.told == []


def test_a_file_that_is_being_written_gets_its_end_from_the_kernel(project):
    project.start().stop()
    with (project.root / "file").open("w") as file:
        file.write("half")
        file.flush()
        running = project.start()
        assert project.told == [("CREATE", "file")]
        file.write("whole")
    running.stop()
    assert project.told == [("CREATE", "file"), ("MODIFY", "file"), ("CLOSE_WRITE", "file")]
    project.start().stop()
    assert project.told == []


def test_a_file_whose_end_was_not_told_gets_it_though_it_has_not_changed(project):
    running = project.start()
    with (project.root / "file").open("w") as file:
        file.write("whole")
        file.flush()
        running.stop()
        assert project.told == [("CREATE", "file"), ("MODIFY", "file")]
    project.start().stop()
    assert project.told == [("CLOSE_WRITE", "file")]
    project.start().stop()
    assert project.told == []


def test_thousands_that_came_changed_went_and_moved_are_each_delivered_once(project):
    names = [f"{number % 7}/{number:04}" for number in range(3000)]
    for name in names:
        write(project.root / name)
    project.start().stop()
    for name in names[:1000]:
        write(project.root / name, "changed")
    for name in names[1000:2000]:
        (project.root / name).unlink()
    for name in names[2000:]:
        (project.root / name).rename(project.root / f"{name}-moved")
    new = [f"new-{number % 10}/{number:05}" for number in range(10_000)]
    for name in new:
        write(project.root / name)
    project.start().stop()
    expected = Counter()
    for name in names[:1000]:
        expected.update([("MODIFY", name), ("CLOSE_WRITE", name)])
    for name in names[1000:2000]:
        expected.update([("DELETE", name)])
    for name in names[2000:]:
        expected.update([("MOVED_FROM", name), ("MOVED_TO", f"{name}-moved")])
    for name in new:
        expected.update([("CREATE", name), ("CLOSE_WRITE", name)])
    expected.update([("CREATE|IN_ISDIR", f"new-{number}") for number in range(10)])
    assert Counter(project.told) == expected
    project.start().stop()
    assert project.told == []


def test_a_directory_that_moved_while_the_daemon_ran_takes_its_record_along(project):
    write(project.root / "a" / "b" / "file")
    running = project.start()
    (project.root / "a").rename(project.root / "c")
    running.stop()
    project.start().stop()
    assert project.told == []


def test_a_directory_that_was_moved_out_while_the_daemon_ran_is_not_told_of_again(
    project, tmp_path
):
    write(project.root / "a" / "b" / "file")
    running = project.start()
    (project.root / "a").rename(tmp_path / "away")
    running.stop()
    project.start().stop()
    assert project.told == []


def test_an_entry_that_does_not_catch_up_keeps_nothing(project):
    running = project.start(catch_up=False)
    write(project.root / "file")
    running.stop()
    write(project.root / "later")
    project.start(catch_up=False, initial="emit").stop()
    assert project.told == []


def test_a_root_that_returns_is_compared(project, tmp_path):
    write(project.root / "known")
    running = project.start()
    project.root.rename(tmp_path / "away")
    running.sync()
    write(tmp_path / "away" / "new")
    (tmp_path / "away").rename(project.root)
    wait_for(lambda: ("CLOSE_WRITE", "new") in project.told)
    running.stop()
    assert project.told == [("CREATE", "new"), ("CLOSE_WRITE", "new")]
    assert {event.synthetic for event in project.recorder.events} == {"new-directory"}


def test_a_root_that_is_not_there_says_nothing_of_its_files(project, tmp_path):
    write(project.root / "file")
    project.start(missing="wait").stop()
    project.root.rename(tmp_path / "away")
    project.start(missing="wait").stop()
    assert project.told == []
    (tmp_path / "away").rename(project.root)
    project.start(missing="wait").stop()
    assert project.told == []


def test_a_single_file_is_compared(project, watching):
    file = write(project.root / "file")
    project.root = file
    project.start(recursive=False).stop()
    file.write_text("changed")
    project.start(recursive=False).stop()
    assert project.told == [("MODIFY", "."), ("CLOSE_WRITE", ".")]
    project.start(recursive=False).stop()
    assert project.told == []


def test_a_directory_that_cannot_be_read_says_nothing_of_its_files(project):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    write(project.root / "a" / "b" / "file")
    project.start().stop()
    (project.root / "a").chmod(0)
    try:
        project.start().stop()
        assert project.told == []
    finally:
        (project.root / "a").chmod(0o700)


def test_our_own_listing_makes_no_events(project):
    for number in range(20):
        write(project.root / str(number) / "file")
    project.start("ALL_EVENTS").stop()
    project.start("ALL_EVENTS").stop()
    assert project.told == []


@pytest.mark.parametrize(
    ("on_failure", "again"), [("skip", []), ("hold", [("CLOSE_WRITE", "file")])]
)
def test_what_was_given_up_counts_as_delivered_or_is_held(project, on_failure, again):
    running = project.start("IN_CLOSE_WRITE", on_failure=on_failure)
    project.recorder.error = InotifierError("not today")
    write(project.root / "file")
    running.stop()
    project.recorder.error = None
    project.start("IN_CLOSE_WRITE", on_failure=on_failure).stop()
    assert project.told == again
    project.start("IN_CLOSE_WRITE", on_failure=on_failure).stop()
    assert project.told == []


def test_what_is_kept_is_closed_with_the_state(project):
    project.start().stop()
    state = State(project.state)
    state.open()
    assert state.problem == ""
    state.close()


def test_what_the_kernel_tells_of_as_well_is_delivered_once(project, watching):
    project.start().stop()
    fields = {"recursive": True, "name": "the inbox"}
    entry = (project.root, MASK, project.recorder, fields)
    running = watching(entry, state=project.state, run=False)
    for number in range(100):
        write(project.root / str(number % 10) / str(number))
    running.run()
    for number in range(100, 200):
        write(project.root / str(number % 10) / str(number))
    running.catch_up()
    running.stop()
    assert [count for count in Counter(project.told).values() if count > 1] == [
        count
        for (name, _), count in Counter(project.told).items()
        if name == "MODIFY" and count > 1
    ]
    assert sum(name == "CLOSE_WRITE" for name, _ in project.told) == 200
    assert not any(event.synthetic == "startup" for event in project.recorder.events)


# Directories that are renamed meanwhile


def test_files_whose_directory_moved_before_their_events_were_delivered_are_told_of(
    project, watching
):
    project.start().stop()
    project.recorder.events.clear()
    entry = (project.root, "IN_CLOSE_WRITE", project.recorder, {"recursive": True})
    (project.root / "a").mkdir()
    watching(entry, state=project.state).stop()
    running = watching(entry, state=project.state, run=False)
    write(project.root / "a" / "file")
    (project.root / "a").rename(project.root / "b")
    (project.root / "b").rename(project.root / "c")
    running.run()
    wait_for(lambda: ("CLOSE_WRITE", "c/file") in project.told)
    running.catch_up()
    running.stop()
    assert project.told == [("CLOSE_WRITE", "a/file"), ("CLOSE_WRITE", "c/file")]
    watching(entry, state=project.state).stop()
    assert len(project.told) == 2


def test_a_directory_that_moves_past_the_comparison_is_compared(project, monkeypatch):
    for name in ("x", "y"):
        write(project.root / name / f"sub-{name}" / "known")
    project.start().stop()
    for name in ("x", "y"):
        write(project.root / name / f"sub-{name}" / "new")
    listed: list[str] = []
    list_quietly = Keeper.list_quietly

    def move_from_the_second_to_the_first(keeper, path):
        found = list_quietly(keeper, path)
        name = Path(os.fsdecode(path)).name
        if name in ("x", "y") and not listed:
            listed.append(name)
            other = {"x": "y", "y": "x"}[name]
            (project.root / other / f"sub-{other}").rename(project.root / name / "moved")
        return found

    monkeypatch.setattr(Keeper, "list_quietly", move_from_the_second_to_the_first)
    running = project.start("IN_CLOSE_WRITE")
    running.stop()
    [first] = listed
    assert sorted(project.told) == sorted(
        [("CLOSE_WRITE", f"{first}/sub-{first}/new"), ("CLOSE_WRITE", f"{first}/moved/new")]
    )
    project.start("IN_CLOSE_WRITE").stop()
    assert project.told == []


# The end of a change that began before


def test_a_file_whose_end_is_all_that_is_seen_is_ready(project, watching):
    entry = (project.root, None, READY, {"recursive": True})
    with Receiver("file_ready") as received:
        running = watching(entry, state=project.state)
        running.catch_up()
        with (project.root / "file").open("w") as file:
            file.write("whole")
            file.flush()
            running.stop()
            running = watching(entry, state=project.state)
            running.catch_up()
            assert received.pathnames == []
        running.stop()
        assert received.pathnames == [str(project.root / "file")]
        running = watching(entry, state=project.state)
        running.catch_up()
        (project.root / "file").open("a").close()
        running.stop()
        assert len(received.pathnames) == 1


# What an entry asks for in part


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        ("IN_MOVED_TO|IN_DELETE", [("MOVED_TO", "other")]),
        ("IN_MOVED_FROM|IN_CLOSE_WRITE", [("MOVED_FROM", "file")]),
        ("IN_CREATE|IN_DELETE", []),
    ],
)
def test_half_a_rename_is_told_once(project, mask, told):
    file = write(project.root / "file")
    project.start(mask).stop()
    file.rename(project.root / "other")
    project.start(mask).stop()
    assert project.told == told
    project.start(mask).stop()
    assert project.told == []


def test_who_asks_for_arrivals_only_is_told_of_what_is_new(project, tmp_path):
    project.start("IN_MOVED_TO").stop()
    write(tmp_path / "file").rename(project.root / "file")
    project.start("IN_MOVED_TO").stop()
    assert project.told == [("MOVED_TO", "file")]
    project.start("IN_MOVED_TO").stop()
    assert project.told == []


def test_a_delete_that_is_held_is_not_forgotten_with_its_directory(project):
    file = write(project.root / "a" / "file")
    running = project.start("IN_DELETE", on_failure="hold")
    project.recorder.error = InotifierError("not today")
    file.unlink()
    running.sync()
    project.recorder.error = None
    file.parent.rmdir()
    running.stop()
    project.start("IN_DELETE", on_failure="hold").stop()
    assert project.told == [("DELETE", "a/file")]


def test_a_tree_that_is_moved_to_where_it_was_awaited_is_delivered(project, tmp_path):
    project.root.rmdir()
    running = project.start("IN_CLOSE_WRITE", missing="wait")
    write(tmp_path / "tree" / "a" / "file")
    (tmp_path / "tree").rename(project.root)
    wait_for(lambda: ("CLOSE_WRITE", "a/file") in project.told)
    running.stop()
    assert project.told == [("CLOSE_WRITE", "a/file")]


@pytest.mark.parametrize("workers", [1, 8])
def test_workers_tell_of_all_that_is_gone_or_has_moved(project, settings, workers):
    settings.INOTIFIER_WORKERS = workers
    for number in range(100):
        write(project.root / "a" / str(number))
        write(project.root / "b" / str(number))
    project.start().stop()
    shutil.rmtree(project.root / "a")
    (project.root / "b").rename(project.root / "c")
    project.start().stop()
    deleted = [path for name, path in project.told if name == "DELETE"]
    assert sorted(deleted) == sorted(f"a/{number}" for number in range(100))
    assert ("MOVED_TO|IN_ISDIR", "c") in project.told
    assert not any(name == "CREATE" for name, _ in project.told)
    project.start().stop()
    assert project.told == []


def test_where_no_lease_tells_a_file_must_stay_the_same_for_a_while(project, monkeypatch):
    project.start().stop()
    file = write(project.root / "file")
    looks = []

    def unknown(path):
        looks.append(path)
        if len(looks) == 1:
            file.write_text("more")
        return Writers.UNKNOWN

    monkeypatch.setattr("inotifier.recovery.missed.writers_of", unknown)
    project.start("IN_CLOSE_WRITE").stop()
    assert len(looks) >= 2
    assert ("CLOSE_WRITE", "file") in project.told


def test_what_links_lead_to_is_told_of_under_the_name_that_is_watched(project):
    write(project.root / "a" / "old")
    (project.root / "b").symlink_to("a")
    (project.root / "loop").symlink_to(".")
    running = project.start("IN_CLOSE_WRITE", follow_symlinks=True)
    write(project.root / "a" / "live")
    running.stop()
    assert len(project.told) == 1
    write(project.root / "a" / "down")
    project.start("IN_CLOSE_WRITE", follow_symlinks=True).stop()
    assert len(project.told) == 1
    project.start("IN_CLOSE_WRITE", follow_symlinks=True).stop()
    assert project.told == []


# While it runs


class Dropping:
    """Lets the kernel drop what follows the event `mask` of `name`, and say so, once."""

    def __init__(self, running: Running, mask: int, name: bytes) -> None:
        self._read = running.service._inotify.read
        self._mask, self._name = mask, name
        self.dropped = False

    def __call__(self) -> bytes:
        buffer = self._read()
        offset = 0
        while not self.dropped and offset < len(buffer):
            _, mask, _, length = _HEADER.unpack_from(buffer, offset)
            name = buffer[offset + _HEADER.size : offset + _HEADER.size + length].rstrip(b"\0")
            if mask & self._mask and name == self._name:
                self.dropped = True
                return buffer[:offset] + _HEADER.pack(-1, IN_Q_OVERFLOW, 0, 0)
            offset += _HEADER.size + length
        return buffer


@pytest.mark.parametrize("is_delivered_before", [True, False])
def test_a_delete_that_the_kernel_dropped_is_told(project, monkeypatch, is_delivered_before):
    running = project.start("IN_CREATE|IN_DELETE", recursive=False)
    dropping = Dropping(running, IN_DELETE, b"file")
    monkeypatch.setattr(running.service._inotify, "read", dropping)
    running.sync()  # the thread may have been in the other one
    write(project.root / "file")
    if is_delivered_before:
        running.sync()
    (project.root / "file").unlink()
    wait_for(lambda: dropping.dropped)
    running.catch_up()
    running.stop()
    assert project.recorder.masknames == ["IN_CREATE", "IN_Q_OVERFLOW", "IN_DELETE"]
    project.start("IN_CREATE|IN_DELETE", recursive=False).stop()
    assert project.told == []


@pytest.mark.parametrize("workers", [1, 4])
def test_what_a_directory_holds_whose_new_name_waits_to_be_told_is_not_told_again(
    project, settings, workers
):
    settings.INOTIFIER_WORKERS = workers
    write(project.root / "old" / "file")
    running = project.start()
    project.recorder.refuses = lambda event: event.dir and event.mask & IN_MOVED_TO
    (project.root / "old").rename(project.root / "new")
    running.sync()
    write(project.root / "new" / "later")
    running.sync()
    running.service.rescan()
    wait_for(lambda: not running.service.catching_up)
    project.recorder.refuses = None
    running.catch_up()
    running.stop()
    told = Counter(project.told)
    assert told.pop(("MOVED_TO|IN_ISDIR", "new")) > 1
    assert told == {
        ("MOVED_FROM|IN_ISDIR", "old"): 1,
        ("CREATE", "new/later"): 1,
        ("MODIFY", "new/later"): 1,
        ("CLOSE_WRITE", "new/later"): 1,
    }
    project.start().stop()
    assert project.told == []


def test_a_file_that_is_open_at_the_first_start_gets_its_end(project, watching):
    with write(project.root / "file").open("a") as file, Receiver("file_ready") as ready:
        running = watching((project.root, None, READY), state=project.state)
        running.catch_up()
        assert ready.pathnames == []
        file.close()
        running.stop()
    assert ready.pathnames == [str(project.root / "file")]


def test_what_was_there_before_directories_were_watched_too_is_the_baseline(project):
    write(project.root / "a" / "old")
    project.start("IN_CLOSE_WRITE", recursive=False).stop()
    write(project.root / "a" / "older than the change of the settings")
    write(project.root / "down")
    project.start("IN_CLOSE_WRITE").stop()
    assert project.told == [("CLOSE_WRITE", "down")]
    write(project.root / "a" / "new")
    project.start("IN_CLOSE_WRITE").stop()
    assert project.told == [("CLOSE_WRITE", "a/new")]


def test_events_of_others_flow_while_the_state_is_locked(project, monkeypatch):
    monkeypatch.setattr("inotifier.state.tables._PATIENCE", 600)
    write(project.root / "a" / "file")
    running = project.start()
    with contextlib.closing(sqlite3.connect(project.state, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        write(project.root / "b" / "file")
        running.service.rescan()
        running.sync()
        assert running.service.catching_up
        other.execute("ROLLBACK")
    running.catch_up()
    running.stop()
    assert Counter(project.told)["CREATE", "b/file"] == 1


def test_a_file_that_is_renamed_after_a_restart_is_not_ready_again(project, watching):
    def start() -> Running:
        running = watching((project.root, None, READY, {"recursive": True}), state=project.state)
        running.catch_up()
        return running

    write(project.root / "there")
    write(project.root / "there.part")
    with Receiver("file_ready") as ready:
        start().stop()
        write(project.root / "a" / "down")
        start().stop()
        running = start()
        for name in ("there", "there.part", "a/down"):
            (project.root / name).rename(project.root / f"{name}.renamed")
        running.stop()
        start().stop()
    names = [os.path.relpath(path, project.root) for path in ready.pathnames]
    assert names == ["a/down", "there.part.renamed"]


# The state is lost, or cannot be kept


def damage(running):
    """Let the state find that its file is damaged."""
    state = running.state
    with state._writing:
        state._recover(Unusable("for the test"))


def test_what_comes_after_the_state_was_begun_anew_is_not_taken_for_old(project):
    write(project.root / "old")
    running = project.start("IN_CLOSE_WRITE")
    damage(running)
    write(project.root / "live")
    running.stop()
    assert project.told == [("CLOSE_WRITE", "live")]
    write(project.root / "down")
    project.start("IN_CLOSE_WRITE").stop()
    assert project.told == [("CLOSE_WRITE", "down")]
    project.start("IN_CLOSE_WRITE").stop()
    assert project.told == []


def test_what_was_there_is_not_told_of_when_the_state_is_begun_anew_meanwhile(project, monkeypatch):
    for number in range(5):
        write(project.root / str(number))
    project.start("IN_CLOSE_WRITE").stop()
    running = project.start("IN_CLOSE_WRITE")
    recovery, list_quietly = running.service._recovery, running.service._keeper.list_quietly

    def damaging(path):
        monkeypatch.setattr(recovery, "_list", list_quietly)
        damage(running)
        return list_quietly(path)

    monkeypatch.setattr(recovery, "_list", damaging)
    running.service.rescan()
    running.catch_up()
    running.stop()
    assert project.told == []


def test_without_a_state_nothing_is_compared(project, tmp_path):
    write(project.root / "old")
    project.state = tmp_path / "no directory" / "state.sqlite3"
    running = project.start("IN_CLOSE_WRITE")
    assert running.service.state_problem
    running.service.rescan()
    running.catch_up()
    running.stop()
    assert project.told == []


def test_one_that_waits_holds_up_no_other_that_is_gone(project):
    names = [f"f{number}" for number in range(10)]
    for name in names:
        write(project.root / name)
    project.start("IN_DELETE").stop()
    for name in names:
        (project.root / name).unlink()
    waiting = threading.Event()
    waiting.set()
    project.recorder.refuses = lambda event: event.name == "f7" and waiting.is_set()
    running = project.begin("IN_DELETE")
    wait_for(lambda: not running.service.catching_up)
    assert {path for _, path in project.told} == set(names)
    waiting.clear()
    running.catch_up()
    running.stop()


def test_a_slow_handler_holds_up_no_other_file_while_it_is_compared(project, settings):
    settings.INOTIFIER_WORKERS = 4
    gate = threading.Event()
    running = project.start("IN_CREATE")
    project.recorder.refuses = lambda event: event.name == "slow" and not gate.wait(60)
    write(project.root / "slow")
    wait_for(lambda: ("CREATE", "slow") in project.told)
    running.service.rescan()
    write(project.root / "other")
    wait_for(lambda: ("CREATE", "other") in project.told)
    assert running.service.catching_up
    gate.set()
    running.catch_up()
    running.stop()


def test_renames_below_one_that_waits_take_its_record_along(project):
    write(project.root / "p" / "a" / "file")
    running = project.start()
    project.recorder.refuses = lambda event: event.dir and event.name == "b"
    (project.root / "p" / "a").rename(project.root / "p" / "b")
    running.sync()
    (project.root / "p").rename(project.root / "q")
    running.sync()
    write(project.root / "q" / "b" / "new")
    running.sync()
    project.recorder.refuses = None
    running.catch_up()
    running.stop()
    assert Counter(project.told)["CREATE", "q/b/new"] == 1
    project.start().stop()
    assert project.told == []


def test_a_directory_whose_arrival_is_held_comes_again_without_its_files(project):
    write(project.root / "a" / "file")
    running = project.start(on_failure="hold")
    project.recorder.error, project.recorder.fatal = InotifierError("no"), IN_MOVED_TO
    (project.root / "a").rename(project.root / "b")
    running.sync()
    project.recorder.error = None
    write(project.root / "b" / "later")
    running.stop()
    project.start(on_failure="hold").stop()
    assert project.told == [("CREATE|IN_ISDIR", "b")]
    project.start(on_failure="hold").stop()
    assert project.told == []


def test_a_file_that_changes_between_its_rename_and_the_delivery_is_told_of(project):
    write(project.root / "old", "one")
    running = project.start("IN_MOVED_TO|IN_CLOSE_WRITE", recursive=False)
    project.recorder.refuses = lambda event: event.mask & IN_CLOSE_WRITE
    (project.root / "old").rename(project.root / "new")
    with (project.root / "new").open("a") as file:
        file.write("two")
    running.sync()
    running.service.finish()
    running.service.abandon()
    assert running.service.drained(10)
    running.close()
    project.recorder.refuses = None
    project.start("IN_MOVED_TO|IN_CLOSE_WRITE", recursive=False).stop()
    assert ("CLOSE_WRITE", "new") in project.told


def test_what_is_below_is_not_told_of_when_it_is_not_watched_any_more(project):
    write(project.root / "sub" / "file")
    project.start().stop()
    write(project.root / "sub" / "file", "changed")
    project.start(recursive=False).stop()
    assert project.told == []


def test_directories_that_are_gone_leave_nothing_in_the_state(project):
    running = project.start("IN_CREATE")
    for number in range(50):
        write(project.root / f"d{number}" / "file")
    running.catch_up()
    for number in range(50):
        shutil.rmtree(project.root / f"d{number}")
    running.catch_up()
    running.stop()
    project.start("IN_CREATE").stop()
    with contextlib.closing(sqlite3.connect(project.state)) as connection:
        [(rows,)] = connection.execute("SELECT count(*) FROM directories WHERE path != x''")
    assert rows == 0


@pytest.mark.parametrize("names", [1, 2])
def test_a_file_with_several_names_that_is_being_written_is_not_complete(project, names):
    with (project.root / "f").open("w") as file:
        file.write("half")
        file.flush()
        if names == 2:
            os.link(project.root / "f", project.root / "g")
        project.start("IN_CREATE|IN_CLOSE_WRITE").stop()
        file.write("whole")
    project.start("IN_CREATE|IN_CLOSE_WRITE").stop()
    told = {("CLOSE_WRITE", "f"), ("CLOSE_WRITE", "g")} if names == 2 else {("CLOSE_WRITE", "f")}
    assert set(project.told) == told


def test_a_state_that_cannot_be_read_makes_no_storm(project, monkeypatch):
    for number in range(50):
        write(project.root / str(number))
    running = project.start(initial="emit")
    project.recorder.events.clear()

    def fail(*arguments):
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    monkeypatch.setattr(running.state._tables, "select", fail)
    running.service.rescan()
    wait_for(lambda: not running.service.catching_up)
    monkeypatch.undo()
    running.service.rescan()
    running.catch_up()
    running.stop()
    assert project.told == []


def test_a_call_that_comes_while_the_state_is_written_is_not_forgotten(project):
    running = project.start()
    state, called = running.state, threading.Event()
    with state._writing:
        running.handlers[0].books.record(str(project.root / "a"), None)
        wait_for(lambda: not state._backlog.hurry.is_set() and state._backlog.wanted.is_set())
        state.when_written(called.set)
    assert called.wait(30)
