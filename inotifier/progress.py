"""How far long work has come: a line that moves on a terminal, a line in the log now and then."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

logger = logging.getLogger(__name__)

_SOON = 0.5
"""Seconds after which work is long enough for a terminal to tell of it."""

_LOOK = 0.25
"""Seconds between two looks how far it is, on a terminal."""

_LOG = 10.0
"""Seconds between two lines in the log."""


class Progress:
    """Tells from a thread of its own how far work is, until it is stopped.

    The work itself is not held up: it only has to count, and how far it is is asked for now and
    then. Where standard error is a terminal and rich is installed, a line there moves; otherwise,
    lines are logged.

    Args:
        what: what is being done.
        state: returns how far it is, in words; called from the thread.
    """

    def __init__(self, what: str, state: Callable[[], str]) -> None:
        self._what = what
        self._state = state
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inotifier-progress", daemon=True)

    def __enter__(self) -> Progress:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to tell, if it takes long."""
        self._thread.start()

    def stop(self) -> None:
        """Tell nothing more; a second call does nothing."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            if not self._ended.wait(_SOON):
                console = _terminal()
                if console is None:
                    self._log()
                else:
                    self._move(console)
        except Exception:  # what only tells of work must not end it
            logger.exception("cannot tell how far it is: %s", self._what)

    def _log(self) -> None:
        begun = time.monotonic()
        while not self._ended.wait(_LOG):
            seconds = time.monotonic() - begun
            logger.info("%s: %s after %.0f s", self._what, self._state(), seconds)

    def _move(self, console: Console) -> None:
        from rich import progress

        columns = (
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}", markup=False),
            progress.TimeElapsedColumn(),
        )
        with progress.Progress(
            *columns,
            console=console,
            auto_refresh=False,
            transient=True,
            # What others print must not go into the line; but a file gets what is for it.
            redirect_stdout=sys.stdout.isatty(),
        ) as moving:
            task = moving.add_task("", total=None)
            is_over = False
            while not is_over:
                told = f"{self._what}: {self._state()}"
                moving.update(task, description=told, refresh=True)
                is_over = self._ended.wait(_LOOK)


def progress(
    what: str, state: Callable[[], str], *, quiet: bool = False
) -> AbstractContextManager[object]:
    """Return a context manager that tells how far its block is; see `Progress`.

    Args:
        what: what is being done.
        state: returns how far it is, in words.
        quiet: True to tell nothing.
    """
    return nullcontext() if quiet else Progress(what, state)


def _terminal() -> Console | None:
    """Return the terminal that standard error is, None if a line cannot move there."""
    if not sys.stderr.isatty():
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    console = Console(stderr=True)
    return console if console.is_interactive else None
