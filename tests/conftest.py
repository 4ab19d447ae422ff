import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from inotifier.event_processors import CreateViaChunksSignaler, PartialFiles
from inotifier.scheduling import coroutines, timers, workers
from tests.in_process import Watching
from tests.servers import FtpServer
from tests.waiting import wait_for

# No files beside the tests, and no failure because the machine was busy.
hypothesis.settings.register_profile("inotifier", database=None, deadline=None)
hypothesis.settings.load_profile("inotifier")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that several workers end at the same time."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def _threads() -> set[str]:
    return {
        f"thread {thread.name}"
        for thread in threading.enumerate()
        if thread.name.startswith("inotifier-")
    }


def _descriptors() -> set[str]:
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = descriptor.readlink()
        except FileNotFoundError:
            continue  # the one that listed the directory
        found.add(f"descriptor {descriptor.name} ({target})")
    return found


def _children() -> set[str]:
    found = set()
    for children in Path("/proc/self/task").glob("*/children"):
        # A thread may have ended since it was listed.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found |= {f"child {pid}" for pid in children.read_text().split()}
    return found


def _held() -> set[str]:
    return _threads() | _descriptors() | _children()


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread of inotifier, a descriptor or a child process behind."""
    before = _held()
    yield
    # What ends by itself may need a moment.
    wait_for(lambda: _held() <= before, 5, f"the end of what the test left: {_held() - before}")


@pytest.fixture(autouse=True)
def no_partial_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record of uploads belongs to a daemon; here, each test is one."""
    monkeypatch.setattr(CreateViaChunksSignaler, "partial_files", PartialFiles())


@pytest.fixture(autouse=True)
def no_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let threads that run tasks end at once when there are none."""
    for module in (coroutines, timers, workers):
        monkeypatch.setattr(module, "_LINGER", 0.01)


@pytest.fixture
def watching() -> Iterator[Watching]:
    """Start services in this process; each is stopped at the end."""
    with Watching() as start:
        yield start


@pytest.fixture
def ftp(tmp_path: Path) -> Iterator[FtpServer]:
    """An FTP server, not yet started."""
    with contextlib.ExitStack() as stack:
        yield FtpServer(tmp_path, stack)
