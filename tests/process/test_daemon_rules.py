"""File rules and the end of the daemon: each file arrives once, and whole."""

import os
import shutil
from pathlib import Path

import pytest

from tests.process.project import Project
from tests.waiting import wait_for

pytestmark = pytest.mark.long

MEMORY = Path("/dev/shm")
NUMBER = 100


@pytest.fixture
def inbox(tmp_path):
    """A directory on another file system than the project."""
    if not MEMORY.is_dir() or MEMORY.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system")
    path = MEMORY / f"inotifier-daemon-{os.getpid()}"
    path.mkdir()
    yield path
    shutil.rmtree(path)


def moving(project: Project, inbox: Path) -> dict[str, object]:
    """Return an entry that moves what comes from `inbox` to the other file system."""
    rule = {
        "action": "move",
        "src_re": f"^{inbox}/(.*)$",
        "dst_re": rf"{project.directory}/moved/\1",
        "auto_create": True,
    }
    return {
        "path": str(inbox),
        "events": "IN_CLOSE_WRITE|IN_MOVED_TO",
        "processor": "inotifier.scheduling.FileManagerScheduler",
        "options": {"rules": [rule], "limit": 2},
        "initial": "emit",
    }


def test_files_that_are_moved_while_the_daemon_is_killed_arrive_once(make_project, inbox):
    project = make_project()
    project.configure(INOTIFIER_WATCH_PATHS=[moving(project, inbox)])
    moved = project.directory / "moved"
    texts = {f"{number:03}": f"{number} " * (number * 500) for number in range(NUMBER)}
    for name, text in texts.items():
        (inbox / name).write_text(text)

    def arrived() -> list[Path]:
        return list(moved.glob("[0-9]*"))

    for part in (0.1, 0.5, 0.8):
        project.start()
        wait_for(lambda least=NUMBER * part: len(arrived()) > least, 60, "the first files")
        project.kill()
        assert all(path.read_text() == texts[path.name] for path in arrived())
        assert {path.name for path in (*inbox.iterdir(), *arrived())} == set(texts)
    project.start()
    wait_for(lambda: not list(inbox.iterdir()), 60, "the last files")
    project.stop()
    assert {path.name: path.read_text() for path in moved.iterdir()} == texts
