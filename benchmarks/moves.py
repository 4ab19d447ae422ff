"""Moves: a large directory inside a tree, and one rename after many."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks.harness import (
    Benchmark,
    Case,
    Column,
    Goal,
    Measured,
    Reader,
    Results,
    directory,
    plant,
    produce,
)
from benchmarks.peers import IN_CREATE, IN_MOVE_SELF, IN_MOVED_FROM, IN_MOVED_TO

MASK = IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_MOVE_SELF
ARRIVED = ("create", "moved_to")
BATCH = 4_000  # two events each: half a queue of the kernel

MANY = "One rename after many"
TREE_PEERS = (
    "asyncinotify",
    "pyinotify",
    "pyinotifyd",
    "watchdog",
    "watchfiles",
    "django-inotifier",
    "django-inotifier, service",
)
MANY_PEERS = (
    "asyncinotify",
    "pyinotify",
    "watchdog",
    "django-inotifier",
    "django-inotifier, service",
)


def move_tree(peer: str, top: Path) -> Measured:
    """Rename the directory `big`, and create a file far below it."""
    old, new = top / "big", top / "place" / "moved"
    probe = new / "d00000" / "s42" / "probe"
    with Reader(peer, top, MASK, recursive=True, record="events") as reader:
        reader.ask()
        start = time.perf_counter_ns()
        old.rename(new)
        try:
            probe.touch()
            answer = reader.ask(quiet=1)
        finally:
            probe.unlink()
            new.rename(old)
    events = [event for event in answer["events"] if event[1] in ARRIVED]
    times = {path: (when - start) / 1e6 for when, _, path in reversed(events)}
    names = [path for _, _, path in events if Path(path).name == "probe"]
    return {
        "cpu": answer["cpu"] * 1000,
        "rename": times.get(str(new), "not reported"),
        "probe": times[names[0]] if names else "not reported",
        "path": _verdict(names, probe),
    }


def _verdict(names: list[str], right: Path) -> str:
    if not names:
        return "none"
    if len(names) > 1:
        return f"{len(names)} times"
    return "new" if names[0] == str(right) else "wrong"


def rename_after(peer: str, renames: int) -> Measured:
    """Rename `renames` files as fast as the reader can follow, and then one more."""
    # watchdog gives one event for a rename; all others give both ends.
    each = 1 if peer == "watchdog" else 2
    with directory() as top:
        for number in range(renames + 1):
            (top / f"a{number}").touch()
        begin = time.monotonic()
        with Reader(peer, top, MASK, record="last") as reader:
            for first in range(0, renames, BATCH):
                produce("rename", top, first, min(BATCH, renames - first))
                counted = reader.ask(min(first + BATCH, renames) * each, quiet=2)["count"]
            spent = time.monotonic() - begin
            start = produce("rename", top, renames, 1)
            answer = reader.ask(counted + each, quiet=2)
    return {
        "cpu": answer["cpu"] * 1000,
        "rename": (answer["events"][0][0] - start) / 1e6,
        "missing": (renames + 1) * each - answer["count"],
        "spent": spent,
    }


@contextlib.contextmanager
def cases(quick: bool) -> Iterator[Sequence[Case]]:
    """Make the tree, and give every reader that follows moves."""
    size, moved, renames = (5_000, 1_000, 8_000) if quick else (50_000, 10_000, 40_000)
    with directory() as top:
        for name, count in (("big", moved), ("rest", size - moved - 3)):
            (top / name).mkdir()
            plant(top / name, count)
        (top / "place").mkdir()
        table = f"A directory of {moved:,} in a tree of {size:,}"
        yield [
            *(Case(table, peer, partial(move_tree, peer, top)) for peer in TREE_PEERS),
            *(
                Case(
                    f"{MANY} ({renames:,})",
                    peer,
                    partial(rename_after, peer, renames),
                    runs=1 if peer == "watchdog" else None,  # it takes its time
                )
                for peer in MANY_PEERS
            ),
        ]


def goals(results: Results) -> Sequence[Goal]:
    """None is given in figures."""
    return []


BENCHMARK = Benchmark(
    name="moves",
    title="Moves",
    text=(
        "First: a directory is renamed to another place of the same watched tree, and a file is "
        "created in a sub-directory of it at once. CPU is that of the reader's process until all "
        "is quiet; the times run from the rename to the call that tells of it, and to the one "
        "that tells of the file, `path` is where that call says it is. Second: after many renames "
        "in batches of 4,000, each waited for, one more; CPU and time are those of the last one, "
        "and `spent` is the time that all the others took, the work itself included."
    ),
    columns=(
        Column("cpu", "CPU, ms", 2),
        Column("rename", "rename told of after, ms", 2),
        Column("probe", "file told of after, ms", 2),
        Column("path", "path of the file"),
        Column("missing", "events missing", bare=True),
        Column("spent", "spent, s", 1, bare=True),
    ),
    cases=cases,
    goals=goals,
    runs=3,
)
