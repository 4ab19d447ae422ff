"""What is wrong with entries together, or not wise."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from inotifier import limits, mounts
from inotifier.conf import conf
from inotifier.events import (
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_MODIFY,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_OPEN,
    printable,
)
from inotifier.watches.problems import Problem
from inotifier.watches.watch import Entry


def repeated(entries: Sequence[Entry]) -> Iterator[Problem]:
    """Find entries that hand the same events to the same processor."""
    seen: list[Entry] = []
    for entry in entries:
        for other in seen:
            if (
                entry.place == other.place
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


def advice_on(entries: Sequence[Entry]) -> Iterator[Problem]:
    """Find what is wrong with entries that are all right by themselves."""
    yield from _without_effect(entries)
    yield from _feedback_loops(entries)
    yield from _too_many_directories(entries)
    yield from _unseen(entries)


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
    for entry in _here(entries):
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
    for entry in _here(entries):
        kind = mounts.type_of(entry.path)
        if not entry.polls and kind in mounts.UNSEEN:
            yield Problem(
                id="inotifier.W003",
                message=f"{printable(entry.path)} lies on {kind}, of which inotify tells only what "
                "this machine does",
                hint="Leave out backend='inotify', or set backend='polling'.",
                fatal=False,
            )


def _here(entries: Sequence[Entry]) -> list[Entry]:
    """Return those of this machine's file systems."""
    return [entry for entry in entries if entry.url is None]


def _is_device(file: Path) -> bool:
    try:
        return stat.S_ISCHR(file.stat().st_mode)
    except OSError:
        return False
