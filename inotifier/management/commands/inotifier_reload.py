from __future__ import annotations

from typing import Any

from inotifier.lifecycle import control
from inotifier.management.commands._command import InotifierCommand


class Command(InotifierCommand):
    help = (
        "Make the daemon take new settings and code. If they are not good it goes on as it was, "
        "and this command says why."
    )

    def act(self, options: dict[str, Any]) -> None:
        control.reload(self.plan(options))
        self.announce("The daemon runs with the new settings.")
