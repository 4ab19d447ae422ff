"""Latency: from just before a file is created to the call of the handler."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import PurePath

from benchmarks.harness import (
    Benchmark,
    Case,
    Column,
    Goal,
    Measured,
    PeerFailed,
    Reader,
    Results,
    directory,
    produce,
)
from benchmarks.peers import IN_CREATE, C

RATE = 100
TABLE = f"{RATE} a second, otherwise idle"
PEERS = (
    C,
    "inotify_simple",
    "asyncinotify",
    "pyinotify",
    "pyinotifyd",
    "watchdog",
    "watchfiles",
    "watchfiles, fastest",
    "django-inotifier",
    "django-inotifier, receiver",
    "django-inotifier, service",
)


def measure(peer: str, files: int) -> Measured:
    """Create `files` files in another process, and match them with the events."""
    with directory() as top, Reader(peer, top, IN_CREATE, record="events") as reader:
        before = produce("create", top, files, RATE)
        events = reader.ask(files)["events"]
    after: dict[str, int] = {}
    seen: Counter[str] = Counter()
    for nanoseconds, kind, path in events:
        name = PurePath(path).name
        if kind == "create":
            seen[name] += 1
            after.setdefault(name, nanoseconds)
    waits = sorted((after[name] - before[name]) / 1000 for name in before if name in after)
    if not waits:
        raise PeerFailed("told of no file")
    return {
        "p50": waits[len(waits) // 2],
        "p99": waits[len(waits) * 99 // 100],
        "lost": files - len(after),
        "doubled": sum(count > 1 for count in seen.values()),
    }


@contextlib.contextmanager
def cases(quick: bool) -> Iterator[Sequence[Case]]:
    """Give every reader."""
    files = 50 if quick else 200
    yield [Case(TABLE, peer, partial(measure, peer, files)) for peer in PEERS]


def goals(results: Results) -> Sequence[Goal]:
    """Hold the daemon's threads, which take longer than the notifier, against the limits."""
    service = results[TABLE]["django-inotifier, service"]
    return [
        Goal("Latency of the service, p50 in ms", service.median("p50") / 1000, 0.3),
        Goal("Latency of the service, p99 in ms", service.median("p99") / 1000, 2),
    ]


BENCHMARK = Benchmark(
    name="latency",
    title="Latency of one create",
    text=(
        f"Another process creates 200 files, {RATE} a second, and notes the monotonic clock just "
        "before each; the handler notes it when it is called. p50 and p99 are those of one run, "
        "of which the tables show the median. `watchfiles` is as shipped, `fastest` has debounce "
        "and step of 1 ms."
    ),
    columns=(
        Column("p50", "p50, µs"),
        Column("p99", "p99, µs"),
        Column("lost", "lost", bare=True),
        Column("doubled", "doubled", bare=True),
    ),
    cases=cases,
    goals=goals,
    runs=3,
)
