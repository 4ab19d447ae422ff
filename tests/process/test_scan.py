"""`inotifier_scan`: a catch-up without a daemon, or by the one that runs."""

import signal

import pytest

from tests.process.project import SIGNALER, failed, succeeded
from tests.waiting import wait_for

pytestmark = pytest.mark.long

INBOX = {
    "path": "incoming",
    "events": "IN_CREATE|IN_CLOSE_WRITE|IN_DELETE|IN_MOVED_FROM|IN_MOVED_TO|IN_MODIFY",
    "name": "the inbox",
}


@pytest.fixture
def project(make_project):
    return make_project(INOTIFIER_WATCH_PATHS=[INBOX])


def scanned(project, *args):
    return succeeded(project.run("inotifier_scan", *args)).stdout.splitlines()


def test_what_is_there_at_the_first_scan_is_the_baseline(project):
    project.drop("old")
    assert scanned(project) == ["the inbox: 0 event(s) delivered, 0 failed, 0 left for later"]
    project.drop("new")
    result = succeeded(project.run("inotifier_scan"))
    assert result.stdout.splitlines() == [
        "got new",
        "the inbox: 2 event(s) delivered, 0 failed, 0 left for later",
    ]
    assert scanned(project) == ["the inbox: 0 event(s) delivered, 0 failed, 0 left for later"]


def test_everything_may_be_imported_at_the_first_scan(make_project):
    project = make_project(INOTIFIER_WATCH_PATHS=[{**INBOX, "initial": "emit"}])
    project.drop("old")
    assert "got old" in scanned(project)


def test_a_dry_run_tells_and_changes_nothing(project):
    project.drop("changed", "gone", "moved")
    scanned(project)
    (project.incoming / "changed").write_text("more than before")
    (project.incoming / "gone").unlink()
    (project.incoming / "moved").rename(project.incoming / "elsewhere")
    project.drop("new")
    at = project.incoming
    expected = [
        f"the inbox: changed {at}/changed",
        f"the inbox: moved {at}/moved -> {at}/elsewhere",
        f"the inbox: new {at}/new",
        f"the inbox: gone {at}/gone",
    ]
    assert scanned(project, "--dry-run") == expected
    assert scanned(project, "--dry-run") == expected
    assert scanned(project)[-1] == "the inbox: 7 event(s) delivered, 0 failed, 0 left for later"
    assert scanned(project, "--dry-run") == []


def test_a_dry_run_before_the_first_start_begins_nothing(project):
    project.drop("old")
    assert scanned(project, "--dry-run") == []
    project.drop("later")
    assert scanned(project)[-1] == "the inbox: 0 event(s) delivered, 0 failed, 0 left for later"


def test_it_refuses_while_the_daemon_runs(project):
    pid = project.start()
    assert f"already running (pid {pid})" in failed(project.run("inotifier_scan"))
    assert f"already running (pid {pid})" in failed(project.run("inotifier_scan", "--dry-run"))


def test_the_daemon_goes_on_where_the_scan_ended(project):
    scanned(project)
    project.drop("one")
    scanned(project)
    project.start()
    project.drop("two")
    wait_for(lambda: "two" in project.got)
    project.stop()
    assert project.got == ["two"]
    assert scanned(project) == ["the inbox: 0 event(s) delivered, 0 failed, 0 left for later"]


def test_the_daemon_does_it_when_asked(project):
    project.start()
    assert scanned(project, "--daemon") == ["The daemon looks for what it missed."]
    project.delivers("after")


def test_without_a_daemon_there_is_nobody_to_ask(project):
    assert "No pid file exists" in failed(project.run("inotifier_scan", "--daemon"))


def test_a_scan_that_is_interrupted_goes_on_the_next_time(make_project):
    project = make_project(
        receivers="""
import time
from django.conf import settings
from django.dispatch import receiver
from inotifier.signals import in_close_write

@receiver(in_close_write)
def record(event, **kwargs):
    print("got", event.name, flush=True)
    while event.name == "b" and not (settings.BASE_DIR / "gate").exists():
        time.sleep(0.01)
""",
        INOTIFIER_WATCH_PATHS=[("incoming", "IN_CLOSE_WRITE", SIGNALER, {"initial": "emit"})],
    )
    project.drop("a", "b", "c")
    scan = project.begin("inotifier_scan")
    assert scan.stdout.readline() == "got a\n"
    assert scan.stdout.readline() == "got b\n"
    scan.send_signal(signal.SIGINT)
    assert scan.wait(30) != 0
    project.open_gate()
    lines = scanned(project)
    assert lines[:2] in (["got b", "got c"], ["got a", "got b"])
    assert lines[-1].startswith(f"{project.incoming}: ")


def test_a_state_that_cannot_be_kept_is_said(project):
    (project.directory / "run" / "inotifier.state.sqlite3").mkdir()
    assert "inotifier.state.sqlite3" in failed(project.run("inotifier_scan"))
