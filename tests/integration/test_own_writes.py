"""Handlers that write where they watch: no loop if the entry says so, a warning if not."""

import logging
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from inotifier.dispatcher.loops import Loops
from inotifier.events import IN_CLOSE_WRITE, Event
from tests.in_process import Recorder

MASK = "IN_CREATE|IN_CLOSE_WRITE|IN_MOVED_FROM|IN_MOVED_TO|IN_DELETE"


class Writing(Recorder):
    """Calls `act` with the path of each close_write."""

    def __init__(self, act):
        super().__init__()
        self._act = act

    def __call__(self, event):
        super().__call__(event)
        if event.mask & IN_CLOSE_WRITE:
            self._act(Path(event.pathname))

    @property
    def told(self):
        return [(event.maskname, event.name) for event in self.events]


def append(path):
    with path.open("a") as file:
        file.write("more")


def replace(path):
    new = path.with_suffix(".new")
    new.write_text("new")
    new.replace(path)


def with_descriptors(path):
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        fd = os.open("by-descriptor", os.O_CREAT | os.O_WRONLY, dir_fd=directory)
        os.write(fd, b"x")
        os.close(fd)
        os.rename("by-descriptor", "renamed", src_dir_fd=directory, dst_dir_fd=directory)
    finally:
        os.close(directory)


def in_its_directory(path):
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        Path("relative").write_text("x")
    finally:
        os.chdir(before)


def temporary(path):
    with tempfile.NamedTemporaryFile(dir=path.parent) as file:
        file.write(b"x")


@pytest.mark.parametrize(
    "act",
    [
        append,
        replace,
        in_its_directory,
        temporary,
        lambda path: path.unlink(),
        lambda path: os.link(path, path.with_suffix(".link")),
        lambda path: shutil.copy(path, path.with_suffix(".copy")),
        lambda path: path.rename(path.with_suffix(".done")),
    ],
)
def test_what_a_handler_writes_is_left_out(watching, tmp_path, act):
    writing = Writing(act)
    running = watching((tmp_path, MASK, writing, {"ignore_self": True}))
    (tmp_path / "file").write_text("x")
    running.sync()
    running.sync()
    assert writing.told == [("IN_CREATE", "file"), ("IN_CLOSE_WRITE", "file")]
    [handler] = running.handlers
    assert handler.ignored > 0
    assert handler.pending == 0


def test_paths_below_a_descriptor_are_known_as_far_as_the_interpreter_tells(watching, tmp_path):
    writing = Writing(with_descriptors)
    running = watching((tmp_path, "IN_MOVED_TO|IN_CLOSE_WRITE", writing, {"ignore_self": True}))
    (tmp_path / "file").write_text("x")
    running.sync()
    running.sync()
    assert ("IN_MOVED_TO", "renamed") not in writing.told


def test_what_others_write_afterwards_is_told(watching, tmp_path):
    writing = Writing(lambda path: (path.parent / "own").write_text("own"))
    running = watching((tmp_path, "IN_CLOSE_WRITE", writing, {"ignore_self": True}))
    (tmp_path / "file").write_text("x")
    running.sync()
    (tmp_path / "own").write_text("of others")
    running.sync()
    assert writing.told[:2] == [("IN_CLOSE_WRITE", "file"), ("IN_CLOSE_WRITE", "own")]


def test_an_event_that_comes_again_is_not_taken_for_our_own(watching, tmp_path, settings):
    settings.INOTIFIER_RETRIES = 1
    settings.INOTIFIER_RETRY_DELAY = 0.01
    failures = ["not yet"]

    def touch_and_fail(path):
        path.touch()
        if failures:
            raise ValueError(failures.pop())

    writing = Writing(touch_and_fail)
    running = watching((tmp_path, "IN_CLOSE_WRITE", writing, {"ignore_self": True}))
    (tmp_path / "file").write_text("x")
    running.stop()
    [handler] = running.handlers
    assert (handler.retried, handler.delivered) == (1, 1)


def test_what_the_handler_of_another_entry_writes_is_left_out(watching, tmp_path):
    inbox, outbox = tmp_path / "in", tmp_path / "out"
    inbox.mkdir()
    outbox.mkdir()
    recorder = Recorder()
    running = watching(
        (inbox, "IN_CLOSE_WRITE", Writing(lambda path: shutil.copy(path, outbox))),
        (outbox, "IN_CLOSE_WRITE", recorder, {"ignore_self": True}),
    )
    (inbox / "file").write_text("x")
    running.sync()
    (outbox / "other").write_text("x")
    running.sync()
    assert recorder.pathnames == [str(outbox / "other")]


def test_without_the_field_everything_is_told(watching, tmp_path):
    writing = Writing(lambda path: (path.parent / "own").touch() if path.name == "file" else None)
    running = watching((tmp_path, "IN_CLOSE_WRITE", writing))
    (tmp_path / "file").write_text("x")
    running.sync()
    running.sync()
    assert writing.told == [("IN_CLOSE_WRITE", "file"), ("IN_CLOSE_WRITE", "own")]


def test_with_workers_too(watching, tmp_path, settings):
    settings.INOTIFIER_WORKERS = 4
    writing = Writing(append)
    running = watching((tmp_path, "IN_CLOSE_WRITE", writing, {"ignore_self": True}))
    for number in range(20):
        (tmp_path / str(number)).write_text("x")
    running.stop()
    assert sorted(name for _, name in writing.told) == sorted(map(str, range(20)))


def test_a_path_that_comes_again_and_again_is_warned_of_once(caplog):
    clock = [0.0]
    loops = Loops("inbox", lambda: clock[0])
    event = Event(mask=IN_CLOSE_WRITE, path="/a", name="b")
    with caplog.at_level(logging.WARNING):
        for _ in range(150):
            loops.note(event)
    [record] = caplog.records
    assert "/a/b has come 100 times within a minute (watch inbox)" in record.getMessage()


def test_a_path_that_comes_now_and_then_is_not(caplog):
    clock = [0.0]
    loops = Loops("inbox", lambda: clock[0])
    for _ in range(1000):
        clock[0] += 1
        loops.note(Event(mask=IN_CLOSE_WRITE, path="/a", name="b"))
    assert caplog.records == []
