"""`FileReadySignaler` that waits for quiet, in the running service."""

import os
import time
from collections import Counter
from pathlib import Path

import pytest
from django.test import override_settings

from inotifier.exceptions import TryAgain
from inotifier.signals import delivery_failed, file_ready
from inotifier.watches import Watch
from tests.in_process import Receiver, Running
from tests.waiting import wait_for

READY = "inotifier.event_processors.FileReadySignaler"
BRIEF = 0.2


class Ready(Receiver):
    """Receives `file_ready`, and notes when, and how large the file was."""

    def __init__(self) -> None:
        super().__init__("file_ready")
        self.times: list[float] = []
        self.sizes: list[int] = []

    def _receiver(self, name):
        receive = super()._receiver(name)

        def note(**kwargs) -> None:
            self.times.append(time.monotonic())
            self.sizes.append(Path(kwargs["event"].pathname).stat().st_size)
            receive(**kwargs)

        return note


class Inbox:
    """A directory that is watched, or will be, and what was sent of it."""

    def __init__(self, watching, base: Path, ready: Ready, recursive: bool) -> None:
        self._watching = watching
        self._ready = ready
        self._recursive = recursive
        self._state = base / "state.sqlite3"
        self.root = base / "root"
        self.inside = self.root / "a" / "b" if recursive else self.root
        self.inside.mkdir(parents=True)

    def start(self, settle: float = 0, *, state: bool = False, **fields) -> Running:
        fields = {"recursive": self._recursive, "options": {"settle": settle}, **fields}
        running = self._watching(
            Watch(self.root, processor=READY, **fields), state=self._state if state else None
        )
        wait_for(lambda: not running.service.catching_up)
        running.sync()
        return running

    def write(self, name: str, text: str = "text") -> Path:
        path = self.inside / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    @property
    def sent(self) -> list[str]:
        return [str(Path(path).relative_to(self.inside)) for path in self._ready.pathnames]


@pytest.fixture
def ready():
    with Ready() as received:
        yield received


@pytest.fixture(params=[False, True], ids=["flat", "recursive"])
def inbox(request, watching, ready, tmp_path):
    return Inbox(watching, tmp_path, ready, request.param)


def append_in_bursts(path: Path, number: int, pause: float) -> float:
    """Open, write and close again and again; return the longest pause that it made."""
    longest, last = 0.0, time.monotonic()
    for burst in range(number):
        if burst:
            time.sleep(pause)
        with path.open("a") as file:
            file.write("burst")
        longest = max(longest, time.monotonic() - last)
        last = time.monotonic()
    return longest


@pytest.mark.parametrize(("number", "pause"), [(3, 0.3), (15, 0.1)])
def test_bursts_without_a_quiet_time_between_them_are_one_file(inbox, ready, number, pause):
    running = inbox.start(settle=1)
    for attempt in range(5):
        before = len(inbox.sent)
        if append_in_bursts(inbox.inside / f"{attempt}", number, pause) < 0.8:
            break
    else:
        pytest.skip("the machine is too busy to write without long pauses")
    end = time.monotonic()
    running.stop()
    assert inbox.sent[before:].count(f"{attempt}") == 1
    assert ready.sizes[-1] == number * len("burst")
    assert ready.times[-1] >= end + 0.9


@pytest.mark.parametrize("settle", [0, BRIEF])
def test_a_slow_writer_makes_one_file_at_its_end(inbox, ready, settle):
    running = inbox.start(settle)
    with (inbox.inside / "file").open("w") as file:
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            file.write("line\n")
            file.flush()
            time.sleep(0.05)
        running.sync()
        assert inbox.sent == []
        size = file.tell()
    running.stop()
    assert (inbox.sent, ready.sizes) == (["file"], [size])


