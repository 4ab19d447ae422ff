"""`manage.py check`: the problems that `inotifier.watches` finds, in Django's form."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from django.core.checks import CheckMessage, Error, Info, Warning

if TYPE_CHECKING:
    from inotifier.watches import Entry

from inotifier.conf import conf
from inotifier.exceptions import ConfigurationError


def check_settings(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Return what is wrong with the settings of inotifier."""
    from inotifier.events import need_pyinotify
    from inotifier.watches import IN_SETTING, inspect_settings

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
    entries, problems = inspect_settings()
    return [
        *_origins([entry for entry in entries if entry.declared != IN_SETTING]),
        *(
            (Error if problem.fatal else Warning)(problem.message, hint=problem.hint, id=problem.id)
            for problem in problems
        ),
    ]


def _origins(entries: list[Entry]) -> list[CheckMessage]:
    """Tell where `entries`, which are in no setting, stand, if that is what is asked for.

    Every command runs the checks; only for `manage.py check` it is no noise.
    """
    if sys.argv[1:2] != ["check"]:
        return []
    return [
        Info(
            f"{entry.name} is handled by {entry.processor_name}, declared in {entry.declared}",
            id="inotifier.I001",
        )
        for entry in entries
    ]


def check_metrics(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Return what is missing for the metrics that the settings ask for."""
    try:
        is_wanted = conf.metrics_address is not None or conf.metrics_token
    except ConfigurationError:
        return []  # told by the other check
    if not is_wanted or find_spec("prometheus_client") is not None:
        return []
    return [
        Warning(
            "INOTIFIER_METRICS_PORT or INOTIFIER_METRICS_TOKEN is set, but prometheus_client is "
            "not installed: there are no metrics.",
            hint="pip install 'django-inotifier[metrics]', or leave the settings out.",
            id="inotifier.W010",
        )
    ]
