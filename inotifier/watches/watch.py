"""What is watched, and how: as it is written in the settings, and made ready."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from inotifier.conf import conf
from inotifier.filters import PathFilter
from inotifier.locations import without_password, without_user

Processor = Callable[[Any], object]
"""What takes an event: an instance of `pyinotify.ProcessEvent`, or any callable."""

IN_SETTING = "INOTIFIER_WATCH_PATHS"
"""Where entries stand that are not declared elsewhere."""

ALL_EVENTS_SIGNALER = "inotifier.event_processors.AllEventsSignaler"


@dataclass(frozen=True)
class Watch:
    """What to watch, and who handles it.

    Attributes:
        path: a directory or file: `str` or `Path`, with `~` and $VARIABLES; a relative one
            lies below BASE_DIR. Or the URL of a place that `inotifier.sources` can list.
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
        retries: how often an event is delivered again whose handler failed; INOTIFIER_RETRIES if
            None.
        ignore_self: True to leave out events of what this daemon's handlers write while they run.
        backend: "inotify"; "polling" to list everything again and again; "auto" to poll on file
            systems of which inotify does not tell all: `inotifier.mounts`.
        poll_interval: seconds between two listings.
        source_options: keyword arguments for the poller of a URL.
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
    retries: int | None = None
    ignore_self: bool = False
    backend: str = "auto"
    poll_interval: float = 10.0
    source_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    patterns: Collection[str] | None = None
    ignore_patterns: Collection[str] | None = None
    regexes: Collection[str] | None = None
    ignore_regexes: Collection[str] | None = None
    ignore_directories: Collection[str] | None = None
    case_sensitive: bool = True
    exclude_filter: Callable[[str], object] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def __repr__(self) -> str:
        shown = {one.name: getattr(self, one.name) for one in fields(self) if one.repr}
        shown["path"] = without_user(os.fspath(self.path)) if "://" in str(self.path) else self.path
        return f"Watch({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A `Watch` made ready: absolute path, mask as an int, processor imported and made.

    Of a place with a URL, `path` is that without user and password, and `url` as it was given.
    `origin` is what the processor was named as: the class that it was made from, or itself.
    `declared` says where it stands. `filter` is None if every path counts; `polls` is True if it is
    listed again and again, because inotify would not tell of everything.
    """

    watch: Watch
    path: str
    mask: int
    processor: Processor
    processor_name: str
    origin: object
    declared: str = IN_SETTING
    filter: PathFilter | None = None
    url: str | None = field(default=None, repr=False)
    polls: bool = False

    @property
    def place(self) -> str:
        """What is watched, as it is known over a restart: its path, or as whom its URL is asked."""
        return self.path if self.url is None else without_password(self.url).rstrip("/")

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
