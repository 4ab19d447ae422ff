"""INOTIFIER_WATCH_PATHS as a whole: read once, and told what is wrong with it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Iterator, Mapping

from django.conf import settings

from inotifier.conf import conf
from inotifier.decorators import Declaration, declarations
from inotifier.exceptions import ConfigurationError
from inotifier.locations import without_user
from inotifier.watches.advice import advice_on, repeated
from inotifier.watches.declared import discover, label, repeated_declarations, watch_of
from inotifier.watches.entry import make_entry
from inotifier.watches.problems import FORMS, SHAPE, Problem, Unusable, shown
from inotifier.watches.watch import Entry, Watch


def load() -> list[Entry]:
    """Return the entries of INOTIFIER_WATCH_PATHS, ready to be watched.

    Raises:
        ConfigurationError: with the message and hint of the first fatal problem.
    """
    return _sound(*inspect_settings())


def make_entries(raw_entries: Iterable[object]) -> list[Entry]:
    """Return `raw_entries` as if they were all that INOTIFIER_WATCH_PATHS holds.

    Raises:
        ConfigurationError: with the message and hint of the first fatal problem.
    """
    return _sound(*_inspect(raw_entries))


def _sound(entries: list[Entry], problems: Iterable[Problem]) -> list[Entry]:
    for problem in problems:
        if problem.fatal:
            raise ConfigurationError(f"{problem.message}\n{problem.hint}")
    return entries


def inspect_settings() -> tuple[list[Entry], list[Problem]]:
    """Return the usable entries, and every problem found on the way."""
    declared, problems = _declared()
    try:
        raw_entries = _materialized(conf.watch_paths, may_be_empty=bool(declared or problems))
    except Unusable as exc:
        return [], [*_setting_problems(), *problems, exc.problem]
    except Exception as exc:  # a generator of the user's that raises
        hint = f"Reading it raised {without_user(repr(exc))}."
        return [], [
            *_setting_problems(),
            *problems,
            Problem(id="inotifier.E002", message=SHAPE, hint=hint),
        ]
    return _inspect(raw_entries, declared, problems)


def _declared() -> tuple[list[Declaration], list[Problem]]:
    """Return what `on_file` declares, and what is wrong with the modules that do."""
    problems = [*discover(), *repeated_declarations()]
    return [*declarations()], problems


def _inspect(
    raw_entries: Iterable[object],
    declared: Iterable[Declaration] = (),
    found: Iterable[Problem] = (),
) -> tuple[list[Entry], list[Problem]]:
    entries: list[Entry] = []
    problems = [*_setting_problems(), *found]
    for number, raw in enumerate(raw_entries, 1):
        try:
            entries.append(make_entry(raw, number))
        except Unusable as exc:
            problems.append(exc.problem)
    for one in declared:
        try:
            entries.append(make_entry(watch_of(one), label(one), one.place))
        except Unusable as exc:
            problems.append(exc.problem)
    problems += repeated(entries)
    if not any(problem.fatal for problem in problems):
        problems += advice_on(entries)
    return entries, problems


def _setting_problems() -> Iterator[Problem]:
    for name in _CHECKED_SETTINGS:
        try:
            getattr(conf, name)
        except ConfigurationError as exc:
            yield Problem(id="inotifier.E012", message=str(exc), hint="Change it or leave it out.")
    if getattr(settings, "INOTIFIER_REDIS_URL", None) and not _is_installed("redis"):
        yield Problem(
            id="inotifier.E017",
            message="INOTIFIER_REDIS_URL is set, but redis-py is not installed",
            hint="Install it: pip install django-inotifier[redis].",
        )


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


_CHECKED_SETTINGS = (
    "project_path",
    "pid_file",
    "state_dir",
    "daemon_stdout",
    "daemon_stderr",
    "working_directory",
    "umask",
    "owner",
    "shutdown_timeout",
    "catch_up",
    "workers",
    "queue_size",
    "retries",
    "retry_delay",
    "redis_url",
    "redis_stream",
    "redis_maxlen",
    "redis_claim_idle",
    "redis_message_size",
    "metrics_address",
    "metrics_token",
)


def _materialized(value: object, *, may_be_empty: bool) -> list[object]:
    if not value:
        if may_be_empty:
            return []
        raise Unusable("E001", "Missing/empty setting INOTIFIER_WATCH_PATHS", FORMS)
    if isinstance(value, (str, bytes, os.PathLike, Mapping, Watch)) or not isinstance(
        value, Iterable
    ):
        raise Unusable(
            "E002",
            SHAPE,
            f"It is {shown(value)}, which is not an iterable of entries.",
        )
    entries = list(value)
    if not entries and not may_be_empty:
        raise Unusable("E001", "Missing/empty setting INOTIFIER_WATCH_PATHS", FORMS)
    return entries
