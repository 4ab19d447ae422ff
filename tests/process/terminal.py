"""A terminal that a command writes to, and what it has got."""

import os
import pty
import select
import termios


class Terminal:
    """A pair of ends: `there` is for the command."""

    def __init__(self) -> None:
        self._here, self.there = pty.openpty()
        termios.tcsetwinsize(self.there, (24, 100))
        self._got = b""

    def read(self) -> str:
        """Return what has been written by now."""
        while select.select([self._here], [], [], 0)[0]:
            try:
                self._got += os.read(self._here, 65536)
            except OSError:
                break  # nobody has it open any more
        return self._got.decode(errors="replace")

    def close(self) -> None:
        for descriptor in (self._here, self.there):
            os.close(descriptor)


def environment(env: dict[str, str], **variables: str) -> dict[str, str]:
    """Return `env` for a command at a terminal that can do what terminals can."""
    unwanted = ("NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS", "LINES")
    kept = {name: value for name, value in env.items() if name not in unwanted}
    return kept | {"TERM": "xterm-256color"} | variables
