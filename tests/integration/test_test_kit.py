"""The daemon's line in the process of a test: what people who write receivers get."""

import sys
import threading
import unittest
from pathlib import Path

import pytest
from django.test import SimpleTestCase, override_settings

from inotifier.event_processors import FileReadySignaler
from inotifier.exceptions import ConfigurationError, TryAgain
from inotifier.scheduling import TaskScheduler
from inotifier.signals import file_ready, in_close_write, in_create, in_moved_to
from inotifier.testing import NotifierMixin, RunningNotifier, capture_events
from tests.in_process import Recorder


def test_what_was_done_before_is_delivered_after_a_sync(running_notifier, tmp_path):
    with capture_events(in_create, in_close_write) as captured:
        (tmp_path / "a").write_text("x")
        running_notifier.sync()
        assert captured.names == ["in_create", "in_close_write"]
        (tmp_path / "b").touch()
        running_notifier.sync()
    assert captured.pathnames[2:] == [f"{tmp_path}/b"] * 2


def test_without_entries_everything_below_is_watched(running_notifier, tmp_path):
    assert running_notifier.path == tmp_path
    with capture_events(in_moved_to, file_ready) as captured:
        (tmp_path / "new" / "deep").mkdir(parents=True)
        (tmp_path / "new" / "deep" / "a.part").write_text("x")
        (tmp_path / "new" / "deep" / "a.part").rename(tmp_path / "a")
        running_notifier.sync()
    assert sorted(captured.names) == ["file_ready", "in_moved_to"]
    assert {*captured.pathnames} == {f"{tmp_path}/a"}


@pytest.mark.inotifier(
    ("incoming", None, FileReadySignaler), {"path": "other", "events": "IN_DELETE"}
)
def test_a_marker_says_what_is_watched(running_notifier, tmp_path):
    with capture_events() as captured:
        for name in ("incoming", "other"):
            (tmp_path / name / "a").write_text("x")
            (tmp_path / name / "a").unlink()
        (tmp_path / "incoming" / "b").write_text("x")
        running_notifier.sync()
    assert captured.names.count("in_delete") == 1
    assert f"{tmp_path}/incoming/b" in captured.pathnames


def test_it_makes_a_directory_of_its_own_and_removes_it():
    with RunningNotifier() as running:
        assert running.path.is_dir()
        with capture_events(file_ready) as captured:
            (running.path / "a").write_text("x")
            running.sync()
        assert captured.pathnames == [f"{running.path}/a"]
    assert not running.path.exists()


def test_an_absolute_path_stays_where_it_is(tmp_path):
    with RunningNotifier((tmp_path, "IN_CREATE", recorder := Recorder())) as running:
        (tmp_path / "a").touch()
        (running.path / "b").touch()
        running.sync()
    assert recorder.pathnames == [f"{tmp_path}/a"]


def test_a_missing_directory_that_is_waited_for_is_not_made(tmp_path):
    entry = {"path": "later", "events": "IN_CREATE", "missing": "wait", "processor": Recorder()}
    with RunningNotifier(entry, path=tmp_path) as running:
        running.sync()
        assert not (tmp_path / "later").exists()


def test_what_has_to_settle_is_delivered_as_well(tmp_path):
    entry = {"path": ".", "processor": FileReadySignaler, "options": {"settle": 0.1}}
    with RunningNotifier(entry, path=tmp_path) as running, capture_events(file_ready) as captured:
        (tmp_path / "a").write_text("x")
        running.sync()
        assert captured.pathnames == [f"{tmp_path}/a"]


def test_tasks_have_run_after_a_sync(tmp_path):
    done = []
    tasks = TaskScheduler(lambda event: done.append(event.name), delay=0.1)
    with RunningNotifier((".", None, tasks), path=tmp_path) as running:
        (tmp_path / "a").write_text("x")
        running.sync()
        assert done == ["a"]


def test_a_failed_event_has_been_tried_again_after_a_sync(tmp_path):
    tries = []

    def fail_once(event):
        tries.append(event.name)
        if len(tries) == 1:
            raise LookupError("once")

    with (
        override_settings(INOTIFIER_RETRIES=1, INOTIFIER_RETRY_DELAY=0.01),
        RunningNotifier((".", "IN_CREATE", fail_once), path=tmp_path) as running,
    ):
        (tmp_path / "a").touch()
        running.sync()
        assert tries == ["a", "a"]


