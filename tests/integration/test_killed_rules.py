"""A daemon that is killed while a rule is applied: nothing is lost, and nothing is left half."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.project import ROOT

MEMORY = Path("/dev/shm")


def directories(way: str, tmp_path: Path) -> tuple[Path, Path]:
    """Return a source and a target."""
    disk, memory = tmp_path / "disk", MEMORY / f"inotifier-{os.getpid()}"
    if way == "within memory":
        base = memory if MEMORY.is_dir() else disk
        return base / "in", base / "out"
    if not MEMORY.is_dir() or MEMORY.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system")
    return memory, disk


@pytest.fixture
def nothing_in_memory():
    yield
    shutil.rmtree(MEMORY / f"inotifier-{os.getpid()}", ignore_errors=True)


@pytest.mark.long
@pytest.mark.usefixtures("nothing_in_memory")
@pytest.mark.parametrize(
    ("way", "action", "kind", "replaces"),
    [
        ("from memory to disk", "move", "file", "makes"),
        ("from memory to disk", "move", "file", "replaces"),
        ("from memory to disk", "move", "directory", "makes"),
        ("from memory to disk", "move", "directory", "replaces"),
        ("from memory to disk", "copy", "directory", "replaces"),
        ("within memory", "move", "file", "makes"),
        ("within memory", "move", "directory", "replaces"),
    ],
)
def test_killed_at_any_step_it_loses_nothing(way, action, kind, replaces, tmp_path):
    # Not measured: each of the many processes would write a file of its own.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")
    }
    result = subprocess.run(
        [
            *(sys.executable, "-m", "tests.integration.killed_rules"),
            *(*map(str, directories(way, tmp_path)), action, kind, replaces),
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["problems"] == []
    assert told["steps"] > 20
