"""What the daemon tells, in words and shapes for the status page.

Every text is made fit for a page here: file names may hold any bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.utils.timezone import localtime

from inotifier.events import printable
from inotifier.monitoring.daemon import RUNNING, SILENT, STARTING, STOPPED, UNKNOWN, Answer
from inotifier.monitoring.metrics import Figures, entry_labels

_HEADLINES = {
    RUNNING: "Running",
    STARTING: "Starting",
    SILENT: "Not answering",
    STOPPED: "Not running",
    UNKNOWN: "Unknown",
}

_ADVICE = {
    STARTING: "The daemon sets its watches. Figures follow when they stand.",
    SILENT: "The daemon runs but does not answer. While it takes new settings that is so for a "
    "moment; if it stays so, its log tells why.",
    STOPPED: "No daemon runs, so no event is delivered. What happens meanwhile is found at its "
    "next start. Start it with: manage.py inotifier_start",
    UNKNOWN: "It cannot be told whether the daemon runs.",
}

_NEARLY_FULL = 0.9

CHART_WIDTH, CHART_HEIGHT = 180, 28


def describe(answer: Answer, entry: int | None, text: str, now: float) -> dict[str, Any]:
    """Return the context of the page's templates.

    Args:
        answer: what the daemon told.
        entry: number of the entry whose events are shown, None for all.
        text: what the events shown hold.
        now: seconds, `time.time()`.
    """
    context = {
        "state": answer.state,
        "headline": _HEADLINES[answer.state],
        "advice": _ADVICE.get(answer.state, ""),
        "problem": _lines(answer.problem),
        "chosen": entry,
        "text": text,
    }
    if answer.state != RUNNING:
        return context
    figures = answer.figures
    labels = entry_labels(figures["entries"])
    return {
        **context,
        **_daemon(figures, now),
        "entries": [
            _entry(number, label, one, now)
            for number, (label, one) in enumerate(zip(labels, figures["entries"], strict=True))
        ],
        "events": [_event(one, labels, figures["entries"]) for one in figures["events"]],
        "failures": [_failure(one, labels) for one in figures["failures"]],
    }


def _daemon(figures: Figures, now: float) -> dict[str, Any]:
    watches, limit = figures["watches"], figures["watches_limit"]
    reload = figures["reload"]
    return {
        "pid": figures["pid"],
        "uptime": span(now - figures["started"]),
        "started": _time(figures["started"]),
        "queue_depth": count(figures["queue_depth"]),
        "lag": duration(figures["lag"]) if figures["queue_depth"] else "none",
        "overflows": count(figures["overflows"]),
        "watches": count(watches),
        "watches_limit": count(limit) if limit is not None else "",
        "watches_used": watches / limit if limit else 0,
        "watches_scarce": bool(limit) and watches > _NEARLY_FULL * limit,
        "catching_up": figures["catching_up"],
        "reloading": reload["state"] == "checking",
        "refused": _lines(reload["error"]) if reload["state"] == "refused" else "",
        "state_problem": _lines(figures["state_problem"]),
    }


def _entry(number: int, label: str, entry: Figures, now: float) -> dict[str, Any]:
    last = entry["last_event"]
    path = printable(entry["path"])
    return {
        "number": number,
        "label": label,
        "path": path if path != label else "",
        "processor": printable(entry["processor"]),
        "processor_name": printable(entry["processor"].rpartition(".")[2]),
        "backend": printable(entry["backend"]),
        "watches": "" if entry["watches"] is None else count(entry["watches"]),
        "rate": rate(entry["rate"]),
        "delivered": count(entry["delivered"]),
        "failed": count(entry["failed"]),
        "has_failed": bool(entry["failed"]),
        "waiting": count(entry["pending"]),
        "age": span(now - last["timestamp"]) if last else "",
        "last": _time(last["timestamp"]) if last else None,
        "problem": _lines(entry["problem"]),
        "chart": bars(entry["counts"]),
        "most": rate(max(entry["counts"]) / 10),
    }


def _event(event: Figures, labels: Sequence[str], entries: Sequence[Figures]) -> dict[str, Any]:
    directory, slash, name = event["pathname"].rpartition("/")
    return {
        "label": labels[event["entry"]],
        "time": _time(event["timestamp"]),
        "maskname": event["maskname"].removesuffix("|IN_ISDIR"),
        "is_dir": event["maskname"].endswith("|IN_ISDIR"),
        "directory": printable(directory + slash),
        "name": printable(name),
        "outcome": event["outcome"],
        "seconds": duration(event["seconds"]),
    }


def _failure(failure: Figures, labels: Sequence[str]) -> dict[str, Any]:
    return {
        "label": labels[failure["entry"]],
        "time": _time(failure["timestamp"]),
        "key": f"{failure['entry']}-{failure['timestamp']}-{printable(failure['who'])}",
        "maskname": failure["maskname"],
        "pathname": printable(failure["pathname"]),
        "who": printable(failure["who"]),
        "then": failure["then"].removeprefix(", "),
        "reason": printable(failure["traceback"].rstrip().rpartition("\n")[2].strip()),
        "traceback": _lines(failure["traceback"]),
    }


def bars(counts: Sequence[int]) -> str:
    """Return the path of an SVG with a bar for each of `counts`, "" if all are 0."""
    most = max(counts, default=0)
    if not most:
        return ""
    step = CHART_WIDTH / len(counts)
    parts = []
    for number, value in enumerate(counts):
        if value:
            # What has come at all is to be seen.
            height = max(1.0, CHART_HEIGHT * value / most)
            parts.append(
                f"M{number * step:g} {CHART_HEIGHT}v{-height:.1f}h{step * 0.75:g}v{height:.1f}z"
            )
    return "".join(parts)


def count(number: int) -> str:
    """Return a number with its thousands apart."""
    return f"{number:,}"


def rate(number: float) -> str:
    """Return a number of events a second."""
    if number >= 10:
        return f"{number:,.0f}"
    return f"{number:.1f}" if number >= 0.05 else "0" if not number else "<0.1"


def span(seconds: float) -> str:
    """Return a time that may be long, in its two largest units."""
    left = max(0, int(seconds))
    days, left = divmod(left, 86400)
    hours, left = divmod(left, 3600)
    minutes, left = divmod(left, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (left, "s")]
    while len(parts) > 1 and not parts[0][0]:
        del parts[0]
    return " ".join(f"{number} {unit}" for number, unit in parts[:2])


def duration(seconds: float) -> str:
    """Return a time that may be short."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds:.1f} s" if seconds < 60 else span(seconds)


def _time(timestamp: float) -> datetime:
    when = datetime.fromtimestamp(timestamp, UTC)
    return localtime(when)


def _lines(text: str) -> str:
    """Return `text` fit for a page, its lines kept."""
    return "\n".join(printable(line.expandtabs()) for line in text.splitlines())
