"""Rate: how many events a second a reader takes in without losing one."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.harness import (
    TMPFS,
    Benchmark,
    Case,
    Column,
    Goal,
    Lines,
    Measured,
    PeerFailed,
    Reader,
    Results,
    compiled,
    directory,
    disk,
)
from benchmarks.peers import IN_CLOSE_WRITE, IN_CREATE, IN_DELETE, IN_MODIFY, IN_OPEN, C

MASKS = {
    "write": IN_MODIFY,
    "new": IN_CREATE | IN_OPEN | IN_MODIFY | IN_CLOSE_WRITE | IN_DELETE,
}
LOWEST, START, HIGHEST = 1_000, 20_000, 5_000_000
ON_TMPFS, ON_DISK = "On tmpfs", "On disk"
EVERYWHERE = (
    C,
    "inotify_simple",
    "pyinotify, receiver",
    "django-inotifier, service",
)
ONCE = ("watchdog", "asyncinotify", "pyinotifyd", "watchfiles")
ONE_OF_A_FILE = ("pyinotifyd", "watchfiles")
"""These merge or skip events of the same kind and file, so each file is a new one."""


class Step(NamedTuple):
    """One run of the producer.

    Attributes:
        rate: events a second that it made.
        free: True if it was to make as many as it could.
        limited: True if it could not make as many as it should.
        lossless: True if each was handed over.
        behind: seconds from its end to the last event handed over.
        peak: memory of the reader at most, in bytes.
    """

    rate: float
    free: bool
    limited: bool
    lossless: bool
    behind: float
    peak: float


def step(peer: str, place: Path, rate: float, seconds: float) -> Step:
    """Make `rate` events a second, 0 for as many as can be made; look what arrives."""
    how = "new" if peer in ONE_OF_A_FILE else "write"
    with (
        directory(place) as top,
        _producer(top, rate, seconds, how) as (lines, go),
        Reader(peer, top, MASKS[how], stop_at_overflow=True) as reader,
    ):
        go()
        while not lines.waiting(0.02):
            if reader.lines.waiting(0):  # it has lost something already
                return Step(rate, not rate, limited=False, lossless=False, behind=0, peak=0)
        made = lines.next(1)
        if made is None:
            raise PeerFailed("the producer failed")
        # watchfiles tells of two of the five: added, deleted.
        expected = made["events"] * 2 // 5 if peer == "watchfiles" else made["events"]
        answer = reader.ask(expected, timeout=120)
    return _judged(rate, made, expected, answer)


def _judged(rate: float, made: dict[str, Any], expected: int, answer: dict[str, Any]) -> Step:
    achieved = made["events"] / made["seconds"]
    return Step(
        rate=achieved,
        free=not rate,
        limited=not rate or achieved < 0.95 * rate,
        lossless=answer["count"] >= expected and not answer["overflows"],
        behind=max(0.0, answer["now"] - made["end"]),
        peak=answer["peak"],
    )


@contextlib.contextmanager
def _producer(
    top: Path, rate: float, seconds: float, how: str
) -> Iterator[tuple[Lines, Callable[[], None]]]:
    """Start the producer; give its lines, and what sets it off."""
    command: list[str | Path] = [compiled("producer"), top, str(rate), str(seconds), how]
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin  # noqa: S101
        assert process.stdout  # noqa: S101
        stdin = process.stdin
        lines = Lines(process.stdout)
        if lines.next(30) is None:
            raise PeerFailed("the producer failed")

        def go() -> None:
            stdin.write(b"\n")
            stdin.flush()

        try:
            yield lines, go
        finally:
            process.kill()


def highest(attempt: Callable[[float], Step], known: float | None = None) -> Step | None:
    """Return the step with the highest rate at which nothing is lost, to ten per cent.

    Without a limit first; if that loses something, doubling and then bisecting. What is `known`
    from an earlier run shortens the way: begin near it, with small steps.
    """
    free = attempt(0)
    if free.lossless:
        return free
    best, low, high = None, 0.0, float("inf")
    rate, factor = (0.8 * known, 1.25) if known else (float(START), 2.0)
    while high > 1.1 * low and LOWEST <= rate <= HIGHEST:
        tried = attempt(rate)
        if tried.lossless:
            best, low = tried, rate
            if tried.limited:
                break
        else:
            high = rate
        if low and high < float("inf"):
            rate = (low * high) ** 0.5
        else:
            rate = rate * factor if low else rate / factor
    return best


def held(attempt: Callable[[float], Step], rate: float) -> Step | None:
    """Return the step with the highest rate that holds, from `rate` downwards."""
    while rate >= LOWEST:
        tried = attempt(rate)
        if tried.lossless:
            return tried
        rate *= 0.9
    return None


def measure(
    peer: str, place: Path, search: float, seconds: float, known: dict[tuple[str, Path], float]
) -> Measured:
    """Search with short steps, then hold the rate for `seconds`, less if it does not hold."""
    found = highest(
        lambda rate: step(peer, place, rate, search if rate else seconds), known.get((peer, place))
    )
    best = found
    if found and not found.free:
        best = held(lambda rate: step(peer, place, rate, seconds), found.rate)
    if found is None or best is None:
        return {"rate": 0, "stops": f"losses at {LOWEST:,}"}
    known[peer, place] = best.rate
    return {
        "rate": best.rate,
        "stops": "producer" if found.limited else "losses above",
        "behind": best.behind,
        "peak": best.peak / 1e6,
    }


@contextlib.contextmanager
def cases(quick: bool) -> Iterator[Sequence[Case]]:
    """Give every reader on tmpfs, and some on disk."""
    search, seconds = (0.3, 0.5) if quick else (1, 3)
    known: dict[tuple[str, Path], float] = {}
    yield [
        Case(
            table,
            peer,
            partial(measure, peer, place, search, seconds, known),
            runs=1 if peer in ONCE else None,
        )
        for table, place, peers in (
            (ON_TMPFS, TMPFS, EVERYWHERE + ONCE),
            (ON_DISK, disk(), EVERYWHERE),
        )
        for peer in peers
    ]


def goals(results: Results) -> Sequence[Goal]:
    """Hold it against pyinotify with the same receiver."""
    found = []
    for table, rows in results.items():
        ours = rows["django-inotifier, service"].median("rate")
        theirs = rows["pyinotify, receiver"].median("rate")
        found.append(
            Goal(
                f"{table}, highest rate without loss, ours divided by pyinotify's, each with a "
                "Django receiver",
                ours / theirs,
                8,
                at_least=True,
            )
        )
    return found


BENCHMARK = Benchmark(
    name="rate",
    title="Highest rate with nothing lost",
    text=(
        "A program in C writes a byte to each of 1,000 open files in turn, one event each, for "
        "three seconds: first as fast as it can; if something is lost, at given rates, doubled and "
        "then bisected to ten per cent in steps of one second, and the highest one held for three; "
        "later runs begin near what the first one found. `stopped by` says what ended the search: "
        "the producer, which makes no more, or losses at any higher rate. `behind` is the time, to "
        "0.05 s, from the producer's end to the last event handed over, `memory` the most that the "
        "reader's process took: what is read faster than it is handled waits there. Events go to a "
        "plain callback, those of pyinotify and of this project's threads to a Django receiver "
        "through `AllEventsSignaler`. watchfiles and pyinotifyd merge or skip events of the same "
        "file, so for them each file is created, written to and deleted, five events each, of "
        "which watchfiles tells two. Four peers are measured once, and on tmpfs only, to save time."
    ),
    columns=(
        Column("rate", "events per second"),
        Column("stops", "stopped by"),
        Column("behind", "behind, s", 2),
        Column("peak", "memory, MB", bare=True),
    ),
    cases=cases,
    goals=goals,
    runs=3,
)
