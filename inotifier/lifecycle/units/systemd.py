"""A unit of systemd: systemd.service(5), systemd.exec(5), systemd.syntax(7)."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from inotifier.exceptions import InotifierError
from inotifier.lifecycle.units.facts import Facts
from inotifier.lifecycle.units.places import HOMES, TEMPORARY, without_nested

_STARTING = 300
"""Seconds: a tree of a million directories on a slow disk takes its time."""

_TEMPLATE = """\
# Made by: manage.py inotifier_unit systemd
# To change something, use a drop-in: systemctl edit {name}

[Unit]
Description={title}
After=local-fs.target remote-fs.target network.target

[Service]
Type=notify
User={user}
Group={group}
WorkingDirectory={directory}
{environment}
# Variables that the settings need besides, if there are any:
EnvironmentFile=-/etc/default/{name}
ExecStart={start}
ExecReload={reload}
Restart=on-failure
RestartSec=5
TimeoutStartSec={start_timeout}
# INOTIFIER_SHUTDOWN_TIMEOUT and 5 seconds:
TimeoutStopSec={stop_timeout}
# The daemon itself ends the commands that it runs, when their time is over.
KillMode=mixed
{watchdog}

NoNewPrivileges=yes
{protection}
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
RestrictRealtime=yes

[Install]
WantedBy=multi-user.target
"""

_WATCHDOG = """\
# Restarts the daemon if a call of a handler lasts longer:
WatchdogSec={watchdog}"""

_NO_WATCHDOG = """\
# To have the daemon restarted when it is stuck, allow more than the longest call of a handler:
#WatchdogSec=3600"""

_STRICT = """\
# All is read-only but these places. What receivers, jobs and processors write to besides has to be
# named in a further ReadWritePaths=.
ProtectSystem=strict"""

_FULL = """\
# Not "strict": an entry runs commands, or has rules, that may write anywhere.
ProtectSystem=full"""


def render(facts: Facts) -> str:
    """Return the unit.

    Raises:
        InotifierError: there is a path that a unit cannot name.
    """
    return _TEMPLATE.format(
        name=facts.name,
        title=_percent(facts.title),
        user=_percent(facts.user),
        group=_percent(facts.group),
        directory=_bare(facts.directory),
        environment="\n".join(
            f"Environment={_quoted(f'{name}={value}')}" for name, value in facts.environment.items()
        ),
        start=command_line(facts.call("inotifier_start", "--foreground")),
        reload=command_line(facts.call("inotifier_reload")),
        start_timeout=_STARTING + facts.stop_timeout,
        stop_timeout=facts.stop_timeout,
        watchdog=_watchdog(facts.watchdog),
        protection="\n".join(_protection(facts)),
    )


def _watchdog(seconds: float | None) -> str:
    if seconds is None:
        return _NO_WATCHDOG
    return _WATCHDOG.format(watchdog=f"{seconds:.3f}".rstrip("0").rstrip("."))


def _protection(facts: Facts) -> list[str]:
    places = facts.places
    lines = [_FULL if places.writes_anywhere else _STRICT]
    shares_temporary = places.any_below(TEMPORARY)
    written = {*map(_nameable, places.written), *(TEMPORARY if shares_temporary else ())} - {"/"}
    # What is gone at a boot must not keep the daemon from starting.
    lines += [f"ReadWritePaths={_escaped('-' + path)}" for path in without_nested(written)]
    lines.append(f"ProtectHome={'read-only' if places.any_below(HOMES) else 'yes'}")
    if shares_temporary:
        lines.append("# Something that the daemon needs lies in /tmp or /var/tmp.")
    lines.append(f"PrivateTmp={'no' if shares_temporary else 'yes'}")
    return lines


def command_line(arguments: Sequence[str]) -> str:
    """Return `arguments` as the value of ExecStart= and its like."""
    program = arguments[0]
    if re.search(r"""["'\\\x00-\x1f\x7f]""", program):
        # A program may not have these in its path, but an argument may.
        arguments = ["/bin/sh", "-c", 'exec "$0" "$@"', *arguments]
    return " ".join(_quoted(argument.replace("$", "$$")) for argument in arguments)


def _quoted(text: str) -> str:
    """Return one word for a line in which C-style escapes are known."""
    text = _percent(text)
    if re.fullmatch(r"[\w@%+=:,./$-]+", text, re.ASCII):
        return text
    return '"' + "".join(map(_character, text)) + '"'


def _character(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(char))


def _escaped(path: str) -> str:
    """Return one word for a line in which a backslash stands for what follows, and no more."""
    text = _percent(path)
    if re.fullmatch(r"[\w@%+=:,./-]+", text, re.ASCII):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _nameable(path: str) -> str:
    """Return `path`, or the nearest directory above it whose path a unit can hold."""
    return next(str(one) for one in (Path(path), *Path(path).parents) if _can_be_named(str(one)))


def _can_be_named(path: str) -> bool:
    return all(char.isprintable() for char in path)


def _bare(path: str) -> str:
    """Return a path for a line that is a path and nothing else, from its begin to its end."""
    if not _can_be_named(path) or path != path.rstrip(" \\"):
        raise InotifierError(
            f"systemd cannot use the directory {path!r}: it ends in a blank or a backslash, or "
            "has characters that cannot be printed. Set BASE_DIR to another one."
        )
    return _percent(path)


def _percent(text: str) -> str:
    return text.replace("%", "%%")
