"""What the commands say; what they do is tested with real processes."""

import argparse
import time

import pytest
from django.core.management import CommandError, call_command

from inotifier.management.commands._command import seconds, stop_timeout
from inotifier.management.commands.inotifier_status import lines


@pytest.mark.parametrize(("text", "value"), [("0", 0.0), ("1.5", 1.5), ("30", 30.0)])
def test_a_timeout_is_a_number_of_seconds(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["-1", "inf", "nan", "", "ten", "1s"])
def test_a_timeout_of_another_kind_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a number of seconds, 0 or more"):
        seconds(text)


def test_stop_waits_a_little_longer_than_the_daemon_may_drain(settings):
    settings.INOTIFIER_SHUTDOWN_TIMEOUT = 7
    assert stop_timeout(None) == 12
    assert stop_timeout(3.0) == 3.0


@pytest.mark.parametrize("command", ["inotifier_stop", "inotifier_reload"])
def test_without_a_daemon_the_pid_file_is_named(settings, tmp_path, command):
    settings.PROJECT_PATH = tmp_path
    with pytest.raises(CommandError) as error:
        call_command(command)
    assert str(error.value) == f"No pid file exists at {tmp_path}/inotifier.pid."


@pytest.mark.parametrize("command", ["inotifier_stop", "inotifier_reload"])
def test_before_the_first_start_the_pid_file_is_named_as_well(settings, tmp_path, command):
    # Not even its directory exists then.
    settings.PROJECT_PATH = tmp_path / "absent"
    with pytest.raises(CommandError) as error:
        call_command(command)
    assert str(error.value) == f"No pid file exists at {tmp_path}/absent/inotifier.pid."


def test_what_a_dead_daemon_left_is_removed_and_named(settings, tmp_path):
    settings.PROJECT_PATH = tmp_path
    (tmp_path / "inotifier.pid").write_text("4711\n")
    with pytest.raises(CommandError, match=r"No daemon holds .*inotifier.pid, which a dead one"):
        call_command("inotifier_stop")
    assert not (tmp_path / "inotifier.pid").exists()


def test_status_of_nothing_is_not_running_and_3(settings, tmp_path, capsys):
    settings.PROJECT_PATH = tmp_path / "absent"
    with pytest.raises(SystemExit) as end:
        call_command("inotifier_status")
    assert end.value.code == 3
    assert capsys.readouterr().out == "not running\n"


def status(**fields: object) -> dict[str, object]:
    return {
        "pid": 5,
        "started": time.time() - 90_061,
        "overflows": 1,
        "queue_depth": 2,
        "reload": {"answered": 0, "state": "done", "error": ""},
        "entries": [],
        **fields,
    }


def test_a_daemon_that_is_starting_says_so():
    assert lines({"pid": 5}) == ["running, pid 5, starting"]


def test_status_tells_the_uptime_and_the_queue():
    head, queue = lines(status())
    assert head.startswith("running, pid 5, up 1 day, 1:01:0")
    assert queue == "queue depth 2, overflows 1"


def test_status_tells_of_a_refused_reload():
    refused = {"answered": 1, "state": "refused", "error": "no such module"}
    assert "the last reload was refused: no such module" in lines(status(reload=refused))


def test_status_shows_odd_names_on_one_line():
    entry = {
        "name": "/caf\udce9",
        "processor": "a.B",
        "seen": 3,
        "delivered": 2,
        "failed": 1,
        "problem": "",
        "last_event": {"maskname": "IN_CREATE", "pathname": "/caf\udce9/\n", "timestamp": 0.0},
    }
    shown = lines(status(entries=[entry, {**entry, "last_event": None}]))
    assert shown[2:4] == [r"/caf\xe9 (a.B)", "    seen 3, delivered 2, failed 1, retried 0"]
    assert shown[4].startswith(r"    last IN_CREATE /caf\xe9/\n at 19")
    assert shown[5:] == shown[2:4]


def test_status_tells_why_an_entry_is_degraded():
    entry = {
        "name": "/srv",
        "processor": "a.B",
        "seen": 0,
        "delivered": 0,
        "failed": 0,
        "problem": "too few watches",
        "last_event": None,
    }
    assert lines(status(entries=[entry]))[-1] == "    degraded: too few watches"


ROWS = "orm://rows.Order?field=modified_at"


def test_tail_counts_what_it_watches(settings, tmp_path, capsys):
    settings.INOTIFIER_WATCH_PATHS = [tmp_path, ROWS]
    with pytest.raises(SystemExit) as end:
        call_command("inotifier_tail", "--timeout", "0.01")
    assert end.value.code == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "watching 1 path(s); Ctrl+C ends this"
    assert told[1].endswith("is a place with a URL, which only the daemon lists")


def test_tail_refuses_to_watch_nothing(settings):
    settings.INOTIFIER_WATCH_PATHS = [ROWS]
    with pytest.raises(CommandError, match="all entries are places with a URL"):
        call_command("inotifier_tail", "--timeout", "0.01")
