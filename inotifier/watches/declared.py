"""Entries that stand in no setting: what `on_file` declares in the modules of apps."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.apps import apps
from django.utils.module_loading import module_has_submodule

from inotifier.conf import absolute, conf
from inotifier.decorators import Declaration, declarations
from inotifier.events import printable
from inotifier.exceptions import ConfigurationError
from inotifier.watches.problems import Problem, Unusable
from inotifier.watches.watch import Watch

_MODULE = "file_events"

# Further out than the settings: named, as processors are.
_PROCESSORS = "inotifier.scheduling.on_file"

_FIELDS = (
    "auto_add",
    "backend",
    "case_sensitive",
    "catch_up",
    "exclude_filter",
    "follow_symlinks",
    "ignore_directories",
    "ignore_patterns",
    "ignore_regexes",
    "ignore_self",
    "initial",
    "missing",
    "name",
    "on_failure",
    "poll_interval",
)

_WILD = re.compile(r"[*?[]")


def discover() -> Iterator[Problem]:
    """Import the modules `file_events` of all installed apps; yield why one cannot be."""
    if not apps.ready:
        return
    for config in apps.get_app_configs():
        name = f"{config.name}.{_MODULE}"
        try:
            if config.module and module_has_submodule(config.module, _MODULE):
                importlib.import_module(name)
        except (
            Exception,
            SystemExit,
        ) as exc:  # what the user's module raises is the reason to show
            yield Problem(
                id="inotifier.E018",
                message=f"cannot import {name}: {exc!r}",
                hint=f"See that 'python manage.py shell -c \"import {name}\"' works.",
            )


def repeated_declarations() -> Iterator[Problem]:
    """Find functions that are declared twice for the same events."""
    seen: list[Declaration] = []
    for one in declarations():
        for other in seen:
            if (one.function, one.pattern, one.events) == (
                other.function,
                other.pattern,
                other.events,
            ):
                yield Problem(
                    id="inotifier.E019",
                    message=f"{label(one)}: the same stands in line {other.line}",
                    hint="It would be called twice; leave one of them out.",
                )
        seen.append(one)


def label(declared: Declaration) -> str:
    """Return how messages call the entry of `declared`."""
    return f"{declared.pattern!r} of {declared.name} ({declared.place})"


def watch_of(declared: Declaration) -> Watch:
    """Return the entry that `declared` stands for, its path as it was given.

    Raises:
        Unusable: it stands for none.
    """
    try:
        _check_fields(declared.fields)
        root, pattern = _split(declared.pattern)
        return Watch(
            root,
            declared.events,
            _named(_processor(declared), declared),
            recursive="/" in pattern or "**" in pattern,
            patterns=None if pattern in ("*", "**", "**/*") else [pattern],
            retries=declared.retries,
            **{"name": os.fspath(declared.pattern), **declared.fields},
        )
    except (TypeError, ValueError, ConfigurationError) as exc:
        raise Unusable(
            "E019",
            f"entry {label(declared)} cannot be used: {exc}",
            "Change the arguments of on_file.",
        ) from exc


def watches_of(function: Callable[..., Any]) -> list[Watch]:
    """Return the entries that `on_file` declares for `function`; none if it does not.

    Raises:
        Unusable: one cannot be used.
    """
    return [watch_of(one) for one in declarations() if one.function is function]


def _check_fields(fields: dict[str, Any]) -> None:
    if unknown := [name for name in fields if name not in _FIELDS]:
        raise TypeError(
            f"it has the argument {unknown[0]!r}; further arguments are {', '.join(_FIELDS)}"
        )


def _split(pattern: object) -> tuple[str, str]:
    """Return the directory that `pattern` begins with, and what is to match below."""
    text = os.fspath(pattern) if isinstance(pattern, (str, os.PathLike)) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise TypeError(f"the pattern is {pattern!r}; it should be a text such as 'incoming/*.csv'")
    if "://" in text:
        raise ValueError("a URL has to stand in INOTIFIER_WATCH_PATHS")
    if text.endswith("/"):
        text += "*"
    parts = text.split("/")
    fixed = next(
        (number for number, part in enumerate(parts) if _WILD.search(part)), len(parts) - 1
    )
    root, rest = "/".join(parts[:fixed]), "/".join(parts[fixed:])
    if fixed == 0:
        root = "."
    elif not root:
        root = "/"
    if not _WILD.search(rest):
        _check_file(root, rest)
    return root, rest


def _check_file(root: str, name: str) -> None:
    path = absolute(root, conf.base_dir) / name
    if name in ("", ".", "..", "~") or os.path.isdir(path):  # noqa: PTH112 - never raises
        raise ValueError(
            f"{printable(str(Path(root, name)))} is a directory; with a slash at its end it stands "
            "for all files right in it"
        )


def _processor(declared: Declaration) -> Any:
    makers = importlib.import_module(_PROCESSORS)
    return makers.make_processor(
        declared.function, declared.settle, each_event=declared.events is not None
    )


def _named(processor: Any, declared: Declaration) -> Any:
    """Let logs, the status and the record of what was delivered know it as its function."""
    processor.__module__, _, processor.__qualname__ = declared.name.rpartition(".")
    return processor
