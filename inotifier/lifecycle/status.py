"""What the daemon tells of itself."""

from __future__ import annotations

from inotifier.dispatcher import Handler
from inotifier.events import mask_names, printable
from inotifier.lifecycle.status_file import Status
from inotifier.service import Service


def describe(service: Service) -> Status:
    """Return the part of the status that tells of `service`, ready for JSON."""
    return {
        "entries": [_describe_entry(handler) for handler in service.handlers],
        "overflows": service.overflows,
        "queue_depth": service.queue_depth,
        "catching_up": service.catching_up,
        "state_problem": service.state_problem,
    }


def _describe_entry(handler: Handler) -> Status:
    last = handler.last_event and _describe_event(*handler.last_event)
    return {
        "name": handler.entry.name,
        "path": handler.entry.path,
        "processor": handler.entry.processor_name,
        "declared": handler.entry.declared,
        "seen": handler.seen,
        "delivered": handler.delivered,
        "failed": handler.failed,
        "retried": handler.retried,
        "problem": handler.problem,
        "last_event": last,
    }


def _describe_event(mask: int, pathname: str, timestamp: float) -> Status:
    return {"maskname": mask_names(mask), "pathname": pathname, "timestamp": timestamp}


def summary(status: Status) -> str:
    """Return the whole status as one line, without paths."""
    entries = status["entries"]
    numbers = {
        key: sum(entry[key] for entry in entries) for key in ("delivered", "failed", "retried")
    }
    parts = [
        f"entries: {len(entries)}",
        f"{numbers['delivered']} event(s) delivered, {status['queue_depth']} waiting",
    ]
    parts += [f"{numbers[key]} {key}" for key in ("failed", "retried") if numbers[key]]
    if status["overflows"]:
        parts.append(f"{status['overflows']} overflow(s)")
    if status["catching_up"]:
        parts.append("looking for what was missed")
    if degraded := sum(bool(entry["problem"]) for entry in entries):
        parts.append(f"degraded entries: {degraded}")
    if status["state_problem"]:
        parts.append(f"degraded: {printable(status['state_problem'])}")
    if status["reload"]["state"] == "refused":
        parts.append("the last reload was refused")
    return "; ".join(parts)
