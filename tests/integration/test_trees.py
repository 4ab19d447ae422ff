"""Recursive entries, and entries whose path comes and goes, through the whole service."""

import pytest

from inotifier.exceptions import InotifierError
from inotifier.service import Service
from inotifier.signals import path_lost
from tests.in_process import Recorder, entries
from tests.waiting import wait_for

SIGNALER = "inotifier.event_processors.AllEventsSignaler"


def test_files_in_new_directories_are_delivered_once(watching, tmp_path):
    recorder = Recorder()
    running = watching(
        {"path": tmp_path, "events": "IN_CLOSE_WRITE", "processor": recorder, "recursive": True}
    )
    files = [tmp_path / f"d{number}" / "a" / "b" / "file" for number in range(200)]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_text("x")
    wait_for(lambda: len(recorder.events) >= len(files))
    running.stop()
    assert sorted(recorder.pathnames) == sorted(map(str, files))


def test_what_stands_when_the_service_ends_is_delivered(watching, tmp_path):
    recorder = Recorder()
    running = watching(
        {"path": tmp_path, "events": "IN_CLOSE_WRITE", "processor": recorder, "recursive": True}
    )
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").touch()
    running.stop()
    assert recorder.pathnames == [str(tmp_path / "a" / "b" / "file")]


def test_a_missing_path_is_waited_for(watching, tmp_path):
    recorder = Recorder()
    watching(
        {
            "path": tmp_path / "late",
            "events": "IN_CREATE",
            "processor": recorder,
            "missing": "wait",
        }
    )
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "file").touch()
    wait_for(lambda: recorder.pathnames == [str(tmp_path / "late" / "file")])


def test_a_missing_path_is_created(watching, tmp_path):
    recorder = Recorder()
    entry = {"events": "IN_CREATE", "processor": recorder, "missing": "create"}
    running = watching({"path": tmp_path / "a" / "b", **entry})
    (tmp_path / "a" / "b" / "file").touch()
    running.stop()
    assert len(recorder.events) == 1


def test_a_path_that_cannot_be_created_is_named(tmp_path):
    (tmp_path / "file").touch()
    [entry] = entries({"path": tmp_path / "file" / "x", "missing": "create"})
    service = Service([entry])
    with pytest.raises(InotifierError, match="cannot make"):
        service.watch(lambda line: None)
    service.close()


def test_a_path_that_is_gone_is_told_once(watching, tmp_path):
    lost = []

    def receive(event, **kwargs):
        lost.append((event.pathname, event.synthetic))

    path_lost.connect(receive)
    (tmp_path / "root").mkdir()
    watching((tmp_path / "root", "IN_CREATE", SIGNALER))
    (tmp_path / "root").rmdir()
    wait_for(lambda: lost)
    assert lost == [(str(tmp_path / "root"), "path-lost")]
    path_lost.disconnect(receive)


def test_reading_goes_on_after_a_pause(watching, tmp_path):
    recorder = Recorder()
    running = watching((tmp_path, "IN_CREATE", recorder))
    running.service.pause()
    (tmp_path / "meanwhile").touch()
    running.service.go_on()
    running.sync()
    assert recorder.pathnames == [str(tmp_path / "meanwhile")]
