"""INOTIFIER_QUEUE_SIZE: how much is held in memory, and what becomes of the rest.

INOTIFIER_TEST_FILES sets how many files the overflow is made of, 20,000 by default.
"""

import os
import threading
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from django.test import override_settings

from inotifier.exceptions import TryAgain
from inotifier.signals import in_close_write
from inotifier.watches import Watch
from tests.in_process import Receiver, Recorder, Running
from tests.waiting import wait_for

_LIMIT = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
_FILES = int(os.environ.get("INOTIFIER_TEST_FILES", "20000"))

SIGNALER = "inotifier.event_processors.AllEventsSignaler"
LONG = 300
"""Seconds that the delivery may take on a busy machine."""


class Gate(Recorder):
    """Waits with its first event until the gate opens."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = threading.Event()

    def __call__(self, event=None, **kwargs) -> None:
        super().__call__(event)
        assert self.opened.wait(60)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.opened.set()


@pytest.fixture
def memory(tmp_path):
    """A directory in memory, if there is one."""
    base = Path("/dev/shm")
    if not os.access(base, os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(dir=base, prefix="inotifier-") as directory:
        yield Path(directory)


def touch(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))


def held(running: Running) -> int:
    """Return the number of events in memory."""
    return running.service.queue_depth + running.service._stage.backlog


def unread(running: Running) -> int:
    """Return the number of bytes in the kernel's queue."""
    return running.service._inotify.pending_bytes()


def delivered(running: Running) -> None:
    """Wait until nothing is left, neither here nor in the kernel."""
    wait_for(
        lambda: not (held(running) or unread(running) or running.service.catching_up),
        LONG,
        "the deliveries",
    )
    running.sync()


@pytest.mark.parametrize("workers", [1, 4])
def test_reading_stops_while_the_queue_is_full(watching, tmp_path, gate, workers):
    with override_settings(INOTIFIER_QUEUE_SIZE=100, INOTIFIER_WORKERS=workers):
        running = watching((tmp_path, "IN_CREATE", gate))
    names = [f"{number:04}" for number in range(5000)]
    for name in names[:1000]:
        touch(tmp_path / name)
    wait_for(lambda: held(running) >= 100)
    for name in names[1000:]:
        touch(tmp_path / name)
    # It has stopped: nothing leaves the kernel, and nothing more is taken.
    before = unread(running)
    assert before > 0
    touch(tmp_path / "last")
    assert unread(running) > before
    assert held(running) < 5000
    assert len(gate.events) <= workers
    gate.opened.set()
    running.stop()
    handled = [event.name for event in gate.events]
    assert (handled if workers == 1 else sorted(handled)) == [*names, "last"]
    assert running.service.overflows == 0


def test_no_more_is_held_while_events_come_and_go(watching, tmp_path, monkeypatch):
    """The queue is filled and emptied many times; its size, and one read, bound what is held.

    What is handed from one thread to the next counts in both for a moment.
    """
    monkeypatch.setattr("inotifier.notifier.inotify._LARGE_READ", 32 * 1024)
    one_read = 32 * 1024 // 32
    most = 0
    recorder = Recorder()

    def process(event) -> None:
        nonlocal most
        most = max(most, held(running))
        recorder(event)

    with override_settings(INOTIFIER_QUEUE_SIZE=50):
        running = watching((tmp_path, "IN_CREATE", process), run=False)
    for number in range(8000):
        touch(tmp_path / f"{number}")
    running.run()
    running.sync()
    running.stop()
    assert len(recorder.events) == 8000
    assert most <= 2 * (50 + one_read)


@pytest.mark.parametrize("workers", [1, 4])
def test_what_waits_to_be_tried_again_counts_as_held(watching, tmp_path, workers):
    """An outage that lasts does not fill the memory."""
    outage = threading.Event()
    recorder = Recorder()

    def process(event) -> None:
        if not outage.is_set():
            raise TryAgain(0.05)
        recorder(event)

    with override_settings(INOTIFIER_QUEUE_SIZE=100, INOTIFIER_WORKERS=workers):
        running = watching((tmp_path, "IN_CREATE", process), run=False)
    for number in range(6000):
        touch(tmp_path / f"{number}")
    running.run()
    wait_for(lambda: running.service._dispatcher.waiting >= 100)
    assert unread(running) > 0
    outage.set()
    running.stop()
    assert len(recorder.events) == 6000


@pytest.mark.skipif(_LIMIT > 1_000_000, reason="the kernel's queue is too long here")
@pytest.mark.timeout(LONG * 2)
def test_what_the_kernel_lost_meanwhile_is_delivered_afterwards(watching, tmp_path, memory, gate):
    root = memory / "root"
    root.mkdir()
    files = max(_FILES, _LIMIT)  # each of them makes two events
    in_close_write.connect(gate)
    mask = "IN_CREATE|IN_CLOSE_WRITE|IN_DELETE"
    with override_settings(INOTIFIER_QUEUE_SIZE=1000):
        running = watching(
            Watch(root, mask, SIGNALER, recursive=True), state=tmp_path / "state.sqlite3"
        )
    running.catch_up()
    with Receiver("in_create", "in_close_write", "in_delete", "in_q_overflow") as received:
        try:
            paths = [root / f"{number % 10}" / f"{number}" for number in range(files)]
            for directory in {path.parent for path in paths}:
                directory.mkdir()
            for path in paths:
                touch(path)
            wait_for(lambda: gate.events, message="the receiver that blocks")
            gone = set(paths[::10]) | set(paths[1::10]) | set(paths[2::10])
            for path in gone:
                path.unlink()
            assert held(running) < files
            gate.opened.set()
            wait_for(lambda: "in_q_overflow" in received.names, LONG, "the overflow")
            delivered(running)
        finally:
            in_close_write.disconnect(gate)
            gate.opened.set()
        calls = Counter(
            (name, event.pathname)
            for name, event in zip(received.names, received.events, strict=True)
        )
    running.stop()
    assert running.service.overflows >= 1
    surviving = [str(path) for path in paths if path not in gone]
    for path in surviving:
        assert calls["in_create", path] == calls["in_close_write", path] == 1
    # What was gone when its creation was told is not recorded, so its end may be lost.
    for path in map(str, gone):
        assert calls["in_delete", path] <= calls["in_create", path] <= 1
