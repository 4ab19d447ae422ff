from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from inotifier.lifecycle import control
from inotifier.management.commands._command import InotifierCommand, stop_timeout


class Command(InotifierCommand):
    help = "Stop the daemon, once it has delivered what it has read."

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_timeout(
            parser,
            "seconds to wait before SIGKILL (default: INOTIFIER_SHUTDOWN_TIMEOUT + 5)",
        )

    def act(self, options: dict[str, Any]) -> None:
        limit = stop_timeout(options["timeout"])
        if not control.stop(self.plan(options), limit):
            self.warn(f"The daemon did not stop within {limit:g} s and was killed (SIGKILL).")
        self.announce("File watches have been stopped.")
