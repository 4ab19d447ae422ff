"""Events as lines of text."""

from __future__ import annotations

import sys
from typing import TextIO

from pyinotify import IN_ISDIR, EventsCodes, ProcessEvent

from inotifier.events import Event, printable


class AllEventsPrinter(ProcessEvent):
    """Print a line such as "IN CLOSE WRITE: /path/name" for every event.

    Options:
        out: a text file; standard output by default.
    """

    def my_init(self, out: TextIO | None = None) -> None:
        self._out = out

    def process_default(self, event: Event) -> None:
        name = EventsCodes.maskname(event.mask & ~IN_ISDIR).replace("_", " ")
        out = self._out or sys.stdout
        out.write(f"{name}: {printable(event.pathname)}\n" if event.pathname else f"{name}:\n")
        out.flush()

    process_IN_Q_OVERFLOW = process_default
