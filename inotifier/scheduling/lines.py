"""Lines of what a command writes, as they can be logged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inotifier.events import printable

_LONGEST_LINE = 16 * 1024
"""Bytes after which a line goes to the log in parts."""


@dataclass(eq=False)
class Lines:
    """Divides what comes from a pipe into lines.

    Attributes:
        log: takes each of them, fit for a log.
        last: the last one.
    """

    log: Callable[[str], object]
    last: str = ""
    _rest: bytes = b""

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._tell(line)
        while len(self._rest) >= _LONGEST_LINE:
            self._tell(self._rest[:_LONGEST_LINE])
            self._rest = self._rest[_LONGEST_LINE:]

    def end(self) -> None:
        """Take what has come for all, with or without a newline at the end."""
        if self._rest:
            self._tell(self._rest)
            self._rest = b""

    def _tell(self, line: bytes) -> None:
        for start in range(0, len(line) or 1, _LONGEST_LINE):
            part = line[start : start + _LONGEST_LINE].rstrip(b"\r")
            self.last = printable(part.decode("utf-8", "surrogateescape"))
            self.log(self.last)
