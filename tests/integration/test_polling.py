"""Entries that are listed again and again, on real directories."""

import os
import shutil
import threading
from collections import Counter
from pathlib import Path

import pytest

from inotifier.watches import Watch
from tests.in_process import Receiver, Recorder, Running
from tests.waiting import wait_for

READY = "inotifier.event_processors.FileReadySignaler"
MASK = "IN_CREATE|IN_MODIFY|IN_CLOSE_WRITE|IN_DELETE|IN_MOVED_FROM|IN_MOVED_TO"
OFTEN = 0.02


class Place:
    """A directory that is polled, and what was delivered of it."""

    def __init__(self, watching, base: Path, *, state: bool) -> None:
        self._watching = watching
        self._state = base / "state.sqlite3" if state else None
        self.recorder = Recorder()
        self.root = base / "root"
        self.root.mkdir()
        self.running: Running | None = None

    def start(self, mask: object = MASK, **fields) -> Running:
        self.recorder.events.clear()
        fields = {"recursive": True, "backend": "polling", "poll_interval": OFTEN, **fields}
        self.running = self._watching((self.root, mask, self.recorder, fields), state=self._state)
        wait_for(lambda: not self.running.service.catching_up)
        return self.running

    def poll(self) -> None:
        """Wait until what is there now was listed, and what that means is delivered."""
        service = self.running.service
        # The first listing may have begun before; the second finds what the first left open.
        for _ in range(3):
            service.rescan()
            wait_for(lambda: not service.catching_up)
            wait_for(lambda: service.queue_depth == 0)

    def write(self, name: str, text: str = "x") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    @property
    def told(self) -> list[tuple[str, str]]:
        return [
            (event.maskname.removeprefix("IN_"), os.path.relpath(event.pathname, self.root))
            for event in self.recorder.events
        ]


@pytest.fixture(params=[False, True], ids=["in memory", "with state"])
def place(request, watching, tmp_path):
    return Place(watching, tmp_path, state=request.param)


def test_what_is_there_at_the_start_is_known(place):
    place.write("a/old")
    place.start()
    place.poll()
    assert place.told == []


def test_a_new_file_is_created_and_then_closed(place):
    place.start()
    place.write("a/new")
    place.poll()
    assert place.told == [("CREATE|IN_ISDIR", "a"), ("CREATE", "a/new"), ("CLOSE_WRITE", "a/new")]
    assert {event.synthetic for event in place.recorder.events} == {"poll"}


@pytest.mark.parametrize("later", [-100, 100])
def test_a_changed_file_is_modified_and_then_closed_however_its_time_changed(place, later):
    path = place.write("file")
    place.start()
    before = path.stat().st_mtime
    os.utime(path, (before + later, before + later))
    place.poll()
    assert place.told == [("MODIFY", "file"), ("CLOSE_WRITE", "file")]


def test_a_file_that_grows_is_closed_at_the_end(place):
    place.start("IN_CREATE|IN_MODIFY|IN_CLOSE_WRITE")
    with (place.root / "file").open("w") as file:
        for number in range(5):
            file.write("line\n")
            file.flush()
            wait_for(lambda at=number: len(place.told) > at)
    place.poll()
    kinds = [kind for kind, _ in place.told]
    assert kinds[0] == "CREATE"
    assert kinds[-1] == "CLOSE_WRITE"
    assert "MODIFY" in kinds


def test_what_is_gone_is_deleted(place):
    place.write("a/file")
    place.write("file")
    place.start()
    shutil.rmtree(place.root / "a")
    (place.root / "file").unlink()
    place.poll()
    assert sorted(place.told) == [
        ("DELETE", "a/file"),
        ("DELETE", "file"),
        ("DELETE|IN_ISDIR", "a"),
    ]


def test_a_renamed_file_has_moved(place):
    place.write("a/file")
    (place.root / "b").mkdir()
    place.start()
    (place.root / "a" / "file").rename(place.root / "b" / "other")
    place.poll()
    assert place.told == [("MOVED_FROM", "a/file"), ("MOVED_TO", "b/other")]
    assert place.recorder.events[1].src_pathname == str(place.root / "a" / "file")


def test_a_renamed_directory_takes_its_files_along(place):
    place.write("a/b/file")
    place.start()
    (place.root / "a").rename(place.root / "c")
    place.poll()
    told = Counter(place.told)
    assert told["MOVED_TO|IN_ISDIR", "c"] == 1
    assert set(told) == {("MOVED_FROM|IN_ISDIR", "a"), ("MOVED_TO|IN_ISDIR", "c")}


def test_links_and_what_is_no_file_are_survived(place):
    place.start("IN_CREATE|IN_DELETE")
    (place.root / "dangling").symlink_to("nowhere")
    (place.root / "loop").symlink_to(".")
    os.mkfifo(place.root / "fifo")
    place.poll()
    assert sorted(place.told) == [("CREATE", "dangling"), ("CREATE", "fifo"), ("CREATE", "loop")]
    for name in ("dangling", "loop", "fifo"):
        (place.root / name).unlink()
    place.poll()
    assert Counter(kind for kind, _ in place.told) == {"CREATE": 3, "DELETE": 3}


