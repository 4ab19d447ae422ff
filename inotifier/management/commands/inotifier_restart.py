from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from inotifier.management.commands import inotifier_start


class Command(inotifier_start.Command):
    help = "Stop the daemon if it runs, then start it: inotifier_start --replace."

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_foreground(parser)
        self.add_start_timeout(parser)

    def act(self, options: dict[str, Any]) -> None:
        super().act({**options, "replace": True, "check": False})
