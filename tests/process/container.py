"""What a container has: a PID namespace of its own."""

import contextlib
import subprocess
from pathlib import Path

import pytest

from tests.process.project import Project
from tests.waiting import wait_for

UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc"]


def _can_unshare() -> bool:
    try:
        return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


needs_namespaces = pytest.mark.skipif(
    not _can_unshare(), reason="no PID namespace can be made here: unshare --pid --fork"
)


def contained(project: Project, **options) -> tuple["subprocess.Popen[str]", int]:
    """Start the daemon as process 1 of a namespace.

    Returns:
        What ends as that process does, and its pid as it is seen from outside.
    """
    with project.out.open("a") as out:
        process = project.spawn(
            [*UNSHARE, *project.command("inotifier_start", "--foreground")],
            **{"stdout": out, "stderr": subprocess.STDOUT, **options},
        )
    wait_for(lambda: project.status().get("pid"))
    [first] = children(process.pid)
    return process, first


def children(pid: int) -> list[int]:
    """Return the pids of the children of a process."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found += [int(child) for child in (task / "children").read_text().split()]
    return found
