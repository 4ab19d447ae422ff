"""Set-up: time and memory that recursive watches over many directories take."""

from __future__ import annotations

import contextlib
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
)
from benchmarks.peers import IN_CLOSE_WRITE, IN_CREATE, IN_MOVED_TO, C

MASK = IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO
LARGE = 100_000
PEERS = (
    C,
    "scandir loop",
    "inotify_simple",
    "asyncinotify",
    "pyinotify",
    "pyinotifyd",
    "watchdog",
    "watchfiles, fastest",
    "django-inotifier",
    "django-inotifier, service",
)


def measure(peer: str, top: Path, size: int) -> Measured:
    """Set the watches in a new process, and see what that process has become."""
    with Reader(peer, top, MASK, recursive=True) as reader:
        standing = reader.standing
    return {
        "seconds": standing["seconds"],
        "us": standing["seconds"] / size * 1e6,
        "bytes": standing["bytes"] / size,
    }


def heading(size: int) -> str:
    """Return the heading of a table."""
    return f"{size:,} directories"


@contextlib.contextmanager
def cases(quick: bool) -> Iterator[Sequence[Case]]:
    """Make the trees, and give every reader for each of them."""
    sizes = (1_000, 10_000) if quick else (10_000, LARGE)
    with contextlib.ExitStack() as stack:
        found = []
        for size in sizes:
            top = stack.enter_context(directory())
            plant(top, size)
            found += [
                Case(
                    heading(size),
                    peer,
                    partial(measure, peer, top, size),
                )
                for peer in PEERS
            ]
        yield found


def goals(results: Results) -> Sequence[Goal]:
    """Hold the largest tree against pyinotify and the bare loop."""
    table = list(results)[-1]
    rows = results[table]
    ours, theirs, bare = rows["django-inotifier, service"], rows["pyinotify"], rows["scandir loop"]
    return [
        Goal(
            f"Set-up of {table}, time divided by pyinotify's",
            ours.median("seconds") / theirs.median("seconds"),
            0.5,
        ),
        Goal(
            f"Set-up of {table}, memory divided by pyinotify's",
            ours.median("bytes") / theirs.median("bytes"),
            0.5,
        ),
        Goal(
            f"Set-up of {table}, time divided by that of a bare loop",
            ours.median("seconds") / bare.median("seconds"),
            1.5,
        ),
    ]


BENCHMARK = Benchmark(
    name="setup",
    title="Set-up of recursive watches",
    text=(
        "Watches for create, close_write and moved_to on all directories of a tree on tmpfs. The "
        "memory is the growth of the resident set, after a garbage collection, per directory; the "
        "kernel's own comes on top, the same for all. `scandir loop` is `os.scandir` and "
        "inotify_add_watch through ctypes in a loop, with a dict of paths; inotify_simple has "
        "`os.walk` around it; C has nftw(3). pyinotifyd and watchfiles choose the events "
        "themselves. `django-inotifier` is `WatchManager.add_watch`, which returns a dict of all "
        "paths as pyinotify's does; `service` is what the daemon does. On tmpfs, as on ext4 and "
        "xfs, it does not list a directory whose link count says that it holds none: 99 of 100 "
        "here."
    ),
    columns=(
        Column("seconds", "seconds", 3),
        Column("us", "µs per directory", 2, bare=True),
        Column("bytes", "bytes per directory"),
    ),
    cases=cases,
    goals=goals,
    runs=3,
)
