"""What the commands have in common: the plan, and errors as CommandError."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from inotifier.conf import conf
from inotifier.exceptions import InotifierError, NotPermitted
from inotifier.lifecycle.plan import Plan, make_plan
from inotifier.lifecycle.streams import ensure_streams

_NOT_PERMITTED = 4  # LSB: the user had insufficient privilege


def seconds(text: str) -> float:
    """Read a command-line option that is a number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0 or more")
    return value


def stop_timeout(timeout: float | None) -> float:
    """Return how long to wait for a daemon to stop: a little longer than it may drain."""
    return conf.shutdown_timeout + 5 if timeout is None else timeout


class InotifierCommand(BaseCommand):
    """A command whose `InotifierError`s reach the user as one message and exit code 1."""

    # The settings of inotifier are checked by what needs them, with messages of its own.
    requires_system_checks = ()

    def __init__(self, *args: Any, **options: Any) -> None:
        # Before BaseCommand takes hold of streams that cron, for one, may have closed.
        ensure_streams()
        super().__init__(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.act(options)
        except NotPermitted as exc:
            raise CommandError(str(exc), returncode=_NOT_PERMITTED) from exc
        except InotifierError as exc:
            raise CommandError(str(exc)) from exc

    def act(self, options: dict[str, Any]) -> None:
        """Do what the command is for."""
        raise NotImplementedError

    def plan(self, options: dict[str, Any], *, foreground: bool = False) -> Plan:
        """Return the plan of this project's daemon."""
        return make_plan(options, foreground=foreground)

    def announce(self, line: str) -> None:
        """Print `line` at once; a terminal or pipe that cannot take it is no reason to fail."""
        encoding = getattr(self.stdout, "encoding", None) or "utf-8"
        try:
            self.stdout.write(line.encode(encoding, "backslashreplace").decode(encoding))
            self.stdout.flush()
        except OSError:
            # Whoever read it has gone. What is written from now on has to go somewhere.
            with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), sys.stdout.fileno())

    def warn(self, line: str) -> None:
        """Print `line` to standard error."""
        self.stderr.write(self.style.WARNING(line))

    @staticmethod
    def add_timeout(parser: CommandParser, help: str) -> None:
        """Add the option --timeout."""
        parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help=help)
