"""What was missed comes: after a time without a daemon, a stop, a reload, or a state gone bad."""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.process.project import SIGNALER, Project, succeeded
from tests.waiting import wait_for

TELLS_ALL = """
from django.dispatch import receiver
from inotifier.signals import in_close_write, in_create, in_delete, in_moved_from, in_moved_to

@receiver([in_close_write, in_create, in_delete, in_moved_from, in_moved_to])
def tell(event, **kwargs):
    if not event.dir:
        print("got", event.maskname, event.pathname.partition("incoming/")[2], flush=True)
"""

# Delivers nothing until the file "gate" exists, and says that it cannot.
OUTAGE = """
from django.conf import settings
from django.dispatch import receiver
from inotifier.exceptions import TryAgain
from inotifier.signals import in_close_write

@receiver(in_close_write)
def record(event, **kwargs):
    if not (settings.BASE_DIR / "gate").exists():
        print("not yet", event.name, flush=True)
        raise TryAgain(after=0.2)
    print("got", event.name, flush=True)
"""

FAILS = OUTAGE.replace("raise TryAgain(after=0.2)", 'raise ValueError("not yet")')

SLOW = """
import time
from django.dispatch import receiver
from inotifier.signals import in_close_write

@receiver(in_close_write)
def record(event, **kwargs):
    print("got", event.name, flush=True)
    time.sleep(0.2)
"""

MASK = "IN_CREATE|IN_CLOSE_WRITE|IN_DELETE|IN_MOVED_FROM|IN_MOVED_TO"


@pytest.fixture
def outage(make_project) -> Project:
    """A project whose receiver asks for another time until its gate opens."""
    return make_project(receivers=OUTAGE)


def state_file(project: Project) -> Path:
    return project.directory / "run" / "inotifier.state.sqlite3"


def wait_for_state(project: Project, *names: str) -> None:
    """Wait until the state says that the files were delivered."""

    def is_written() -> bool:
        script = (
            "import sqlite3, sys; connection = sqlite3.connect(sys.argv[1]);"
            "print(*(name.decode() for (name,) in connection.execute('SELECT name FROM files')))"
        )
        command = [sys.executable, "-c", script, str(state_file(project))]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        return set(names) <= set(result.stdout.split())

    wait_for(is_written)


def caught_up(project: Project) -> bool:
    status = project.status()
    return (
        status.get("pid") == project.pid and not status["catching_up"] and not status["queue_depth"]
    )


def start_and_catch_up(project: Project) -> None:
    """Start the daemon and wait until what was missed is delivered."""
    project.start()
    wait_for(lambda: caught_up(project), 60)


def came(project: Project) -> set[str]:
    """Return the names of what has been reported."""
    return set(project.got)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


# While no daemon runs


@pytest.mark.long
@pytest.mark.timeout(300)
def test_exactly_what_happened_while_the_daemon_was_down_is_delivered_each_once(make_project):
    project = make_project(
        receivers=TELLS_ALL,
        INOTIFIER_WATCH_PATHS=[("incoming", MASK, SIGNALER, {"recursive": True})],
    )
    root = project.incoming
    old = [f"{number % 10}/old-{number:04}" for number in range(3000)]
    for name in old:
        write(root / name, "old")
    start_and_catch_up(project)
    assert project.got == []
    project.kill()
    expected: Counter[str] = Counter()
    for name in old[:1000]:
        write(root / name, "changed")
        expected[f"IN_CLOSE_WRITE {name}"] += 1
    for name in old[1000:2000]:
        (root / name).unlink()
        expected[f"IN_DELETE {name}"] += 1
    for name in old[2000:]:
        (root / name).rename(root / f"{name}-moved")
        expected.update([f"IN_MOVED_FROM {name}", f"IN_MOVED_TO {name}-moved"])
    for number in range(10_000):
        name = f"new-{number % 20}/{number:05}"
        write(root / name, "new")
        expected.update([f"IN_CREATE {name}", f"IN_CLOSE_WRITE {name}"])
    start_and_catch_up(project)
    project.stop()
    assert Counter(project.got) == expected
    start_and_catch_up(project)
    project.stop()
    assert Counter(project.got) == expected


# Stop


def test_event_that_waits_for_its_retry_at_the_stop_comes_at_the_next_start(make_project):
    project = make_project(receivers=FAILS, INOTIFIER_RETRIES=3, INOTIFIER_RETRY_DELAY=60.0)
    project.start()
    project.drop("file")
    wait_for(lambda: project.entry["retried"] == 1)
    project.stop()
    assert "stopping with 1 event(s) not delivered; 1 come at the next start, 0 are lost" in (
        project.errors
    )
    project.open_gate()
    start_and_catch_up(project)
    project.stop()
    assert project.got == ["file"]


