"""`inotifier_start`: it returns when the watches stand, or says why they do not."""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.project import SIGNALER, Project, failed, runs, succeeded
from tests.waiting import wait_for

ROUNDS = 20
STARTERS = 20

PROCESSOR_THAT = """
import os, signal, time
from django.conf import settings

class Processor:
    mask = "IN_CLOSE_WRITE"

    def prepare(self, path):
        {prepare}

    def __call__(self, event):
        print("got", event.name, flush=True)
"""

FORKS = """
import os, time
from django.conf import settings
from django.dispatch import receiver
from inotifier.signals import in_close_write

@receiver(in_close_write)
def fork(event, **kwargs):
    if os.fork() == 0:
        while not (settings.BASE_DIR / "gate").exists():
            time.sleep(0.01)
        os._exit(0)
"""

SHOW_PID_FILE = "from inotifier.conf import conf; print(conf.pid_file)"

OWN_PROCESSOR = [("incoming", None, "app.processors.Processor")]


def processor_that(prepare: str) -> dict[str, object]:
    """Return options of a project whose processor does this once its watch stands."""
    return {
        "processors": PROCESSOR_THAT.format(prepare=prepare),
        "INOTIFIER_WATCH_PATHS": OWN_PROCESSOR,
    }


def nothing_is_left(project: Project) -> bool:
    return not project.processes() and not project.pid_file.exists()


@pytest.fixture(scope="module")
def limited() -> list[str]:
    """What to put before a command to run it with limits of its own on inotify.

    The limits are those of a new user namespace: the machine's stay as they are.
    """
    if not shutil.which("unshare"):
        pytest.skip("unshare(1) is missing")
    prefix = ["unshare", "--user", "--map-root-user", "sh", "-c"]
    probe = subprocess.run([*prefix, "test -w /proc/sys/user/max_inotify_watches"], check=False)
    if probe.returncode:
        pytest.skip("this user may not make a user namespace here")
    return [*prefix, 'echo "$1" >"/proc/sys/user/$0" && shift && exec "$@"']


@pytest.mark.long
@pytest.mark.timeout(300)
def test_watches_stand_when_start_returns_even_after_kill_9(make_project):
    project = make_project(INOTIFIER_CATCH_UP=False)
    for number in range(ROUNDS):
        project.start()
        name = f"file-{number}"
        project.drop(name)
        wait_for(lambda name=name: project.got[-1:] == [name])
        project.kill()
    assert len(project.got) == ROUNDS


def test_start_names_every_watch_and_then_says_that_monitoring_started(make_project):
    printer = "inotifier.event_processors.AllEventsPrinter"
    project = make_project(
        INOTIFIER_WATCH_PATHS=[
            ("incoming", "IN_CREATE", SIGNALER),
            ("incoming", "IN_DELETE", printer),
        ]
    )
    result = succeeded(project.run("inotifier_start"))
    assert result.stdout.splitlines() == [
        f"Adding watch on {project.incoming}, processed by {SIGNALER}",
        f"Adding watch on {project.incoming}, processed by {printer}",
        "File monitoring started",
    ]
    assert result.stderr == ""


def test_start_leaves_one_process_that_has_no_terminal_and_leads_no_session(project):
    pid = project.start()
    assert project.processes() == [pid]
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    session, terminal = int(fields[3]), int(fields[4])
    assert session not in (pid, os.getsid(0))
    assert terminal == 0


def test_second_start_says_that_the_daemon_runs_already(project):
    pid = project.start()
    assert f"already running (pid {pid})" in failed(project.run("inotifier_start"))
    assert project.processes() == [pid]


@pytest.mark.long
def test_twenty_starts_at_once_make_one_daemon(project):
    starters = [project.begin("inotifier_start") for _ in range(STARTERS)]
    texts = {starter: starter.communicate(timeout=60)[1] for starter in starters}
    [winner] = [starter for starter in starters if starter.returncode == 0]
    pid = project.pid
    assert project.processes() == [pid]
    for loser in starters:
        if loser is not winner:
            assert loser.returncode == 1
            assert f"already running (pid {pid})" in texts[loser]
    project.delivers("file")


