"""What the daemon tells the service manager that has started it, on a real NOTIFY_SOCKET."""

import os
import signal
import time
import uuid

import pytest

from tests.process.project import GATED_RECORDER, RECORDER
from tests.process.service_manager import service_manager
from tests.waiting import wait_for

pytestmark = pytest.mark.long

SHOWS_ENVIRONMENT = """
import os
from django.dispatch import receiver
from inotifier.signals import in_close_write

@receiver(in_close_write)
def record(event, **kwargs):
    print("got", "NOTIFY_SOCKET" in os.environ or "WATCHDOG_USEC" in os.environ, flush=True)
"""

SLOW_RECORDER = RECORDER.replace("    print", "    __import__('time').sleep(0.2)\n    print")


@pytest.fixture
def manager(project, tmp_path):
    with service_manager(project, tmp_path / "notify") as manager:
        yield manager


def test_it_says_that_it_is_ready_when_the_watches_stand(project, manager):
    process = project.foreground()
    message = manager.wait_for("READY")
    assert message["MAINPID"] == str(process.pid)
    assert message["STATUS"].startswith("entries: 1; 0 event(s) delivered, ")
    assert not manager.having("WATCHDOG")  # nobody has asked


def test_the_address_may_be_abstract(project):
    with service_manager(project, f"@inotifier-{uuid.uuid4()}") as manager:
        project.foreground()
        assert manager.wait_for("READY")


def test_it_says_that_it_stops_and_how_long_that_may_take(make_project, tmp_path):
    project = make_project(INOTIFIER_SHUTDOWN_TIMEOUT=7)
    with service_manager(project, tmp_path / "notify") as manager:
        process = project.foreground()
        process.terminate()
        assert process.wait(10) == 0
        message = manager.wait_for("STOPPING")
    assert int(message["EXTEND_TIMEOUT_USEC"]) == 12_000_000
    assert manager.messages[-1] is message


def test_an_address_where_nobody_listens_is_a_warning(project, tmp_path):
    project.env["NOTIFY_SOCKET"] = str(tmp_path / "absent")
    project.foreground()
    project.delivers("file")
    assert "cannot tell the service manager READY" in project.output


def test_what_handlers_start_cannot_speak_for_the_daemon(make_project, tmp_path):
    project = make_project(receivers=SHOWS_ENVIRONMENT)
    project.env["WATCHDOG_USEC"] = "60000000"
    with service_manager(project, tmp_path / "notify"):
        project.foreground()
        project.drop("file")
        assert wait_for(lambda: project.got) == ["False"]


def test_a_daemon_in_the_background_tells_nothing(project, manager):
    project.start()
    project.delivers("file")
    project.stop()
    assert manager.read() == []


# Reload


def test_a_reload_is_announced_and_ends_with_ready(project, manager):
    process = project.foreground()
    manager.wait_for("READY")
    before = time.monotonic_ns() // 1000
    process.send_signal(signal.SIGHUP)
    message = manager.wait_for("RELOADING")
    assert before <= int(message["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert manager.wait_for("READY", 2)["MAINPID"] == str(process.pid)
    project.delivers("file")


def test_after_a_second_reload_it_still_tells(project, manager):
    process = project.foreground()
    for number in (1, 2, 3):
        manager.wait_for("READY", number)
        process.send_signal(signal.SIGHUP)
        manager.wait_for("RELOADING", number)
    manager.wait_for("READY", 4)


def test_a_reload_that_is_refused_ends_with_ready_too(project, manager):
    process = project.foreground()
    manager.wait_for("READY")
    project.configure("raise RuntimeError('not good')")
    process.send_signal(signal.SIGHUP)
    manager.wait_for("RELOADING")
    assert "the last reload was refused" in manager.wait_for("READY", 2)["STATUS"]
    project.delivers("file")


# Watchdog


def test_it_pings_again_and_again(project, manager):
    project.env["WATCHDOG_USEC"] = "600000"
    project.foreground()
    manager.wait_for("WATCHDOG", 8)


def test_a_watchdog_for_another_process_is_not_pinged(project, manager):
    project.env |= {"WATCHDOG_USEC": "200000", "WATCHDOG_PID": str(os.getpid())}
    project.foreground()
    manager.wait_for("READY")
    project.delivers("file")
    project.stop()
    manager.wait_for("STOPPING")
    assert not manager.having("WATCHDOG")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_handler_that_is_stuck_stops_the_pings(make_project, tmp_path, workers):
    project = make_project(receivers=GATED_RECORDER, INOTIFIER_WORKERS=workers)
    project.env["WATCHDOG_USEC"] = "1000000"
    with service_manager(project, tmp_path / "notify") as manager:
        project.foreground()
        manager.wait_for("WATCHDOG", 2)
        project.drop("stuck")
        wait_for(lambda: "a handler has taken longer than 0.5 s" in project.output)
        assert "time.sleep(0.01)" in project.output  # where it is
        manager.read()
        before, end = len(manager.having("WATCHDOG")), time.monotonic() + 1.5
        wait_for(lambda: time.monotonic() > end)
        assert len(manager.having("WATCHDOG")) == before
        project.open_gate()
        manager.wait_for("WATCHDOG", before + 3)
    assert project.output.count("a handler has taken longer") == 1


def test_handlers_that_return_in_time_do_not_stop_the_pings(make_project, tmp_path):
    project = make_project(receivers=SLOW_RECORDER)
    project.env["WATCHDOG_USEC"] = "4000000"
    with service_manager(project, tmp_path / "notify") as manager:
        project.foreground()
        project.drop(*(f"file {number}" for number in range(12)))
        wait_for(lambda: len(project.got) == 12, 30)
        assert len(manager.having("WATCHDOG")) >= 2
    assert "a handler has taken longer" not in project.output


def test_a_reload_gets_the_whole_time(project, manager):
    project.env["WATCHDOG_USEC"] = "600000000"
    process = project.foreground()
    assert manager.wait_for("WATCHDOG")  # when it is ready, and not again for minutes
    process.send_signal(signal.SIGHUP)
    manager.wait_for("WATCHDOG", 3)
    kinds = [next(iter(message)) for message in manager.messages]
    assert [kind for kind in kinds if kind != "STATUS"] == [
        "READY",
        "WATCHDOG",
        "RELOADING",
        "WATCHDOG",
        "READY",
        "WATCHDOG",
    ]
