"""One entry of INOTIFIER_WATCH_PATHS: every accepted form, field by field."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inotifier import mounts
from inotifier.conf import absolute, conf
from inotifier.events import ALL_EVENTS, IN_ONLYDIR, mask_names, parse_mask, printable
from inotifier.exceptions import ConfigurationError
from inotifier.filters import PathFilter
from inotifier.locations import path_of, scheme_of
from inotifier.watches.places import check_mask, check_processor, public_url
from inotifier.watches.problems import FORMS, SHAPE, Number, Unusable, shown, whole
from inotifier.watches.processors import make_processor
from inotifier.watches.watch import IN_SETTING, Entry, Processor, Watch


def make_entry(raw: object, number: Number, declared: str = IN_SETTING) -> Entry:
    """Return the entry `raw`, ready to be watched.

    Args:
        raw: in any accepted form.
        number: how messages call it.
        declared: where it stands.

    Raises:
        Unusable: it cannot be.
    """
    watch = read_entry(raw, number)
    _check_fields(watch, number)
    _check_interval(watch.poll_interval, number)
    _check_retries(watch.retries, number)
    given = _given(watch, number)
    is_remote = scheme_of(given) != "file"
    path = public_url(watch, given, number) if is_remote else _checked_path(watch, given, number)
    processor, processor_name, origin = make_processor(watch, number)
    mask = _checked_mask(watch, processor, processor_name, number)
    if is_remote:
        check_mask(mask, path, number)
        check_processor(processor, processor_name, number)
    else:
        _check_directory(mask, path, number)
    return Entry(
        watch=watch,
        path=path,
        mask=mask,
        processor=processor,
        processor_name=processor_name,
        origin=origin,
        declared=declared,
        filter=_filter(watch, path, number),
        url=given if is_remote else None,
        polls=is_remote or _polls(watch, path),
    )


def read_entry(raw: object, number: Number = 1) -> Watch:
    """Return the `Watch` that `raw`, entry `number` of the setting, stands for."""
    if isinstance(raw, Watch):
        return raw
    if isinstance(raw, (str, os.PathLike)):
        return Watch(raw)
    if isinstance(raw, Mapping):
        return _from_fields(raw, number)
    if isinstance(raw, (tuple, list)) and len(raw) == 3:
        return Watch(*raw)
    if isinstance(raw, (tuple, list)) and len(raw) == 4 and isinstance(raw[3], Mapping):
        path, events, processor, fields = raw
        if twice := {"path", "events", "processor"} & fields.keys():
            raise Unusable(
                "E002",
                SHAPE,
                f"Entry {number} gives {', '.join(sorted(twice))} twice: in its dict, too.",
            )
        return _from_fields(
            {**fields, "path": path, "events": events, "processor": processor}, number
        )
    raise Unusable("E002", SHAPE, f"Entry {number} is {shown(raw)}. {FORMS}")


def _from_fields(fields: Mapping[str, Any], number: Number) -> Watch:
    known = [known.name for known in dataclasses.fields(Watch)]
    if unknown := [name for name in fields if name not in known]:
        raise Unusable(
            "E003",
            f"{whole(number)} has the unknown field {unknown[0]!r}",
            f"Known fields are {', '.join(known)}.",
        )
    if "path" not in fields:
        raise Unusable("E002", SHAPE, f"Entry {number} has no field 'path'. {FORMS}")
    return Watch(**fields)


def _check_fields(watch: Watch, number: Number) -> None:
    for name, allowed in _CHOICES.items():
        value = getattr(watch, name)
        if not any(value is one or (isinstance(one, str) and value == one) for one in allowed):
            raise Unusable(
                "E014",
                f"the field {name} of entry {number} is {value!r}",
                f"It should be one of {', '.join(map(repr, allowed))}.",
            )


_YEAR = 366 * 86400.0

_CHOICES: dict[str, tuple[object, ...]] = {
    "recursive": (True, False),
    "auto_add": (True, False, None),
    "follow_symlinks": (True, False),
    "missing": ("error", "wait", "create"),
    "catch_up": (True, False, None),
    "initial": ("ignore", "emit"),
    "on_failure": ("skip", "hold"),
    "ignore_self": (True, False),
    "backend": ("auto", "inotify", "polling"),
}


def _check_interval(value: Any, number: Number) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (is_number and 0 < value <= _YEAR):
        raise Unusable(
            "E014",
            f"the field poll_interval of entry {number} is {value!r}",
            "It should be a number of seconds above 0, and a year at most.",
        )


def _check_retries(value: Any, number: Number) -> None:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if value is not None and not (is_number and value >= 0):
        raise Unusable(
            "E014",
            f"the field retries of entry {number} is {value!r}",
            "It should be a whole number, 0 or more, or None.",
        )


def _given(watch: Watch, number: Number) -> str:
    given = os.fspath(watch.path) if isinstance(watch.path, (str, os.PathLike)) else None
    if not isinstance(given, str) or not given or "\0" in given:
        raise Unusable("E002", SHAPE, f"The path of entry {number} is {shown(watch.path)}. {FORMS}")
    if not isinstance(watch.path, str) and _URL_AS_PATH.match(given):
        raise Unusable(
            "E016",
            f"entry {number} has a URL as a {type(watch.path).__name__}, which spoils it",
            "Give it as a str.",
        )
    return given


# Of "scheme://", a Path keeps one slash.
_URL_AS_PATH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def _checked_path(watch: Watch, given: str, number: Number) -> str:
    if watch.source_options:
        raise Unusable(
            "E014",
            f"entry {number} has source_options, but its path is no URL",
            "Leave them out.",
        )
    path = str(absolute(_local(given, number), conf.base_dir))
    awaited = watch.missing != "error" and not os.path.lexists(path)
    if not awaited and not os.access(path, os.R_OK, effective_ids=True):
        raise Unusable(
            "E004",
            f"{printable(path)} does not exist or you have insufficient permission",
            f"Entry {number}: create it, or let the daemon's user read it.",
        )
    return path


def _local(given: str, number: Number) -> str:
    if not given.lower().startswith("file://"):
        return given
    try:
        return path_of(given)
    except ValueError as exc:
        raise Unusable(
            "E016", f"entry {number} cannot be watched: {exc}", "Change its path."
        ) from exc


def _checked_mask(watch: Watch, processor: Processor, processor_name: str, number: Number) -> int:
    try:
        events = watch.events
        if events is None:
            events = getattr(processor, "mask", None)
        mask = ALL_EVENTS if events is None else parse_mask(events)
        mask |= _declared(processor, "added_mask")
        required = _declared(processor, "required_mask")
    except ConfigurationError as exc:
        raise Unusable(
            "E005",
            f"{whole(number)}: {exc}",
            'Use an int, a name, "IN_CREATE|IN_DELETE", a list of names or "ALL_EVENTS".',
        ) from exc
    if missing := required & ~mask:
        raise Unusable(
            "E009",
            f"the mask of entry {number} lacks {mask_names(missing)}, which {processor_name} needs",
            "Add these bits, or leave the mask out (None).",
        )
    return mask


def _check_directory(mask: int, path: str, number: Number) -> None:
    if mask & IN_ONLYDIR and not Path(path).is_dir():
        raise Unusable(
            "E005",
            f"entry {number} asks for IN_ONLYDIR, but {printable(path)} is not a directory",
            "Leave IN_ONLYDIR out, or watch the directory.",
        )


def _polls(watch: Watch, path: str) -> bool:
    if watch.backend == "auto":
        return mounts.type_of(path) in mounts.UNSEEN
    return watch.backend == "polling"


def _filter(watch: Watch, path: str, number: Number) -> PathFilter | None:
    try:
        found = PathFilter(path, **{name: getattr(watch, name) for name in _FILTERS})
    except (TypeError, ValueError) as exc:
        raise Unusable(
            "E015",
            f"{whole(number)} cannot be filtered: {exc}",
            "Change that field, or leave it out.",
        ) from exc
    return None if found.is_empty else found


_FILTERS = (
    "patterns",
    "ignore_patterns",
    "regexes",
    "ignore_regexes",
    "ignore_directories",
    "case_sensitive",
    "exclude_filter",
)


def _declared(processor: Processor, attribute: str) -> int:
    value = getattr(processor, attribute, None)
    return parse_mask(value) if value else 0