def test_what_was_not_delivered_within_the_timeout_comes_at_the_next_start(make_project):
    project = make_project(receivers=SLOW, INOTIFIER_SHUTDOWN_TIMEOUT=0.5)
    names = [f"{number:02}" for number in range(20)]
    project.start()
    project.drop(*names)
    wait_for(lambda: project.got)
    project.stop()
    before = len(project.got)
    assert before < len(names)
    assert "come at the next start, 0 are lost" in project.errors
    project.configure(INOTIFIER_SHUTDOWN_TIMEOUT=30)
    start_and_catch_up(project)
    project.stop()
    assert came(project) == set(names)
    # One was with the receiver when the time was over.
    assert len(project.got) <= len(names) + 1


def test_log_tells_what_comes_again_from_what_is_lost(make_project):
    project = make_project(
        receivers=OUTAGE,
        INOTIFIER_SHUTDOWN_TIMEOUT=0.1,
        INOTIFIER_WATCH_PATHS=[
            ("incoming", "IN_CLOSE_WRITE", SIGNALER),
            ("outgoing", "IN_CLOSE_WRITE", SIGNALER, {"catch_up": False}),
        ],
    )
    outgoing = project.directory / "outgoing"
    outgoing.mkdir()
    project.start()
    project.caught_up()
    project.drop("a", "b")
    (outgoing / "c").touch()
    wait_for(lambda: project.status()["queue_depth"] == 3)
    project.stop()
    assert "stopping with 3 event(s) not delivered; 2 come at the next start, 1 are lost" in (
        project.errors
    )


# Reload, and looking anew


def test_reload_does_not_wait_for_events_that_come_again(outage):
    pid = outage.start()
    outage.caught_up()
    outage.drop("one", "two")
    wait_for(lambda: outage.status()["queue_depth"] == 2)
    outage.reload()
    assert outage.pid == pid
    assert outage.status()["reload"]["state"] == "done"
    outage.open_gate()
    wait_for(lambda: came(outage) == {"one", "two"})
    outage.stop()
    assert len(outage.got) == 2


def test_sigusr1_has_the_daemon_compare_anew(project):
    pid = project.start()
    project.delivers("known")
    hidden = project.incoming / "hidden"
    # Behind the kernel's back: who changes a file under a second name makes no event here.
    os.link(project.incoming / "known", project.directory / "second")
    (project.directory / "second").write_text("changed")
    wait_for(lambda: caught_up(project))
    assert not hidden.exists()
    assert project.got == ["known"]
    os.kill(pid, signal.SIGUSR1)
    wait_for(lambda: project.got == ["known", "known"])


# Where the state is kept


def test_damaged_state_is_set_aside_and_the_daemon_runs(project):
    project.start()
    project.delivers("one")
    project.stop()
    state_file(project).write_bytes(b"no database at all" * 1000)
    project.start()
    project.delivers("two")
    assert "inotifier.state.sqlite3.damaged" in project.errors
    assert state_file(project).with_name("inotifier.state.sqlite3.damaged").exists()
    assert "degraded" not in succeeded(project.run("inotifier_status")).stdout
    project.stop()
    project.drop("three")
    start_and_catch_up(project)
    project.stop()
    assert project.got == ["one", "two", "three"]


SMALL = 128
"""KiB of the file system that becomes full."""


@pytest.fixture
def small_disk(tmp_path):
    """A directory on a file system of its own, so small that it can be full."""
    directory = tmp_path / "small"
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}k,mode=700", "tmpfs", str(directory)]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a file system")
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip(f"no file system can be mounted here: {result.stderr.strip()}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def is_degraded(project: Project) -> bool:
    return "degraded: cannot keep the state" in project.run("inotifier_status").stdout


@pytest.fixture
def on_small_disk(make_project, small_disk) -> Project:
    """A project that keeps its state on the small disk, and its status too."""
    return make_project(INOTIFIER_STATE_DIR=str(small_disk))


def remount(directory: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(directory)], check=True)


def test_full_disk_is_told_and_events_flow(on_small_disk, small_disk):
    project = on_small_disk
    project.start()
    project.delivers("before")
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 1024)
        except OSError:
            pass
    names = [f"{number:04}" for number in range(500)]
    project.drop(*names)
    wait_for(lambda: came(project) >= set(names))
    wait_for(lambda: "cannot keep the state" in project.errors, 20)
    filler.unlink()
    wait_for(lambda: "is written again" in project.errors or not is_degraded(project), 30)
    project.stop()
    before = project.got
    project.start()
    project.delivers("after")
    project.stop()
    assert project.got == [*before, "after"]


def test_read_only_state_directory_is_told_and_events_flow(on_small_disk, small_disk):
    project = on_small_disk
    project.start()
    project.stop()
    remount(small_disk, "ro")
    project.start()
    project.delivers("file")
    assert "cannot keep the state" in project.errors


def test_state_directory_of_another_is_told_in_the_status(make_project):
    project = make_project()
    # SQLite cannot open a directory, whoever asks it to.
    state_file(project).mkdir()
    project.start()
    project.delivers("file")
    assert "cannot keep the state" in project.errors
    assert is_degraded(project)
    project.stop()
    assert state_file(project).is_dir()