@pytest.mark.parametrize("workers", [1, 4])
def test_a_file_that_is_renamed_while_it_settles_is_sent_under_its_new_name(inbox, ready, workers):
    with override_settings(INOTIFIER_WORKERS=workers):
        running = inbox.start(settle=1)
    inbox.write("old").rename(inbox.inside / "new")
    running.stop()
    assert inbox.sent == ["new"]


@pytest.mark.parametrize("wait", [False, True])
@pytest.mark.parametrize("workers", [1, 4])
def test_files_of_a_directory_that_is_renamed_while_they_settle_are_sent_once(
    watching, ready, tmp_path, workers, wait
):
    inbox = Inbox(watching, tmp_path, ready, recursive=True)
    (inbox.inside / "d").mkdir()
    with override_settings(INOTIFIER_WORKERS=workers):
        running = inbox.start(settle=1)
    names = [f"{number}" for number in range(20)]
    for name in names:
        inbox.write(f"d/{name}")
    if wait:
        wait_for(lambda: running.service._dispatcher.waiting >= len(names))
    (inbox.inside / "d").rename(inbox.inside / "e")
    running.stop()
    assert Counter(inbox.sent) == Counter(f"e/{name}" for name in names)


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("settle", [0, BRIEF])
def test_a_file_is_not_lost_if_its_directory_is_renamed_before_anything_was_read(
    watching, ready, tmp_path, workers, settle
):
    """What was told of it under the old name is handled when it has another."""
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    options = {"settle": settle}
    with override_settings(INOTIFIER_WORKERS=workers):
        running = watching(Watch(root, processor=READY, recursive=True, options=options), run=False)
    with (root / "d" / "open").open("w") as file:
        file.write("text")
        file.flush()
        (root / "d" / "closed").write_text("text")
        (root / "d").rename(root / "e")
    running.run()
    running.stop()
    assert Counter(ready.pathnames) == Counter([f"{root}/e/open", f"{root}/e/closed"])


@pytest.mark.parametrize("workers", [1, 4])
def test_directories_are_renamed_again_and_again_while_files_are_written(
    watching, ready, tmp_path, workers
):
    root = tmp_path / "root"
    (root / "0").mkdir(parents=True)
    with override_settings(INOTIFIER_WORKERS=workers):
        running = watching(Watch(root, processor=READY, recursive=True))
    for number in range(100):
        with (root / f"{number}" / f"file{number}").open("w") as file:
            file.write("text")
            file.flush()
            (root / f"{number}").rename(root / f"{number + 1}")
    running.stop()
    names = Counter(Path(path).name for path in ready.pathnames)
    assert names == Counter(f"file{number}" for number in range(100))


@pytest.mark.parametrize("settle", [0, BRIEF])
def test_a_file_that_was_too_small_is_sent_when_it_grows_though_nobody_opens_it(inbox, settle):
    running = inbox.start(options={"settle": settle, "min_size": 10})
    path = inbox.write("file")
    running.sync()
    os.truncate(path, 20)
    running.stop()
    assert inbox.sent == ["file"]


# Receivers.


class Script:
    """A receiver that raises what it is told to, and then succeeds."""

    def __init__(self, *reasons: BaseException) -> None:
        self.reasons = list(reasons)
        self.calls = 0

    def __call__(self, **kwargs) -> None:
        self.calls += 1
        if self.reasons:
            raise self.reasons.pop(0)


@pytest.fixture
def connect():
    connected = []

    def connect_to(signal, receiver):
        signal.connect(receiver)
        connected.append((signal, receiver))
        return receiver

    yield connect_to
    for signal, receiver in connected:
        signal.disconnect(receiver)


@pytest.mark.parametrize("settle", [0, BRIEF])
def test_a_receiver_may_ask_for_another_try(inbox, connect, settle):
    script = connect(file_ready, Script(TryAgain(0.01), TryAgain(0.01)))
    running = inbox.start(settle)
    inbox.write("file")
    inbox.write("other")
    running.stop()
    assert Counter(inbox.sent) == {"file": 1, "other": 1}
    assert script.calls == 4
    [handler] = running.handlers
    assert (handler.failed, handler.retried, handler.pending) == (0, 0, 0)


