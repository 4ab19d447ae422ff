"""How the daemon is: written by it, read by `inotifier_status` and whoever asks."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from pathlib import Path
from typing import Any

from inotifier.dispatcher import Handler
from inotifier.events import mask_names
from inotifier.service import Service

logger = logging.getLogger(__name__)

Status = dict[str, Any]


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
        "seen": handler.seen,
        "delivered": handler.delivered,
        "failed": handler.failed,
        "retried": handler.retried,
        "problem": handler.problem,
        "last_event": last,
    }


def _describe_event(mask: int, pathname: str, timestamp: float) -> Status:
    return {"maskname": mask_names(mask), "pathname": pathname, "timestamp": timestamp}


class StatusFile:
    """The file that holds the last status, replaced as a whole when something has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: Status | None = None
        self._failing = False

    def write(self, status: Status) -> None:
        """Write `status` unless it stands there already; a full disk is logged, once."""
        if status == self._written:
            return
        new = self.path.with_name(f"{self.path.name}.new")
        try:
            new.unlink(missing_ok=True)
            # Names that are not UTF-8 stay whole as \udcXX escapes of JSON.
            with open(new, "x", encoding="ascii", opener=_open_private) as file:
                json.dump(status, file, indent=1)
            new.replace(self.path)
        except OSError as exc:
            if not self._failing:
                logger.error("cannot write the status file %s: %s", self.path, exc)
            self._failing = True
        else:
            self._failing = False
            self._written = status

    def remove(self) -> None:
        """Remove the file."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def _open_private(path: str, flags: int) -> int:
    # With "x" no link is followed; others may not read what is watched.
    return os.open(path, flags, 0o600)


def read_status(path: Path) -> Status:
    """Return what the daemon wrote last; {} if there is nothing readable."""
    try:
        status = json.loads(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def ensure_directory(path: Path, owner: tuple[int, int] | None) -> None:
    """Make the directory of the status file if it is missing, for `owner` (uid, gid) if given."""
    if path.is_dir():
        return
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if owner:
        os.chown(path, *owner)
