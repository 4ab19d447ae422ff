"""The daemon as the first process of a container: a PID namespace of its own."""

import fcntl
import os
import pty
import signal
import termios
import time

import pytest

from tests.process.container import UNSHARE, children, contained, needs_namespaces
from tests.process.project import RECORDER
from tests.process.service_manager import service_manager
from tests.waiting import wait_for

pytestmark = [needs_namespaces, pytest.mark.long]

# What it starts in the background ends after the command itself.
ORPHANS = ["sh", "-c", "(sleep 0.1; echo gone >> {path}/../orphans) >/dev/null 2>&1 & echo $!"]


def test_orphans_of_commands_are_waited_for(make_project):
    project = make_project(
        code="from inotifier.scheduling import ShellScheduler\n"
        f"INOTIFIER_WATCH_PATHS = [('incoming', 'IN_CLOSE_WRITE', ShellScheduler({ORPHANS!r}))]"
    )
    _, first = contained(project)
    project.drop(*(f"file {number}" for number in range(5)))
    orphans = project.directory / "orphans"
    wait_for(lambda: orphans.exists() and len(orphans.read_text().splitlines()) == 5)
    wait_for(lambda: project.entry["delivered"] == 5)
    # All that is left is the daemon: no zombie among the children of process 1.
    wait_for(lambda: len(children(first)) == 1, message="the end of the orphans")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_the_daemon_and_its_exit_code_is_that_of_the_container(project, number):
    process, first = contained(project)
    project.delivers("file")
    os.kill(first, number)
    assert process.wait(10) == 0
    assert not project.pid_file.exists()


def test_a_reload_reaches_the_daemon(project):
    _, first = contained(project)
    project.write("app/receivers.py", RECORDER.replace("got", "new"))
    os.kill(first, signal.SIGHUP)
    wait_for(lambda: project.status().get("reload", {}).get("answered") == 1, 30)
    project.drop("file")
    wait_for(lambda: "new file" in project.output)


def test_ctrl_c_comes_once(gated, tmp_path):
    # A second one would end it before it has delivered what it has read.
    ours, terminal = pty.openpty()
    try:
        with service_manager(gated, tmp_path / "notify") as manager:
            process, _ = contained(gated, stdin=terminal, preexec_fn=take_terminal)
            gated.drop("file")
            wait_for(lambda: gated.entry["seen"] == 1)
            os.write(ours, b"\x03")
            manager.wait_for("STOPPING")
        enough = time.monotonic() + 0.5  # for a second one to come
        wait_for(lambda: time.monotonic() > enough or process.poll() is not None)
        gated.open_gate()
        assert process.wait(10) == 0
    finally:
        os.close(ours)
        os.close(terminal)
    assert gated.got == ["file"]
    assert "not delivered" not in gated.output


def take_terminal() -> None:
    """Make standard input the terminal that this process has, as the first one of a session."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_the_end_of_the_daemon_is_that_of_the_container(project):
    process, first = contained(project)
    [daemon] = children(first)
    os.kill(daemon, signal.SIGKILL)
    assert process.wait(10) == 128 + signal.SIGKILL


def test_a_daemon_that_cannot_start_ends_the_container(project):
    project.configure(INOTIFIER_WATCH_PATHS=[("absent", None, "inotifier.nothing")])
    result = project.execute([*UNSHARE, *project.command("inotifier_start", "--foreground")])
    assert result.returncode == 1
    assert "absent does not exist" in result.stderr
