"""A daemon in one container and commands in another, which share the daemon's files."""

import contextlib
import os
import subprocess
import sys

import pytest

from inotifier.lifecycle.channel import Channel
from tests.process.container import UNSHARE, contained, needs_namespaces
from tests.process.project import Project, failed, succeeded

pytestmark = [needs_namespaces, pytest.mark.long]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")

# Has a process of its own with the number that the daemon has in the other container.
BESIDE_A_STRANGER = """
until [ "$!" = {pid} ]; do sleep 100 & done
"$@"
code=$?
kill -0 {pid} && echo the stranger lives
exit $code
"""


@pytest.fixture
def daemon(project) -> Project:
    """A project whose daemon runs in a container."""
    contained(project)
    return project


def elsewhere(project: Project, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a management command in another container, beside a stranger."""
    script = BESIDE_A_STRANGER.format(pid=project.pid)
    return project.execute([*UNSHARE, "sh", "-c", script, "sh", *project.command(*command)])


@pytest.mark.parametrize(
    "command",
    [["inotifier_stop"], ["inotifier_reload"], ["inotifier_scan", "--daemon"]],
    ids=lambda command: command[0],
)
def test_no_command_signals_a_stranger(daemon, command):
    result = elsewhere(daemon, *command)
    assert result.stdout == "the stranger lives\n"
    assert "in another container, call this there" in failed(result)
    daemon.delivers("file")


ASK_DAEMON = """
from inotifier.monitoring.daemon import ask_daemon
answer = ask_daemon("page")
print(answer.state, answer.figures.get("pid"), answer.problem)
"""


def test_a_site_gets_its_answers_from_the_daemon(daemon):
    result = succeeded(elsewhere(daemon, "shell", "--verbosity", "0", "--command", ASK_DAEMON))
    assert result.stdout.splitlines()[0] == f"running {daemon.pid} "


ASK = """
import sys
from pathlib import Path
from inotifier.lifecycle.channel import ask
print(ask(Path(sys.argv[1]), 4711, Path(sys.argv[2]), {"a": 1}))
"""


@needs_root
def test_who_is_another_user_than_the_holder_of_the_pid_file_is_not_believed(tmp_path):
    (tmp_path / "pid").touch()
    command = [*UNSHARE, sys.executable, "-c", ASK, str(tmp_path / "socket"), str(tmp_path / "pid")]
    options = {"capture_output": True, "text": True, "timeout": 60, "check": False}
    with contextlib.closing(Channel(tmp_path / "socket", lambda question: question)):
        believed = subprocess.run(command, **options)
        os.chown(tmp_path / "pid", 65534, 65534)
        refused = subprocess.run(command, **options)
    assert succeeded(believed).stdout == "{'a': 1}\n"
    assert "answered by the user 0; the daemon's is 65534" in refused.stderr
