"""What the daemon writes after it has detached, and what it writes as: streams, logs, umask."""

import socket
import stat
from pathlib import Path

import pytest

from tests.process.project import Project
from tests.waiting import wait_for

pytestmark = pytest.mark.long

LOGGING_RECORDER = """
import logging, os
from django.conf import settings
from django.dispatch import receiver
from inotifier.signals import in_close_write

logger = logging.getLogger("app")

@receiver(in_close_write)
def record(event, **kwargs):
    logger.info("logged %s", event.name)
    print("printed", event.name)
    print("in", os.getcwd())
    (settings.BASE_DIR / "made").touch()
"""


def logging_with(**handlers: dict[str, object]) -> dict[str, object]:
    return {
        "version": 1,
        "handlers": handlers,
        "loggers": {"app": {"level": "INFO", "handlers": list(handlers)}},
    }


@pytest.fixture(scope="module")
def log_project(tmp_path_factory):
    """A daemon that logs through many handlers and has got two files."""
    directory = tmp_path_factory.mktemp("log")
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as device,
    ):
        udp.bind(("127.0.0.1", 0))
        device.bind(str(directory / "dev-log"))
        syslog = {"class": "logging.handlers.SysLogHandler"}
        project = Project(
            directory,
            receivers=LOGGING_RECORDER,
            LOGGING=logging_with(
                file={"class": "logging.FileHandler", "filename": str(directory / "log" / "file")},
                rotating={
                    "class": "logging.handlers.RotatingFileHandler",
                    "filename": str(directory / "log" / "rotating"),
                    "maxBytes": 15,
                    "backupCount": 3,
                },
                udp={**syslog, "address": udp.getsockname()},
                device={**syslog, "address": str(directory / "dev-log")},
            ),
        )
        project.out.write_text("what was there before\n")
        (directory / "log" / "err").write_text("errors of before\n")
        try:
            project.start()
            project.drop("one", "two")
            wait_for(lambda: "printed two" in project.output)
            for name, server in (("udp", udp), ("device", device)):
                server.settimeout(10)
                received = [server.recv(1024) for _ in range(2)]
                (directory / f"received-{name}").write_bytes(b"\n".join(received))
            yield project
        finally:
            project.end()


def test_file_handler_writes(log_project):
    assert (log_project.directory / "log" / "file").read_text() == "logged one\nlogged two\n"


def test_rotating_file_handler_rotates(log_project):
    log = log_project.directory / "log"
    assert (log / "rotating").read_text() == "logged two\n"
    assert (log / "rotating.1").read_text() == "logged one\n"


@pytest.mark.parametrize("name", ["udp", "device"])
def test_syslog_handler_sends(log_project, name):
    received = (log_project.directory / f"received-{name}").read_text()
    assert "logged one" in received
    assert "logged two" in received


def test_standard_output_is_appended_to_and_shows_each_line_at_once(log_project):
    lines = log_project.output.splitlines()
    assert lines[0] == "what was there before"
    assert "printed one" in lines


def test_standard_error_is_appended_to(log_project):
    assert log_project.errors.startswith("errors of before\n")


def test_daemon_works_in_base_dir(log_project):
    assert f"in {log_project.directory}\n" in log_project.output


def test_files_of_the_daemon_are_written_by_its_owner_alone(log_project):
    assert permissions(log_project.directory / "made") == 0o644


def test_pid_file_is_private(log_project):
    assert permissions(log_project.pid_file) == 0o600


def test_logs_go_on_after_a_reload(make_project, tmp_path):
    log = tmp_path / "log"
    project = make_project(
        receivers=LOGGING_RECORDER,
        LOGGING=logging_with(file={"class": "logging.FileHandler", "filename": str(log)}),
    )
    project.start()
    project.drop("one")
    wait_for(lambda: "printed one" in project.output)
    project.reload()
    project.drop("two")
    wait_for(lambda: "printed two" in project.output)
    assert log.read_text() == "logged one\nlogged two\n"


def test_working_directory_and_umask_are_those_of_the_settings(make_project):
    project = make_project(
        receivers=LOGGING_RECORDER,
        INOTIFIER_WORKING_DIRECTORY="log",
        INOTIFIER_UMASK=0o077,
    )
    project.start()
    project.drop("file")
    wait_for((project.directory / "made").exists)
    assert f"in {project.directory / 'log'}\n" in project.output
    assert permissions(project.directory / "made") == 0o600


def test_without_files_of_its_own_the_daemon_prints_to_nowhere(make_project):
    project = make_project(
        INOTIFIER_DAEMON_STDOUT=None,
        INOTIFIER_DAEMON_STDERR=None,
    )
    pid = project.start()
    streams = [str(Path(f"/proc/{pid}/fd/{fd}").readlink()) for fd in range(3)]
    assert streams == ["/dev/null"] * 3
    project.drop("file")
    wait_for(lambda: project.entry["delivered"] == 1)


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_loggers_that_stand_are_not_silenced_by_the_second_set_up(make_project):
    # dictConfig disables them unless it is told not to, and LOGGING is read twice.
    project = make_project(receivers=LOGGING_RECORDER)
    file = project.directory / "log" / "root"
    handlers = {"file": {"class": "logging.FileHandler", "filename": str(file)}}
    project.configure(
        LOGGING={
            "version": 1,
            "handlers": handlers,
            "root": {"level": "INFO", "handlers": ["file"]},
        }
    )
    project.start()
    project.drop("name")
    wait_for(lambda: "logged name" in file.read_text())
    assert "entries that are watched: 1" in file.read_text()
