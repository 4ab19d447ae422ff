"""Tasks and the end of the daemon: what waits, what runs, and what comes again."""

import ast
import contextlib
import signal
import socket
from collections import Counter
from typing import Any

import pytest

from tests.documents import blocks
from tests.process.project import ROOT, Project, runs, succeeded, wait_until_gone
from tests.waiting import wait_for

pytestmark = pytest.mark.long

JOBS = """
import asyncio
import time
from django.conf import settings

def say(line):
    print(line + "\\n", end="", flush=True)  # in one piece: many threads print

def job(event, task_id):
    say(f"got {event.name}")

def gated(event, task_id):
    say(f"begun {event.name}")
    while not (settings.BASE_DIR / "gate").exists():
        time.sleep(0.01)
    say(f"got {event.name}")

async def gated_coroutine(event, task_id):
    say(f"begun {event.name}")
    while not (settings.BASE_DIR / "gate").exists():
        await asyncio.to_thread(time.sleep, 3600)

def failing(event, task_id):
    raise ValueError("no")
"""

LOST = "lost with their tasks, since their entries do not catch up: "


def entry(job: str = "job", catch_up: bool = True, **options: object) -> dict[str, object]:
    return {
        "path": "incoming",
        "processor": "inotifier.scheduling.TaskScheduler",
        "options": {"job": f"app.processors.{job}", **options},
        "catch_up": catch_up,
    }


@pytest.fixture
def make_tasks(make_project):
    """Make a project whose entry has a scheduler with some options."""

    def make(entry: dict[str, object], **settings: object) -> Project:
        return make_project(processors=JOBS, INOTIFIER_WATCH_PATHS=[entry], **settings)

    return make


IN_SETTINGS = """
from inotifier.scheduling import Cancel, EventMap, TaskScheduler

tasks = TaskScheduler("app.processors.job", delay=0.5)
INOTIFIER_WATCH_PATHS = [
    ("incoming", None, EventMap({"IN_CLOSE_WRITE": tasks, "IN_DELETE": Cancel(tasks)})),
]
"""


def configure(project: Project, entry: dict[str, object], **settings: object) -> None:
    project.configure(INOTIFIER_WATCH_PATHS=[entry], **settings)


def start_and_catch_up(project: Project) -> None:
    project.start()
    project.caught_up()
    wait_for(lambda: project.status()["queue_depth"] == 0, 60)


def waits(project: Project, number: int) -> None:
    wait_for(lambda: project.status()["queue_depth"] == number, 60)


def test_schedulers_may_stand_in_the_settings(make_project):
    project = make_project(processors=JOBS, code=IN_SETTINGS)
    project.start()
    project.drop("deleted", "kept")
    (project.incoming / "deleted").unlink()
    wait_for(lambda: project.got)
    waits(project, 0)
    project.stop()
    assert project.got == ["kept"]


def test_a_thousand_tasks_that_wait_survive_a_kill(make_tasks):
    project = make_tasks(entry(delay=3600))
    names = [f"{number:04}" for number in range(1000)]
    project.start()
    project.caught_up()
    project.drop(*names)
    waits(project, 1000)
    project.kill()
    configure(project, entry())
    start_and_catch_up(project)
    project.stop()
    assert Counter(project.got) == Counter(names)


def test_what_is_due_within_the_timeout_runs_before_the_end(make_tasks):
    project = make_tasks(entry(delay=1.5))
    project.start()
    project.caught_up()
    project.drop("a", "b")
    waits(project, 2)
    project.stop()
    assert sorted(project.got) == ["a", "b"]
    assert "not delivered" not in project.errors
    start_and_catch_up(project)
    project.stop()
    assert len(project.got) == 2


def test_what_is_due_later_is_not_waited_for_and_comes_at_the_next_start(make_tasks):
    project = make_tasks(entry(delay=3600), INOTIFIER_SHUTDOWN_TIMEOUT=600)
    project.start()
    project.caught_up()
    project.drop("a", "b")
    waits(project, 2)
    project.stop()
    assert (
        "stopping with 2 event(s) not delivered; 2 come at the next start, 0 are lost "
        "(in tasks: 2 that wait, 0 that run)"
    ) in project.errors
    configure(project, entry())
    start_and_catch_up(project)
    project.stop()
    assert sorted(project.got) == ["a", "b"]


def test_what_is_lost_is_named(make_tasks):
    project = make_tasks(entry(delay=3600, catch_up=False))
    project.start()
    project.drop("b", "a")
    waits(project, 2)
    project.stop()
    assert "2 event(s) not delivered; 0 come at the next start, 2 are lost" in project.errors
    assert f"{LOST}{project.incoming}/a, {project.incoming}/b" in project.errors


