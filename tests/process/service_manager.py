"""What systemd does for a daemon, as far as sd_notify(3) goes: a socket, and what comes there."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from tests.process.project import Project
from tests.waiting import wait_for


class ServiceManager:
    """Reads what a daemon sends to `listener`.

    Attributes:
        messages: the fields of each.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.messages: list[dict[str, str]] = []

    def read(self) -> list[dict[str, str]]:
        """Return all messages that have come until now."""
        with contextlib.suppress(BlockingIOError):
            while True:
                text = self._listener.recv(65536).decode()
                self.messages.append(dict(line.split("=", 1) for line in text.split("\n")))
        return self.messages

    def wait_for(self, field: str, number: int = 1) -> dict[str, str]:
        """Return message `number` of those that have `field`."""
        return wait_for(lambda: (self.having(field) + [None] * number)[number - 1], 30, field)

    def having(self, field: str) -> list[dict[str, str]]:
        """Return the messages that have `field`."""
        return [message for message in self.read() if field in message]


@contextlib.contextmanager
def service_manager(project: Project, address: str | Path) -> Iterator[ServiceManager]:
    """Have `project` started by a service manager that listens at `address`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(address).replace("@", "\0", 1))
        listener.setblocking(False)
        project.env["NOTIFY_SOCKET"] = str(address)
        yield ServiceManager(listener)
