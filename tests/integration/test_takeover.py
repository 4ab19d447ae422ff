"""A service that takes over an inotify instance, as after a reload, misses nothing."""

import os
import threading
from pathlib import Path

import pyinotify
import pytest

from tests.in_process import Recorder
from tests.waiting import wait_for


@pytest.fixture
def predecessor(watching):
    """Start a service, stop it, and return a descriptor of its inotify instance."""

    def leave(*raw: object) -> int:
        running = watching(*raw)
        running.service.finish()
        assert running.service.drained(10)
        fd = os.dup(running.service.inotify_fd)
        running.close()
        return fd

    return leave


READING = pyinotify.IN_OPEN | pyinotify.IN_ACCESS | pyinotify.IN_CLOSE_NOWRITE


def masks(fd: int) -> list[int]:
    """Return the masks of the watches of the instance `fd`: proc_pid_fdinfo(5)."""
    lines = Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
    watches = [line.split() for line in lines if line.startswith("inotify ")]
    return sorted(
        int(field.partition(":")[2], 16)
        for watch in watches
        for field in watch
        if field.startswith("mask:")
    )


def test_what_happens_in_between_is_delivered(watching, predecessor, tmp_path):
    before, after = Recorder(), Recorder()
    fd = predecessor((tmp_path, "IN_CREATE", before))
    (tmp_path / "between").touch()
    running = watching((tmp_path, "IN_CREATE", after), inotify_fd=fd)
    (tmp_path / "later").touch()
    running.stop()
    assert before.events == []
    assert after.pathnames == [str(tmp_path / "between"), str(tmp_path / "later")]


def test_what_happens_while_the_watches_are_set_is_delivered(watching, predecessor, tmp_path):
    """Each entry lays claim to the same directory in turn; none may narrow it meanwhile."""

    class Deleting(Recorder):
        def prepare(self, entry_path: str) -> None:
            (tmp_path / "file").unlink()

    (tmp_path / "file").touch()
    fd = predecessor((tmp_path, "IN_CREATE", Recorder()), (tmp_path, "IN_DELETE", Recorder()))
    deleted = Recorder()
    running = watching(
        (tmp_path, "IN_CREATE", Deleting()), (tmp_path, "IN_DELETE", deleted), inotify_fd=fd
    )
    running.stop()
    assert deleted.pathnames == [str(tmp_path / "file")]


def test_watches_of_entries_that_are_gone_are_removed(watching, predecessor, tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    fd = predecessor(*((tmp_path / name, "IN_CREATE", Recorder()) for name in "abc"))
    (tmp_path / "a" / "between").touch()
    recorder = Recorder()
    running = watching((tmp_path / "b", "IN_CREATE", recorder), inotify_fd=fd)
    assert len(masks(fd)) == 1 + 1  # and the fence
    (tmp_path / "a" / "later").touch()
    running.stop()
    assert recorder.events == []


def test_masks_become_those_of_the_new_entries(watching, predecessor, tmp_path):
    fd = predecessor((tmp_path, "ALL_EVENTS", Recorder()))
    (tmp_path / "between").touch()
    recorder = Recorder()
    running = watching((tmp_path, "IN_DELETE", recorder), inotify_fd=fd)
    assert [mask & READING for mask in masks(fd)] == [0, 0]  # and the fence
    (tmp_path / "between").unlink()
    running.stop()
    assert recorder.masknames == ["IN_DELETE"]


@pytest.mark.parametrize("flag", [pyinotify.IN_EXCL_UNLINK, 0])
def test_excl_unlink_becomes_that_of_the_new_entries(watching, predecessor, tmp_path, flag):
    before = pyinotify.IN_CLOSE_WRITE | (flag ^ pyinotify.IN_EXCL_UNLINK)
    fd = predecessor((tmp_path, before, Recorder()))
    recorder = Recorder()
    running = watching((tmp_path, pyinotify.IN_CLOSE_WRITE | flag, recorder), inotify_fd=fd)
    with (tmp_path / "file").open("w"):
        (tmp_path / "file").unlink()
    running.stop()
    assert len(recorder.events) == (0 if flag else 1)


def test_a_directory_that_was_made_anew_in_between_is_watched(watching, predecessor, tmp_path):
    directory = tmp_path / "directory"
    directory.mkdir()
    fd = predecessor((directory, "IN_CREATE", Recorder()))
    directory.rmdir()
    directory.mkdir()
    recorder = Recorder()
    running = watching((directory, "IN_CREATE", recorder), inotify_fd=fd)
    (directory / "file").touch()
    running.stop()
    assert recorder.pathnames == [str(directory / "file")]


def test_a_move_that_began_before_is_paired(watching, predecessor, tmp_path):
    (tmp_path / "x").touch()
    fd = predecessor((tmp_path, "IN_MOVE", Recorder()))
    (tmp_path / "x").rename(tmp_path / "y")
    recorder = Recorder()
    running = watching((tmp_path, "IN_MOVE", recorder), inotify_fd=fd)
    running.stop()
    assert recorder.events[1].src_pathname == str(tmp_path / "x")


def test_nothing_is_lost_or_repeated_over_many_takeovers(watching, predecessor, tmp_path):
    created, deleted = Recorder(), Recorder()
    raw = [(tmp_path, "IN_CREATE", created), (tmp_path, "IN_DELETE", deleted)]
    fd = predecessor(*raw)
    end = threading.Event()
    names: list[str] = []

    def write() -> None:
        while not end.is_set():
            file = tmp_path / str(len(names))
            file.touch()
            file.unlink()
            names.append(str(file))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            so_far = len(names)
            running = watching(*raw, inotify_fd=fd)
            wait_for(lambda before=so_far: len(names) > before + 20)
            running.service.finish()
            assert running.service.drained(60)
            fd = os.dup(running.service.inotify_fd)
            running.close()
    finally:
        end.set()
        writer.join()
    watching(*raw, inotify_fd=fd).stop()
    assert created.pathnames == names
    assert deleted.pathnames == names
