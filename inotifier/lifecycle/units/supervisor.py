"""A program section of supervisor."""

from __future__ import annotations

import shlex

from inotifier.exceptions import InotifierError
from inotifier.lifecycle.units.facts import Facts

_TEMPLATE = """\
; Made by: manage.py inotifier_unit supervisor
[program:{name}]
command={command}
directory={directory}
environment={environment}
{user}autostart=true
; The daemon ends with 0 when it is told to, and only then.
autorestart=unexpected
startsecs=5
stopsignal=TERM
; INOTIFIER_SHUTDOWN_TIMEOUT and 5 seconds:
stopwaitsecs={stop_timeout}
"""


def render(facts: Facts) -> str:
    """Return the section.

    Raises:
        InotifierError: there is a path that it cannot name.
    """
    # Who is root changes the user by INOTIFIER_USER; who is not, cannot.
    user = "" if facts.changes_user else f"user={_plain(facts.user)}\n"
    return _TEMPLATE.format(
        name=facts.name,
        command=_word(shlex.join(facts.call("inotifier_start", "--foreground"))),
        directory=_plain(facts.directory),
        environment=",".join(
            f"{name}={_word(_double_quoted(value))}" for name, value in facts.environment.items()
        ),
        user=user,
        stop_timeout=facts.stop_timeout,
    )


def _word(text: str) -> str:
    """Return what is quoted by the rules of a shell, fit for a line of the file.

    A blank before ; or # begins a comment there, in quotes as well: so the quotes are closed and
    opened again between the two.
    """
    if not text.isprintable():
        raise _unusable(text)
    for mark in ";#":
        text = text.replace(f" {mark}", f" ''{mark}")
    return text.replace("%", "%%")


def _double_quoted(text: str) -> str:
    if any(char in text for char in "\"\\'") or " ;" in text or " #" in text:
        raise _unusable(text)
    return f'"{text}"'


def _plain(text: str) -> str:
    if not text.isprintable() or " ;" in text or " #" in text or text != text.strip():
        raise _unusable(text)
    return text.replace("%", "%%")


def _unusable(text: str) -> InotifierError:
    return InotifierError(f"a configuration of supervisor cannot hold {text!r}")
