from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from inotifier import watches
from inotifier.exceptions import ConfigurationError
from inotifier.lifecycle.units import SYSTEMS, Facts, System, gather, install
from inotifier.management.commands._command import InotifierCommand, seconds


class Command(InotifierCommand):
    help = (
        "Print a service file for this project's daemon: a unit of systemd, a script of OpenRC, "
        "or a section of supervisor."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("system", choices=SYSTEMS, help="what runs services on this machine")
        parser.add_argument(
            "--install", action="store_true", help="write it to where the system looks for it"
        )
        parser.add_argument(
            "--force", action="store_true", help="with --install, replace a file that differs"
        )
        parser.add_argument(
            "--watchdog",
            type=seconds,
            metavar="SECONDS",
            help="have systemd restart the daemon if a call of a handler lasts longer "
            "(default: it may last for ever)",
        )

    def act(self, options: dict[str, Any]) -> None:
        system, watchdog = SYSTEMS[options["system"]], options["watchdog"] or None
        if watchdog and options["system"] != "systemd":
            raise ConfigurationError(f"{options['system']} has no watchdog; leave --watchdog out")
        facts = gather(self.plan(options), watches.load(), watchdog)
        text = system.render(facts)
        if options["install"]:
            self.install(system, facts, text, force=options["force"])
        else:
            self.announce(text.rstrip("\n"))
        if facts.user == "root":
            self.warn(
                "The daemon will be root. INOTIFIER_USER names another user; or call this as the "
                "one that it should be."
            )

    def install(self, system: System, facts: Facts, text: str, *, force: bool) -> None:
        path = system.place(facts)
        install(text, path, system.mode, force=force)
        self.announce(f"Wrote {path}. What follows:")
        for step in system.next_steps(facts):
            self.announce(f"    {step}")
