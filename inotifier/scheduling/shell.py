"""Shell commands for events."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inotifier import options
from inotifier.events import Event
from inotifier.scheduling.accounts import find_account, refuse_other_user
from inotifier.scheduling.command_line import ProgramLine, ShellLine, environment_of, facts_of
from inotifier.scheduling.running import Command, Owner, run
from inotifier.scheduling.scheduler import TaskScheduler


class ShellScheduler(TaskScheduler):
    """Run a command for each path, `delay` seconds after its last event.

    {maskname}, {pathname}, {src_pathname}, {name}, {path} and {watch} in the command stand for
    what is so called of the event ({watch}: of its entry); what it does not have is empty. The
    same is in the environment: INOTIFIER_MASKNAME and so on. What the command writes is logged as
    it comes, its output as INFO and its errors as WARNING. It has failed if it ends with another
    exit code than 0, and then runs again as a processor would be called again.

    Args:
        cmd: a list, the program and its arguments, which no shell reads; or a text for /bin/sh,
            where placeholders become quoted words, and must not stand where that does not
            protect: inside quotes, for instance. Other braces stay as they are.
        cwd: the directory in which it runs; that of the daemon by default.
        env: variables that it gets besides those of the daemon; None for one to leave out.
        user: who it runs as, if the daemon is root: a name or a number.
        timeout: seconds after which it is ended, with all that it has started.
        options: those of `TaskScheduler`.

    Raises:
        TypeError, ValueError: an option is not what it should be; the message says which one.
    """

    def __init__(
        self,
        cmd: str | Sequence[str],
        *,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str | None] | None = None,
        user: str | int | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(self._run, **options)
        self._line = _line(cmd)
        self._directory = None if cwd is None else str(Path(cwd).expanduser())
        self._variables = _variables(env)
        self._owner, self._home = (None, {}) if user is None else _owner(user)
        self._time = _seconds(timeout)

    @property
    def writes_to(self) -> None:
        """None: a command may write anywhere."""
        return None

    def _run(self, event: Event, task_id: str) -> None:
        facts = facts_of(event)
        given = {**os.environ, **self._home, **self._variables, **environment_of(facts)}
        command = Command(
            arguments=self._line.filled(facts),
            environment={name: value for name, value in given.items() if value is not None},
            directory=self._directory,
            owner=self._owner,
            timeout=self._time,
        )

        def log(level: int, line: str) -> None:
            self.log.event(level, event, task_id, "%s", line)

        log(logging.DEBUG, "run command")
        run(command, log)


def _line(cmd: object) -> ProgramLine | ShellLine:
    if isinstance(cmd, str):
        return ShellLine(cmd)
    if isinstance(cmd, (list, tuple)):
        return ProgramLine(cmd)
    raise TypeError(f"cmd is {cmd!r}; it should be a list of arguments, or a text for the shell")


def _seconds(timeout: float | None) -> float | None:
    return options.seconds_or_none("timeout", timeout)


def _variables(env: object) -> dict[str, str | None]:
    if env is None:
        return {}
    if not isinstance(env, Mapping):
        raise TypeError(f"env is {env!r}; it should be a dict of variables")
    for name, value in env.items():
        if not isinstance(name, str) or not name or "=" in name:
            raise ValueError(f"env has the key {name!r}, which is no name of a variable")
        if value is not None and not isinstance(value, str):
            raise TypeError(f"env[{name!r}] is {value!r}; it should be a text, or None")
    return dict(env)


def _owner(user: object) -> tuple[Owner | None, dict[str, str]]:
    """Return who a command runs as, None if that is us, and the variables that tell it so."""
    account = find_account(user, "user")
    refuse_other_user(account.pw_uid, user, "user")
    home = {"HOME": account.pw_dir, "LOGNAME": account.pw_name, "USER": account.pw_name}
    if account.pw_uid == os.geteuid():
        return None, home
    groups = os.getgrouplist(account.pw_name, account.pw_gid)
    return Owner(account.pw_uid, account.pw_gid, groups), home
