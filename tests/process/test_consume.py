"""`inotifier_consume` as a process: from a file in one process to a receiver in another."""

import json
import signal

import pytest

from tests.process.bridge_chaos import BridgeChaos
from tests.process.project import MANAGE, failed, succeeded
from tests.redis_server import RedisServer, need_redis
from tests.waiting import wait_for

pytestmark = pytest.mark.long

RECEIVERS = """
import os, time
from django.conf import settings
from django.dispatch import receiver
from inotifier.events import printable
from inotifier.signals import in_close_write, message_received

@receiver(in_close_write)
def record(event, sender, processor, **kwargs):
    print("got", printable(event.name), flush=True)
    while (settings.BASE_DIR / "slow").exists():
        time.sleep(0.01)
    print("done", sender.__name__, processor, flush=True)

@receiver(message_received)
def received(message, **kwargs):
    print("message", message, flush=True)
"""

PUBLISHER = "inotifier.bridge.RedisPublisher"


@pytest.fixture(scope="module")
def shared():
    need_redis()
    with RedisServer() as server:
        yield server


@pytest.fixture
def server(shared):
    shared.empty()
    return shared


@pytest.fixture
def project(server, make_project):
    return make_project(
        receivers=RECEIVERS,
        INOTIFIER_WATCH_PATHS=[("incoming", "IN_CLOSE_WRITE", PUBLISHER)],
        INOTIFIER_REDIS_URL=server.url,
    )


class Consumer:
    """A consumer of a project, and what it has printed."""

    def __init__(self, project, name, *options):
        self._out = project.directory / "log" / name
        with self._out.open("ab") as out:
            self.process = project.begin(
                "inotifier_consume",
                *("--consumer", name, "--block", "100", *options),
                stdout=out,
                stderr=out,
            )
        wait_for(lambda: "Consuming" in self.output or self.process.poll() is not None)

    @property
    def output(self):
        return self._out.read_text()

    @property
    def got(self):
        return [line[4:] for line in self.output.splitlines() if line.startswith("got ")]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def test_a_file_becomes_a_signal_in_another_process(project):
    project.start()
    consumer = Consumer(project, "one")
    project.drop("a", b"caf\xe9")
    wait_for(lambda: consumer.got == ["a", r"caf\xe9"])
    wait_for(lambda: consumer.output.count("done RedisPublisher None") == 2)
    assert consumer.stop() == 0
    assert "Stopped: 2 delivered, 0 failed" in consumer.output
    assert project.got == []


def test_it_ends_after_the_message_at_hand(project, server):
    project.start()
    (project.directory / "slow").touch()
    consumer = Consumer(project, "one")
    project.drop("a", "b")
    wait_for(lambda: consumer.got == ["a"])
    consumer.process.send_signal(signal.SIGTERM)
    (project.directory / "slow").unlink()
    assert consumer.process.wait(20) == 0
    assert consumer.got == ["a"]
    assert "done" in consumer.output
    again = Consumer(project, "one")
    wait_for(lambda: again.got == ["a", "b"])


def test_a_receiver_that_does_not_end_is_told_of_and_left(project, server):
    project.configure(INOTIFIER_SHUTDOWN_TIMEOUT=0.2)
    project.start()
    (project.directory / "slow").touch()
    consumer = Consumer(project, "one")
    project.drop("a")
    wait_for(lambda: consumer.got == ["a"])
    asked = ("inotifier_consume", "--consumer", "one", "--status")
    wait_for(lambda: "busy for" in succeeded(project.run(*asked)).stdout)
    consumer.process.send_signal(signal.SIGTERM)
    assert consumer.process.wait(20) == 1
    assert "stopping though receivers have IN_CLOSE_WRITE of" in consumer.output
    assert project.run(*asked).returncode == 3
    project.configure(INOTIFIER_SHUTDOWN_TIMEOUT=3600)
    again = Consumer(project, "one")
    wait_for(lambda: again.got == ["a", "a"])
    again.process.send_signal(signal.SIGTERM)
    again.process.send_signal(signal.SIGINT)
    assert again.process.wait(20) == 1


