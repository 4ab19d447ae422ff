"""Entries of INOTIFIER_WATCH_PATHS: read in every accepted form, and what is wrong with them.

Every problem is found here, once. `manage.py check` shows it, and `inotifier_start` raises it.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import math
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inotifier import limits, mounts
from inotifier.conf import absolute, conf
from inotifier.events import (
    ALL_EVENTS,
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_MODIFY,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_ONLYDIR,
    IN_OPEN,
    mask_names,
    parse_mask,
    printable,
)
from inotifier.exceptions import ConfigurationError, InotifierError
from inotifier.filters import PathFilter

Processor = Callable[[Any], object]
"""What takes an event: an instance of `pyinotify.ProcessEvent`, or any callable."""

ALL_EVENTS_SIGNALER = "inotifier.event_processors.AllEventsSignaler"

SHAPE = (
    "setting INOTIFIER_WATCH_PATHS should be an iterable of 3-tuples of the form\n"
    '[ ("/path1/", <pyinotify event mask>, <processor cls>), ]'
)

FORMS = (
    "An entry is (path, mask, processor), (path, mask, processor, fields), "
    "a dict of fields, a path, or an inotifier.Watch."
)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something wrong with the settings.

    Attributes:
        id: unique and never used for anything else, "inotifier.E004".
        message: what is wrong, and where.
        hint: what to do.
        fatal: True if the daemon cannot start with it.
    """

    id: str
    message: str
    hint: str
    fatal: bool = True


