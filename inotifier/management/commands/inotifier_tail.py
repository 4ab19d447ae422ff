from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandParser

from inotifier.events import Event, parse_mask, printable
from inotifier.exceptions import ConfigurationError, InotifierError
from inotifier.management.commands._command import InotifierCommand, seconds
from inotifier.tail import (
    Columns,
    Format,
    Live,
    Shower,
    Stats,
    entries_of,
    follow,
    shown_live,
)
from inotifier.watches import load


class Command(InotifierCommand):
    help = (
        "Show what happens now, beside the daemon: in the entries, or in the given paths. Ends by "
        "Ctrl+C. Exit code 0: as many events as asked for; 1: an error; 2: the time is over."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "path", nargs="*", help="a file or directory; without any, the configured entries"
        )
        parser.add_argument(
            "-r", "--recursive", action="store_true", help="of each path, all directories below"
        )
        parser.add_argument(
            "-e",
            "--events",
            type=mask,
            metavar="MASK",
            help='of each path, only these: "IN_CREATE|IN_DELETE"',
        )
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--json", action="store_true", help="one object in each line")
        how.add_argument(
            "--format", help="as inotifywait: %%w path, %%f name, %%e events, %%T time, %%0 NUL ..."
        )
        how.add_argument(
            "--stats", action="store_true", help="count events by path, as inotifywatch"
        )
        parser.add_argument(
            "--timefmt", default="%H:%M:%S", help="the form of %%T, for strftime (%(default)r)"
        )
        parser.add_argument(
            "--no-newline", action="store_true", help="no line break behind each --format"
        )
        parser.add_argument(
            "-t",
            "--timeout",
            type=seconds,
            metavar="SECONDS",
            help="end when nothing has happened for so long; with --stats, after so long",
        )
        parser.add_argument(
            "-c", "--count", type=number, metavar="N", help="end after so many events"
        )

    def act(self, options: dict[str, Any]) -> None:
        timeout = options["timeout"] or None  # 0 is for ever, as for inotifywait
        if (options["recursive"] or options["events"]) and not options["path"]:
            raise InotifierError("-r and -e are for paths; the entries have their own")
        if options["path"]:
            entries = entries_of(options["path"], options["events"], recursive=options["recursive"])
        else:
            entries = load()
        stats = Stats() if options["stats"] else None
        code = 0
        # Ctrl+C is how it is ended.
        with contextlib.suppress(KeyboardInterrupt), Live(entries) as live:
            show = None if stats else self.shower(options)
            live.watch()
            self.tell(f"watching {len(live.entries)} path(s); Ctrl+C ends this")
            for note in live.notes:
                self.tell(note)
            if show is not None:
                code = follow(live, show, show.flush, timeout=timeout, count=options["count"])
            elif stats is not None:
                with self.live_table(stats, options):
                    code = follow(live, stats, total=timeout, count=options["count"])
        for line in stats.lines() if stats else ():
            self.announce(line)
        if code:
            sys.exit(code)

    def live_table(
        self, stats: Stats, options: dict[str, Any]
    ) -> contextlib.AbstractContextManager[None]:
        """Return what shows the table meanwhile, if there is a terminal for it."""
        if not self.stdout.isatty():
            return contextlib.nullcontext()
        try:
            import rich  # noqa: F401
        except ImportError:
            self.tell(
                "the table comes at the end; to see it meanwhile, "
                "pip install 'django-inotifier[terminal]'"
            )
            return contextlib.nullcontext()
        return shown_live(stats, colours=self.colours(options))

    def shower(self, options: dict[str, Any]) -> Shower:
        """Return what writes the lines."""
        stream: Any = getattr(self.stdout, "_out", self.stdout)
        line: Callable[[Event], str] = Event.to_json
        if options["format"] is not None:
            try:
                line = Format(options["format"], options["timefmt"], plain=not self.stdout.isatty())
            except ValueError as exc:
                raise InotifierError(f"--format: {exc}") from exc
        elif not options["json"]:
            line = Columns(colours=self.colours(options))
        is_bare = options["no_newline"] and options["format"] is not None
        return Shower(stream, line, "" if is_bare else "\n")

    def colours(self, options: dict[str, Any]) -> bool:
        """Tell whether lines have colours."""
        if options.get("force_color"):
            return True
        is_wanted = not (options.get("no_color") or os.environ.get("NO_COLOR"))
        return is_wanted and self.stdout.isatty()

    def tell(self, line: str) -> None:
        """Print `line`, which is no event, to standard error."""
        with contextlib.suppress(OSError):
            self.stderr.write(printable(line), lambda text: text)
            self.stderr.flush()


def mask(text: str) -> int:
    """Read the option --events."""
    try:
        return parse_mask(text)
    except ConfigurationError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def number(text: str) -> int:
    """Read the option --count."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)
