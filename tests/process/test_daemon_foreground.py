"""`inotifier_start --foreground`: Ctrl+C and SIGTERM, from the first moment on."""

import signal

import pytest

from tests.waiting import wait_for

SLOW_START = """
import time
from django.conf import settings

class Processor:
    mask = "IN_CLOSE_WRITE"

    def prepare(self, path):
        print("prepare", flush=True)
        while not (settings.BASE_DIR / "gate").exists():
            time.sleep(0.01)

    def __call__(self, event):
        print("got", event.name, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it_cleanly(project, number):
    process = project.foreground()
    project.delivers("file")
    process.send_signal(number)
    assert process.wait(timeout=10) == 0
    assert "Traceback" not in project.output
    assert not project.pid_file.exists()


def test_it_keeps_the_terminal_and_is_the_daemon_itself(project):
    process = project.foreground()
    assert project.pid == process.pid
    assert "File monitoring started" in project.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_while_it_starts_ends_it_as_soon_as_the_watches_stand(make_project, number):
    project = make_project(
        processors=SLOW_START,
        INOTIFIER_WATCH_PATHS=[("incoming", None, "app.processors.Processor")],
    )
    with project.out.open("a") as out:
        process = project.begin("inotifier_start", "--foreground", stdout=out, stderr=out)
    wait_for(lambda: "prepare" in project.output)
    process.send_signal(number)
    project.open_gate()
    assert process.wait(timeout=10) == 0
    assert not project.pid_file.exists()


@pytest.mark.parametrize("stage", ["manage.py", "pid file", "pid", "status"])
def test_signal_at_any_stage_of_the_start_leaves_nothing_in_the_way(project, stage):
    reached = {
        "manage.py": lambda: project.processes(),
        "pid file": lambda: project.pid_file.exists(),
        "pid": lambda: project.pid,
        "status": lambda: project.status(),
    }
    process = project.begin("inotifier_start", "--foreground")
    wait_for(reached[stage])
    process.terminate()
    # Python itself is not ready for it at once: until then the signal ends it, as any program.
    assert process.wait(timeout=10) in (0, -signal.SIGTERM)
    assert not project.processes()
    project.start()
