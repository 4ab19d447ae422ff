"""How far long work has come, where there is no terminal."""

import logging
import threading

import pytest

from inotifier import progress as module
from inotifier.progress import Progress, progress
from tests.waiting import wait_for


@pytest.fixture(autouse=True)
def _impatient(monkeypatch, caplog):
    monkeypatch.setattr(module, "_SOON", 0.0)
    monkeypatch.setattr(module, "_LOG", 0.01)
    caplog.set_level(logging.INFO)


def messages(caplog):
    return [record.getMessage() for record in caplog.records]


def test_lines_are_logged_while_it_goes_on(caplog):
    numbers = iter(range(1_000_000))
    with progress("counting", lambda: f"{next(numbers)} things"):
        wait_for(lambda: len(messages(caplog)) >= 2)
    lines = messages(caplog)
    assert lines[0].startswith("counting: 0 things after ")
    assert lines[1].startswith("counting: 1 things after ")
    assert {record.levelname for record in caplog.records} == {"INFO"}


def test_what_is_short_is_not_told(caplog, monkeypatch):
    monkeypatch.setattr(module, "_SOON", 60.0)
    with progress("counting", lambda: "nothing"):
        pass
    assert messages(caplog) == []


def test_it_may_be_stopped_twice():
    told = Progress("counting", lambda: "some")
    told.start()
    told.stop()
    told.stop()
    assert not told._thread.is_alive()


def test_an_error_in_telling_does_not_end_the_work(caplog):
    def fail():
        raise LookupError("nobody knows")

    with progress("counting", fail):
        wait_for(lambda: messages(caplog))
    assert messages(caplog) == ["cannot tell how far it is: counting"]


def test_an_error_of_the_work_comes_through():
    with pytest.raises(LookupError), progress("counting", lambda: "some"):
        raise LookupError


def test_it_may_be_told_to_be_quiet(caplog):
    before = threading.active_count()
    with progress("counting", lambda: "some", quiet=True):
        assert threading.active_count() == before
