"""Cost: CPU time per event, from the kernel's queue to a callback or a receiver."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial

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
from benchmarks.peers import IN_CLOSE_WRITE, IN_CREATE, IN_MODIFY, IN_OPEN, C

MASK = IN_CREATE | IN_OPEN | IN_MODIFY | IN_CLOSE_WRITE
FILES = 4000
EVENTS = 4 * FILES  # below fs.inotify.max_queued_events, 16,384

CALLBACK = "To a plain callback that counts"
RECEIVER = "To a Django receiver that counts, through `AllEventsSignaler`"
CALLBACK_PEERS = (
    C,
    "inotify_simple",
    "django-inotifier",
    "watchfiles",
    "asyncinotify",
    "pyinotify",
    "watchdog",
    "pyinotifyd",
)
RECORDING = "django-inotifier, service with state"
RECEIVER_PEERS = (
    "django-inotifier, receiver",
    "django-inotifier, service",
    RECORDING,
    "pyinotify, receiver",
)


def measure(peer: str) -> Measured:
    """Fill the kernel's queue while the reader is stopped, then let it run."""
    # One set of changes, in which each file is once.
    expected = FILES if peer == "watchfiles" else EVENTS
    with directory() as top, Reader(peer, top, MASK) as reader:
        with reader.stopped():
            produce("fill", top, FILES)
            # What was delivered is written after the last event was handed over.
            reader.put_question(None if peer == RECORDING else expected, quiet=2)
        answer = reader.wait()
    return {"us": answer["cpu"] / EVENTS * 1e6, "missing": expected - answer["count"]}


@contextlib.contextmanager
def cases(quick: bool) -> Iterator[Sequence[Case]]:
    """Give every reader in the table that it belongs to."""
    yield [
        Case(table, peer, partial(measure, peer))
        for table, peers in ((CALLBACK, CALLBACK_PEERS), (RECEIVER, RECEIVER_PEERS))
        for peer in peers
    ]


def goals(results: Results) -> Sequence[Goal]:
    """Hold it against pyinotify and inotify_simple."""
    receiver, callback = results[RECEIVER], results[CALLBACK]
    ours = receiver["django-inotifier, receiver"].median("us")
    plain = callback["django-inotifier"].median("us")
    return [
        Goal(
            "CPU per event to a Django receiver, pyinotify's divided by ours",
            receiver["pyinotify, receiver"].median("us") / ours,
            6,
            at_least=True,
        ),
        Goal(
            "CPU per event to a plain callback, ours divided by inotify_simple's",
            plain / callback["inotify_simple"].median("us"),
            2,
        ),
        Goal(
            "CPU per event of the service with state, divided by that without",
            receiver[RECORDING].median("us") / receiver["django-inotifier, service"].median("us"),
            2,
        ),
    ]


BENCHMARK = Benchmark(
    name="cost",
    title="Cost of one event",
    text=(
        f"{EVENTS:,} events wait in the kernel's queue: {FILES:,} files were created, opened, "
        "written to and closed while the reader was stopped (SIGSTOP). What is counted is the CPU "
        "time of its whole process, user and system, until the last event is handed over, divided "
        "by the number of events. inotify_simple gives tuples without a path; watchfiles gives a "
        "set in which each file is once. `service` is the daemon's three "
        "threads, `with state` until what was delivered is written."
    ),
    columns=(
        Column("us", "CPU per event, µs", 2),
        Column("missing", "calls missing", bare=True),
    ),
    cases=cases,
    goals=goals,
    runs=5,
)
