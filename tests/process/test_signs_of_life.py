"""While the daemon waits for its handlers it goes round: ``/health`` looks at how long ago."""

import signal
import subprocess

from inotifier.lifecycle.channel import ask
from tests.process.project import Project
from tests.process.service_manager import service_manager
from tests.waiting import wait_for

LOGGING = {
    "version": 1,
    "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
    "loggers": {"inotifier": {"level": "INFO", "handlers": ["out"]}},
}


def busy(gated: Project) -> "subprocess.Popen[str]":
    """Start a daemon that has an event with which its receiver is not done."""
    process = gated.foreground()
    gated.drop("file")
    wait_for(lambda: gated.entry["seen"] == 1)
    return process


def since_round(project: Project) -> float:
    socket = project.directory / "run" / "inotifier.sock"
    assert project.pid
    return ask(socket, project.pid, project.pid_file, {"ask": "figures"})["since_tick"]


def goes_round(project: Project) -> None:
    """Return when the main thread has gone round once more."""
    seen = [since_round(project)]

    def is_less() -> bool:
        seen.append(since_round(project))
        return seen[-1] < seen[-2]

    wait_for(is_less)


def test_it_goes_round_while_a_reload_waits_for_a_handler(gated):
    gated.configure(LOGGING=LOGGING)
    process = busy(gated)
    process.send_signal(signal.SIGHUP)
    wait_for(lambda: "executing anew" in gated.output, 30)
    goes_round(gated)


def test_it_goes_round_while_its_end_waits_for_a_handler(gated, tmp_path):
    with service_manager(gated, tmp_path / "notify") as manager:
        process = busy(gated)
        process.terminate()
        manager.wait_for("STOPPING")
        goes_round(gated)
