"""Commands and the end of the daemon: none goes on unnoticed, and none is forgotten."""

from collections.abc import Callable

import pytest

from tests.process.project import Project, runs
from tests.waiting import wait_for

COMMAND = (
    "echo $$ > pid; echo begun >> lines; "
    "until [ -e gate ]; do sleep 0.02; done; "
    "echo {name} >> lines"
)


@pytest.fixture
def make_commands(make_project) -> Callable[..., Project]:
    """Make a project whose entry has a command run that waits for a gate to open."""

    def make(**settings: object) -> Project:
        entry = {
            "path": "incoming",
            "events": "IN_CLOSE_WRITE",
            "processor": "inotifier.scheduling.ShellScheduler",
            "options": {"cmd": COMMAND},
        }
        return make_project(INOTIFIER_WATCH_PATHS=[entry], **settings)

    return make


def lines(project: Project) -> list[str]:
    path = project.directory / "lines"
    return path.read_text().splitlines() if path.exists() else []


def pid_of_command(project: Project) -> int:
    wait_for(lambda: lines(project), message="the command")
    return int((project.directory / "pid").read_text())


def test_a_command_that_runs_may_end_when_the_daemon_stops(make_commands):
    project = make_commands()
    project.start()
    project.caught_up()
    project.drop("a")
    pid_of_command(project)
    stopping = project.begin("inotifier_stop")
    project.open_gate()
    assert stopping.wait(30) == 0
    assert lines(project) == ["begun", "a"]


def test_a_command_that_takes_too_long_ends_with_the_daemon_and_comes_again(make_commands):
    project = make_commands(INOTIFIER_SHUTDOWN_TIMEOUT=0.2)
    project.start()
    project.caught_up()
    project.drop("a")
    pid = pid_of_command(project)
    project.stop()
    assert not runs(pid)
    assert lines(project) == ["begun"]
    project.open_gate()
    project.start()
    wait_for(lambda: lines(project) == ["begun", "begun", "a"])
    project.stop()
