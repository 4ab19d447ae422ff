"""What a service file has to say, found out by the command that writes it."""

from __future__ import annotations

import grp
import math
import os
import pwd
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from inotifier.conf import conf
from inotifier.exceptions import ConfigurationError
from inotifier.lifecycle.plan import Plan
from inotifier.lifecycle.units.places import Places, find_places
from inotifier.watches import Entry

_ENDING = 5.0
"""Seconds after the deliveries: as long as inotifier_stop waits."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The daemon of this project, as whoever starts it must know it.

    Attributes:
        name: of the service.
        title: what it is, for people.
        command: the interpreter, the script and everything before the name of a command.
        options: what follows the name of a command.
        directory: the current directory of the command.
        environment: variables that it needs.
        user: who the daemon is: a name, or a number that has none.
        group: likewise.
        changes_user: True if root starts it, and it becomes that user by itself.
        shutdown_timeout: seconds that it may take to deliver what it has read when it stops.
        watchdog: seconds for which a handler may keep it from going on; None for any number.
        places: what it reads and writes.
    """

    name: str
    title: str
    command: Sequence[str]
    options: Sequence[str]
    directory: str
    environment: Mapping[str, str]
    user: str
    group: str
    changes_user: bool
    shutdown_timeout: float
    watchdog: float | None = None
    places: Places

    @property
    def stop_timeout(self) -> int:
        """Seconds after which a daemon that was told to stop hangs."""
        return math.ceil(self.shutdown_timeout + _ENDING)

    def call(self, name: str, *options: str) -> list[str]:
        """Return the arguments that run the management command `name`."""
        return [*self.command, name, *options, *self.options]


def gather(plan: Plan, entries: Sequence[Entry], watchdog: float | None = None) -> Facts:
    """Return the facts of the daemon that `plan` and the settings describe.

    Args:
        plan: how this very command was called.
        entries: what is watched.
        watchdog: as in `Facts`.

    Raises:
        ConfigurationError: the settings cannot be used.
    """
    uid, gid = conf.owner or (os.geteuid(), os.getegid())
    command = _absolute_command(plan)
    directory = _directory(plan, command)
    return Facts(
        name="inotifier-" + re.sub(r"[^A-Za-z0-9_.-]", "_", conf.project_name),
        title=f"File events of {_module()} for Django (inotifier)",
        command=command,
        options=[
            f"--pythonpath={os.path.abspath(argument.partition('=')[2])}"  # noqa: PTH100
            for argument in plan.arguments
            if argument.startswith("--pythonpath=")
        ],
        directory=directory,
        environment=_environment(),
        user=_name_of_user(uid),
        group=_name_of_group(gid),
        changes_user=conf.owner is not None,
        shutdown_timeout=conf.shutdown_timeout,
        watchdog=watchdog,
        places=find_places(entries, [*command, directory]),
    )


def _directory(plan: Plan, command: Sequence[str]) -> str:
    """Return a directory in which `command` does what it does here."""
    is_module = command[-2:-1] == ["-m"]
    if is_module or not getattr(settings, "BASE_DIR", None):
        return plan.directory  # modules, or relative paths, are looked for there
    # Not BASE_DIR, where symbolic links may be resolved: it may be gone after the next release.
    return os.path.dirname(command[-1])  # noqa: PTH120


def _module() -> str:
    module = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    if not module:
        raise ConfigurationError(
            "DJANGO_SETTINGS_MODULE is not set, so a service could not find the settings; call "
            "this by manage.py, or with --settings"
        )
    return module


def _absolute_command(plan: Plan) -> list[str]:
    """Return the command of `plan`, which does not depend on the current directory any more."""
    interpreter, *flags, script = plan.command
    if flags[-1:] != ["-m"]:
        script = _plain(os.path.join(plan.directory, script))  # noqa: PTH118
    return [_plain(interpreter), *flags, script]


def _plain(path: str) -> str:
    """Return `path` without "..", if that is the same then; symbolic links stay."""
    short = os.path.normpath(path)
    return short if Path(short).exists() and Path(short).samefile(path) else path


def _environment() -> dict[str, str]:
    found = {"DJANGO_SETTINGS_MODULE": _module()}
    if path := os.environ.get("PYTHONPATH"):
        found["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, path.split(os.pathsep)))
    state_home = os.environ.get("XDG_STATE_HOME", "")
    if state_home and conf.state_dir.is_relative_to(state_home):
        found["XDG_STATE_HOME"] = state_home
    return found


def _name_of_user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _name_of_group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
