"""A small real Django project whose commands run as real processes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]

SIGNALER = "inotifier.event_processors.AllEventsSignaler"

MANAGE = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""

APPS = """
from django.apps import AppConfig

class App(AppConfig):
    name = "app"

    def ready(self):
        from app import receivers
"""

RECORDER = """
from django.dispatch import receiver
from inotifier.events import printable
from inotifier.signals import in_close_write

@receiver(in_close_write)
def record(event, **kwargs):
    print("got", printable(event.name), flush=True)
"""

# Delivers nothing until the file "gate" exists.
GATED_RECORDER = """
import time
from django.conf import settings
from django.dispatch import receiver
from inotifier.signals import in_close_write

@receiver(in_close_write)
def record(event, **kwargs):
    while not (settings.BASE_DIR / "gate").exists():
        time.sleep(0.01)
    print("got", event.name, flush=True)
"""

_MARK = "INOTIFIER_TEST_PROJECT"
_PATIENCE = 2.0


class Project:
    """A project in `directory`; its daemon watches `incoming` and prints what it gets.

    Args:
        directory: where to write it; made if it is missing.
        receivers: source of the module `app.receivers`.
        processors: source of the module `app.processors`.
        code: source that ends the settings module.
        settings: further settings, or others than the default ones; None leaves one out.

    Attributes:
        python: the interpreter of its commands.
        env: the environment of its commands.
    """

    def __init__(
        self,
        directory: Path,
        *,
        receivers: str = RECORDER,
        processors: str = "",
        code: str = "",
        **settings: Any,
    ) -> None:
        self.directory = directory
        self.incoming = directory / "incoming"
        self.pid_file = directory / "run" / "inotifier.pid"
        self.status_file = directory / "run" / "inotifier.status.json"
        self.python = sys.executable
        self.env = _clean(os.environ) | {_MARK: str(directory)}
        self._clock = int(time.time())
        self._started: list[subprocess.Popen[str]] = []
        for name in ("incoming", "run", "log", "app"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        self.write("manage.py", MANAGE)
        self.write("app/__init__.py", "")
        self.write("app/apps.py", APPS)
        self.write("app/receivers.py", receivers)
        self.write("app/processors.py", processors)
        self._settings: dict[str, Any] = {
            "SECRET_KEY": "test",
            "INSTALLED_APPS": ["inotifier", "app.apps.App"],
            "USE_TZ": True,
            "PROJECT_PATH": "run",
            "INOTIFIER_RETRIES": 0,
            "INOTIFIER_DAEMON_STDOUT": "log/out",
            "INOTIFIER_DAEMON_STDERR": "log/err",
            "INOTIFIER_WATCH_PATHS": [("incoming", "IN_CLOSE_WRITE", SIGNALER)],
        }
        self.configure(code, **settings)

    def configure(self, code: str = "", **settings: Any) -> None:
        """Write the settings module, with `settings` changed."""
        self._settings |= settings
        lines = ["from pathlib import Path", "BASE_DIR = Path(__file__).parent"]
        lines += [
            f"{name} = {value!r}" for name, value in self._settings.items() if value is not None
        ]
        self.write("settings.py", "\n".join([*lines, code, ""]))

    def write(self, name: str, text: str) -> None:
        """Write a source file so that no compiled older one stands for it.

        Python tells them apart by size and time, and the time counts in whole seconds.
        """
        path = self.directory / name
        path.write_text(text)
        self._clock += 1
        os.utime(path, (self._clock, self._clock))

    # Commands

    def command(self, name: str, *args: str) -> list[str]:
        """Return the command line of a management command."""
        return [self.python, str(self.directory / "manage.py"), name, *args]

    def run(self, name: str, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a management command to its end."""
        return self.execute(self.command(name, *args), **options)

    def execute(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run any command of this project to its end; `options` are those of `subprocess.run`."""
        options = {
            "cwd": self.directory,
            "env": self.env,
            "stdin": subprocess.DEVNULL,
            "capture_output": True,
            "timeout": 60,
            "check": False,
            **options,
        }
        return subprocess.run(command, text=True, errors="surrogateescape", **options)

    def begin(self, name: str, *args: str, **options: Any) -> "subprocess.Popen[str]":
        """Start a management command; what it prints is to be read from its streams."""
        return self.spawn(self.command(name, *args), **options)

    def spawn(self, command: list[str], **options: Any) -> "subprocess.Popen[str]":
        """Start any command of this project; `options` are those of `subprocess.Popen`."""
        process = subprocess.Popen(
            command,
            text=True,
            **{
                "cwd": self.directory,
                "env": self.env,
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                **options,
            },
        )
        self._started.append(process)
        return process

    def start(self, *args: str) -> int:
        """Start the daemon and return its pid."""
        succeeded(self.run("inotifier_start", *args))
        pid = self.pid
        assert pid is not None
        return pid

    def foreground(self, *args: str) -> "subprocess.Popen[str]":
        """Start the daemon in the foreground and wait for its watches; `output` has its output."""
        with self.out.open("a") as out:
            process = self.begin(
                "inotifier_start", "--foreground", *args, stdout=out, stderr=subprocess.STDOUT
            )
        wait_for(lambda: self.status().get("pid") == process.pid)
        wait_for(lambda: "File monitoring started" in self.output)
        return process

    def stop(self) -> None:
        """Stop the daemon by the command."""
        succeeded(self.run("inotifier_stop"))

    def reload(self) -> None:
        """Reload the daemon by the command."""
        succeeded(self.run("inotifier_reload"))

    # What is to be seen from outside

    @property
    def pid(self) -> int | None:
        """What the pid file holds."""
        try:
            return int(self.pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def status(self) -> dict[str, Any]:
        """Return what the daemon has written about itself."""
        try:
            return json.loads(self.status_file.read_text())
        except FileNotFoundError:
            return {}

    @property
    def entry(self) -> dict[str, Any]:
        """The status of the first entry."""
        return self.status()["entries"][0]

    @property
    def out(self) -> Path:
        """The daemon's standard output."""
        return self.directory / "log" / "out"

    @property
    def output(self) -> str:
        """What the daemon has printed."""
        return self.out.read_text() if self.out.exists() else ""

    @property
    def errors(self) -> str:
        """What the daemon has printed to standard error."""
        path = self.directory / "log" / "err"
        return path.read_text() if path.exists() else ""

    @property
    def got(self) -> list[str]:
        """Names of the files that receivers have reported, in their order."""
        return [line[4:] for line in self.output.splitlines() if line.startswith("got ")]

    def drop(self, *names: str | bytes) -> None:
        """Put an empty file of each name into `incoming`."""
        for name in names:
            (self.incoming / os.fsdecode(name)).write_bytes(b"")

    def link(self, name: str) -> None:
        """Put a file into `incoming` of which IN_CLOSE_WRITE does not tell."""
        file = self.directory / "linked"
        file.touch()
        (self.incoming / name).hardlink_to(file)

    def caught_up(self) -> None:
        """Return when the daemon has looked for what it missed: nothing of that is queued then."""
        wait_for(lambda: self.status().get("catching_up") is False)

    def delivers(self, name: str) -> None:
        """Put a file into `incoming` and wait until it is reported."""
        self.drop(name)
        wait_for(lambda: name in self.got)

    def open_gate(self) -> None:
        """Let the gated receiver go on."""
        (self.directory / "gate").touch()

    def threads(self) -> int:
        """Return the number of the daemon's threads."""
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    def descriptors(self) -> int:
        """Return the number of the daemon's open descriptors."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the daemon, all its threads, for so long."""
        pid = self.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            # What it reads meanwhile would be missed in a queue that is to overflow.
            wait_for(lambda: _is_stopped(pid))
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def processes(self) -> list[int]:
        """Return the pids of all processes that come from commands of this project."""
        mark = f"\0{_MARK}={self.directory}\0".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in b"\0" + (process / "environ").read_bytes():
                    found.append(int(process.name))
            except OSError:
                continue  # it has ended, or is not ours
        return found

    # The end

    def kill(self) -> None:
        """End the daemon by SIGKILL and wait until it is gone."""
        pid = self.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until_gone(pid)

    def reap(self) -> None:
        """Let the commands that have ended go."""
        for process in self._started:
            process.poll()

    def end(self) -> None:
        """End all processes of this project: first in peace, so that coverage is written."""
        self.open_gate()
        deadline = time.monotonic() + _PATIENCE

        def nothing_left() -> bool:
            left = self.processes()
            if time.monotonic() > deadline:
                signal_all(left, signal.SIGKILL)
            self.reap()
            return not left

        signal_all(self.processes(), signal.SIGTERM)
        wait_for(nothing_left)
        for process in self._started:
            with process:  # closes its streams
                pass


def signal_all(pids: list[int], number: signal.Signals) -> None:
    """Send the OS signal to those that still run."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def succeeded(result: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """Return `result` if the command ended with 0."""
    assert result.returncode == 0, result.stderr
    return result


def failed(result: subprocess.CompletedProcess[str], code: int = 1) -> str:
    """Return what a command that ended with `code` printed to standard error."""
    assert result.returncode == code, (result.returncode, result.stdout, result.stderr)
    assert "Traceback" not in result.stderr
    return result.stderr


def runs(pid: int) -> bool:
    """Tell whether there is such a process, dead ones that nobody has waited for aside."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _is_stopped(pid: int) -> bool:
    """Tell whether all threads of a process are stopped, by proc_pid_stat(5)."""
    try:
        states = {
            (task / "stat").read_text().rpartition(")")[2].split()[0]
            for task in Path(f"/proc/{pid}/task").iterdir()
        }
    except FileNotFoundError:
        return False  # a thread has just ended
    return states == {"T"}


def switches(pid: int) -> int:
    """Return how often the main thread of the process has gone to sleep."""
    text = Path(f"/proc/{pid}/task/{pid}/status").read_text()
    [line] = [line for line in text.splitlines() if line.startswith("voluntary_ctxt")]
    return int(line.split()[1])


def wait_until_gone(pid: int) -> None:
    """Wait for the end of the process."""
    wait_for(lambda: not runs(pid))


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    ours = ("DJANGO_SETTINGS_MODULE", "PYTHONPATH", "XDG_STATE_HOME")
    return {name: value for name, value in environment.items() if name not in ours}
