"""SIGHUP and `inotifier_reload`: new settings and code, same process, nothing missed."""

import contextlib
import fcntl
import os
import shutil
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.process.project import (
    GATED_RECORDER,
    RECORDER,
    SIGNALER,
    Project,
    failed,
    runs,
    switches,
    wait_until_gone,
)
from tests.waiting import wait_for

RELOADS = 25

LOUD_RECORDER = RECORDER.replace('"got"', '"GOT"')

# The check of a reload, which is `inotifier_start --check`, does not end.
ENDLESS_CHECK = """
import sys, threading
if "--check" in sys.argv:
    (BASE_DIR / "checking").touch()
    threading.Event().wait()
"""

# A daemon that re-executes itself waits for the gate while it reads its settings.
GATED_EXECUTION = """
import os, time
if "_INOTIFIER_HANDOVER" in os.environ:
    (BASE_DIR / "executing").touch()
    while not (BASE_DIR / "gate").exists():
        time.sleep(0.01)
"""

# The check succeeds, and what comes after it cannot.
REMOVES_ITS_INTERPRETER = """
import os, sys
if "--check" in sys.argv:
    os.unlink(sys.executable)
"""

GATED_START = """
import time
from django.conf import settings

class Processor:
    mask = "IN_CLOSE_WRITE"

    def prepare(self, path):
        (settings.BASE_DIR / "preparing").touch()
        while not (settings.BASE_DIR / "gate").exists():
            time.sleep(0.01)

    def __call__(self, event):
        pass
"""

RAISES_WHEN_IT_STARTS = """
class Processor:
    mask = "IN_CLOSE_WRITE"

    def prepare(self, path):
        raise ValueError("no catalogue")

    def __call__(self, event):
        pass
"""

# Once its gate is open, the receiver stops its own process with its last breath.
STOPS_ITS_PROCESS = """
import os, signal, time
from django.conf import settings
from django.dispatch import receiver
from inotifier.signals import in_close_write

@receiver(in_close_write)
def record(event, **kwargs):
    while not (settings.BASE_DIR / "gate").exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)
"""


def hang_up(project: Project) -> None:
    assert project.pid is not None
    os.kill(project.pid, signal.SIGHUP)


def answered(project: Project) -> int:
    return project.status().get("reload", {}).get("answered", 0)


def wait_until_it_polls(pid: int) -> None:
    """Wait until the command that runs as `pid` has asked the daemon and waits for its answer."""

    def holds_the_daemon() -> bool:
        descriptors = Path(f"/proc/{pid}/fdinfo").iterdir()
        with contextlib.suppress(FileNotFoundError):  # those that are closed meanwhile
            return any("\nPid:" in descriptor.read_text() for descriptor in descriptors)
        return False

    wait_for(holds_the_daemon)
    before = switches(pid)
    wait_for(lambda: switches(pid) > before + 2)


class Storm:
    """While it lasts, files are made without a pause and the lock of the pid file is tried."""

    def __init__(self, project: Project) -> None:
        self.made: list[str] = []
        self.lock_was_free = False
        self._project = project
        self._over = threading.Event()
        self._threads = [threading.Thread(target=part) for part in (self._make, self._try_lock)]

    def _make(self) -> None:
        while not self._over.wait(0.002):
            name = f"file-{len(self.made)}"
            self._project.drop(name)
            self.made.append(name)

    def _try_lock(self) -> None:
        with self._project.pid_file.open() as file:
            while not self._over.wait(0.001):
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                self.lock_was_free = True
                fcntl.flock(file, fcntl.LOCK_UN)

    def __enter__(self) -> "Storm":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


class View(NamedTuple):
    """What must stay the same."""

    pid: int | None
    pid_file: int
    descriptors: int
    threads: int


class Reloads(NamedTuple):
    """What many reloads in a storm have come to."""

    before: View
    after: View
    made: list[str]
    got: list[str]
    lock_was_free: bool
    answered: int


def view(project: Project) -> View:
    project.caught_up()  # which opens directories
    return View(
        project.pid, project.pid_file.stat().st_ino, project.descriptors(), project.threads()
    )


@pytest.fixture(scope="module")
def reloads(tmp_path_factory) -> Reloads:
    """Reload a daemon many times, in a storm."""
    project = Project(tmp_path_factory.mktemp("reloads"))
    try:
        project.start()
        project.delivers("first")
        before = view(project)
        with Storm(project) as storm:
            for number in range(1, RELOADS + 1):
                hang_up(project)
                wait_for(lambda number=number: answered(project) >= number)
        wait_for(lambda: len(project.got) > len(storm.made))
        wait_for(lambda: project.threads() == before.threads)
        return Reloads(
            before,
            view(project),
            ["first", *storm.made],
            project.got,
            storm.lock_was_free,
            answered(project),
        )
    finally:
        project.end()


