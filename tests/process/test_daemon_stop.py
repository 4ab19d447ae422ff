"""`inotifier_stop` and OS signals: what was read is delivered, and only the daemon is meant."""

import os
import signal
import subprocess

import pytest

from tests.process.project import Project, failed, runs, succeeded, wait_until_gone
from tests.waiting import wait_for

MANY = 1000

SIGNALS = [signal.SIGTERM, signal.SIGINT]


def queue_up(project: Project, number: int) -> list[str]:
    """Have the daemon read so many events while its receiver waits; return their names."""
    names = [f"{position:04}" for position in range(number)]
    project.caught_up()
    project.drop(*names)
    wait_for(lambda: project.status()["queue_depth"] == number)
    return names


def wait_until_it_drains(project: Project, threads: int) -> None:
    """Wait until the thread that reads has ended."""
    wait_for(lambda: project.threads() < threads)


@pytest.mark.parametrize("number", SIGNALS)
def test_signal_delivers_everything_that_was_read_and_ends_with_0(gated, number):
    process = gated.foreground()
    names = queue_up(gated, MANY)
    threads = gated.threads()
    process.send_signal(number)
    wait_until_it_drains(gated, threads)
    gated.open_gate()
    assert process.wait(timeout=30) == 0
    assert gated.got == names
    assert not gated.pid_file.exists()
    assert not gated.status_file.exists()


def test_stop_waits_until_everything_is_delivered(gated):
    gated.start()
    names = queue_up(gated, MANY)
    threads = gated.threads()
    stopping = gated.begin("inotifier_stop")
    wait_until_it_drains(gated, threads)
    assert stopping.poll() is None
    gated.open_gate()
    output, errors = stopping.communicate(timeout=30)
    assert gated.got == names
    assert (output, errors) == ("File watches have been stopped.\n", "")
    assert not gated.processes()


def test_event_that_was_not_read_when_the_signal_came_is_delivered(project):
    pid = project.start()
    # The daemon cannot read it: both wait for it when it goes on.
    os.kill(pid, signal.SIGSTOP)
    project.drop("file")
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGCONT)
    wait_until_gone(pid)
    assert project.got == ["file"]


def test_second_signal_cuts_the_draining(gated):
    process = gated.foreground()
    queue_up(gated, 10)
    threads = gated.threads()
    process.terminate()
    wait_until_it_drains(gated, threads)
    process.terminate()
    assert process.wait(timeout=10) == 0
    assert gated.got == []
    assert "stopping with 10 event(s) not delivered" in gated.output
    assert not gated.pid_file.exists()


def test_draining_ends_after_the_shutdown_timeout(make_project, gated):
    gated.configure(INOTIFIER_SHUTDOWN_TIMEOUT=0.5)
    gated.start()
    queue_up(gated, 10)
    result = succeeded(gated.run("inotifier_stop"))
    assert result.stderr == ""
    assert "stopping with 10 event(s) not delivered" in gated.errors
    assert not gated.processes()


def test_stop_kills_a_daemon_that_outlasts_its_timeout_and_says_so(gated):
    gated.start()
    queue_up(gated, 1)
    result = succeeded(gated.run("inotifier_stop", "--timeout", "0.5"))
    assert "did not stop within 0.5 s and was killed (SIGKILL)" in result.stderr
    assert result.stdout == "File watches have been stopped.\n"
    assert not gated.processes()


@pytest.mark.parametrize("command", ["inotifier_stop", "inotifier_reload"])
def test_no_daemon_is_an_error(project, command):
    text = failed(project.run(command))
    assert f"No pid file exists at {project.pid_file}" in text


def test_stop_removes_the_pid_file_of_a_daemon_that_was_killed(project):
    project.start()
    project.kill()
    text = failed(project.run("inotifier_stop"))
    assert f"No daemon holds {project.pid_file}" in text
    assert not project.pid_file.exists()


@pytest.mark.parametrize(
    ("command", "code"),
    [("inotifier_stop", 1), ("inotifier_reload", 1), ("inotifier_status", 3)],
)
def test_process_that_got_the_number_of_a_dead_daemon_is_left_alone(project, command, code):
    with subprocess.Popen(["sleep", "600"]) as innocent:
        try:
            project.pid_file.write_text(f"{innocent.pid}\n")
            assert project.run(command).returncode == code
            assert runs(innocent.pid)
        finally:
            innocent.kill()
