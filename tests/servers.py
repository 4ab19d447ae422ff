"""Running the servers that the pollers are tested against, on free ports of 127.0.0.1."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.waiting import wait_for

ROOT = Path(__file__).parents[1]


def need(*modules: str) -> None:
    """Skip the test if one of `modules` is not installed."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed; the extra test-remote has it")


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def server(command: list[str], port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run Python with `command` until the end of the block, which begins when it listens.

    Args:
        command: arguments of the interpreter.
        port: where it is going to listen.
        log: the file for what it prints.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *command], stdout=output, stderr=output, cwd=ROOT, env=environment
        )
    try:
        name = f"{command} on port {port}; see {log}"
        wait_for(lambda: _listens(port) or process.poll() is not None, 60, name)
        if process.poll() is not None:
            pytest.fail(f"{command} ended with {process.returncode}; see {log}")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


class FtpServer:
    """An FTP server that may be started and ended, always at the same port.

    Attributes:
        root: the directory that it serves.
        url: with user and password.
        public: without.
    """

    user, password = "reader", "a/secret?of#the:server@-long-enough"

    def __init__(self, base: Path, stack: contextlib.ExitStack) -> None:
        need("fsspec", "pyftpdlib")
        (self._port,) = free_ports(1)
        self._log, self._stack = base / "ftp.log", stack
        self.root = base / "ftp"
        self.root.mkdir()
        self.public = f"ftp://127.0.0.1:{self._port}/"
        who = f"{self.user}:{quote(self.password, safe='')}"
        self.url = f"ftp://{who}@127.0.0.1:{self._port}/"

    def start(self) -> subprocess.Popen[bytes]:
        """Return its process, which listens."""
        command = ["-m", "tests.ftp_server", str(self._port), str(self.root)]
        return self._stack.enter_context(
            server([*command, self.user, self.password], self._port, self._log)
        )
