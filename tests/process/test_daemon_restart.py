"""`inotifier_restart` and `inotifier_start --replace`."""

import pytest

from tests.process.project import failed, runs, succeeded
from tests.waiting import wait_for

COMMANDS = [["inotifier_restart"], ["inotifier_start", "--replace"]]


@pytest.mark.parametrize("command", COMMANDS)
def test_new_daemon_takes_the_place_of_the_old_one(project, command):
    old = project.start()
    succeeded(project.run(*command))
    assert project.pid != old
    assert project.processes() == [project.pid]
    project.delivers("file")


@pytest.mark.parametrize("command", COMMANDS)
def test_it_starts_where_nothing_ran(project, command):
    succeeded(project.run(*command))
    project.delivers("file")


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_settings_leave_the_old_daemon_running(project, command):
    old = project.start()
    project.configure(INOTIFIER_WATCH_PATHS=["nowhere"])
    assert "nowhere does not exist" in failed(project.run(*command))
    assert project.pid == old
    assert runs(old)
    project.delivers("file")


def test_old_daemon_that_hangs_is_killed_and_named(gated):
    old = gated.start()
    gated.caught_up()
    gated.drop("file")
    wait_for(lambda: gated.status()["queue_depth"] == 1)
    result = succeeded(gated.run("inotifier_restart", "--timeout", "0.5"))
    assert "The old daemon did not stop within 0.5 s and was killed" in result.stderr
    assert not runs(old)
    assert gated.processes() == [gated.pid]