@pytest.mark.parametrize("settle", [0, BRIEF])
@override_settings(INOTIFIER_RETRIES=1, INOTIFIER_RETRY_DELAY=0.01)
def test_a_receiver_that_fails_once_is_called_again(inbox, connect, settle):
    failed = connect(delivery_failed, Script())
    script = connect(file_ready, Script(ValueError()))
    running = inbox.start(settle)
    inbox.write("file")
    running.stop()
    assert (inbox.sent, script.calls, failed.calls) == (["file"], 2, 0)
    [handler] = running.handlers
    assert (handler.failed, handler.retried) == (0, 1)


@pytest.mark.parametrize("settle", [0, BRIEF])
def test_a_file_that_a_receiver_failed_on_is_sent_when_it_changes(inbox, ready, connect, settle):
    failed = connect(delivery_failed, Script())
    connect(file_ready, Script(ValueError()))
    running = inbox.start(settle)
    path = inbox.write("file")
    wait_for(lambda: failed.calls)
    running.sync()
    path.write_text("changed")
    running.stop()
    assert failed.calls == 1
    # Each event of the file that comes after the one that was given up is a chance, too.
    assert ready.sizes.count(len("changed")) == 1


# At the start.


@pytest.mark.parametrize("settle", [0, BRIEF])
def test_what_is_there_at_the_first_start_may_be_sent(inbox, settle):
    names = [f"{number}" for number in range(20)]
    for name in names:
        inbox.write(name)
    inbox.start(settle, state=True, initial="emit").stop()
    assert Counter(inbox.sent) == Counter(names)
    inbox.start(settle, state=True, initial="emit").stop()
    assert Counter(inbox.sent) == Counter(names)


@pytest.mark.parametrize("settle", [0, BRIEF])
def test_what_came_while_the_daemon_was_down_is_sent_once(inbox, settle):
    inbox.write("known")
    running = inbox.start(settle, state=True)
    inbox.write("early")
    running.stop()
    assert inbox.sent == ["early"]
    inbox.write("late")
    inbox.write("early", "changed")
    (inbox.inside / "known").rename(inbox.inside / "moved")
    inbox.start(settle, state=True).stop()
    inbox.start(settle, state=True).stop()
    # Nobody can tell whether the file was renamed, or linked and its first name removed.
    assert Counter(inbox.sent) == {"early": 2, "late": 1, "moved": 1}


def test_a_file_that_settles_when_the_daemon_stops_is_sent_after_the_next_start(inbox):
    running = inbox.start(settle=600, state=True)
    inbox.write("file")
    wait_for(lambda: running.service.waits_until(time.monotonic() + 300))
    running.service.finish()
    assert running.service.abandon() > 0
    assert running.service.drained(10)
    running.close()
    assert inbox.sent == []
    for _ in range(2):
        inbox.start(settle=BRIEF, state=True).stop()
        assert inbox.sent == ["file"]


@pytest.mark.parametrize("is_read_before", [True, False])
def test_a_file_that_got_its_name_last_is_not_sent_again_after_a_restart(inbox, is_read_before):
    running = inbox.start(state=True)
    inbox.write("file.part")
    if is_read_before:
        running.sync()
    (inbox.inside / "file.part").rename(inbox.inside / "file")
    running.stop()
    inbox.start(state=True).stop()
    assert inbox.sent == ["file"]


def test_a_file_is_written_while_the_daemon_starts(inbox, ready):
    inbox.start(state=True).stop()
    with (inbox.inside / "file").open("w") as file:
        file.write("half")
        file.flush()
        running = inbox.start(BRIEF, state=True)
        wait_for(lambda: not running.service.catching_up)
        running.sync()
        assert inbox.sent == []
        file.write("whole")
    running.stop()
    assert (inbox.sent, ready.sizes) == (["file"], [9])
