"""The daemon on one host, consumers on another: two network namespaces and a link to be cut."""

import contextlib
import os
import shutil
import subprocess
import sys
import time

import pytest

from tests.process.bridge_chaos import RECEIVERS
from tests.redis_server import RedisServer, need_redis
from tests.waiting import wait_for

pytestmark = pytest.mark.long

FILES = 3000
CUT = 10.0
"""Seconds."""

ADDRESSES = ("10.201.7.1", "10.201.7.2")


def ip(*arguments):
    subprocess.run(("ip", *arguments), check=True, capture_output=True, text=True)


class Hosts:
    """Two network namespaces and the link between them."""

    def __init__(self):
        self.names = tuple(f"inotifier-{os.getpid()}-{side}" for side in "ab")

    def __enter__(self):
        try:
            for name in self.names:
                ip("netns", "add", name)
            ip("-n", self.names[0], "link", "add", "wire", "type", "veth", "peer", "name", "end")
            ip("-n", self.names[0], "link", "set", "end", "netns", self.names[1], "name", "wire")
            for name, address in zip(self.names, ADDRESSES, strict=True):
                ip("-n", name, "address", "add", f"{address}/24", "dev", "wire")
                ip("-n", name, "link", "set", "lo", "up")
                ip("-n", name, "link", "set", "wire", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        for name in self.names:
            subprocess.run(("ip", "netns", "del", name), check=False, capture_output=True)

    def enter(self, side):
        """Return what comes before a command that runs on the host `side`."""
        return "ip", "netns", "exec", self.names[side]

    def set_link(self, state):
        ip("-n", self.names[0], "link", "set", "wire", state)


@pytest.fixture
def hosts():
    if shutil.which("ip") is None:
        pytest.skip("ip is not installed; it comes with iproute2")
    try:
        with Hosts() as hosts:
            yield hosts
    except subprocess.CalledProcessError as exc:
        if not any(word in exc.stderr for word in ("ermi", "upported", "Unknown device type")):
            raise
        pytest.skip(f"network namespaces cannot be made here: {exc.stderr.strip()}")


class Way:
    """A project with its daemon on the first host, two consumers on the second, Redis between."""

    def __init__(self, hosts, project, redis_at, port):
        address = ADDRESSES[redis_at]
        self.server = RedisServer(
            *("--bind", address, "--protected-mode", "no"),
            port=port,
            prefix=hosts.enter(redis_at),
        )
        project.configure(INOTIFIER_REDIS_URL=f"redis://{address}:{port}/0")
        self._hosts = hosts
        self._project = project
        self._consumers = []

    def start(self):
        self._on(0)
        self._project.start()
        self._on(1)
        self._consumers = [
            self._project.begin("inotifier_consume", "--consumer", name, "--block", "200")
            for name in ("one", "two")
        ]

    def _on(self, side):
        """Have the commands of the project run on that host from now on."""
        wrapper = self._project.directory / f"python-{side}"
        command = " ".join((*self._hosts.enter(side), sys.executable))
        wrapper.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        wrapper.chmod(0o700)
        self._project.python = str(wrapper)

    def drop(self, number):
        self._project.drop(f"{number:06}")

    @property
    def numbers(self):
        """What the consumers got, as a set."""
        got = self._project.directory / "log" / "got"
        lines = got.read_text().split("\n") if got.exists() else ()
        return {int(line[2:8]) for line in lines if line}

    def stop(self):
        for process in self._consumers:
            process.terminate()
            assert process.wait(30) == 0
        self._project.stop()


@pytest.fixture
def ways(hosts, make_project):
    """Redis beside the daemon, and Redis beside the consumers."""
    need_redis()
    with contextlib.ExitStack() as stack:
        found = []
        for side in (0, 1):
            project = make_project(
                receivers=RECEIVERS,
                INOTIFIER_WATCH_PATHS=[
                    ("incoming", "IN_CLOSE_WRITE", "inotifier.bridge.RedisPublisher")
                ],
                INOTIFIER_REDIS_CLAIM_IDLE=30.0,
            )
            way = Way(hosts, project, side, 6379 + side)
            stack.enter_context(way.server)
            way.start()
            found.append(way)
        yield found


@pytest.mark.timeout(240)
def test_nothing_is_lost_when_the_link_is_cut_in_a_burst(hosts, ways):
    def drop(*numbers):
        for number in numbers:
            for way in ways:
                way.drop(number)

    drop(0)
    wait_for(lambda: all(way.numbers == {0} for way in ways), 30)
    drop(*range(1, FILES // 3))
    hosts.set_link("down")
    end = time.monotonic() + CUT
    for start in range(FILES // 3, FILES, 100):
        drop(*range(start, start + 100))
        time.sleep(CUT / FILES * 100)
    time.sleep(max(0.0, end - time.monotonic()))  # how long is what is tested
    everything = set(range(FILES))
    assert all(way.numbers < everything for way in ways)
    hosts.set_link("up")
    wait_for(lambda: all(way.numbers == everything for way in ways), 120, "the rest of the burst")
    for way in ways:
        way.stop()
