"""Everything about a daemon that is settled before it detaches, and kept while it re-executes."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inotifier.conf import conf
from inotifier.exceptions import ConfigurationError

_VARIABLE = "_INOTIFIER_HANDOVER"
_RUNNING_VARIABLE = "_INOTIFIER_RUNNING"
_FILES = ("pid_file", "status_file")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Where a daemon lives and how it is called.

    Attributes:
        pid_file: where its pid file is.
        status_file: where its status file is.
        command: the interpreter, the script and everything before the name of the command,
            to call commands of this project again.
        arguments: what follows the name of the command: options that change settings.
        directory: the current directory for `command`.
        foreground: True if it does not detach.
    """

    pid_file: Path
    status_file: Path
    command: Sequence[str]
    arguments: Sequence[str]
    directory: str
    foreground: bool

    @property
    def socket(self) -> Path:
        """Where it answers questions."""
        return self.status_file.with_name("inotifier.sock")

    def call(self, name: str, *options: str) -> list[str]:
        """Return the arguments that run the management command `name` in a new interpreter."""
        return [*self.command, name, *options, *self.arguments]


def make_plan(options: Mapping[str, object], *, foreground: bool) -> Plan:
    """Return the plan that the settings and the options of the command make."""
    return Plan(
        pid_file=conf.pid_file,
        status_file=conf.status_file,
        command=_own_command(),
        arguments=[
            f"--{name}={options[name]}"
            for name in ("settings", "pythonpath", "verbosity")
            if options.get(name) is not None
        ],
        directory=_current_directory(),
        foreground=foreground,
    )


def _current_directory() -> str:
    """Return the current directory in the words of the shell.

    They may lead over a symbolic link, `current`, that points elsewhere at the next release.
    """
    logical = os.environ.get("PWD", "")
    try:
        if logical and Path(logical).samefile("."):
            return logical
        return str(Path.cwd())
    except FileNotFoundError:  # it was removed
        return "/"


def environment_of_check(plan: Plan) -> dict[str, str]:
    """Return the environment of a process that checks the settings for a reload of `plan`."""
    files = {name: str(getattr(plan, name)) for name in _FILES}
    return {**os.environ, _RUNNING_VARIABLE: json.dumps(files)}


def refuse_to_move() -> None:
    """Raise if the settings are to be those of a daemon that has its files elsewhere.

    Raises:
        ConfigurationError: a restart is needed.
    """
    running = json.loads(os.environ.get(_RUNNING_VARIABLE, "{}"))
    for name, path in running.items():
        new = str(getattr(conf, name))
        if path != new:
            raise ConfigurationError(
                f"the {name.replace('_', ' ')} would move from {path} to {new}. That takes a "
                "restart: stop the daemon with the old settings first"
            )


def _own_command() -> list[str]:
    """Return how this very program was called, up to the name of the management command."""
    if len(sys.argv) > 1 and sys.argv[1].startswith("inotifier_"):
        before = len(sys.orig_argv) - len(sys.argv) + 1
        return [sys.executable, *sys.orig_argv[1:before]]
    # Called by other code (call_command): Django's own entry point does the same.
    return [sys.executable, "-m", "django"]


@dataclass(frozen=True, kw_only=True)
class Handover:
    """What a daemon that re-executes itself hands to its successor.

    Attributes:
        plan: its plan.
        pid_file_fd: descriptor of the locked pid file.
        inotify_fd: descriptor of the inotify instance, with its watches and its queue.
        started: seconds, `time.time()`, when the daemon was started.
        reloads: number of reloads asked for, this one included.
    """

    plan: Plan
    pid_file_fd: int
    inotify_fd: int
    started: float
    reloads: int

    def environment(self) -> dict[str, str]:
        """Return this process's environment with the handover in it."""
        fields = dataclasses.asdict(self)
        return {**os.environ, _VARIABLE: json.dumps(fields, default=str)}


def take_handover() -> Handover | None:
    """Return what the predecessor in this process left, None if there is none."""
    text = os.environ.pop(_VARIABLE, None)
    if text is None:
        return None
    fields = json.loads(text)
    plan = fields.pop("plan")
    for name in _FILES:
        plan[name] = Path(plan[name])
    handover = Handover(plan=Plan(**plan), **fields)
    for fd in (handover.pid_file_fd, handover.inotify_fd):
        os.set_inheritable(fd, False)
    return handover


def new_owner() -> tuple[int, int] | None:
    """Return (uid, gid) that the daemon has to change to; None if it stays who it is.

    Raises:
        ConfigurationError: this process may not become them.
    """
    owner = conf.owner
    if owner is None or owner == (os.geteuid(), os.getegid()):
        return None
    if os.geteuid() != 0:
        raise ConfigurationError(
            "only root can start the daemon as another user; call this as root, "
            "or leave INOTIFIER_USER and INOTIFIER_GROUP out"
        )
    return owner