@pytest.mark.long
@pytest.mark.timeout(300)
def test_each_file_made_during_reloads_is_reported_exactly_once(reloads):
    assert len(reloads.made) > RELOADS
    assert Counter(reloads.got) == Counter(reloads.made)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_reloads_leak_neither_descriptors_nor_threads(reloads):
    before, after = reloads.before, reloads.after
    # The state opens its files for reading when it is asked, or not yet.
    assert after.descriptors <= before.descriptors + 2
    assert after._replace(descriptors=0) == before._replace(descriptors=0)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_lock_is_never_free_during_reloads(reloads):
    assert not reloads.lock_was_free


@pytest.mark.long
@pytest.mark.timeout(300)
def test_each_reload_is_answered(reloads):
    assert reloads.answered == RELOADS


def test_reload_brings_new_settings_and_new_code_into_the_same_process(project):
    pid = project.start()
    (project.directory / "more").mkdir()
    project.configure(INOTIFIER_WATCH_PATHS=[("more", "IN_CLOSE_WRITE", SIGNALER)])
    project.write("app/receivers.py", LOUD_RECORDER)
    project.reload()
    (project.directory / "more" / "file").touch()
    wait_for(lambda: "GOT file" in project.output)
    assert project.processes() == [pid]


def test_watch_that_left_the_settings_reports_no_more(make_project):
    entries = [(name, "IN_CLOSE_WRITE", SIGNALER) for name in ("incoming", "app")]
    project = make_project(INOTIFIER_WATCH_PATHS=entries)
    project.start()
    project.configure(INOTIFIER_WATCH_PATHS=entries[:1])
    project.reload()
    (project.directory / "app" / "left").touch()
    project.delivers("stayed")
    assert project.got == ["stayed"]
    assert [entry["path"] for entry in project.status()["entries"]] == [str(project.incoming)]


def test_foreground_daemon_reloads_in_place(project):
    process = project.foreground()
    project.write("app/receivers.py", LOUD_RECORDER)
    project.reload()
    project.drop("file")
    wait_for(lambda: "GOT file" in project.output)
    assert project.pid == process.pid
    process.terminate()
    assert process.wait(timeout=10) == 0
    assert not project.pid_file.exists()


def test_uptime_and_number_of_reloads_live_on(project):
    project.start()
    started = project.status()["started"]
    project.reload()
    assert project.status()["started"] == started
    assert answered(project) == 1


def test_reloads_asked_for_at_once_are_all_answered(project):
    project.start()
    commands = [project.begin("inotifier_reload") for _ in range(4)]
    for command in commands:
        output, errors = command.communicate(timeout=60)
        assert (output, errors) == ("The daemon runs with the new settings.\n", "")
    project.delivers("file")


def test_reloads_of_a_dead_daemon_do_not_count_for_one_that_is_starting(make_project):
    project = make_project(processors=GATED_START)
    project.start()
    project.reload()
    project.kill()
    project.configure(INOTIFIER_WATCH_PATHS=[("incoming", None, "app.processors.Processor")])
    starter = project.begin("inotifier_start")
    wait_for((project.directory / "preparing").exists)
    reloader = project.begin("inotifier_reload")
    wait_until_it_polls(reloader.pid)
    project.open_gate()
    assert starter.wait(timeout=30) == 0
    assert reloader.wait(timeout=30) == 0
    assert answered(project) == 1


def test_overlapping_entries_miss_nothing_while_the_watches_are_set_anew(make_project):
    project = make_project(
        processors=GATED_START,
        INOTIFIER_WATCH_PATHS=[
            ("incoming", "IN_CREATE", "app.processors.Processor"),
            ("incoming", "IN_CLOSE_WRITE", SIGNALER),
        ],
    )
    project.open_gate()
    project.start()
    (project.directory / "gate").unlink()
    (project.directory / "preparing").unlink()
    hang_up(project)
    # The second entry's watch is not set again yet.
    wait_for((project.directory / "preparing").exists)
    project.drop("file")
    project.open_gate()
    wait_for(lambda: answered(project) == 1)
    project.delivers("another")
    assert project.got == ["file", "another"]


# Settings that cannot be used


def broken_settings(project: Project) -> None:
    project.write("settings.py", "this is no Python\n")


def broken_code(project: Project) -> None:
    project.write("app/receivers.py", "def receiver(:\n")


def broken_entry(project: Project) -> None:
    project.configure(INOTIFIER_WATCH_PATHS=["nowhere"])


def broken_check(project: Project) -> None:
    project.write(
        "app/receivers.py",
        "from django.core.checks import Error, register\n"
        "register(lambda app_configs, **kwargs: [Error('out of order')])\n",
    )


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (broken_settings, "SyntaxError"),
        (broken_code, "SyntaxError"),
        (broken_entry, "nowhere does not exist"),
        (broken_check, "out of order"),
    ],
)
def test_what_cannot_be_used_is_refused_and_the_daemon_goes_on(project, break_it, reason):
    pid = project.start()
    before = view(project)
    break_it(project)
    hang_up(project)
    wait_for(lambda: answered(project) == 1)
    assert project.status()["reload"]["state"] == "refused"
    assert "reload refused, the daemon goes on as it was" in project.errors
    assert reason in project.errors
    project.delivers("file")
    assert project.pid == pid
    wait_for(lambda: view(project) == before)


