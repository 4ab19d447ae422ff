"""`inotifier_unit`: what it prints starts, reloads and stops the daemon of this project."""

import os
import shlex
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.process.project import Project, failed, succeeded
from tests.process.service_manager import service_manager
from tests.unit_files import arguments, needs_systemd, verified
from tests.waiting import wait_for

pytestmark = pytest.mark.long

EVIL = "a b%n$HOME\"'\\;#=ü"


@pytest.fixture
def evil(tmp_path):
    """A project in a directory whose name has all that is special anywhere."""
    project = Project(tmp_path / EVIL)
    yield project
    project.end()


def printed(project: Project, *args: str) -> str:
    return succeeded(project.run("inotifier_unit", *args)).stdout


@needs_systemd
def test_what_systemd_understands_runs_the_daemon(evil, tmp_path):
    understood = verified(printed(evil, "systemd"), tmp_path)
    assert os.fsdecode(understood["WorkingDirectory"]) == str(evil.directory)
    assert os.fsdecode(understood["Environment"]) == "DJANGO_SETTINGS_MODULE=settings"
    start = arguments(understood["Command Line"])
    with service_manager(evil, tmp_path / "notify") as manager, evil.out.open("a") as out:
        process = evil.spawn(start, cwd="/", stdout=out, stderr=out)
        manager.wait_for("READY")
        evil.delivers("file")
        process.terminate()
        assert process.wait(10) == 0


def test_what_the_daemon_writes_to_is_let_through(project):
    text = printed(project, "systemd")
    # All of it lies in /tmp here, or wherever the temporary directories of tests are.
    top = project.directory
    written = {line.partition("=-")[2] for line in text.splitlines() if "ReadWritePaths=-" in line}
    for path in (top / "incoming", top / "run"):
        assert any(path.is_relative_to(one) for one in written)


def test_a_call_from_elsewhere_gives_the_same(project, tmp_path):
    assert printed(project, "systemd") == (
        succeeded(project.run("inotifier_unit", "systemd", cwd=tmp_path)).stdout
    )


def test_a_relative_script_is_found(project):
    command = [project.python, "./manage.py", "inotifier_unit", "systemd"]
    assert succeeded(project.execute(command)).stdout == printed(project, "systemd")


def test_a_call_by_the_module_needs_the_directory_and_the_path(project, tmp_path):
    project.env |= {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": "."}
    command = [project.python, "-m", "django", "inotifier_unit", "systemd", "--pythonpath=app"]
    text = succeeded(project.execute(command)).stdout
    top = project.directory
    assert f"WorkingDirectory={top}\n" in text
    assert f"Environment=PYTHONPATH={top}\n" in text
    assert f"-m django inotifier_start --foreground --pythonpath={top}/app\n" in text


def test_the_next_release_is_found(tmp_path):
    release, current = tmp_path / "releases" / "1", tmp_path / "current"
    project = Project(release, code="BASE_DIR = BASE_DIR.resolve()")
    current.symlink_to(release)
    project.env["PWD"] = str(current)
    command = [project.python, "manage.py", "inotifier_unit", "systemd"]
    text = succeeded(project.execute(command, cwd=current)).stdout
    assert f"WorkingDirectory={current}\n" in text
    assert f" {current}/manage.py inotifier_start" in text


def test_without_base_dir_relative_paths_lie_where_it_is_called(make_project):
    project = make_project(code="del BASE_DIR")
    assert f"WorkingDirectory={project.directory}\n" in printed(project, "systemd")


def test_settings_on_the_command_line_are_kept(project):
    project.write("other.py", "from settings import *")
    text = printed(project, "supervisor", "--settings=other")
    assert 'environment=DJANGO_SETTINGS_MODULE="other"' in text


def test_a_daemon_that_would_be_root_is_warned_of(project):
    result = succeeded(project.run("inotifier_unit", "systemd"))
    assert ("The daemon will be root" in result.stderr) == (os.geteuid() == 0)


def test_the_user_of_the_settings_is_that_of_the_unit(make_project):
    project = make_project(INOTIFIER_USER=os.geteuid(), INOTIFIER_GROUP=os.getegid())
    name = Path(project.directory).owner()
    assert f"User={name}\n" in printed(project, "systemd")
    assert "user=" not in printed(project, "supervisor")


def test_entries_that_cannot_be_used_are_an_error(make_project):
    project = make_project(INOTIFIER_WATCH_PATHS=[("absent", None, "inotifier.nothing")])
    assert "absent does not exist" in failed(project.run("inotifier_unit", "systemd"))


def test_only_systemd_has_a_watchdog(project):
    assert "WatchdogSec=90\n" in printed(project, "systemd", "--watchdog=90")
    result = project.run("inotifier_unit", "openrc", "--watchdog=90")
    assert "has no watchdog" in failed(result)


# OpenRC

OPENRC = """
ebegin() { echo "$@"; }
eend() { return "$1"; }
RC_SVCNAME=shop
"""


@pytest.fixture
def openrc(evil, tmp_path):
    """Calls a function of the script as openrc-run does, after `start_pre` if it starts."""
    script = tmp_path / "script"
    script.write_text(printed(evil, "openrc"))

    def call(function: str) -> subprocess.CompletedProcess[str]:
        text = f". {shlex.quote(str(script))}\n{OPENRC}{function}"
        return evil.execute(["sh", "-c", text], cwd="/")

    return call


def test_the_script_of_openrc_starts_reloads_and_stops_the_daemon(evil, openrc):
    assert openrc("status").returncode == 3
    succeeded(openrc("start_pre && start"))
    evil.delivers("one")
    succeeded(openrc("status"))
    pid = evil.pid
    succeeded(openrc("reload"))
    assert evil.pid == pid
    evil.delivers("two")
    succeeded(openrc("stop"))
    assert evil.pid is None


def test_the_script_of_openrc_does_not_start_with_bad_settings(evil, openrc):
    evil.configure("raise RuntimeError('not good')")
    result = openrc("start_pre && start")
    assert result.returncode == 1
    assert "RuntimeError: not good" in result.stderr
    assert "Starting" not in result.stdout


def test_the_script_of_openrc_does_not_reload_bad_settings(evil, openrc):
    succeeded(openrc("start_pre && start"))
    evil.configure(INOTIFIER_WATCH_PATHS=[("absent", None, "inotifier.nothing")])
    result = openrc("reload")
    assert result.returncode == 1
    assert "absent does not exist" in result.stderr
    assert "Reloading" not in result.stdout
    evil.delivers("file")


# supervisor


@pytest.mark.skipif(find_spec("supervisor") is None, reason="supervisor is not installed")
def test_supervisor_runs_and_stops_the_daemon(make_project, tmp_path):
    project = make_project()
    section = printed(project, "supervisor").replace("startsecs=5", "startsecs=0")
    config = tmp_path / "supervisord.conf"
    options = f"logfile={tmp_path}/log\npidfile={tmp_path}/pid\nchildlogdir={tmp_path}"
    config.write_text(f"[supervisord]\nnodaemon=true\n{options}\n{section}\n")
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(config)]
    with project.out.open("a") as out:
        process = project.spawn(command, stdout=out, stderr=out)
    wait_for(lambda: project.pid is not None, 30)
    pid = project.pid
    wait_for(lambda: project.status().get("pid") == pid)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert not project.pid_file.exists()
    assert "terminated by SIGKILL" not in (tmp_path / "log").read_text()
