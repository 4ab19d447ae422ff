"""Polling: what it takes to look once through files of which nothing has changed."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks.harness import (
    Benchmark,
    Case,
    Column,
    Goal,
    Measured,
    Results,
    apart,
    compiled,
    directory,
    most_memory,
    of_files,
)
from benchmarks.recovery import plant, walk

WINDOW = 5.0
"""Seconds for which watchfiles is watched, which has no call for one poll."""
DELAY = 0.2
"""Seconds that it waits between two."""

WALK_IN_C, WALK = "readdir and fstatat, in C", "scandir and stat"
OURS, SCRIPTS, RECORDING = "django-inotifier", "django-inotifier, FilePoller", "with state"
PEERS = ("watchdog", "watchfiles")


def measure(peer: str, top: Path) -> Measured:
    """Poll in a process of its own."""
    if peer == WALK_IN_C:
        command = [compiled("walk"), top]
        return {"cpu": float(subprocess.check_output(command)), "memory": 0.0}  # noqa: S603
    return apart("polling", peer, top)


def poll_with_us(top: str, state: Path | None = None) -> float:
    """Return the CPU time of a second comparison."""
    from django.conf import settings

    settings.configure()
    from inotifier.books import Books
    from inotifier.polling import FIRST
    from inotifier.recovery import Comparison
    from inotifier.state import AnyLedger, MemoryLedger, State
    from inotifier.watches import Entry, Watch

    entry = Entry(
        watch=Watch(top, recursive=True),
        path=top,
        mask=0xFFF,
        processor=print,
        processor_name="",
        origin=print,
    )
    ledger: AnyLedger = MemoryLedger(top)
    if state is not None:
        kept = State(state)
        kept.open()
        ledger = kept.ledger("key", top)
    ledger.begin(FIRST, deep=True)
    books = Books(ledger, entry.mask)

    def poll() -> None:
        for portion in Comparison(entry, books, FIRST).run():
            if portion is None:
                ledger.flush()

    poll()
    ledger.flush()
    return _cpu_of(poll)


def poll_with_state(top: str) -> float:
    """The same, with what was delivered in a file."""
    with directory() as place:
        return poll_with_us(top, place / "state.sqlite3")


def poll_in_a_script(top: str) -> float:
    """Return the CPU time of a call of `FilePoller`."""
    from inotifier.sources import FilePoller

    poller = FilePoller(top, recurse=True)
    return _cpu_of(poller.get_new_events)


def poll_with_watchdog(top: str) -> float:
    """Return the CPU time of a snapshot, and its difference to the one before."""
    from watchdog.utils.dirsnapshot import DirectorySnapshot, DirectorySnapshotDiff

    before = DirectorySnapshot(top)
    return _cpu_of(lambda: DirectorySnapshotDiff(before, DirectorySnapshot(top)))


def poll_with_watchfiles(top: str) -> float:
    """Return the CPU time of one of many polls."""
    import watchfiles

    stop = threading.Event()

    def watch() -> None:
        for _ in watchfiles.watch(
            top, force_polling=True, poll_delay_ms=int(DELAY * 1000), stop_event=stop
        ):
            pass

    thread = threading.Thread(target=watch)
    thread.start()
    time.sleep(1)  # the first listing
    began = time.monotonic()
    spent = _cpu_of(lambda: time.sleep(WINDOW))
    lasted = time.monotonic() - began
    stop.set()
    thread.join()
    # Each poll lasts as long as it computes: `lasted` is polls * (DELAY + spent / polls).
    return spent / ((lasted - spent) / DELAY)


def walk_once(top: str) -> float:
    """Return the CPU time of a bare walk."""
    return _cpu_of(lambda: walk(Path(top), Path(), 0))


WORKS: dict[str, Callable[[str], float]] = {
    WALK: walk_once,
    OURS: poll_with_us,
    f"{OURS}, {RECORDING}": poll_with_state,
    SCRIPTS: poll_in_a_script,
    "watchdog": poll_with_watchdog,
    "watchfiles": poll_with_watchfiles,
}


def _cpu_of(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def act(peer: str, top: str) -> None:
    """Print what one poll takes, as JSON."""
    before = most_memory()
    cpu = WORKS[peer](top)
    sys.stdout.write(json.dumps({"cpu": cpu, "memory": (most_memory() - before) / 1e6}))


@contextlib.contextmanager
def cases(quick: bool) -> Iterator[Sequence[Case]]:
    """Make the files, and give every poller."""
    size = 10_000 if quick else 100_000
    with directory() as top:
        plant(top, size)
        yield [
            Case(of_files(size), peer, partial(measure, peer, top)) for peer in (WALK_IN_C, *WORKS)
        ]


def goals(results: Results) -> Sequence[Goal]:
    """Hold it against the better peer."""
    table, rows = next(iter(results.items()))
    return [
        Goal(
            f"CPU of one poll of {table}, divided by that of the better peer",
            rows[OURS].median("cpu") / min(rows[peer].median("cpu") for peer in PEERS),
            0.5,
        )
    ]


BENCHMARK = Benchmark(
    name="polling",
    title="Polling",
    text=(
        "Files on tmpfs, a hundred in each directory, of which nothing changes. What is counted is "
        "the CPU time of one poll, and the growth of the largest resident set with the modules "
        "that are imported. `scandir and stat` is a walk with `os.scandir` and a stat of each "
        "item, below which no Python program can come; the one in C keeps nothing, and no program "
        "that looks at each file can come below it. watchdog is `DirectorySnapshot` and "
        "`DirectorySnapshotDiff`, which its PollingObserver uses; watchfiles, in Rust, polls by "
        f"itself, {DELAY} s apart, and the CPU time of {WINDOW:g} s is divided by their number."
    ),
    columns=(
        Column("cpu", "CPU, s", 3),
        Column("memory", "memory, MB"),
    ),
    cases=cases,
    goals=goals,
    runs=3,
)

if __name__ == "__main__":
    act(*sys.argv[1:])
