"""The daemon as a web process sees it: asked over its socket, and for no longer than a moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from inotifier.exceptions import InotifierError
from inotifier.lifecycle.channel import NoAnswer, ask
from inotifier.lifecycle.pid_file import read_pid
from inotifier.lifecycle.plan import make_plan
from inotifier.monitoring.metrics import Figures

RUNNING = "running"
STARTING = "starting"
SILENT = "silent"
STOPPED = "stopped"
UNKNOWN = "unknown"

STUCK_AFTER = 30.0
"""Seconds without a round of the daemon's main thread; one takes a second."""


@dataclass(frozen=True)
class Answer:
    """What there is to know of the daemon.

    Attributes:
        state: RUNNING, STARTING, SILENT (it runs, but does not answer), STOPPED or UNKNOWN.
        figures: what it tells; {} unless it is running.
        problem: why nothing is known of it, "" if something is.
    """

    state: str
    figures: Figures = field(default_factory=dict)
    problem: str = ""

    @property
    def is_healthy(self) -> bool:
        """True if it runs and its main thread goes round."""
        return self.state == RUNNING and self.figures["since_tick"] < STUCK_AFTER


def ask_daemon(wanted: str, **options: Any) -> Answer:
    """Return what the daemon of this project answers.

    Args:
        wanted: "figures", "page", "rescan" or "reload".
        options: what else belongs to the question.
    """
    pid = None
    try:
        plan = make_plan({}, foreground=False)
        pid = read_pid(plan.pid_file)
        if pid is None:
            return Answer(STOPPED)
        figures = ask(plan.socket, pid, plan.pid_file, {"ask": wanted, **options})
    except NoAnswer as exc:
        return Answer(SILENT, problem=str(exc))
    except InotifierError as exc:
        return Answer(UNKNOWN, problem=str(exc))
    is_started = "entries" in figures or "accepted" in figures
    return Answer(RUNNING if is_started else STARTING, figures)
