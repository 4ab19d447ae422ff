"""Arrivals: trees that are moved in, and directories that are filled and then renamed."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from benchmarks.harness import (
    Benchmark,
    Case,
    Column,
    Goal,
    Measured,
    Reader,
    Results,
    directory,
    produce,
)
from benchmarks.peers import (
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_MOVE_SELF,
    IN_MOVED_FROM,
    IN_MOVED_TO,
)

MASK = IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_MOVE_SELF
ARRIVED = ("create", "moved_to")
MOVED_IN = "A tree of 10 directories with 100 files each is moved in, then 1 file added to each"
RENAMED = "20 directories get 10 files each under a temporary name, are renamed, then get 10 more"
OURS = "django-inotifier, service"
PEERS = (
    "asyncinotify",
    "pyinotify",
    "pyinotifyd",
    "watchdog",
    "watchfiles",
    "django-inotifier",
    OURS,
)

Key = tuple[str, ...]
Event = tuple[int, str, str]


def moved_in(peer: str) -> Measured:
    """Move a tree into a watched directory, then add files to it."""
    with directory() as top:
        outside, inside = top / "outside" / "tree", top / "inside"
        inside.mkdir()
        _fill([outside / f"d{n}" for n in range(10)], "early", 100)
        with Reader(peer, inside, MASK, recursive=True, record="events") as reader:
            outside.rename(inside / "tree")
            early = reader.ask()["events"]
            _fill([inside / "tree" / f"d{n}" for n in range(10)], "late", 1)
            late = reader.ask()["events"]
    return _counted(peer, early, late)


def renamed(peer: str) -> Measured:
    """Have directories made, filled and renamed at once; then add files to them."""
    with directory() as top, Reader(peer, top, MASK, recursive=True, record="events") as reader:
        produce("make_and_rename", top, 20, 10)
        early = reader.ask()["events"]
        _fill([top / str(n) for n in range(20)], "late", 10)
        late = reader.ask()["events"]
    return _counted(peer, early, late)


def _fill(directories: Iterable[Path], name: str, files: int) -> None:
    for one in directories:
        one.mkdir(parents=True, exist_ok=True)
        for number in range(files):
            (one / f"{name}{number}").write_bytes(b"x")


def _counted(peer: str, early: list[Event], late: list[Event]) -> dict[str, Any]:
    first = Counter(_key(path) for _, kind, path in early if kind in ARRIVED)
    closed = Counter(_key(path) for _, kind, path in early if kind == "close_write")
    later = Counter(PurePath(path).parts[-3:] for _, kind, path in late if kind in ARRIVED)
    return {
        "early": _files(first, "early"),
        "twice": sum(count > 1 for key, count in first.items() if key[-1].startswith("early")),
        "closed": "not told" if peer == "watchfiles" else _files(closed, "early"),
        "late": sum(
            1 for key in later if key[-1].startswith("late") and not key[-2].startswith(".tmp")
        ),
    }


def _key(path: str) -> Key:
    """Return a file by its directory and name, whichever name the directory has just now."""
    parts = PurePath(path).parts
    return parts[-2].removeprefix(".tmp-"), parts[-1]


def _files(found: Counter[Key], name: str) -> int:
    return sum(1 for key in found if key[-1].startswith(name))


@contextlib.contextmanager
def cases(quick: bool) -> Iterator[Sequence[Case]]:
    """Give every reader that can watch recursively."""
    yield [
        Case(table, peer, partial(measure, peer))
        for table, measure in ((MOVED_IN, moved_in), (RENAMED, renamed))
        for peer in PEERS
    ]


def goals(results: Results) -> Sequence[Goal]:
    """None is given in figures."""
    return []


BENCHMARK = Benchmark(
    name="arrivals",
    title="What is there already when a directory appears",
    text=(
        "Of the files that were in a directory before it came, or got its name: how many were "
        "told of by a create or a move, under whichever name of the directory; how many of them "
        "more than once; how many had a close_write. Of the files that were added later: how many "
        "were told of under their path. Right are 1,000, 0, 1,000, 10 for the first table and "
        "200, 0, 200, 200 for the second."
    ),
    columns=(
        Column("early", "files told of"),
        Column("twice", "more than once"),
        Column("closed", "close_write"),
        Column("late", "added later, told of"),
    ),
    cases=cases,
    goals=goals,
    runs=3,
)
