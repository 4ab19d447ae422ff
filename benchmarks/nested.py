"""Nested burst: new directories that are filled faster than anybody can watch them."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks.harness import (
    TMPFS,
    Benchmark,
    Case,
    Column,
    Goal,
    Measured,
    Reader,
    Results,
    directory,
    disk,
    produce,
)
from benchmarks.peers import IN_CLOSE_WRITE, IN_CREATE

TREES, FILES = 200, 20
TOTAL = TREES * FILES
OURS = "django-inotifier, service"
TABLE = "On tmpfs"
PEERS = (
    "asyncinotify",
    "pyinotify",
    "pyinotifyd",
    "watchdog",
    "watchfiles",
    "django-inotifier",
)


def measure(peer: str, place: Path = TMPFS) -> Measured:
    """Make the burst in another process, and compare the events with the files."""
    with directory(place) as top:
        mask = IN_CREATE | IN_CLOSE_WRITE
        with Reader(peer, top, mask, recursive=True, record="events") as reader:
            produce("burst", top, TREES, FILES)
            answer = reader.ask()
        files = [f"{top}/d{n}/s/f{i}" for n in range(TREES) for i in range(FILES)]
    said = Counter((kind, path) for _, kind, path in answer["events"])
    created = [said["create", file] for file in files]
    closed = [said["close_write", file] for file in files]
    measured = {
        "created": sum(map(bool, created)),
        "twice": sum(count > 1 for count in created),
        "right": int(all(count == 1 for count in created + closed)),
    }
    if peer != "watchfiles":
        measured["closed"] = sum(map(bool, closed))
        measured["closed_twice"] = sum(count > 1 for count in closed)
    return measured


@contextlib.contextmanager
def cases(quick: bool) -> Iterator[Sequence[Case]]:
    """Give every reader that can watch recursively; the daemon's threads many more times."""
    yield [
        *(Case(TABLE, peer, partial(measure, peer)) for peer in PEERS),
        Case(TABLE, OURS, partial(measure, OURS), 3 if quick else 50),
        Case("On disk", OURS, partial(measure, OURS, disk()), 3 if quick else 5),
    ]


def goals(results: Results) -> Sequence[Goal]:
    """Every single run must be right."""
    series = results[TABLE][OURS]
    runs = len(series.runs) + len(series.failures)
    return [
        Goal(
            f"Nested burst, share of {runs} runs in which each of {TOTAL:,} files was created "
            "and closed exactly once",
            sum(series.numbers("right")) / max(runs, 1),
            1,
            at_least=True,
        )
    ]


BENCHMARK = Benchmark(
    name="nested",
    title="Nested burst",
    text=(
        f"A separate process makes {TREES} times `mkdir -p dN/s` and {FILES} files of one byte in "
        f"each, as fast as it can, below a directory that is watched recursively: {TOTAL:,} files. "
        "How many of them had their creation reported, how many more than once, and the same of "
        "close_write, which watchfiles does not tell. asyncinotify's `RecursiveInotify` watches "
        "new directories for creates and moves only."
    ),
    columns=(
        Column("created", "created"),
        Column("twice", "created twice or more"),
        Column("closed", "close_write"),
        Column("closed_twice", "close_write twice or more"),
    ),
    cases=cases,
    goals=goals,
    runs=5,
)
