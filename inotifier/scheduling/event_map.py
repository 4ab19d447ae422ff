"""From the name of an event to what is done for it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from inotifier.events import ALL_EVENTS, EVENT_BITS, IN_DELETE_SELF, IN_ISDIR, Event
from inotifier.later import Deferring, Later, together
from inotifier.scheduling.jobs import imported
from inotifier.scheduling.scheduler import TaskScheduler


class Cancel:
    """Takes back the task of an event's path.

    Args:
        scheduler: whose task.
    """

    def __init__(self, scheduler: TaskScheduler) -> None:
        if not isinstance(scheduler, TaskScheduler):
            raise TypeError(f"Cancel is given {scheduler!r}; it should be a scheduler")
        self.scheduler = scheduler

    def __call__(self, event: Event) -> None:
        """Take back the task of the event's path, unless its job runs."""
        self.scheduler.cancel(event)


_Target = TaskScheduler | Cancel


class EventMap(Deferring):
    """An event processor that has something else done for each kind of event.

    What stands for a kind is a scheduler; a `Cancel`; a function, which is the job of a
    `TaskScheduler` without further options; None to ignore it; or a list of these, which are begun
    in their order. In settings made of plain data it may be text: a key of `schedulers`, or the
    dotted path of any of these; {"processor": dotted path of a class, "options": {...}}; or
    {"cancel": one of these texts}.

    Args:
        event_map: what is done, by the names of events, "IN_CREATE" or "CREATE".
        default_sched: what is done for all events that `event_map` does not name.
        exclude_filter: which paths are ignored: a list of regular expressions that match from the
            beginning of the path; the name of a file that holds one on each line; or whatever is
            called with a path, and true if it is ignored: pyinotify.ExcludeFilter, for instance.
            The entry's own filter leaves out directories, too.
        schedulers: names for schedulers that are made here, and used more than once.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message says which one.
        ImportError: there is nothing at a dotted path.
        OSError: the file of `exclude_filter` cannot be read.
    """

    def __init__(
        self,
        event_map: Mapping[str, object] | None = None,
        default_sched: object = None,
        exclude_filter: str | Collection[str] | Callable[[str], object] | None = None,
        *,
        schedulers: Mapping[str, object] | None = None,
    ) -> None:
        self._excludes = _exclude_filter(exclude_filter)
        self._named: dict[str, _Target] = {}
        self._of_functions: dict[object, TaskScheduler] = {}
        for name, scheduler in _mapping("schedulers", schedulers).items():
            self._named[name] = self._target(scheduler, f"schedulers[{name!r}]")
        self._targets: dict[int, tuple[_Target, ...]] = {}
        if default_sched is not None:
            default = self._all(default_sched, "default_sched")
            self._targets = dict.fromkeys(EVENT_BITS.values(), default)
        for name, value in _mapping("event_map", event_map).items():
            self._targets[_bit(name)] = self._all(value, f"event_map[{name!r}]")
        if not any(self._targets.values()):
            raise ValueError("neither event_map nor default_sched has anything done for an event")

    @property
    def mask(self) -> int:
        """What an entry without a mask of its own watches for: what something is done for."""
        mask = 0
        for bit, targets in self._targets.items():
            mask |= bit if targets else 0
        # The kernel tells of an overflow, say, whoever asks for something.
        return mask if mask & ALL_EVENTS else mask | IN_DELETE_SELF

    @property
    def writes_to(self) -> set[str] | None:
        """Directories that its schedulers say they write to; None if one may write anywhere."""
        found: set[str] = set()
        for targets in self._targets.values():
            for target in targets:
                places = getattr(target, "writes_to", ())
                if places is None:
                    return None
                found.update(places)
        return found

    def prepare(self, entry_path: str) -> None:
        """Prepare the schedulers."""
        for targets in self._targets.values():
            for target in targets:
                if isinstance(target, TaskScheduler):
                    target.prepare(entry_path)

    def defer(self, event: Event) -> Later | None:
        """Return the tasks for `event`, None if there are none; cancel what is to be cancelled."""
        targets = self._targets.get(event.mask & ~IN_ISDIR)
        if not targets or (self._excludes is not None and self._excludes(event.pathname)):
            return None
        if len(targets) == 1:
            return _take(targets[0], event)
        return together([_take(target, event) for target in targets])

    # What settings name

    def _all(self, value: object, where: str) -> tuple[_Target, ...]:
        if value is None:
            return ()
        if isinstance(value, (list, tuple)):
            return tuple(
                self._target(one, f"{where}[{number}]") for number, one in enumerate(value)
            )
        return (self._target(value, where),)

    def _target(self, value: object, where: str) -> _Target:
        if isinstance(value, str):
            if value in self._named:
                return self._named[value]
            return self._target(imported(value), where)
        if isinstance(value, Mapping):
            return self._made(value, where)
        if isinstance(value, (TaskScheduler, Cancel)):
            return value
        if isinstance(value, type) or not callable(value):
            raise TypeError(
                f"{where} is {value!r}; it should be a scheduler, a Cancel, a function, None, or "
                "a list of these"
            )
        if getattr(value, "required_mask", 0):
            raise TypeError(
                f"{where} is {value!r}, which needs every event of its files, and a task is given "
                "the last one only; it should be the processor of an entry of its own"
            )
        if value not in self._of_functions:
            self._of_functions[value] = TaskScheduler(value)
        return self._of_functions[value]

    def _made(self, value: Mapping[str, object], where: str) -> _Target:
        if set(value) == {"cancel"}:
            scheduler = self._target(value["cancel"], where)
            if isinstance(scheduler, TaskScheduler):
                return Cancel(scheduler)
        elif "processor" in value and set(value) <= {"processor", "options"}:
            cls = value["processor"]
            cls = imported(cls) if isinstance(cls, str) else cls
            if isinstance(cls, type) and issubclass(cls, TaskScheduler):
                return cls(**_mapping(f"{where}['options']", value.get("options")))
        raise ValueError(
            f"{where} is {value!r}; it should have 'processor', the class of a scheduler, and its "
            "'options', or else 'cancel', which names a scheduler"
        )