@dataclass(frozen=True)
class Watch:
    """What to watch, and who handles it.

    Attributes:
        path: a directory or file: `str` or `Path`, with `~` and $VARIABLES; a relative one
            lies below BASE_DIR.
        events: mask as `inotifier.events.parse_mask` reads it; None is the `mask` that the
            processor declares, or ALL_EVENTS.
        processor: dotted path, class, instance, or any callable that takes an event.
        recursive: True to watch the directories below as well.
        auto_add: True for directories that appear later; as `recursive` by default.
        follow_symlinks: True to go into directories behind symbolic links.
        missing: what to do if the path is not there at the start: "error", "wait" for it, or
            "create" a directory.
        catch_up: True to deliver at the start, and after an overflow, what was missed; as
            INOTIFIER_CATCH_UP by default.
        initial: what is there at the very first start: "ignore" it, or "emit" events for it.
        on_failure: what becomes of an event that failed each time: "skip" it, or "hold" it for
            the next start, which needs `catch_up`.
        ignore_self: True to leave out events of what this daemon's handlers write while they run.
        backend: "inotify"; "polling" to list everything again and again; "auto" to poll on file
            systems of which inotify does not tell all: `inotifier.mounts`.
        poll_interval: seconds between two listings.
        patterns, ignore_patterns: globs of paths whose events are wanted, or are not.
        regexes, ignore_regexes: regular expressions of such paths.
        ignore_directories: globs of directories that are left out with all that is in them.
        case_sensitive: False to take upper and lower case for the same in all of these.
        exclude_filter: called with a path, true if it is left out: a pyinotify.ExcludeFilter, for
            instance. `inotifier.filters.PathFilter` has the rules of these fields.
        options: keyword arguments for the processor, if it is a class.
        name: what logs and the status call this entry; the path by default.
    """

    path: str | os.PathLike[str]
    events: object = None
    processor: object = ALL_EVENTS_SIGNALER
    recursive: bool = False
    auto_add: bool | None = None
    follow_symlinks: bool = False
    missing: str = "error"
    catch_up: bool | None = None
    initial: str = "ignore"
    on_failure: str = "skip"
    ignore_self: bool = False
    backend: str = "auto"
    poll_interval: float = 10.0
    patterns: Collection[str] | None = None
    ignore_patterns: Collection[str] | None = None
    regexes: Collection[str] | None = None
    ignore_regexes: Collection[str] | None = None
    ignore_directories: Collection[str] | None = None
    case_sensitive: bool = True
    exclude_filter: Callable[[str], object] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A `Watch` made ready: absolute path, mask as an int, processor imported and made.

    `origin` is what the processor was named as: the class that it was made from, or itself.
    `filter` is None if every path counts; `polls` is True if it is listed again and again,
    because inotify would not tell of everything.
    """

    watch: Watch
    path: str
    mask: int
    processor: Processor
    processor_name: str
    origin: object
    filter: PathFilter | None = None
    polls: bool = False

    @property
    def name(self) -> str:
        return str(self.watch.name or self.path)

    @property
    def skips(self) -> Callable[[str], bool] | None:
        """Tells of a directory below the root whether it takes no watch, with all below it.

        None if each takes one.
        """
        return self.filter.skips_directory if self.filter and self.filter.skips else None

    @property
    def is_deep(self) -> bool:
        """Whether it watches directories below its root."""
        return self.watch.recursive or bool(self.watch.auto_add)

    @property
    def catches_up(self) -> bool:
        """Whether what it missed is delivered later."""
        return conf.catch_up if self.watch.catch_up is None else self.watch.catch_up


class _Unusable(InotifierError):
    def __init__(self, id: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.problem = Problem(id=f"inotifier.{id}", message=message, hint=hint)


def load() -> list[Entry]:
    """Return the entries of INOTIFIER_WATCH_PATHS, ready to be watched.

    Raises:
        ConfigurationError: with the message and hint of the first fatal problem.
    """
    entries, problems = inspect_settings()
    for problem in problems:
        if problem.fatal:
            raise ConfigurationError(f"{problem.message}\n{problem.hint}")
    return entries


def inspect_settings() -> tuple[list[Entry], list[Problem]]:
    """Return the usable entries, and every problem found on the way."""
    problems = [*_setting_problems()]
    try:
        raw_entries = _materialized(conf.watch_paths)
    except _Unusable as exc:
        return [], [*problems, exc.problem]
    except Exception as exc:  # a generator of the user's that raises
        hint = f"Reading it raised {exc!r}."
        return [], [*problems, Problem(id="inotifier.E002", message=SHAPE, hint=hint)]
    entries = []
    for number, raw in enumerate(raw_entries, 1):
        try:
            entries.append(_entry(raw, number))
        except _Unusable as exc:
            problems.append(exc.problem)
    problems += _repeated(entries)
    if not any(problem.fatal for problem in problems):
        problems += _without_effect(entries)
        problems += _feedback_loops(entries)
        problems += _too_many_directories(entries)
        problems += _unseen(entries)
    return entries, problems


def _setting_problems() -> Iterator[Problem]:
    for name in _CHECKED_SETTINGS:
        try:
            getattr(conf, name)
        except ConfigurationError as exc:
            yield Problem(id="inotifier.E012", message=str(exc), hint="Change it or leave it out.")


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
)


def _materialized(value: object) -> list[object]:
    if not value:
        raise _Unusable("E001", "Missing/empty setting INOTIFIER_WATCH_PATHS", FORMS)
    if isinstance(value, (str, bytes, os.PathLike, Mapping, Watch)) or not isinstance(
        value, Iterable
    ):
        raise _Unusable("E002", SHAPE, f"It is {value!r}, which is not an iterable of entries.")
    entries = list(value)
    if not entries:
        raise _Unusable("E001", "Missing/empty setting INOTIFIER_WATCH_PATHS", FORMS)
    return entries


def _entry(raw: object, number: int) -> Entry:
    watch = read_entry(raw, number)
    _check_fields(watch, number)
    _check_interval(watch.poll_interval, number)
    path = _checked_path(watch, number)
    processor, processor_name, origin = _processor(watch, number)
    mask = _checked_mask(watch, processor, processor_name, path, number)
    return Entry(
        watch=watch,
        path=path,
        mask=mask,
        processor=processor,
        processor_name=processor_name,
        origin=origin,
        filter=_filter(watch, path, number),
        polls=_polls(watch, path),
    )


def read_entry(raw: object, number: int = 1) -> Watch:
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
            raise _Unusable(
                "E002",
                SHAPE,
                f"Entry {number} gives {', '.join(sorted(twice))} twice: in its dict, too.",
            )
        return _from_fields(
            {**fields, "path": path, "events": events, "processor": processor}, number
        )
    raise _Unusable("E002", SHAPE, f"Entry {number} is {raw!r}. {FORMS}")


def _from_fields(fields: Mapping[str, Any], number: int) -> Watch:
    known = [known.name for known in dataclasses.fields(Watch)]
    if unknown := [name for name in fields if name not in known]:
        raise _Unusable(
            "E003",
            f"entry {number} of INOTIFIER_WATCH_PATHS has the unknown field {unknown[0]!r}",
            f"Known fields are {', '.join(known)}.",
        )
    if "path" not in fields:
        raise _Unusable("E002", SHAPE, f"Entry {number} has no field 'path'. {FORMS}")
    return Watch(**fields)


def _check_fields(watch: Watch, number: int) -> None:
    for name, allowed in _CHOICES.items():
        value = getattr(watch, name)
        if not any(value is one or (isinstance(one, str) and value == one) for one in allowed):
            raise _Unusable(
                "E014",
                f"the field {name} of entry {number} is {value!r}",
                f"It should be one of {', '.join(map(repr, allowed))}.",
            )


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


def _check_interval(value: Any, number: int) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (is_number and 0 < value < math.inf):
        raise _Unusable(
            "E014",
            f"the field poll_interval of entry {number} is {value!r}",
            "It should be a number of seconds above 0.",
        )


def _checked_path(watch: Watch, number: int) -> str:
    given = os.fspath(watch.path) if isinstance(watch.path, (str, os.PathLike)) else None
    if not isinstance(given, str) or not given or "\0" in given:
        raise _Unusable("E002", SHAPE, f"The path of entry {number} is {watch.path!r}. {FORMS}")
    path = str(absolute(given, conf.base_dir))
    awaited = watch.missing != "error" and not os.path.lexists(path)
    if not awaited and not os.access(path, os.R_OK, effective_ids=True):
        raise _Unusable(
            "E004",
            f"{printable(path)} does not exist or you have insufficient permission",
            f"Entry {number}: create it, or let the daemon's user read it.",
        )
    return path


def _processor(watch: Watch, number: int) -> tuple[Processor, str, object]:
    """Return the processor of `watch`, the name to show for it, and its origin."""
    target = origin = watch.processor
    if isinstance(target, str):
        target = origin = _imported(target, number)
    name = watch.processor if isinstance(watch.processor, str) else _dotted(target)
    if inspect.isclass(target):
        target = _constructed(target, watch.options, name, number)
    elif watch.options:
        raise _Unusable(
            "E008",
            f"entry {number} gives options to {name}, which is not a class",
            "Name a class, or make the object with its options yourself.",
        )
    if not callable(target):
        raise _Unusable(
            "E007",
            f"the event processor {name} of entry {number} cannot be called with an event",
            "Derive it from pyinotify.ProcessEvent, or give it a method __call__(event).",
        )
    return target, name, origin


def _imported(dotted: str, number: int) -> object:
    module_name, _, attribute = dotted.rpartition(".")
    if not module_name:
        raise _Unusable(
            "E006",
            f"the event processor {dotted!r} of entry {number} is not a dotted path",
            "Write it as 'package.module.Class'.",
        )
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as exc:  # what the user's module raises is the reason to show
        raise _Unusable(
            "E006",
            f"Cannot import event processor module: {module_name}\n\n{exc!r}"
            if not isinstance(exc, ImportError)
            else f"Cannot import event processor module: {module_name}\n\n{exc}",
            f"Entry {number} names it; see that 'python -c \"import {module_name}\"' works.",
        ) from exc
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise _Unusable(
            "E006",
            f"{attribute} does not exist in {module_name}",
            f"Entry {number} names it; see that it is spelled right.",
        ) from None


def _constructed(cls: type, options: Mapping[str, Any], name: str, number: int) -> object:
    try:
        return cls(**options)
    except (Exception, SystemExit) as exc:  # what the user's class raises is the reason to show
        raise _Unusable(
            "E008",
            f"the event processor {name} of entry {number} cannot be made: {exc!r}",
            f"It was called with the options {options!r}.",
        ) from exc


def _dotted(target: object) -> str:
    named = target if hasattr(target, "__qualname__") else type(target)
    return f"{named.__module__}.{named.__qualname__}"


def _checked_mask(
    watch: Watch, processor: Processor, processor_name: str, path: str, number: int
) -> int:
    try:
        events = watch.events
        if events is None:
            events = getattr(processor, "mask", None)
        mask = ALL_EVENTS if events is None else parse_mask(events)
        mask |= _declared(processor, "added_mask")
        required = _declared(processor, "required_mask")
    except ConfigurationError as exc:
        raise _Unusable(
            "E005",
            f"entry {number} of INOTIFIER_WATCH_PATHS: {exc}",
            'Use an int, a name, "IN_CREATE|IN_DELETE", a list of names or "ALL_EVENTS".',
        ) from exc
    if missing := required & ~mask:
        raise _Unusable(
            "E009",
            f"the mask of entry {number} lacks {mask_names(missing)}, which {processor_name} needs",
            "Add these bits, or leave the mask out (None).",
        )
    if mask & IN_ONLYDIR and not Path(path).is_dir():
        raise _Unusable(
            "E005",
            f"entry {number} asks for IN_ONLYDIR, but {printable(path)} is not a directory",
            "Leave IN_ONLYDIR out, or watch the directory.",
        )
    return mask


def _polls(watch: Watch, path: str) -> bool:
    if watch.backend == "auto":
        return mounts.type_of(path) in mounts.UNSEEN
    return watch.backend == "polling"


def _filter(watch: Watch, path: str, number: int) -> PathFilter | None:
    try:
        found = PathFilter(path, **{name: getattr(watch, name) for name in _FILTERS})
    except (TypeError, ValueError) as exc:
        raise _Unusable(
            "E015",
            f"entry {number} of INOTIFIER_WATCH_PATHS cannot be filtered: {exc}",
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


def _repeated(entries: Sequence[Entry]) -> Iterator[Problem]:
    seen: list[Entry] = []
    for entry in entries:
        for other in seen:
            if (
                entry.path == other.path
                and entry.origin == other.origin
                and entry.watch.options == other.watch.options
                and entry.filter is other.filter is None
            ):
                yield Problem(
                    id="inotifier.E010",
                    message=f"two entries hand {printable(entry.path)} to {entry.processor_name}",
                    hint="Its events would be handled twice; make one entry with both masks.",
                )
        seen.append(entry)


def _without_effect(entries: Sequence[Entry]) -> Iterator[Problem]:
    for entry in entries:
        for field_, value in (("initial", "emit"), ("on_failure", "hold")):
            if getattr(entry.watch, field_) == value and not entry.catches_up:
                yield Problem(
                    id="inotifier.W002",
                    message=f"{field_}={value!r} of the entry for {printable(entry.path)} has no "
                    "effect, because the entry does not catch up",
                    hint="Leave it out, or set catch_up=True.",
                    fatal=False,
                )


def _feedback_loops(entries: Sequence[Entry]) -> Iterator[Problem]:
    """Find entries that see what the daemon itself writes."""
    replaced = IN_CREATE | IN_OPEN | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO
    written = IN_CREATE | IN_OPEN | IN_MODIFY | IN_CLOSE_WRITE
    own_files = [
        ("its standard output", conf.daemon_stdout, IN_MODIFY),
        ("its standard error", conf.daemon_stderr, IN_MODIFY),
        ("its pid file", conf.pid_file, written | IN_DELETE),
        ("its status file", conf.status_file, replaced),
        ("its state file", conf.state_file, written),
        *(("a log", file, IN_MODIFY) for file in conf.log_files),
    ]
    for entry in entries:
        for what, file, mask in own_files:
            if entry.mask & mask and _sees(entry, file) and not _is_device(file):
                yield Problem(
                    id="inotifier.E011",
                    message=f"the daemon writes {what}, {printable(str(file))}, "
                    f"into the watched {printable(entry.path)}: an endless loop",
                    hint="Put the daemon's files elsewhere: PROJECT_PATH, INOTIFIER_STATE_DIR, "
                    "INOTIFIER_DAEMON_STDOUT and INOTIFIER_DAEMON_STDERR say where.",
                )


def _sees(entry: Entry, file: Path) -> bool:
    root, path = os.path.realpath(entry.path), os.path.realpath(file)
    parent = os.path.realpath(file.parent)
    below = entry.watch.recursive and f"{parent}/".startswith(f"{root.rstrip('/')}/")
    return below or root in (path, parent)


def _too_many_directories(entries: Sequence[Entry]) -> Iterator[Problem]:
    watched = [entry for entry in entries if not entry.polls]
    trees = [(entry.path, entry.skips) for entry in watched if entry.watch.recursive]
    if short := limits.shortage(dict(trees)):
        needed, left = short
        yield Problem(
            id="inotifier.W001",
            message=f"the recursive entries need {needed} watches, but only {left} are left of "
            f"{limits.described('max_user_watches')}",
            hint="Raise it with 'sysctl -w fs.inotify.max_user_watches=N', "
            "or watch fewer directories.",
            fatal=False,
        )


def _unseen(entries: Sequence[Entry]) -> Iterator[Problem]:
    """Find entries that would see only what this machine does, and others do it too."""
    for entry in entries:
        kind = mounts.type_of(entry.path)
        if not entry.polls and kind in mounts.UNSEEN:
            yield Problem(
                id="inotifier.W003",
                message=f"{printable(entry.path)} lies on {kind}, of which inotify tells only what "
                "this machine does",
                hint="Leave out backend='inotify', or set backend='polling'.",
                fatal=False,
            )


def _is_device(file: Path) -> bool:
    try:
        return stat.S_ISCHR(file.stat().st_mode)
    except OSError:
        return False