def test_of_signals_it_takes_those_that_ask_for_the_end(project, server):
    project.start()
    (project.directory / "slow").touch()
    consumer = Consumer(project, "one")
    project.drop("a")
    wait_for(lambda: consumer.got == ["a"])
    consumer.process.send_signal(signal.SIGUSR1)
    wait_for(lambda: "SIGUSR1 means nothing to a consumer" in consumer.output)
    consumer.process.send_signal(signal.SIGHUP)
    (project.directory / "slow").unlink()
    assert consumer.process.wait(20) == 128 + signal.SIGHUP
    assert "Stopped: 1 delivered" in consumer.output


def test_every_machine_gets_every_event_by_broadcast(project, server):
    project.start()
    consumers = []
    for host in ("one", "two"):
        code = f"from inotifier import json_form\njson_form.this_host = lambda: {host!r}\n"
        project.write("manage.py", code + MANAGE)
        consumers.append(Consumer(project, host, "--broadcast"))
    with server.client() as client:
        wait_for(lambda: client.exists("inotifier"))
        wait_for(lambda: len(client.xinfo_groups("inotifier")) == 2)
    project.drop("a")
    wait_for(lambda: [one.got for one in consumers] == [["a"], ["a"]])
    assert "group inotifier@two" in consumers[1].output


def test_a_list_is_read(project, server):
    consumer = Consumer(project, "one", "--list", "jobs")
    with server.client() as client:
        client.rpush("jobs", '{"hello": "world"}')
        client.rpush("jobs", '{"v": 1, "id": "1", "mask": 8, "path": "/srv", "name": "x"}')
        wait_for(lambda: "message {'hello': 'world'}" in consumer.output and consumer.got == ["x"])
        wait_for(lambda: client.llen("jobs:processing:one") == 0)
    assert consumer.stop() == 0


def test_one_name_is_one_process(project):
    consumer = Consumer(project, "one")
    message = failed(project.run("inotifier_consume", "--consumer", "one"))
    assert f"a consumer of the name 'one' runs already (pid {consumer.process.pid})" in message
    assert "--consumer" in message
    assert consumer.stop() == 0


def test_the_status_tells_of_the_consumer_and_the_group(project, server):
    result = project.run("inotifier_consume", "--consumer", "one", "--status")
    assert result.returncode == 3
    assert "not running here" in result.stdout
    project.start()
    consumer = Consumer(project, "one")
    project.drop("a")
    wait_for(lambda: consumer.got == ["a"])

    def status():
        text = succeeded(project.run("inotifier_consume", "--consumer=one", "--status", "--json"))
        return json.loads(text.stdout)

    found = wait_for(lambda: (now := status()).get("delivered") == 1 and now)
    assert found["pid"] == consumer.process.pid
    assert (found["queue"]["lag"], found["queue"]["pending"], found["queue"]["dead"]) == (0, 0, 0)
    text = succeeded(project.run("inotifier_consume", "--consumer", "one", "--status")).stdout
    assert f"running, pid {consumer.process.pid}" in text
    assert "lag 0, pending 0, dead 0" in text
    assert "delivered 1" in text
    assert consumer.stop() == 0


def test_a_wrong_setting_is_told_in_one_line(project):
    project.configure(INOTIFIER_REDIS_URL="http://:secret@localhost")
    message = failed(project.run("inotifier_consume"))
    assert "INOTIFIER_REDIS_URL" in message
    assert "secret" not in message
    project.configure(INOTIFIER_REDIS_URL=None)
    assert "INOTIFIER_REDIS_URL is missing" in failed(project.run("inotifier_consume"))


