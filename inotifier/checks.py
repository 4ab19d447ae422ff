"""`manage.py check`: the problems that `inotifier.watches` finds, in Django's form."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, Warning


def check_settings(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Return what is wrong with the settings of inotifier."""
    from inotifier.events import need_pyinotify
    from inotifier.watches import inspect_settings

    try:
        need_pyinotify()
    except ImportError as exc:
        return [
            Error(
                f"Cannot import pyinotify: {exc}",
                hint="Install it: the daemon needs it, on Linux.",
                id="inotifier.E013",
            )
        ]
    _, problems = inspect_settings()
    return [
        (Error if problem.fatal else Warning)(problem.message, hint=problem.hint, id=problem.id)
        for problem in problems
    ]
