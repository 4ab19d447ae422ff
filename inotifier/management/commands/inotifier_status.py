from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import CommandParser

from inotifier.events import printable
from inotifier.lifecycle import control
from inotifier.lifecycle.status_file import Status
from inotifier.management.commands._command import InotifierCommand
from inotifier.watches import IN_SETTING

NOT_RUNNING = 3  # LSB: program is not running


class Command(InotifierCommand):
    help = "Tell how the daemon is. Exit code 0: it runs; 3: it does not."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON")

    def act(self, options: dict[str, Any]) -> None:
        status = control.status(self.plan(options))
        if options["json"]:
            self.announce(json.dumps({"running": status is not None, **(status or {})}, indent=1))
        else:
            for line in ["not running"] if status is None else lines(status):
                self.announce(line)
        if status is None:
            sys.exit(NOT_RUNNING)


def lines(status: Status) -> list[str]:
    """Return `status` as lines for people."""
    head = f"running, pid {status['pid']}"
    if "started" not in status:
        return [f"{head}, starting"]
    now = datetime.now(UTC)
    uptime = now - datetime.fromtimestamp(status["started"], UTC)
    result = [
        f"{head}, up {timedelta(seconds=int(uptime.total_seconds()))}",
        f"queue depth {status['queue_depth']}, overflows {status['overflows']}",
    ]
    if status.get("catching_up"):
        result.append("looking for what was missed")
    if problem := status.get("state_problem"):
        result.append(f"degraded: {printable(problem)}")
    if status["reload"]["state"] == "refused":
        result.append(f"the last reload was refused: {status['reload']['error']}")
    for entry in status["entries"]:
        result.append(f"{printable(entry['name'])} ({entry['processor']})")
        if (declared := entry.get("declared", IN_SETTING)) != IN_SETTING:
            result.append(f"    declared in {declared}")
        result.append(
            f"    seen {entry['seen']}, delivered {entry['delivered']}, failed {entry['failed']}, "
            f"retried {entry.get('retried', 0)}"
        )
        if problem := entry["problem"]:
            result.append(f"    degraded: {printable(problem)}")
        if last := entry["last_event"]:
            when = datetime.fromtimestamp(last["timestamp"], UTC).astimezone()
            result.append(
                f"    last {last['maskname']} {printable(last['pathname'])} "
                f"at {when:%Y-%m-%d %H:%M:%S}"
            )
    return result