def test_a_wrong_password_is_told_and_never_shown(make_project):
    need_redis()
    with RedisServer("--requirepass", "the-right-one") as server:
        project = make_project(INOTIFIER_REDIS_URL=f"{server.url}?password=the-secret-one")
        message = failed(project.run("inotifier_consume"))
        assert "put the right user and password into INOTIFIER_REDIS_URL" in message
        assert "the-secret-one" not in message
        text = project.run("inotifier_consume", "--status")
        assert "the-secret-one" not in text.stdout + text.stderr
        project.configure(INOTIFIER_WATCH_PATHS=[("incoming", "IN_CLOSE_WRITE", PUBLISHER)])
        message = failed(project.run("inotifier_start"))
        assert "put the right user and password" in message
        assert "the-secret-one" not in message + project.errors


def test_a_server_that_is_away_is_waited_for(make_project):
    need_redis()
    server = RedisServer()
    project = make_project(
        receivers=RECEIVERS,
        INOTIFIER_WATCH_PATHS=[("incoming", "IN_CLOSE_WRITE", PUBLISHER)],
        INOTIFIER_REDIS_URL=server.url,
    )
    project.start()
    consumer = Consumer(project, "one")
    project.drop("a")
    wait_for(lambda: "is away, messages wait" in consumer.output)
    wait_for(lambda: "is away, events wait" in project.errors)
    status = project.run("inotifier_consume", "--consumer", "one", "--status").stdout
    assert "degraded, Redis is away" in status
    with server:
        wait_for(lambda: consumer.got == ["a"], 30)
        wait_for(lambda: "is back after" in consumer.output)
        assert consumer.output.count("is away") == 1
        assert consumer.stop() == 0
        project.stop()


def test_the_status_tells_of_an_outage_of_the_consumer_alone(project, server):
    consumer = Consumer(project, "one")
    with server.client() as client:
        client.replicaof("127.0.0.1", 1)
        try:
            wait_for(lambda: "is away, messages wait" in consumer.output)
            asked = ("inotifier_consume", "--consumer", "one", "--status")
            found = wait_for(lambda: "away" in (text := project.run(*asked).stdout) and text)
        finally:
            client.replicaof("NO", "ONE")
    assert "degraded, Redis is away: " in found
    assert "lag 0, pending 0, dead 0" in found
    assert consumer.stop() == 0


def test_what_could_not_be_published_before_the_stop_comes_at_the_next_start(make_project):
    need_redis()
    server = RedisServer()
    project = make_project(
        INOTIFIER_WATCH_PATHS=[("incoming", "IN_CLOSE_WRITE", PUBLISHER)],
        INOTIFIER_REDIS_URL=server.url,
        INOTIFIER_SHUTDOWN_TIMEOUT=1,
    )
    project.start()
    project.drop("a")
    wait_for(lambda: project.entry["seen"] == 1)
    project.stop()
    with server:
        project.start()
        with server.client() as client:
            [(_, fields)] = wait_for(lambda: client.xrange("inotifier"))
        found = json.loads(fields[b"event"])
        assert (found["name"], found["synthetic"]) == ("a", "startup")
        project.stop()


def test_it_runs_where_pyinotify_is_missing(project, server):
    project.write(
        "manage.py",
        "import sys\nsys.modules['pyinotify'] = sys.modules['daemon'] = None\n"
        + (project.directory / "manage.py").read_text(),
    )
    with server.client() as client:
        client.xadd(
            "inotifier", {"event": '{"v": 1, "id": "1", "mask": 8, "path": "/srv", "name": "x"}'}
        )
    consumer = Consumer(project, "one")
    wait_for(lambda: consumer.got == ["x"])
    assert consumer.stop() == 0


@pytest.mark.timeout(300)
def test_nothing_is_lost_though_consumers_and_redis_are_killed_again_and_again(tmp_path):
    need_redis()
    report = BridgeChaos(tmp_path / "project", seed=1, files=2000, seconds=5).run()
    print(report)  # noqa: T201 - shown if it fails
    assert report.faults == []
    assert report.consumers_killed >= 2
    assert report.redis_killed >= 1
