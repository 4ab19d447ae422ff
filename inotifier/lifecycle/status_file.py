"""How a process is: written by itself, read by `inotifier_status` and whoever asks."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from inotifier.conf import conf
from inotifier.exceptions import InotifierError
from inotifier.lifecycle.pid_file import make_private

logger = logging.getLogger(__name__)

Status = dict[str, Any]


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


def ensure_directories(directories: Collection[Path], owner: tuple[int, int] | None) -> None:
    """Make what is missing of the directories of the pid file and the status file.

    Args:
        directories: of the two; the last one is that of the status file.
        owner: (uid, gid) of the process, None if it is the one that calls.

    Raises:
        InotifierError: it cannot be made.
    """
    private = conf.runtime_dir
    if private in directories:
        for directory in (private.parent, private):
            make_private(directory, owner)
    *_, last = directories
    try:
        ensure_directory(last, owner)
    except OSError as exc:
        raise InotifierError(
            f"cannot make {last} for the daemon's state: {exc.strerror}. "
            "INOTIFIER_STATE_DIR says where it lies."
        ) from exc
