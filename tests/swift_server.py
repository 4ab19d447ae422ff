"""A real OpenStack Swift on free loopback ports: one server of each kind, and tempauth."""

from __future__ import annotations

import contextlib
import getpass
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.servers import free_ports, need, server
from tests.waiting import wait_for

BIN = Path(sys.executable).parent
STORES = ("account", "container", "object")
USER, TENANT, PASSWORD = (
    "tester",
    "test",
    "a+secret/of#the:test?er@-long-enough-to-be-shown-in-part",
)

SWIFT_CONF = """
[swift-hash]
swift_hash_path_prefix = a
swift_hash_path_suffix = b
[storage-policy:0]
name = gold
default = yes
"""

SERVER_CONF = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {etc}
devices = {devices}
mount_check = false
fallocate_reserve = 0
{rest}
"""

STORE_CONF = """
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""

PROXY_CONF = f"""
[pipeline:main]
pipeline = catch_errors cache tempauth proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:tempauth]
use = egg:swift#tempauth
user_{TENANT}_{USER} = {PASSWORD} .admin
[filter:cache]
paste.filter_factory = tests.swift_server:cache_filter
[filter:catch_errors]
use = egg:swift#catch_errors
"""


class Cache:
    """What tempauth keeps its tokens in, without a memcached: the one proxy is one process."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        return self.values.get(key)

    def set(self, key: str, value: Any, *args: Any, **kwargs: Any) -> None:
        self.values[key] = value

    def delete(self, key: str, *args: Any, **kwargs: Any) -> None:
        self.values.pop(key, None)


def cache_filter(global_conf: Any, **conf: Any) -> Any:
    """Make the proxy's filter: every request finds the one `Cache`."""
    cache = Cache()

    def wrap(app: Any) -> Any:
        def call(environ: Any, start_response: Any) -> Any:
            environ["swift.cache"] = cache
            return app(environ, start_response)

        return call

    return wrap


class SwiftServer(NamedTuple):
    """A Swift that answers.

    `host` is that of the proxy, with its port; `container_port` is where the container server
    listens to the other servers, and `proxy_pid` the process that all others speak to.
    """

    host: str
    container_port: int
    proxy_pid: int

    @property
    def auth(self) -> str:
        """The URL of version 1 of the authentication."""
        return f"http://{self.host}/auth/v1.0"


def _check(directory: Path) -> None:
    need("swift", "swiftclient")
    try:
        os.setxattr(directory, "user.swift", b"")
    except OSError as error:
        pytest.skip(f"Swift needs extended attributes, which {directory} does not have: {error}")


def _configure(directory: Path) -> tuple[Path, dict[str, int]]:
    etc, devices = directory / "etc", directory / "srv"
    etc.mkdir()
    (devices / "d1").mkdir(parents=True)
    ports = dict(zip((*STORES, "proxy"), free_ports(4), strict=True))
    (etc / "swift.conf").write_text(SWIFT_CONF)
    for kind, port in ports.items():
        rest = PROXY_CONF if kind == "proxy" else STORE_CONF.format(kind=kind)
        text = SERVER_CONF.format(
            port=port, user=getpass.getuser(), etc=etc, devices=devices, rest=rest
        )
        (etc / f"{kind}-server.conf").write_text(text)
    for kind in STORES:
        for args in (
            ("create", "4", "1", "1"),
            ("add", f"r1z1-127.0.0.1:{ports[kind]}/d1", "1"),
            ("rebalance",),
        ):
            command = [str(BIN / "swift-ring-builder"), str(etc / f"{kind}.builder"), *args]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)
    return etc, ports


def _answers(auth: str) -> bool:
    headers = {"X-Auth-User": f"{TENANT}:{USER}", "X-Auth-Key": PASSWORD}
    try:
        urllib.request.urlopen(urllib.request.Request(auth, headers=headers), timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
        return False
    return True


@contextlib.contextmanager
def running_swift(directory: Path) -> Iterator[SwiftServer]:
    """Run a Swift with all its files in `directory`; skip the test if there can be none."""
    _check(directory)
    etc, ports = _configure(directory)
    with contextlib.ExitStack() as stack:
        processes = {}
        for kind, port in ports.items():
            command = [str(BIN / f"swift-{kind}-server"), str(etc / f"{kind}-server.conf"), "-v"]
            processes[kind] = stack.enter_context(server(command, port, etc / f"{kind}.log"))
        swift = SwiftServer(
            f"127.0.0.1:{ports['proxy']}", ports["container"], processes["proxy"].pid
        )
        wait_for(lambda: _answers(swift.auth), 60, f"Swift; its logs are in {etc}")
        yield swift