def test_names_are_bytes(place):
    place.start("IN_CREATE")
    for name in (b"\xff\xfe", b"new\nline", b"a#b?c%d"):
        (place.root / os.fsdecode(name)).touch()
    place.poll()
    names = sorted(os.fsencode(event.name) for event in place.recorder.events)
    assert names == [b"a#b?c%d", b"new\nline", b"\xff\xfe"]


def test_files_that_come_and_go_while_they_are_listed_end_nothing(place):
    ended = threading.Event()

    def stir() -> None:
        while not ended.is_set():
            for number in range(50):
                place.write(f"d{number % 5}/f{number}")
            for number in range(5):
                shutil.rmtree(place.root / f"d{number}")

    thread = threading.Thread(target=stir)
    place.start()
    thread.start()
    try:
        wait_for(lambda: len(place.told) > 200)
    finally:
        ended.set()
        thread.join()
    place.poll()
    place.recorder.events.clear()
    place.write("last")
    place.poll()
    assert place.told == [("CREATE", "last"), ("CLOSE_WRITE", "last")]


def test_a_root_that_is_gone_is_lost_once_and_listed_when_it_returns(place):
    place.write("old")
    with Receiver("path_lost") as lost:
        place.start("IN_CREATE|IN_DELETE|IN_CLOSE_WRITE")
        place.root.rename(place.root.with_name("away"))
        wait_for(lambda: lost.pathnames)
        place.poll()
        place.root.with_name("away").rename(place.root)
        place.write("new")
        place.poll()
    assert lost.pathnames == [str(place.root)]
    assert place.told == [("CREATE", "new"), ("CLOSE_WRITE", "new")]


def test_a_root_may_be_made_later(place, tmp_path):
    place.root = tmp_path / "later"
    place.start("IN_CREATE", missing="wait")
    place.poll()
    place.root.mkdir()
    place.poll()
    place.write("file")
    place.poll()
    assert ("CREATE", "file") in place.told


def test_filters_hold(place):
    place.start("IN_CREATE", patterns=["*.csv"], ignore_directories=["skip"])
    for name in ("a.csv", "b.txt", "skip/c.csv", "sub/d.csv"):
        place.write(name)
    place.poll()
    assert sorted(place.told) == [("CREATE", "a.csv"), ("CREATE", "sub/d.csv")]


def test_a_slow_handler_gets_each_event_once(place):
    gate = threading.Event()
    called: list[str] = []

    def slow(event) -> None:
        called.append(event.name)
        assert gate.wait(60)

    place.recorder = type("Slow", (Recorder,), {"__call__": lambda self, event: slow(event)})()
    place.start("IN_CREATE")
    place.write("first")
    place.write("second")
    wait_for(lambda: called)
    held = place.running.service.queue_depth
    wait_for(lambda: place.running.service.queue_depth >= held)
    gate.set()
    place.poll()
    assert sorted(called) == ["first", "second"]


def test_others_are_not_held_up_by_a_place_that_hangs(watching, tmp_path, monkeypatch):
    polled, watched = tmp_path / "polled", tmp_path / "watched"
    polled.mkdir()
    watched.mkdir()
    released, hanging = threading.Event(), threading.Event()

    def hang() -> None:
        hanging.set()
        assert released.wait(60)

    recorder = Recorder()
    fields = {"backend": "polling", "poll_interval": OFTEN}
    running = watching(
        (polled, "IN_CREATE", Recorder(), fields), (watched, "IN_CREATE", recorder), run=False
    )
    monkeypatch.setattr(running.service._pollings[0], "_round", hang)
    running.run()
    assert hanging.wait(30)
    (watched / "file").touch()
    running.sync()
    assert recorder.pathnames == [str(watched / "file")]
    running.stop()
    released.set()


@pytest.mark.parametrize("recursive", [False, True])
def test_a_written_file_is_ready_once(watching, tmp_path, recursive):
    with Receiver("file_ready") as ready:
        fields = {"backend": "polling", "poll_interval": OFTEN, "recursive": recursive}
        running = watching(Watch(tmp_path, processor=READY, **fields))
        wait_for(lambda: not running.service.catching_up)
        with (tmp_path / "file").open("w") as file:
            for _ in range(5):
                file.write("line\n")
                file.flush()
        (tmp_path / "x.part").write_text("x")
        (tmp_path / "x.part").rename(tmp_path / "x")
        wait_for(lambda: len(ready.pathnames) == 2)
        (tmp_path / "last").write_text("x")
        wait_for(lambda: str(tmp_path / "last") in ready.pathnames)
    assert Counter(map(os.path.basename, ready.pathnames)) == {"file": 1, "x": 1, "last": 1}


# Over a restart.


def test_what_came_while_nobody_listed_is_told(watching, tmp_path):
    place = Place(watching, tmp_path, state=True)
    place.write("old")
    place.start().stop()
    place.write("down")
    place.start()
    place.poll()
    assert place.told == [("CREATE", "down"), ("CLOSE_WRITE", "down")]
    place.running.stop()
    place.start()
    place.poll()
    assert place.told == []
