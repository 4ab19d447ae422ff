"""A daemon in one container and commands in another, which share the daemon's files."""

import subprocess

import pytest

from tests.process.container import UNSHARE, contained, needs_namespaces
from tests.process.project import Project, failed

pytestmark = needs_namespaces

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
