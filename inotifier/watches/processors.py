"""From what an entry names to what takes its events."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from inotifier.watches.problems import Number, Unusable
from inotifier.watches.watch import Processor, Watch


def make_processor(watch: Watch, number: Number) -> tuple[Processor, str, object]:
    """Return the processor of `watch`, the name to show for it, and its origin."""
    target = origin = watch.processor
    if isinstance(target, str):
        target = origin = _imported(target, number)
    name = watch.processor if isinstance(watch.processor, str) else _dotted(target)
    if inspect.isclass(target):
        target = _constructed(target, watch.options, name, number)
    elif watch.options:
        raise Unusable(
            "E008",
            f"entry {number} gives options to {name}, which is not a class",
            "Name a class, or make the object with its options yourself.",
        )
    if not callable(target):
        raise Unusable(
            "E007",
            f"the event processor {name} of entry {number} cannot be called with an event",
            "Derive it from pyinotify.ProcessEvent, or give it a method __call__(event).",
        )
    return target, name, origin


def _imported(dotted: str, number: Number) -> object:
    module_name, _, attribute = dotted.rpartition(".")
    if not module_name:
        raise Unusable(
            "E006",
            f"the event processor {dotted!r} of entry {number} is not a dotted path",
            "Write it as 'package.module.Class'.",
        )
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as exc:  # what the user's module raises is the reason to show
        raise Unusable(
            "E006",
            f"Cannot import event processor module: {module_name}\n\n{exc!r}"
            if not isinstance(exc, ImportError)
            else f"Cannot import event processor module: {module_name}\n\n{exc}",
            f"Entry {number} names it; see that 'python -c \"import {module_name}\"' works.",
        ) from exc
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise Unusable(
            "E006",
            f"{attribute} does not exist in {module_name}",
            f"Entry {number} names it; see that it is spelled right.",
        ) from None


def _constructed(cls: type, options: Mapping[str, Any], name: str, number: Number) -> object:
    try:
        return cls(**options)
    except (Exception, SystemExit) as exc:  # what the user's class raises is the reason to show
        raise Unusable(
            "E008",
            f"the event processor {name} of entry {number} cannot be made: {exc!r}",
            f"It was called with the options {options!r}.",
        ) from exc


def _dotted(target: object) -> str:
    named = target if hasattr(target, "__qualname__") else type(target)
    return f"{named.__module__}.{named.__qualname__}"
