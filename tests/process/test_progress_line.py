"""How far long work has come, on a terminal."""

import signal

import pytest

from tests.process.project import GATED_RECORDER, SIGNALER, Project
from tests.process.terminal import Terminal, environment
from tests.waiting import wait_for

pytestmark = pytest.mark.long

PROCESSORS = """
import time
from django.conf import settings

class Slow:
    def prepare(self, path):
        while not (settings.BASE_DIR / "gate").exists():
            time.sleep(0.01)

    def __call__(self, event):
        pass
"""
SHOWN_CURSOR = "\x1b[?25h"


@pytest.fixture
def terminal():
    terminal = Terminal()
    yield terminal
    terminal.close()


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path, receivers=GATED_RECORDER, processors=PROCESSORS)
    yield project
    project.end()


def test_a_scan_tells_how_far_it_is(project, terminal):
    project.configure(
        INOTIFIER_WATCH_PATHS=[("incoming", "IN_CLOSE_WRITE", SIGNALER, {"initial": "emit"})]
    )
    project.drop("one", "two")
    env = environment(project.env)
    process = project.begin("inotifier_scan", stderr=terminal.there, env=env)
    expected = "looking for what was missed: 2 paths compared, 0 events delivered"
    wait_for(lambda: expected in terminal.read(), 30, "the line")
    project.open_gate()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    # A pipe gets what is for it, and the terminal has its cursor again.
    assert {*out.splitlines()} == {
        "got one",
        "got two",
        f"{project.incoming}: 2 event(s) delivered, 0 failed, 0 left for later",
    }
    assert terminal.read().count(SHOWN_CURSOR) == 1
    assert "got" not in terminal.read()


def test_what_a_receiver_prints_is_not_lost_beside_the_line(project, terminal):
    project.configure(
        INOTIFIER_WATCH_PATHS=[("incoming", "IN_CLOSE_WRITE", SIGNALER, {"initial": "emit"})]
    )
    project.drop("one")
    process = project.begin(
        "inotifier_scan",
        stdout=terminal.there,
        stderr=terminal.there,
        env=environment(project.env),
    )
    wait_for(lambda: "1 paths compared" in terminal.read(), 30, "the line")
    project.open_gate()
    assert process.wait(60) == 0
    assert "got one\r\n" in terminal.read()
    assert "1 event(s) delivered" in terminal.read()


def test_a_start_in_the_foreground_tells_of_watches_and_of_what_was_missed(project, terminal):
    project.configure(
        INOTIFIER_WATCH_PATHS=[
            {"path": "incoming", "processor": "app.processors.Slow", "recursive": True}
        ]
    )
    (project.incoming / "a" / "b").mkdir(parents=True)
    process = project.begin(
        "inotifier_start", "--foreground", stderr=terminal.there, env=environment(project.env)
    )
    wait_for(lambda: "setting watches: 3 directories" in terminal.read(), 30, "the line")
    project.open_gate()
    wait_for(lambda: project.status().get("pid") == process.pid)
    wait_for(lambda: SHOWN_CURSOR in terminal.read())
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_without_a_terminal_there_is_no_line(project):
    project.open_gate()
    project.drop("one")
    result = project.run("inotifier_scan")
    assert (result.returncode, result.stderr) == (0, "")