@pytest.mark.parametrize("job", ["gated", "gated_coroutine"])
def test_a_job_that_does_not_end_does_not_keep_the_daemon(make_tasks, job):
    project = make_tasks(entry(job), INOTIFIER_SHUTDOWN_TIMEOUT=0.5)
    pid = project.start()
    project.caught_up()
    project.drop("a")
    wait_for(lambda: "begun a" in project.output)
    project.stop()
    wait_until_gone(pid)
    assert "(in tasks: 0 that wait, 1 that run)" in project.errors
    configure(project, entry())
    start_and_catch_up(project)
    project.stop()
    assert project.got == ["a"]


def test_a_job_that_runs_may_end_within_the_timeout(make_tasks):
    project = make_tasks(entry("gated"))
    project.start()
    project.caught_up()
    project.drop("a")
    wait_for(lambda: "begun a" in project.output)
    threads = project.threads()
    stopping = project.begin("inotifier_stop")
    wait_for(lambda: project.threads() < threads)
    project.open_gate()
    assert stopping.wait(30) == 0
    assert project.got == ["a"]
    assert "not delivered" not in project.errors


def test_tasks_that_wait_do_not_hold_up_a_reload_and_come_after_it(make_tasks):
    project = make_tasks(entry(delay=3600), INOTIFIER_SHUTDOWN_TIMEOUT=600)
    pid = project.start()
    project.caught_up()
    project.drop("a", "b")
    waits(project, 2)
    configure(project, entry())
    project.reload()
    wait_for(lambda: sorted(project.got) == ["a", "b"])
    assert project.pid == pid
    project.stop()


def test_a_reload_that_would_lose_tasks_is_refused(make_tasks):
    project = make_tasks(entry(delay=3600, catch_up=False), INOTIFIER_SHUTDOWN_TIMEOUT=0.5)
    project.start()
    project.drop("a")
    waits(project, 1)
    result = project.run("inotifier_reload")
    assert result.returncode == 1
    assert "1 event(s) could not be delivered within INOTIFIER_SHUTDOWN_TIMEOUT" in result.stderr


def test_a_second_signal_cuts_the_waiting_short(make_tasks):
    project = make_tasks(entry("gated"), INOTIFIER_SHUTDOWN_TIMEOUT=600)
    process = project.foreground()
    project.caught_up()
    project.drop("a")
    wait_for(lambda: "begun a" in project.output)
    threads = project.threads()
    process.send_signal(signal.SIGTERM)
    wait_for(lambda: project.threads() < threads)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
    assert not runs(process.pid)


def test_a_wrong_option_is_a_problem_of_the_check(make_tasks):
    project = make_tasks(entry(delay="5"))
    result = project.run("check")
    assert result.returncode == 1
    assert "(inotifier.E008)" in result.stderr
    assert "delay is '5'; it should be a number of seconds" in result.stderr
    configure(project, entry(delay=5))
    succeeded(project.run("check"))


# Logs: what setLoglevel and enableSyslog of pyinotifyd do, by LOGGING


def documented_logging() -> dict[str, Any]:
    """Return the LOGGING that the documentation recommends."""
    [found] = (
        ast.literal_eval(block.text.removeprefix("LOGGING = "))
        for block in blocks(ROOT / "docs" / "later.rst")
        if block.text.startswith("LOGGING = ")
    )
    return found


def test_levels_and_syslog_are_a_matter_of_logging(make_tasks, tmp_path):
    device = tmp_path / "dev-log"
    recipe = documented_logging()
    assert recipe["handlers"]["syslog"]["address"] == "/dev/log"
    recipe["handlers"]["syslog"]["address"] = str(device)
    loud = entry("failing", delay=0.01, logname="loud")
    quiet = {**entry("job", delay=0.01), "path": "log", "events": "IN_MOVED_TO"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(str(device))
        syslog.settimeout(10)
        project = make_tasks(loud, LOGGING=recipe)
        project.configure(INOTIFIER_WATCH_PATHS=[loud, quiet])
        project.start()
        project.reload()  # which adds no second handler
        project.drop("a")
        schedule = next_line(syslog, "schedule task")
        task_id = schedule.rpartition("task_id=")[2].rstrip("\0")
        facts = f"mask=IN_CLOSE_WRITE, path={project.incoming}/a, task_id={task_id}"
        assert schedule == f"<14>inotifier: schedule task, delay=0.01, {facts}\0"
        assert next_line(syslog, "start task") == f"<14>inotifier: start task, {facts}\0"
        assert "TaskScheduler failed on IN_CLOSE_WRITE" in next_line(syslog, "failed on")
        failed = next_line(syslog, "job failed")
        assert failed == f"<11>inotifier: job failed: ValueError('no'), {facts}\0"
        (project.directory / "moved").touch()
        (project.directory / "moved").rename(project.directory / "log" / "moved")
        wait_for(lambda: "got moved" in project.output)
        project.stop()
        syslog.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while line := syslog.recv(4096).decode():
                assert "task" not in line


def next_line(syslog: socket.socket, text: str) -> str:
    """Return the next line about a task, which should hold `text`."""
    while True:
        line = syslog.recv(4096).decode()
        if "task" in line or "fail" in line:
            assert text in line
            return line
