"""Where service files go, and what is to be done once they are there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from inotifier.exceptions import InotifierError, NotPermitted
from inotifier.lifecycle.units import openrc, supervisor, systemd
from inotifier.lifecycle.units.facts import Facts


@dataclass(frozen=True, kw_only=True)
class System:
    """What runs services.

    Attributes:
        render: makes the text of a service file.
        path: where that goes, with {name} of the service.
        mode: its permissions.
        steps: commands that follow, with {name}.
    """

    render: Callable[[Facts], str]
    path: str
    mode: int
    steps: Sequence[str]

    def place(self, facts: Facts) -> Path:
        """Return where the service file goes."""
        return Path(self.path.format(name=facts.name))

    def next_steps(self, facts: Facts) -> list[str]:
        """Return the commands that start the service now, and at each boot."""
        return [step.format(name=facts.name) for step in self.steps]


SYSTEMS = {
    "systemd": System(
        render=systemd.render,
        path="/etc/systemd/system/{name}.service",
        mode=0o644,
        steps=("systemctl daemon-reload", "systemctl enable --now {name}"),
    ),
    "openrc": System(
        render=openrc.render,
        path="/etc/init.d/{name}",
        mode=0o755,
        steps=("rc-update add {name}", "rc-service {name} start"),
    ),
    "supervisor": System(
        render=supervisor.render,
        path="/etc/supervisor/conf.d/{name}.conf",
        mode=0o644,
        steps=("supervisorctl update",),
    ),
}


def install(text: str, path: Path, mode: int, *, force: bool) -> None:
    """Write a service file, as a whole or not at all.

    Args:
        text: what it holds.
        path: where it goes.
        mode: its permissions.
        force: True to replace another one.

    Raises:
        NotPermitted: this user may not write there.
        InotifierError: there is another file, or it cannot be written.
    """
    data = os.fsencode(text)
    try:
        if not force and path.exists() and path.read_bytes() != data:
            raise InotifierError(
                f"{path} is there and says something else; compare the two, and call this with "
                "--force to replace it"
            )
        _replace(path, data, mode)
    except PermissionError as exc:
        raise NotPermitted(f"only root may write {path}; call this as root") from exc
    except FileNotFoundError as exc:
        raise InotifierError(f"there is no directory {path.parent}; is it installed here?") from exc
    except OSError as exc:
        raise InotifierError(f"cannot write {path}: {exc.strerror}") from exc


def _replace(path: Path, data: bytes, mode: int) -> None:
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, mode)
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise
