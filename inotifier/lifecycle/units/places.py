"""The files and directories that the daemon needs, as far as settings and entries tell."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from inotifier.conf import conf
from inotifier.watches import Entry

HOMES = ("/home", "/root", "/run/user")
TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - to see what lies there


@dataclass(frozen=True, kw_only=True)
class Places:
    """Directories, all of them absolute and there.

    Attributes:
        written: what it writes to, and what handlers move, rename or delete things in; none lies
            in another one.
        known: these, and what it reads.
        writes_anywhere: True if an entry runs commands, or has rules without a fixed target.
    """

    written: Sequence[str]
    known: Sequence[str]
    writes_anywhere: bool

    def any_below(self, directories: Iterable[str]) -> bool:
        """Tell whether any of what is known lies in one of `directories`, or is one."""
        return any(is_below(path, top) for path in self.known for top in directories)


def find_places(entries: Sequence[Entry], program: Iterable[str]) -> Places:
    """Return the places of the daemon.

    Args:
        entries: what is watched.
        program: paths of what it is made of, and other words, which count for nothing.
    """
    watched = [entry for entry in entries if entry.url is None]
    written = {str(path) for path in _own_files()}
    written.update(_directory(entry.path) for entry in watched)
    writes_anywhere = False
    for entry in entries:
        targets = getattr(entry.processor, "writes_to", ())
        writes_anywhere = writes_anywhere or targets is None
        for target in targets or ():
            written.update(_joined(entry, _existing(target)))
    found = without_nested(map(_existing, written))
    read = [*map(os.path.realpath, _program(program)), *_program(program)]
    return Places(
        written=[path for path in found if path != "/"],
        known=[*found, *map(os.path.realpath, found), *read, *(one.path for one in watched)],
        # To be allowed to write to / is to be allowed to write anywhere.
        writes_anywhere=writes_anywhere or "/" in found,
    )


def _own_files() -> Iterator[Path]:
    """Yield the directories of what this app, and Django, write by their settings."""
    yield conf.state_dir
    yield conf.pid_file.parent
    for log in conf.log_files:
        yield log.parent
    for database in settings.DATABASES.values():
        name = str(database.get("NAME", ""))
        is_file = name and not name.startswith((":memory:", "file:"))
        if is_file and database.get("ENGINE", "").endswith((".sqlite3", ".spatialite")):
            yield conf.working_directory / Path(name).parent
    for cache in settings.CACHES.values():
        if cache.get("BACKEND", "").endswith(".FileBasedCache"):
            yield conf.working_directory / cache["LOCATION"]
    if settings.MEDIA_ROOT:
        yield conf.working_directory / settings.MEDIA_ROOT


def _program(paths: Iterable[str]) -> list[str]:
    found = [*paths, *sys.path, sys.prefix, sys.base_prefix]
    return [path for path in found if path.startswith("/")]


def _directory(path: str) -> str:
    # A file may be replaced by another one, which would not be the one that is let through.
    return os.path.dirname(path) if Path(path).is_file() else path  # noqa: PTH120


def _joined(entry: Entry, target: str) -> list[str]:
    """Return what to let through so that a rename from `entry` to `target` stays one.

    Each place that is let through becomes a mount of its own, and between two of them nothing can
    be renamed (rename(2): EXDEV).
    """
    if entry.url is not None:
        return [target]
    source = _existing(_directory(entry.path))
    common = os.path.commonpath([source, target])
    is_one_disk = Path(source).stat().st_dev == Path(target).stat().st_dev
    return [common] if is_one_disk and common != "/" else [target]


def _existing(path: str) -> str:
    """Return `path`, or the nearest directory above it that is there."""
    return next(
        (str(one) for one in (Path(path), *Path(path).parents) if one.is_dir()),
        "/",
    )


def is_below(path: str, top: str) -> bool:
    """Tell whether `path` lies in the directory `top`, or is it."""
    return Path(path).is_relative_to(top)


def without_nested(paths: Iterable[str]) -> list[str]:
    """Return `paths`, sorted, without those that lie in another one."""
    found: list[str] = []
    for path in sorted(set(paths), key=lambda path: Path(path).parts):
        if not found or not is_below(path, found[-1]):
            found.append(path)
    return found
