"""The daemon as another user, and the daemon of another user. Only root can try."""

import grp
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import django
import pytest

from tests.process.project import ROOT, Project, failed, runs, succeeded
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

NOBODY = 65534

LOUD_START = """
import grp
import os

class Processor:
    mask = "IN_CLOSE_WRITE"

    def prepare(self, path):
        print("user", os.getuid(), os.getgid(), os.getgroups(), flush=True)

    def __call__(self, event):
        print("got", event.name, flush=True)
"""


@pytest.fixture(scope="module")
def interpreter() -> tuple[str, dict[str, str]]:
    """A Python that nobody can run, and the environment in which it finds everything.

    The one that runs the tests may lie in a directory that only root can enter.
    """
    packages = Path(django.__file__).parents[1]
    environment = {"PYTHONPATH": f"{ROOT}:{packages}"}
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        probe = [python, "-c", "import django, inotifier, pyinotify, daemon, sqlite3"]
        try:
            result = subprocess.run(
                probe, cwd="/", env=environment, user=NOBODY, capture_output=True, check=False
            )
        except OSError:
            continue
        if result.returncode == 0:
            return python, environment
    pytest.skip("nobody can run a Python here that finds Django and inotifier")


@pytest.fixture
def open_project(interpreter) -> Iterator[Project]:
    """A project in a directory that everybody can read, unlike those of pytest."""
    directory = Path(tempfile.mkdtemp(prefix="inotifier-test-"))
    directory.chmod(0o755)
    project = Project(directory)
    python, environment = interpreter
    project.python = python
    # Nobody may not write the data of coverage.
    kept = {name: value for name, value in project.env.items() if not name.startswith("COVERAGE_")}
    project.env = kept | environment
    yield project
    project.end()
    shutil.rmtree(directory)


@pytest.fixture
def as_nobody(open_project) -> Project:
    """A project whose daemon runs as nobody, in directories that are nobody's."""
    open_project.configure(INOTIFIER_USER="nobody")
    for name in ("run", "log", "incoming"):
        os.chown(open_project.directory / name, NOBODY, NOBODY)
    return open_project


@pytest.mark.parametrize(
    ("group", "gid"), [(None, NOBODY), ("daemon", grp.getgrnam("daemon").gr_gid)]
)
def test_daemon_has_user_and_group_and_none_of_the_groups_of_root(as_nobody, group, gid):
    as_nobody.write("app/processors.py", LOUD_START)
    as_nobody.configure(
        INOTIFIER_GROUP=group,
        INOTIFIER_WATCH_PATHS=[("incoming", None, "app.processors.Processor")],
    )
    pid = as_nobody.start()
    assert f"user {NOBODY} {gid} [{gid}]" in as_nobody.output
    assert Path(f"/proc/{pid}").stat().st_uid == NOBODY


def test_foreground_daemon_changes_the_user_as_well(as_nobody):
    process = as_nobody.foreground()
    assert Path(f"/proc/{process.pid}").stat().st_uid == NOBODY
    as_nobody.delivers("file")
    process.terminate()
    assert process.wait(timeout=10) == 0
    assert not as_nobody.pid_file.exists()


def test_root_reloads_and_stops_it(as_nobody):
    pid = as_nobody.start()
    as_nobody.delivers("one")
    as_nobody.reload()
    as_nobody.delivers("two")
    assert as_nobody.processes() == [pid]
    as_nobody.stop()
    assert not as_nobody.processes()
    assert not as_nobody.pid_file.exists()


def test_its_own_user_stops_it(as_nobody):
    as_nobody.start()
    succeeded(as_nobody.run("inotifier_stop", user=NOBODY))
    assert not as_nobody.processes()


def test_pid_file_in_a_directory_of_root_is_emptied_at_the_end(as_nobody):
    for name in ("run", "log"):
        os.chown(as_nobody.directory / name, 0, 0)
    # The status file, however, is replaced again and again.
    as_nobody.configure(INOTIFIER_STATE_DIR="incoming/../state")
    (as_nobody.directory / "log" / "out").touch()
    (as_nobody.directory / "log" / "err").touch()
    for path in (as_nobody.directory / "log").iterdir():
        os.chown(path, NOBODY, NOBODY)
    as_nobody.start()
    as_nobody.delivers("file")
    as_nobody.stop()
    assert as_nobody.pid_file.read_text() == ""
    assert as_nobody.run("inotifier_status").returncode == 3
    as_nobody.start()


def test_directories_that_start_makes_belong_to_the_user(as_nobody):
    as_nobody.configure(INOTIFIER_STATE_DIR="state")
    as_nobody.start()
    status = (as_nobody.directory / "state").stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (NOBODY, 0o700)
    wait_for((as_nobody.directory / "state" / "inotifier.status.json").exists)


def test_log_that_the_user_may_not_write_ends_the_start(as_nobody):
    os.chown(as_nobody.directory / "log", 0, 0)
    log = as_nobody.directory / "log" / "app"
    log.touch(mode=0o600)
    handler = {"class": "logging.FileHandler", "filename": str(log)}
    as_nobody.configure(LOGGING={"version": 1, "handlers": {"file": handler}})
    text = failed(as_nobody.run("inotifier_start"))
    assert "LOGGING cannot be set up in the daemon" in text
    assert "Permission denied" in text
    assert not as_nobody.processes()


def test_watch_that_the_user_may_not_read_ends_the_start(as_nobody):
    os.chown(as_nobody.incoming, 0, 0)
    as_nobody.incoming.chmod(0o700)
    text = failed(as_nobody.run("inotifier_start"))
    assert f"{as_nobody.incoming} does not exist or you have insufficient permission" in text
    assert not as_nobody.processes()


def test_only_root_can_start_as_another_user(open_project):
    open_project.configure(INOTIFIER_USER="daemon")
    for name in ("run", "log"):
        os.chown(open_project.directory / name, NOBODY, NOBODY)
    text = failed(open_project.run("inotifier_start", user=NOBODY))
    assert "only root can start the daemon as another user" in text


# The daemon of another user


@pytest.mark.parametrize(
    "command", ["inotifier_stop", "inotifier_reload", "inotifier_status", "inotifier_restart"]
)
def test_daemon_of_another_user_is_told_apart_from_none(open_project, command):
    pid = open_project.start()
    text = failed(open_project.run(command, user=NOBODY), code=4)
    assert "belongs to another user" in text
    assert runs(pid)


@pytest.mark.parametrize("command", ["inotifier_stop", "inotifier_reload"])
def test_daemon_that_another_user_can_see_cannot_be_signalled_either(open_project, command):
    pid = open_project.start()
    open_project.pid_file.chmod(0o644)
    text = failed(open_project.run(command, user=NOBODY), code=4)
    assert f"the daemon (pid {pid}) belongs to another user" in text
    assert runs(pid)


def test_nobody_cannot_start_over_the_daemon_of_another_user(open_project):
    pid = open_project.start()
    failed(open_project.run("inotifier_start", user=NOBODY), code=4)
    assert open_project.processes() == [pid]
