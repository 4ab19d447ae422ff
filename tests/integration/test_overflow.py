"""The kernel's queue is finite; nobody may take what it lost for silence."""

import os
from pathlib import Path

import pytest

from tests.in_process import Receiver, Recorder
from tests.waiting import wait_for

_LIMIT = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())

pytestmark = pytest.mark.skipif(_LIMIT > 1_000_000, reason="the kernel's queue is too long here")

SIGNALER = "inotifier.event_processors.AllEventsSignaler"


def overflow(file: Path) -> None:
    """Cause more events of `file` than the kernel holds for an instance that nobody reads."""
    for _ in range(_LIMIT // 2 + 1):
        os.close(os.open(file, os.O_RDONLY))


@pytest.fixture
def file(tmp_path):
    (tmp_path / "busy").mkdir()
    (tmp_path / "quiet").mkdir()
    (tmp_path / "busy" / "file").touch()
    return tmp_path / "busy" / "file"


BUSY = "IN_OPEN|IN_CLOSE_NOWRITE"


def test_every_entry_is_told_of_an_overflow_once(watching, tmp_path, file):
    busy, quiet, same = Recorder(), Recorder(), Recorder()
    running = watching(
        (tmp_path / "busy", BUSY, busy),
        (tmp_path / "quiet", "IN_CREATE", quiet),
        (tmp_path / "busy", "IN_CREATE", same),
        run=False,
    )
    overflow(file)
    running.run()
    running.stop()
    assert quiet.masknames == same.masknames == ["IN_Q_OVERFLOW"]
    assert busy.masknames.count("IN_Q_OVERFLOW") == 1
    assert running.service.overflows == 1


def test_an_overflow_names_its_entry_and_no_path(watching, tmp_path, file):
    quiet = Recorder()
    running = watching(
        (tmp_path / "busy", BUSY, Recorder()), (tmp_path / "quiet", "IN_CREATE", quiet), run=False
    )
    overflow(file)
    running.run()
    running.stop()
    [event] = quiet.events
    assert (event.wd, event.path, event.name, event.pathname) == (-1, "", "", "")
    assert event.src_pathname is None
    assert event.watch is running.handlers[1].entry.watch


def test_events_before_and_after_an_overflow_are_delivered(watching, tmp_path, file):
    busy = Recorder()
    running = watching((tmp_path / "busy", BUSY, busy), run=False)
    overflow(file)
    running.run()
    wait_for(lambda: "IN_Q_OVERFLOW" in busy.masknames)
    before = len(busy.events)
    os.close(os.open(file, os.O_RDONLY))
    running.stop()
    assert before == _LIMIT + 1
    assert busy.masknames[before:] == ["IN_OPEN", "IN_CLOSE_NOWRITE"]


def test_in_q_overflow_is_sent_for_every_entry(watching, tmp_path, file):
    running = watching(
        (tmp_path / "busy", BUSY, Recorder()),
        (tmp_path / "quiet", "IN_CREATE", SIGNALER),
        (tmp_path, "IN_CREATE", SIGNALER),
        run=False,
    )
    overflow(file)
    with Receiver("in_q_overflow") as receiver:
        running.run()
        running.stop()
    assert receiver.names == ["in_q_overflow"] * 2
    assert {event.watch.path for event in receiver.events} == {tmp_path / "quiet", tmp_path}
