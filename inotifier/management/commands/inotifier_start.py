from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from inotifier.exceptions import InotifierError, NotRunning
from inotifier.lifecycle.plan import Plan, refuse_to_move, take_handover
from inotifier.management.commands._command import InotifierCommand, stop_timeout

READY_TIMEOUT = 60.0


class Command(InotifierCommand):
    help = "Start the daemon that watches INOTIFIER_WATCH_PATHS."

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_foreground(parser)
        self.add_start_timeout(parser)
        parser.add_argument(
            "--replace", action="store_true", help="stop a daemon that runs, then start"
        )
        parser.add_argument(
            "--check", action="store_true", help="only tell whether the settings can be used"
        )

    @staticmethod
    def add_foreground(parser: CommandParser) -> None:
        """Add the option --foreground."""
        parser.add_argument(
            "--foreground", action="store_true", help="do not detach; Ctrl+C or SIGTERM ends it"
        )

    def add_start_timeout(self, parser: CommandParser) -> None:
        """Add the option --timeout."""
        self.add_timeout(
            parser,
            "seconds that the watches may take to stand (default: 60), and that a daemon to be "
            "replaced may take to stop (default: INOTIFIER_SHUTDOWN_TIMEOUT + 5)",
        )

    def act(self, options: dict[str, Any]) -> None:
        from inotifier import watches
        from inotifier.events import need_pyinotify

        try:
            need_pyinotify()
        except ImportError as exc:
            raise InotifierError(f"Cannot import pyinotify: {exc}") from exc
        from inotifier.lifecycle import control
        from inotifier.monitoring.port import expose

        if handover := take_handover():
            control.resume(handover, expose)
            return
        watches.load()
        self.check(display_num_errors=False)
        if options["check"]:
            refuse_to_move()
            return
        plan = self.plan(options, foreground=options["foreground"])
        if options["replace"]:
            self.stop_old(plan, options["timeout"])
        timeout = READY_TIMEOUT if options["timeout"] is None else options["timeout"]
        control.start(plan, self.announce, timeout, expose)

    def stop_old(self, plan: Plan, timeout: float | None) -> None:
        from inotifier.lifecycle import control

        limit = stop_timeout(timeout)
        try:
            if not control.stop(plan, limit):
                self.warn(f"The old daemon did not stop within {limit:g} s and was killed.")
        except NotRunning:
            pass
