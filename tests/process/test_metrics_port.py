"""Metrics at a port of the daemon's own."""

import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.process.site import free_port, is_open
from tests.waiting import wait_for

pytestmark = pytest.mark.long


def read(port: int) -> dict[str, float]:
    """Return the samples without their labels, the last of each name."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def port() -> int:
    return free_port()


def test_metrics_are_read_there_over_a_reload_until_the_end(make_project, port):
    project = make_project(INOTIFIER_METRICS_PORT=port)
    project.start()
    project.delivers("one")
    wait_for(lambda: read(port)["inotifier_delivered_total"] == 1)
    project.reload()
    wait_for(lambda: is_open(port))
    assert read(port)["inotifier_up"] == 1
    project.stop()
    assert not is_open(port)


def test_only_this_machine_can_read_them(make_project, port):
    project = make_project(INOTIFIER_METRICS_PORT=port)
    project.start()
    listening = f":{port:04X}"
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    [address] = [one[1] for one in sockets if one[1].endswith(listening) and one[3] == "0A"]
    assert address == f"0100007F{listening}"


def test_a_port_that_is_taken_is_no_reason_not_to_watch(make_project):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        project = make_project(INOTIFIER_METRICS_PORT=port)
        project.start()
        project.delivers("one")
    assert f"no metrics at 127.0.0.1:{port} (INOTIFIER_METRICS_PORT)" in project.errors


def test_a_daemon_whose_socket_cannot_be_made_watches(make_project):
    project = make_project()
    (project.directory / "run" / "inotifier.sock" / "in the way").mkdir(parents=True)
    project.start()
    project.delivers("one")
    assert "cannot answer questions at" in project.errors