def test_an_entry_that_polls_is_listed_for_a_sync(tmp_path):
    entry = {
        "path": ".",
        "backend": "polling",
        "poll_interval": 3600,
        "processor": FileReadySignaler,
    }
    with RunningNotifier(entry, path=tmp_path) as running, capture_events(file_ready) as captured:
        running.sync()
        (tmp_path / "a").write_text("x")
        running.sync()
    assert captured.pathnames == [f"{tmp_path}/a"]


@pytest.mark.parametrize("workers", [1, 3])
def test_every_file_of_many_is_there_after_a_sync(workers, tmp_path):
    recorder = Recorder()
    with (
        override_settings(INOTIFIER_WORKERS=workers),
        RunningNotifier((".", "IN_CREATE", recorder), path=tmp_path) as running,
    ):
        for number in range(500):
            (tmp_path / str(number)).touch()
        running.sync()
        assert len(recorder.events) == 500


def test_a_receiver_that_hangs_ends_the_wait(tmp_path):
    go_on = threading.Event()

    with RunningNotifier(
        (".", "IN_CREATE", lambda event: go_on.wait(60)), path=tmp_path
    ) as running:
        (tmp_path / "a").touch()
        with pytest.raises(TimeoutError, match=rf"Events that are left: 1 of {tmp_path}"):
            running.sync(timeout=0.2)
        go_on.set()
        running.sync()


def test_what_waits_for_long_ends_the_wait_but_not_the_end(tmp_path):
    def wait(event):
        raise TryAgain(after=3600)

    with RunningNotifier((".", "IN_CREATE", wait), path=tmp_path) as running:
        (tmp_path / "a").touch()
        running.barrier()
        with pytest.raises(TimeoutError, match="something that is to happen later"):
            running.sync(timeout=0.2)


def test_a_receiver_that_hangs_at_the_end_is_told_of(tmp_path):
    go_on, is_there = threading.Event(), threading.Event()

    def hang(event):
        is_there.set()
        go_on.wait(60)

    running = RunningNotifier((".", "IN_CREATE", hang), path=tmp_path)
    running.run()
    (tmp_path / "a").touch()
    assert is_there.wait(60)
    with pytest.raises(TimeoutError, match="Does a receiver hang"):
        running.stop(timeout=0.1)
    go_on.set()


def test_entries_that_cannot_be_watched_say_why(tmp_path):
    with pytest.raises(ConfigurationError, match="is not a dotted path"):
        RunningNotifier((".", None, "nonsense"), path=tmp_path)


def test_an_entry_that_catches_up_needs_a_state(tmp_path):
    watched, state = tmp_path / "watched", tmp_path / "state"
    watched.mkdir()
    recorder = Recorder()
    entry = {"path": watched, "events": "IN_CREATE", "processor": recorder}
    with RunningNotifier(entry, state=state) as running:
        running.sync()
    (watched / "missed").touch()
    with RunningNotifier(entry, state=state) as running:
        running.sync()
    assert [event.name for event in recorder.events] == ["missed"]


def test_the_interpreter_is_as_it_was_afterwards(tmp_path):
    before = sys.getswitchinterval()
    with RunningNotifier(path=tmp_path):
        assert sys.getswitchinterval() < before
    assert sys.getswitchinterval() == before


class Case(NotifierMixin, SimpleTestCase):
    notifier_entries = (("incoming", None, FileReadySignaler),)

    def test_a_case_has_a_notifier(self):
        with capture_events(file_ready) as captured:
            (self.notifier.path / "incoming" / "a").write_text("x")
            self.notifier.sync()
        assert [Path(path).name for path in captured.pathnames] == ["a"]


def test_a_case_without_django_works_too():
    paths = []

    class Plain(NotifierMixin, unittest.TestCase):
        def test(self):
            paths.append(self.notifier.path)
            with capture_events(in_create) as captured:
                (self.notifier.path / "a").touch()
                self.notifier.sync()
            assert len(captured) == 1

    result = unittest.TestResult()
    Plain("test").run(result)
    assert result.wasSuccessful(), result.errors + result.failures
    assert not paths[0].exists()
