from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from django.core.management.base import CommandParser

from inotifier.events import printable
from inotifier.management.commands._command import InotifierCommand

NOT_RUNNING = 3  # LSB: program is not running

_MOST = 1_000_000
"""More messages at once, or milliseconds, are a mistake."""


class Command(InotifierCommand):
    help = (
        "Send the signals of events that a daemon published with RedisPublisher. "
        "SIGTERM or Ctrl+C ends it after the message at hand."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--group",
            type=_name,
            default="inotifier",
            help="consumers of a group share the work (inotifier)",
        )
        parser.add_argument(
            "--consumer",
            type=_name,
            help="name of this one, its own in the group (the name of the machine)",
        )
        parser.add_argument(
            "--count", type=_number, default=100, metavar="N", help="messages to read at once"
        )
        parser.add_argument(
            "--block",
            type=_number,
            default=1000,
            metavar="MS",
            help="milliseconds to wait for a message, and so for the end (1000)",
        )
        parser.add_argument(
            "--broadcast",
            action="store_true",
            help="get every event that comes from now on, on this machine as on all others",
        )
        parser.add_argument(
            "--list",
            type=_name,
            metavar="NAME",
            help="read JSON from a Redis list instead of the stream",
        )
        parser.add_argument(
            "--status",
            action="store_true",
            help="only tell how this consumer and its queue are; exit code 3: it does not run here",
        )
        parser.add_argument("--json", action="store_true", help="print JSON, with --status")

    def act(self, options: dict[str, Any]) -> None:
        from inotifier.bridge.setup import Assignment
        from inotifier.lifecycle import consuming

        given = {"consumer": options["consumer"]} if options["consumer"] else {}
        assignment = Assignment(
            group=options["group"],
            count=options["count"],
            block=options["block"] / 1000,
            broadcast=options["broadcast"],
            list=options["list"],
            **given,
        )
        if not options["status"]:
            if code := consuming.consume(assignment, self.announce):
                sys.exit(code)
            return
        status = consuming.status(assignment)
        if options["json"]:
            self.announce(json.dumps(status, indent=1))
        else:
            for line in lines(status, assignment.title):
                self.announce(line)
        if status["pid"] is None:
            sys.exit(NOT_RUNNING)


def _number(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 0 < value <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {_MOST}")
    return value


def _name(text: str) -> str:
    if not text.isprintable() or not text:
        raise argparse.ArgumentTypeError(f"{text!r} is no name; it should be text, in UTF-8")
    return text


def lines(status: dict[str, Any], title: str) -> list[str]:
    """Return `status` as lines for people."""
    running = "not running here" if status["pid"] is None else f"running, pid {status['pid']}"
    result = [f"{printable(title)}: {running}"]
    if status["away"]:
        result.append(f"degraded, Redis is away: {printable(status['away'])}")
    if busy := status.get("busy"):
        seconds = max(0.0, time.time() - busy["since"])
        result.append(f"busy for {seconds:.0f} s with {printable(busy['title'])}")
    if queue := status["queue"]:
        lag = "unknown" if queue["lag"] is None else queue["lag"]
        result.append(f"lag {lag}, pending {queue['pending']}, dead {queue['dead']}")
        result += [
            f"    {printable(one['name'])}: pending {one['pending']}" for one in queue["consumers"]
        ]
    if "delivered" in status:
        result.append(
            f"delivered {status['delivered']}, retried {status['retried']}, "
            f"failed {status['failed']}, unreadable {status['unreadable']}, "
            f"doubles {status['doubles']}, taken over {status['taken_over']}, "
            f"in hand {status['in_hand']}"
        )
    return result