# Where and how it is called


def test_without_project_path_its_files_lie_in_private_places(make_project, tmp_path):
    project = make_project(PROJECT_PATH=None)
    project.env["XDG_STATE_HOME"] = str(tmp_path / "state")
    succeeded(project.run("inotifier_start"))
    [pid] = project.processes()
    pid_file = Path(succeeded(project.run("shell", "-v0", "-c", SHOW_PID_FILE)).stdout.strip())
    assert pid_file.read_text() == f"{pid}\n"
    assert pid_file.is_relative_to(f"/tmp/inotifier-{os.geteuid()}")
    assert pid_file.parent.stat().st_mode & 0o777 == 0o700
    [status_file] = (tmp_path / "state").rglob("*.json")
    assert status_file.parent.stat().st_mode & 0o777 == 0o700
    project.stop()
    assert not project.processes()
    pid_file.parent.rmdir()


def test_start_works_with_standard_streams_closed(project):
    shell = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    result = project.execute([*shell, *project.command("inotifier_start")], stdin=None)
    assert result.returncode == 0
    project.delivers("file")


def test_relative_paths_begin_at_base_dir_wherever_start_is_called(project, tmp_path):
    command = [sys.executable, "p0/manage.py", "inotifier_start"]
    succeeded(project.execute(command, cwd=tmp_path))
    project.delivers("file")
    # The daemon calls itself by the same relative path again.
    project.reload()
    project.delivers("another")


def test_setting_may_be_a_generator(make_project):
    project = make_project(
        code="INOTIFIER_WATCH_PATHS = (entry for entry in INOTIFIER_WATCH_PATHS)"
    )
    project.start()
    project.delivers("file")


@pytest.mark.parametrize("via", ["-m django", "django-admin"])
def test_daemon_is_started_and_reloaded_by_djangos_own_commands(project, via):
    admin = [str(Path(sys.executable).with_name("django-admin"))]
    command = [project.python, "-m", "django"] if via == "-m django" else admin
    options = ["--settings", "settings", "--pythonpath", str(project.directory)]
    succeeded(project.execute([*command, "inotifier_start", *options]))
    project.delivers("file")
    succeeded(project.execute([*command, "inotifier_reload", *options]))
    project.delivers("another")


def test_daemon_is_started_and_reloaded_by_other_code(project):
    program = (
        "import django; django.setup()\n"
        "from django.core.management import call_command\n"
        "call_command('inotifier_start')\n"
        "call_command('inotifier_reload')\n"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(project.directory)}
    succeeded(project.execute([project.python, "-c", program], env=project.env | environment))
    project.delivers("file")


# Starts that fail


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"INOTIFIER_WATCH_PATHS": None}, "Missing/empty setting INOTIFIER_WATCH_PATHS"),
        ({"INOTIFIER_WATCH_PATHS": ["nowhere"]}, "nowhere does not exist or you have insufficient"),
        ({"INOTIFIER_DAEMON_STDOUT": "nowhere/out"}, "cannot append to"),
        ({"INOTIFIER_DAEMON_STDERR": "log"}, "Is a directory"),
        ({"INOTIFIER_WORKING_DIRECTORY": "nowhere"}, "cannot become a daemon"),
        ({"PROJECT_PATH": "nowhere", "INOTIFIER_STATE_DIR": "run"}, "directory of the pid file"),
        ({"INOTIFIER_UMASK": "022"}, "INOTIFIER_UMASK"),
    ],
)
def test_start_says_which_setting_is_wrong(make_project, settings, reason):
    project = make_project(**settings)
    assert reason in failed(project.run("inotifier_start"))
    assert nothing_is_left(project)


def test_start_says_that_prepare_raised(make_project):
    project = make_project(**processor_that("raise ValueError('no catalogue')"))
    text = failed(project.run("inotifier_start"))
    assert "prepare() of app.processors.Processor failed" in text
    assert "no catalogue" in text
    assert nothing_is_left(project)


def test_daemon_that_fails_ends_by_itself(make_project):
    at_exit = "import atexit; atexit.register(print, 'last words'); raise ValueError"
    project = make_project(**processor_that(at_exit))
    failed(project.run("inotifier_start"))
    assert "last words" in project.output