def test_reload_command_prints_why_the_settings_are_refused(project):
    project.start()
    broken_entry(project)
    assert "nowhere does not exist" in failed(project.run("inotifier_reload"))
    project.configure(INOTIFIER_WATCH_PATHS=["incoming"])
    project.reload()
    assert project.status()["reload"]["state"] == "done"


@pytest.fixture
def python(project, tmp_path) -> Path:
    """An interpreter for the project that can be taken away."""
    environment = tmp_path / "environment"
    (environment / "bin").mkdir(parents=True)
    (environment / "lib").symlink_to(Path(sys.prefix, "lib"))
    shutil.copy(Path(sys.prefix, "pyvenv.cfg"), environment)
    python = environment / "bin" / "python"
    python.symlink_to(os.path.realpath(sys.executable))
    project.python = str(python)
    return python


def test_interpreter_that_is_gone_refuses_the_reload(project, python):
    project.start()
    python.unlink()
    hang_up(project)
    wait_for(lambda: answered(project) == 1)
    assert "cannot run the check" in project.status()["reload"]["error"]
    project.delivers("file")


def test_daemon_goes_on_if_it_cannot_be_executed_anew(project, python):
    pid = project.start()
    before = view(project)
    project.configure(REMOVES_ITS_INTERPRETER)
    hang_up(project)
    wait_for(lambda: answered(project) == 1)
    assert "cannot execute anew" in project.status()["reload"]["error"]
    assert "cannot execute anew" in project.errors
    wait_for(lambda: view(project) == before)
    project.delivers("file")
    os.kill(pid, signal.SIGTERM)
    wait_until_gone(pid)
    assert not project.pid_file.exists()


def test_daemon_that_ends_on_what_the_check_could_not_see_says_why(make_project):
    project = make_project(processors=RAISES_WHEN_IT_STARTS)
    project.start()
    project.configure(INOTIFIER_WATCH_PATHS=[("incoming", None, "app.processors.Processor")])
    text = failed(project.run("inotifier_reload"))
    assert "the daemon ended while it took the new settings; see its log" in text
    assert "no catalogue" in project.errors
    assert not project.processes()
    assert not project.pid_file.exists()


def test_stream_that_cannot_be_opened_again_stays_as_it_was(project):
    project.start()
    old = project.out.rename(project.directory / "old")
    project.out.mkdir()
    project.reload()
    project.drop("file")
    wait_for(lambda: "got file" in old.read_text())
    assert "goes on with its old standard streams" in project.errors


# Signals to stop meanwhile


def test_stop_during_the_check_ends_both(project):
    pid = project.start()
    project.configure(ENDLESS_CHECK)
    hang_up(project)
    wait_for((project.directory / "checking").exists)
    os.kill(pid, signal.SIGTERM)
    wait_until_gone(pid)
    assert not project.processes()
    assert not project.pid_file.exists()


def test_stop_during_the_execution_ends_the_new_program_cleanly(project):
    process = project.foreground()
    project.configure(GATED_EXECUTION)
    hang_up(project)
    wait_for((project.directory / "executing").exists)
    project.drop("file")
    process.terminate()
    assert runs(process.pid)
    project.open_gate()
    assert process.wait(timeout=10) == 0
    assert project.got == ["file"]
    assert not project.pid_file.exists()


def test_stop_at_the_end_of_the_last_delivery_before_the_execution_is_not_lost(make_project):
    project = make_project(receivers=STOPS_ITS_PROCESS)
    pid = project.start()
    project.caught_up()
    threads = project.threads()
    project.drop("file")
    wait_for(lambda: project.status()["queue_depth"] == 1)
    hang_up(project)
    wait_for(lambda: project.threads() < threads)
    project.open_gate()
    wait_until_gone(pid)
    assert not Path(project.pid_file).exists()


def test_reload_asked_for_during_the_execution_is_answered(project):
    project.start()
    project.configure(GATED_EXECUTION)
    hang_up(project)
    wait_for((project.directory / "executing").exists)
    hang_up(project)
    project.open_gate()
    wait_for(lambda: answered(project) == 2)
    project.delivers("file")


def test_reload_that_would_drop_events_is_refused(make_project):
    project = make_project(receivers=GATED_RECORDER, INOTIFIER_SHUTDOWN_TIMEOUT=0.5)
    pid = project.start()
    project.drop("first", "second")
    wait_for(lambda: project.status().get("queue_depth", 0) > 0)
    assert "could not be delivered" in failed(project.run("inotifier_reload"))
    assert project.pid == pid
    project.drop("third")
    project.open_gate()
    wait_for(lambda: project.got == ["first", "second", "third"])


def test_reload_does_not_move_the_pid_file(project):
    project.start()
    pid = project.pid
    project.configure(PROJECT_PATH="log")
    os.kill(pid, signal.SIGHUP)
    wait_for(lambda: answered(project) == 1)
    assert "takes a restart" in project.status()["reload"]["error"]
    project.configure(PROJECT_PATH="run")
    project.stop()