def _take(target: _Target, event: Event) -> Later | None:
    if isinstance(target, Cancel):
        target(event)
        return None
    return target.defer(event)


def _mapping(option: str, value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{option} is {value!r}; it should be a dict")
    return value


def _bit(name: object) -> int:
    """Return the bit of the event that `name` is of."""
    full = str(name) if str(name).startswith("IN_") else f"IN_{name}"
    if full in EVENT_BITS:
        return EVENT_BITS[full]
    turned = [known for known in EVENT_BITS if set(known.split("_")) == set(full.split("_"))]
    near = turned or difflib.get_close_matches(full, EVENT_BITS, 1, 0.7)
    hint = f"is {near[0]} meant?" if near else f"known are {', '.join(EVENT_BITS)}"
    raise ValueError(f"event_map names {name!r}, which is no event; {hint}")


def _exclude_filter(value: object) -> Callable[[str], object] | None:
    if value is None or (callable(value) and not isinstance(value, type)):
        return value
    if isinstance(value, str):
        lines = map(str.strip, Path(value).read_text(encoding="utf-8").splitlines())
        value = [line for line in lines if line and not line.startswith("#")]
    if isinstance(value, Collection) and all(isinstance(one, str) for one in value):
        return _matcher(value)
    raise TypeError(
        f"exclude_filter is {value!r}; it should be a list of regular expressions, the name of a "
        "file that holds them, or callable with a path"
    )


def _matcher(regexes: Collection[str]) -> Callable[[str], object]:
    patterns = []
    for regex in regexes:
        try:
            patterns.append(re.compile(regex))
        except re.error as exc:
            raise ValueError(
                f"exclude_filter holds {regex!r}, which is no regular expression: {exc.msg}"
            ) from exc
    return lambda path: any(pattern.match(path) for pattern in patterns)
