from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from inotifier.lifecycle import control
from inotifier.management.commands._command import InotifierCommand


class Command(InotifierCommand):
    help = "Deliver what was missed since the daemon, or this command, ran last; then exit."

    def add_arguments(self, parser: CommandParser) -> None:
        how = parser.add_mutually_exclusive_group()
        how.add_argument(
            "--dry-run",
            action="store_true",
            help="only tell what is new, changed, gone or moved; deliver and record nothing",
        )
        how.add_argument(
            "--daemon", action="store_true", help="have the running daemon do it, and do not wait"
        )

    def act(self, options: dict[str, Any]) -> None:
        plan = self.plan(options)
        if options["daemon"]:
            control.rescan(plan)
            self.announce("The daemon looks for what it missed.")
        else:
            control.scan(plan, self.announce, dry=options["dry_run"])
