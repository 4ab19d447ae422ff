"""Functions with `on_file`, called for real files."""

import threading

import pytest
from django.test import override_settings

from inotifier import decorators, on_file
from inotifier.exceptions import TryAgain
from inotifier.signals import delivery_failed, file_ready
from inotifier.testing import RunningNotifier, capture_events


@pytest.fixture(autouse=True)
def _nothing_declared_before(monkeypatch):
    monkeypatch.setattr(decorators, "_declarations", [])


class Got:
    """What was called, by names of files."""

    def __init__(self):
        self.names = []

    def __call__(self, event):
        self.names.append(event.name)


def test_it_is_called_once_for_each_complete_file_that_matches(tmp_path):
    got = on_file("incoming/**/*.csv")(Got())
    with RunningNotifier(got, path=tmp_path) as running:
        deep = tmp_path / "incoming" / "a" / "b"
        deep.mkdir(parents=True)
        (deep / "one.csv").write_text("x")
        (deep / "one.txt").write_text("x")
        (tmp_path / "incoming" / "two.csv.part").write_text("x")
        (tmp_path / "incoming" / "two.csv.part").rename(tmp_path / "incoming" / "two.csv")
        (tmp_path / "three.csv").write_text("x")
        running.sync()
        (deep / "one.csv").touch()
        running.sync()
    assert sorted(got.names) == ["one.csv", "two.csv"]


def test_only_files_right_in_the_directory_match_without_two_stars(tmp_path):
    got = on_file("incoming/*.csv")(Got())
    with RunningNotifier(got, path=tmp_path) as running:
        (tmp_path / "incoming" / "deep").mkdir()
        (tmp_path / "incoming" / "deep" / "a.csv").write_text("x")
        (tmp_path / "incoming" / "b.csv").write_text("x")
        running.sync()
    assert got.names == ["b.csv"]


def test_a_single_file_may_be_replaced(tmp_path):
    got = on_file("etc/shop.conf")(Got())
    with RunningNotifier(got, path=tmp_path) as running:
        for text in ("a", "bb"):
            (tmp_path / "etc" / "new").write_text(text)
            (tmp_path / "etc" / "new").rename(tmp_path / "etc" / "shop.conf")
            running.sync()
    assert got.names == ["shop.conf", "shop.conf"]


def test_receivers_of_file_ready_are_not_called(tmp_path):
    got = on_file("incoming/")(Got())
    with RunningNotifier(got, path=tmp_path) as running, capture_events(file_ready) as captured:
        (tmp_path / "incoming" / "a").write_text("x")
        running.sync()
    assert (got.names, len(captured)) == (["a"], 0)


def test_a_file_has_to_settle(tmp_path):
    got = on_file("incoming/", settle=0.2)(Got())
    with RunningNotifier(got, path=tmp_path) as running:
        for text in ("a", "bb", "ccc"):
            (tmp_path / "incoming" / "a").write_text(text)
        running.barrier()
        assert got.names == []
        running.sync()
    assert got.names == ["a"]


def test_events_are_calls_of_their_own(tmp_path):
    masks = []

    @on_file("incoming/*.csv", events="IN_CREATE|IN_DELETE")
    def note(event):
        masks.append((event.maskname, event.name))

    with RunningNotifier(note, path=tmp_path) as running:
        (tmp_path / "incoming" / "a.csv").touch()
        (tmp_path / "incoming" / "a.csv").unlink()
        (tmp_path / "incoming" / "directory.csv").mkdir()
        running.sync()
    assert masks == [("IN_CREATE", "a.csv"), ("IN_DELETE", "a.csv")]


def test_events_that_settle_are_one_call(tmp_path):
    got = on_file("incoming/", events="IN_CREATE|IN_CLOSE_WRITE", settle=0.1)(Got())
    with RunningNotifier(got, path=tmp_path) as running:
        (tmp_path / "incoming" / "a").write_text("x")
        (tmp_path / "incoming" / "a").write_text("xy")
        running.sync()
    assert got.names == ["a"]


@pytest.mark.parametrize("events", [None, "IN_CLOSE_WRITE"])
@pytest.mark.parametrize("settle", [0, 0.05])
def test_a_coroutine_is_awaited(tmp_path, events, settle):
    names = []

    @on_file("incoming/", events=events, settle=settle)
    async def note(event):
        names.append(event.name)

    with RunningNotifier(note, path=tmp_path) as running:
        (tmp_path / "incoming" / "a").write_text("x")
        running.sync()
    assert names == ["a"]


@pytest.mark.parametrize("events", [None, "IN_MOVED_TO"])
@pytest.mark.parametrize("settle", [0, 0.05])
def test_a_failure_is_tried_as_often_as_it_says(tmp_path, events, settle, caplog):
    tried = []

    @on_file("incoming/", events=events, settle=settle, retries=2)
    def fail(event):
        tried.append(event.name)
        raise LookupError("never")

    with (
        override_settings(INOTIFIER_RETRIES=0, INOTIFIER_RETRY_DELAY=0.01),
        RunningNotifier(fail, path=tmp_path) as running,
        capture_events(delivery_failed) as failed,
    ):
        (tmp_path / "a").write_text("x")
        (tmp_path / "a").rename(tmp_path / "incoming" / "a")
        running.sync()
    assert (tried, len(failed)) == (["a"] * 3, 1)
    assert "fail" in caplog.text
    assert "LookupError('never')" in caplog.text


def test_an_outage_is_no_failure(tmp_path):
    tried = []

    @on_file("incoming/", retries=0)
    def wait_once(event):
        tried.append(event.name)
        if len(tried) == 1:
            raise TryAgain(0.01)

    with (
        RunningNotifier(wait_once, path=tmp_path) as running,
        capture_events(delivery_failed) as failed,
    ):
        (tmp_path / "incoming" / "a").write_text("x")
        running.sync()
    assert (tried, len(failed)) == (["a", "a"], 0)


def test_a_function_for_two_places_is_called_for_both(tmp_path):
    got = on_file("one/*.csv")(on_file("two/*.txt")(Got()))
    with RunningNotifier(got, path=tmp_path) as running:
        (tmp_path / "one" / "a.csv").write_text("x")
        (tmp_path / "two" / "b.txt").write_text("x")
        running.sync()
    assert sorted(got.names) == ["a.csv", "b.txt"]


def test_what_was_missed_is_caught_up_with_under_the_functions_name(tmp_path):
    got = on_file("incoming/*.csv")(Got())
    (tmp_path / "incoming").mkdir()
    for name in ("first", "second"):
        with RunningNotifier(got, path=tmp_path, state=tmp_path / "state") as running:
            running.sync()
        (tmp_path / "incoming" / f"{name}.csv").write_text("x")
    assert got.names == ["first.csv"]


def test_it_runs_with_several_workers(tmp_path):
    names, lock = [], threading.Lock()

    @on_file("incoming/")
    def note(event):
        with lock:
            names.append(event.name)

    with override_settings(INOTIFIER_WORKERS=3), RunningNotifier(note, path=tmp_path) as running:
        for number in range(100):
            (tmp_path / "incoming" / str(number)).write_text("x")
        running.sync()
    assert sorted(map(int, names)) == [*range(100)]
