"""Filters: CPU time that ten patterns cost per event."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import starmap
from typing import Any

from benchmarks.harness import Benchmark, Case, Column, Goal, Measured, Results
from benchmarks.peers import IN_CLOSE_WRITE

ROOT = "/srv"
DIRECTORIES = 50
FILES = 20_000
OURS, WATCHDOG, PYINOTIFY = "django-inotifier", "watchdog", "pyinotify"

GLOBS = ("*.tmp", "*.part", "*.bak", "*.swp", "*~", ".*", "_*", "#*#", "Thumbs.db", "[0-9]*.log")
REGEXES = (
    r"[^/]*\.tmp$",
    r"[^/]*\.part$",
    r"[^/]*\.bak$",
    r"[^/]*\.swp$",
    r"[^/]*~$",
    r"\.[^/]*$",
    r"_[^/]*$",
    r"#[^/]*#$",
    r"Thumbs\.db$",
    r"[0-9][^/]*\.log$",
)

ONCE = "Ten globs of names; each name comes once"
AGAIN = "Ten globs of names; each name comes four times"
PATHS = "Ten globs with directories; each name comes once"
SEARCHES = "Ten regular expressions; each name comes once"

Judge = Callable[[str, str], bool]
"""Takes the directory and the name of an event, tells whether it passes."""


def ours(**options: Any) -> Judge:
    """Return `PathFilter.lets_through`, with what it is given made as cheaply as can be."""
    from inotifier.events import Event
    from inotifier.filters import PathFilter

    lets_through = PathFilter(ROOT, **options).lets_through
    event = Event(mask=IN_CLOSE_WRITE)

    def passes(directory: str, name: str) -> bool:
        event.pathname = f"{directory}/{name}"
        return lets_through(event)

    return passes


def watchdog(prefix: str) -> Judge:
    """Return what `PatternMatchingEventHandler` does with each path."""
    from watchdog.utils.patterns import match_any_paths

    ignored = [f"{prefix}{glob}" for glob in GLOBS]

    def passes(directory: str, name: str) -> bool:
        path = f"{directory}/{name}"
        passed: bool = match_any_paths(
            [path], included_patterns=None, excluded_patterns=ignored, case_sensitive=True
        )
        return passed

    return passes


def pyinotify(prefix: str) -> Judge:
    """Return pyinotify's `ExcludeFilter`, which takes regular expressions."""
    from pyinotify import ExcludeFilter

    excludes = ExcludeFilter([f"{prefix}{regex}" for regex in REGEXES])

    def passes(directory: str, name: str) -> bool:
        return not excludes(f"{directory}/{name}")

    return passes


MAKERS: dict[str, dict[str, Callable[[], Judge]]] = {
    ONCE: {
        OURS: partial(ours, ignore_patterns=GLOBS),
        WATCHDOG: partial(watchdog, "**/"),
        PYINOTIFY: partial(pyinotify, ".*/"),
    },
    PATHS: {
        OURS: partial(ours, ignore_patterns=[f"incoming/**/{glob}" for glob in GLOBS]),
        WATCHDOG: partial(watchdog, f"{ROOT}/incoming/**/"),
        PYINOTIFY: partial(pyinotify, f"{ROOT}/incoming/(.*/)?"),
    },
    SEARCHES: {
        OURS: partial(ours, ignore_regexes=[f"/{regex}" for regex in REGEXES]),
        PYINOTIFY: partial(pyinotify, ".*/"),
    },
}
MAKERS[AGAIN] = MAKERS[ONCE]
TABLES = (ONCE, AGAIN, PATHS, SEARCHES)


def measure(table: str, peer: str, files: int) -> Measured:
    """Ask a new filter about the events of `files` files, and take off what asking costs."""
    times = 4 if table == AGAIN else 1
    events = [event for event in names(files) for _ in range(times)]
    idle, _ = ask(lambda directory, name: bool(f"{directory}/{name}"), events)
    spent, passed = ask(MAKERS[table][peer](), events)
    return {"us": (spent - idle) / len(events) * 1e6, "percent": passed / len(events) * 100}


def names(files: int) -> Iterator[tuple[str, str]]:
    """Yield directory and name of each file; one of ten is temporary."""
    for number in range(files):
        suffix = "tmp" if number % 10 == 0 else "csv"
        yield f"{ROOT}/incoming/customer{number % DIRECTORIES:02}", f"upload-{number}.{suffix}"


def ask(judge: Judge, events: Sequence[tuple[str, str]]) -> tuple[float, int]:
    """Return the CPU seconds that judging `events` takes, and how many pass."""
    start = time.process_time()
    passed = sum(starmap(judge, events))
    return time.process_time() - start, passed


@contextlib.contextmanager
def cases(quick: bool) -> Iterator[Sequence[Case]]:
    """Give every filter; watchdog's gets fewer files, as it takes long."""
    files = FILES // 10 if quick else FILES
    yield [
        Case(table, peer, partial(measure, table, peer, files // 20 if peer == WATCHDOG else files))
        for table in TABLES
        for peer in MAKERS[table]
    ]


def goals(results: Results) -> Sequence[Goal]:
    """Hold ten globs against a microsecond, and against watchdog."""
    found = [
        Goal(f"CPU per event, µs. {table}", results[table][OURS].median("us"), 1)
        for table in (ONCE, AGAIN, PATHS)
    ]
    ratio = results[ONCE][WATCHDOG].median("us") / results[ONCE][OURS].median("us")
    text = "CPU per event for ten globs of names, watchdog's divided by ours"
    return [*found, Goal(text, ratio, 10, at_least=True)]


BENCHMARK = Benchmark(
    name="filters",
    title="Cost of filters",
    text=(
        f"Events of {FILES:,} files in {DIRECTORIES} directories are judged by ten patterns that "
        "ignore temporary files, which one of ten is. What is counted is the CPU time that judging "
        "takes, all in one process and without any file, less that of a function that only puts "
        "the path together. `django-inotifier` is `PathFilter.judge`, new in each run; `watchdog` "
        "is `match_any_paths`, which its `PatternMatchingEventHandler` calls, for "
        f"{FILES // 20:,} files; `pyinotify` is its `ExcludeFilter`, with ten regular expressions "
        "that mean the same."
    ),
    columns=(
        Column("us", "CPU per event, µs", 2),
        Column("percent", "events passed, %", bare=True),
    ),
    cases=cases,
    goals=goals,
    runs=5,
)
