"""Recovery: time to find that nothing was missed, and what the record of a million files takes."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import (
    Benchmark,
    Case,
    Column,
    Goal,
    Measured,
    Results,
    apart,
    directory,
    most_memory,
    of_files,
)

LARGE = 1_000_000
FILES_OF_A_DIRECTORY = 100
WALK, COMPARISON = "scandir and stat", "django-inotifier, comparison"


def plant(top: Path, size: int) -> None:
    """Make `size` files, a hundred in each directory."""
    for number in range(size):
        place = top / f"d{number // FILES_OF_A_DIRECTORY:05}"
        if number % FILES_OF_A_DIRECTORY == 0:
            place.mkdir()
        (place / f"f{number % FILES_OF_A_DIRECTORY:02}").touch()


def measure(what: str, top: Path, state: Path, size: int) -> Measured:
    """Do `what` in a process of its own."""
    return apart("recovery", what, top, state, size)


def walk(top: Path, state: Path, size: int) -> dict[str, float]:
    """List and stat everything."""
    waiting = [os.fsencode(top)]
    while waiting:
        with os.scandir(waiting.pop()) as items:
            for item in items:
                item.stat(follow_symlinks=False)
                if item.is_dir(follow_symlinks=False):
                    waiting.append(item.path)
    return {}


def record(top: Path, state: Path, size: int) -> dict[str, float]:
    """Take everything as the baseline of a first start."""
    return compare(top, state, size)


def compare(top: Path, state: Path, size: int) -> dict[str, float]:
    """Compare everything with what is recorded."""
    from django.conf import settings

    settings.configure()
    from inotifier.books import Books
    from inotifier.recovery import Comparison, dividing_moment
    from inotifier.state import State
    from inotifier.watches import Entry, Watch

    watch = Watch(str(top), recursive=True)
    entry = Entry(
        watch=watch, path=str(top), mask=0xFFF, processor=print, processor_name="", origin=print
    )
    kept = State(state)
    kept.open()
    since = dividing_moment()
    begin = time.monotonic()
    ledger = kept.ledger("key", str(top))
    ledger.begin(since, deep=True)
    comparison = Comparison(entry, Books(ledger, entry.mask), since)
    found = 0
    for portion in comparison.run():
        if portion is None:
            ledger.flush()
        else:
            found += len(portion)
    kept.flush()
    seconds = time.monotonic() - begin
    kept.close()
    return {"seconds": seconds, "found": found, "file": state.stat().st_size / size}


def act(what: Callable[..., dict[str, float]], *arguments: Any) -> None:
    """Print what `what` took, as JSON."""
    begin = time.monotonic()
    memory = most_memory()
    told = what(*arguments)
    seconds = told.pop("seconds", time.monotonic() - begin)
    measured = {"seconds": seconds, "memory": (most_memory() - memory) / arguments[2], **told}
    sys.stdout.write(json.dumps(measured))


@contextlib.contextmanager
def cases(quick: bool) -> Iterator[Sequence[Case]]:
    """Make the trees, take their baselines, and give both walks for each of them."""
    with contextlib.ExitStack() as stack:
        found = []
        for size in (1_000, 10_000) if quick else (100_000, LARGE):
            top = stack.enter_context(directory())
            state = stack.enter_context(directory()) / "state.sqlite3"
            plant(top, size)
            found += [
                Case(of_files(size), "django-inotifier, first start", _once(top, state, size)),
                Case(of_files(size), WALK, partial(measure, "walk", top, state, size)),
                Case(of_files(size), COMPARISON, partial(measure, "compare", top, state, size)),
            ]
        yield found


def _once(top: Path, state: Path, size: int) -> Callable[[], Measured]:
    def first() -> Measured:
        for file in state.parent.iterdir():
            file.unlink()
        return measure("record", top, state, size)

    return first


def goals(results: Results) -> Sequence[Goal]:
    """Hold the comparison against the bare walk."""
    table = next(iter(results))
    rows = results[table]
    return [
        Goal(
            f"Comparison of {table} that have not changed, time divided by that of a bare walk",
            rows[COMPARISON].median("seconds") / rows[WALK].median("seconds"),
            3,
        )
    ]


BENCHMARK = Benchmark(
    name="recovery",
    title="Finding what was missed",
    text=(
        "Files on tmpfs, a hundred in each directory, of which nothing has changed since they were "
        "delivered. `scandir and stat` is a walk with `os.scandir` and a stat of each item. "
        "`first start` records them all, `comparison` is what each later start does. Memory is the "
        "growth of the largest resident set; the file is that of the record."
    ),
    columns=(
        Column("seconds", "seconds", 3),
        Column("memory", "memory, bytes per file"),
        Column("file", "record, bytes per file"),
        Column("found", "differences found", bare=True),
    ),
    cases=cases,
    goals=goals,
    runs=3,
)

if __name__ == "__main__":
    name, *places, number = sys.argv[1:]
    act({"walk": walk, "record": record, "compare": compare}[name], *map(Path, places), int(number))
