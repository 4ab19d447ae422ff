"""A Redis server of the test's own, on a UNIX socket, that can be killed and started again."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_for


def need_redis() -> None:
    """Skip the test if there is no server, or nothing to speak to it with."""
    pytest.importorskip("redis", reason="redis-py is not installed; the extra redis has it")
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")


class RedisServer:
    """A server; as a context it runs until the end of the block.

    Args:
        options: of redis.conf, "appendonly" and "yes" for instance.
        port: of 127.0.0.1, or of `bind` if that is an option; 0 for the socket alone.
        prefix: what comes before the command: another network namespace, for instance.
    """

    def __init__(self, *options: str, port: int = 0, prefix: tuple[str, ...] = ()) -> None:
        # A path of a socket may have 107 bytes, fewer than those of a test may need.
        self._directory = tempfile.TemporaryDirectory(prefix="redis-")
        self._home = Path(self._directory.name)
        self._prefix = prefix
        self._arguments = ["--port", str(port), "--save", "", "--loglevel", "warning", *options]
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: list[Any] = []
        self.socket = self._home / "socket"
        self.url = f"unix://{self.socket}"

    def start(self) -> None:
        """Start it, with the data that it had; return when it answers."""
        home = [f"--dir {self._home} --unixsocket {self.socket} --unixsocketperm 700"]
        command = [*self._prefix, "redis-server", *" ".join(home).split(), *self._arguments]
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        wait_for(self._answers, 30, f"{command}: {self.log}")

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"redis-server ended: {self.log}")
        from redis import RedisError

        try:
            return bool(self.client().ping())
        except RedisError as exc:
            return "NOAUTH" in str(exc) or "Authentication" in str(exc)

    @property
    def log(self) -> str:
        return (self._home / "log").read_text()

    def client(self, **options: Any) -> Any:
        """Return a client; it is closed with the server."""
        from redis import Redis

        client = Redis(unix_socket_path=str(self.socket), protocol=2, **options)
        self._clients.append(client)
        return client

    def empty(self) -> None:
        """Remove all that it holds."""
        with self.client() as client:
            client.flushall()

    def kill(self) -> None:
        """End it as a power cut does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in peace; a second call does nothing."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        for client in self._clients:
            with contextlib.suppress(Exception):
                client.close()
        self._clients.clear()
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None

    def freeze(self) -> None:
        """Stop it from answering; connections stay."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> RedisServer:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(Exception):
            self.thaw()
        self.stop()
        self._directory.cleanup()