def test_start_tells_of_a_daemon_that_was_killed_while_it_started(make_project):
    project = make_project(**processor_that("os.kill(os.getpid(), signal.SIGKILL)"))
    text = failed(project.run("inotifier_start"))
    assert "the daemon ended before its watches stood" in text
    assert nothing_is_left(project)


def test_start_ends_a_daemon_that_hangs_while_it_starts(make_project):
    project = make_project(**processor_that("time.sleep(600)"))
    text = failed(project.run("inotifier_start", "--timeout", "1"))
    assert "not ready within 1 s" in text
    assert nothing_is_left(project)


def test_log_that_hangs_is_ended_as_well(project):
    project.out.unlink(missing_ok=True)
    os.mkfifo(project.out)  # nobody reads it, so that nobody can open it for writing
    text = failed(project.run("inotifier_start", "--timeout", "1"))
    assert "not ready within 1 s" in text
    assert nothing_is_left(project)


def test_start_that_is_interrupted_leaves_nothing(make_project):
    project = make_project(**processor_that("time.sleep(600)"))
    starter = project.begin("inotifier_start")
    wait_for(lambda: project.pid)
    starter.send_signal(signal.SIGINT)
    starter.communicate(timeout=30)
    assert not project.processes()


INTERRUPTED_FORK = """
import os, signal
_fork, _home = os.fork, os.getpid()

def interrupted():
    pid = _fork()
    if os.getpid() == _home:
        os.kill(_home, signal.SIGINT)
    return pid

os.fork = interrupted
"""


def test_start_that_is_interrupted_while_it_forks_leaves_nothing(make_project):
    project = make_project(code=INTERRUPTED_FORK)
    assert project.run("inotifier_start").returncode != 0
    assert not project.processes()


def test_pid_file_that_another_program_locks_keeps_the_daemon_from_starting(project):
    project.pid_file.write_text(f"{os.getpid()}\n")
    with project.pid_file.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = failed(project.run("inotifier_start"))
    assert f"already running (pid {os.getpid()})" in text
    assert not project.processes()
    project.start()


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("max_inotify_watches", "the limit of this user is reached"),
        ("max_inotify_instances", "the kernel gives no further inotify instance"),
    ],
)
def test_start_says_which_limit_of_the_kernel_is_reached(project, limited, limit, reason):
    text = failed(project.execute([*limited, limit, "0", *project.command("inotifier_start")]))
    assert reason in text
    assert re.search(r"fs\.inotify\.max_user_(watches|instances)", text)
    assert nothing_is_left(project)


def test_watch_limit_reached_by_the_second_entry_ends_the_start(make_project, limited):
    project = make_project(INOTIFIER_WATCH_PATHS=["incoming", "app"])
    command = [*limited, "max_inotify_watches", "1", *project.command("inotifier_start")]
    result = project.execute(command)
    assert f"cannot watch all of {project.directory / 'app'}" in failed(result)
    assert "File monitoring started" not in result.stdout
    assert nothing_is_left(project)


def test_file_left_by_a_dead_daemon_is_no_obstacle_even_with_the_pid_of_another(project):
    project.pid_file.write_text(f"{os.getpid()}\n")
    pid = project.start()
    assert pid != os.getpid()
    assert runs(os.getpid())


def test_child_that_a_receiver_forked_does_not_keep_the_lock_of_a_dead_daemon(make_project):
    # Otherwise the new one would deliver the file again.
    project = make_project(receivers=FORKS, INOTIFIER_CATCH_UP=False)
    old = project.start()
    project.drop("file")
    wait_for(lambda: len(project.processes()) == 2)
    project.kill()
    new = project.start()
    assert new != old
    assert len(project.processes()) == 2


def test_start_whose_output_nobody_reads_leaves_a_good_daemon(project):
    shell = ["sh", "-c", '"$@" | true', "sh"]
    project.execute([*shell, *project.command("inotifier_start")])
    wait_for(lambda: project.pid is not None)
    project.delivers("file")
