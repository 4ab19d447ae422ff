"""`inotifier_status` and the file that it reads."""

import json
import re
import time

import pytest

from tests.process.project import SIGNALER, Project, succeeded, switches
from tests.waiting import wait_for

pytestmark = pytest.mark.long

PICKY = """
from django.dispatch import receiver
from inotifier.signals import in_close_write

@receiver(in_close_write)
def record(event, **kwargs):
    if event.name.startswith("bad"):
        raise ValueError(event.name)
    print("got", event.name, flush=True)
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A daemon that has got three files, of which it did not like one; nobody alters it."""
    project = Project(
        tmp_path_factory.mktemp("status"),
        receivers=PICKY,
        INOTIFIER_WATCH_PATHS=[
            {"path": "incoming", "events": "IN_CLOSE_WRITE", "name": "the inbox"},
            ("app", "IN_CREATE", SIGNALER),
        ],
    )
    try:
        project.start()
        project.drop("good", "bad", "last")
        wait_for(lambda: project.entry["delivered"] == 2)
        yield project
    finally:
        project.end()


def test_json_holds_the_counters_of_each_entry(running):
    shown = json.loads(succeeded(running.run("inotifier_status", "--json")).stdout)
    first, second = shown["entries"]
    last = first.pop("last_event")
    assert first == {
        "name": "the inbox",
        "path": str(running.incoming),
        "processor": SIGNALER,
        "declared": "INOTIFIER_WATCH_PATHS",
        "seen": 3,
        "delivered": 2,
        "failed": 1,
        "retried": 0,
        "problem": "",
    }
    assert (last["maskname"], last["pathname"]) == (
        "IN_CLOSE_WRITE",
        str(running.incoming / "last"),
    )
    assert shown["started"] < last["timestamp"] < time.time()
    assert (second["seen"], second["last_event"]) == (0, None)


def test_json_tells_how_the_daemon_itself_is(running):
    shown = json.loads(succeeded(running.run("inotifier_status", "--json")).stdout)
    assert shown["running"] is True
    assert shown["pid"] == running.pid
    assert (shown["queue_depth"], shown["overflows"]) == (0, 0)


def test_text_tells_the_same_to_people(running):
    lines = succeeded(running.run("inotifier_status")).stdout.splitlines()
    assert re.fullmatch(rf"running, pid {running.pid}, up 0:\d\d:\d\d", lines[0])
    assert lines[1:4] == [
        "queue depth 0, overflows 0",
        f"the inbox ({SIGNALER})",
        "    seen 3, delivered 2, failed 1, retried 0",
    ]
    assert f"last IN_CLOSE_WRITE {running.incoming / 'last'} at " in lines[4]


def test_file_is_not_written_while_nothing_happens(running):
    def identity() -> tuple[int, int]:
        status = running.status_file.stat()
        return status.st_ino, status.st_mtime_ns

    before = identity()
    # The daemon wakes up once a second to see whether there is something to write.
    woken = switches(running.pid)
    wait_for(lambda: switches(running.pid) >= woken + 3)
    assert identity() == before


def test_queue_depth_is_the_number_of_events_that_wait(gated):
    gated.start()
    gated.caught_up()
    gated.drop("one", "two", "three")
    wait_for(lambda: gated.status()["queue_depth"] == 3)
    assert gated.entry["seen"] == 3
    gated.open_gate()
    wait_for(lambda: gated.status()["queue_depth"] == 0)
    assert gated.entry["delivered"] == 3


def test_not_running_is_told_by_text_and_code(project):
    result = project.run("inotifier_status")
    assert (result.stdout, result.stderr, result.returncode) == ("not running\n", "", 3)


def test_not_running_is_told_in_json(project):
    result = project.run("inotifier_status", "--json")
    assert (json.loads(result.stdout), result.returncode) == ({"running": False}, 3)


def test_killed_daemon_is_not_running_whatever_its_files_say(project):
    project.start()
    project.kill()
    assert project.status_file.exists()
    result = project.run("inotifier_status")
    assert (result.stdout, result.returncode) == ("not running\n", 3)


def test_refused_reload_is_told(project):
    project.start()
    project.configure(INOTIFIER_WATCH_PATHS=["nowhere"])
    project.run("inotifier_reload")
    assert "the last reload was refused:" in project.run("inotifier_status").stdout


def test_daemon_that_cannot_write_its_status_goes_on_and_says_so_once(project):
    project.start()
    # In the way of the new file that would replace the old one.
    in_the_way = project.status_file.with_name(f"{project.status_file.name}.new")
    in_the_way.mkdir()
    project.delivers("one")
    wait_for(lambda: "cannot write the status file" in project.errors)
    project.delivers("two")
    in_the_way.rmdir()
    wait_for(lambda: project.entry["delivered"] == 2)
    assert project.errors.count("cannot write the status file") == 1
