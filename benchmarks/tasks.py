"""Tasks: memory of those that wait, and time to schedule, re-schedule and cancel one."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import (
    ROOT,
    Benchmark,
    Case,
    Column,
    Goal,
    Measured,
    PeerFailed,
    Results,
    directory,
)

TASKS = 100_000
FILES_OF_A_DIRECTORY = 100
DELAY = 3600
SCHEDULER, ENTRY, PYINOTIFYD = (
    "django-inotifier, scheduler",
    "django-inotifier, entry with state",
    "pyinotifyd",
)

Process = Callable[[Any], object]


def measure(reader: str, top: Path, size: int) -> Measured:
    """Measure `reader` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.tasks", reader, str(top), str(size)]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, check=False)  # noqa: S603
    if done.returncode:
        raise PeerFailed(done.stderr.decode(errors="replace")[-500:])
    answer: Measured = json.loads(done.stdout)
    return answer


def plant(top: Path, size: int) -> None:
    """Make `size` files."""
    for number in range(size):
        path = _path(top, number)
        path.parent.mkdir(exist_ok=True)
        path.touch()


def _path(top: Path, number: int) -> Path:
    return top / f"d{number // FILES_OF_A_DIRECTORY:05}" / f"upload-{number:06}.csv"


def events(top: Path, size: int, mask: int) -> Iterator[Any]:
    """Yield an event of each file, with the text of its directory shared as in the daemon."""
    from inotifier.events import Event

    path = ""
    for number in range(size):
        if number % FILES_OF_A_DIRECTORY == 0:
            path = str(_path(top, number).parent)
        yield Event(mask=mask, path=path, name=f"upload-{number:06}.csv")


def job(event: Any, task_id: str) -> None:
    """Do nothing."""


async def coroutine(event: Any, task_id: str) -> None:
    """Do nothing."""


# Each calls `take` with what schedules an event, and what cancels one.

Take = Callable[[Process, Process], None]


def scheduler(top: Path, take: Take) -> None:
    """Use a scheduler alone."""
    from django.conf import settings

    settings.configure()
    from inotifier.scheduling import TaskScheduler

    one = TaskScheduler(job, delay=DELAY)
    take(one, one.cancel)


def entry(top: Path, take: Take) -> None:
    """Use an entry of the daemon, which counts what is pending, and keeps what was delivered."""
    from django.conf import settings

    place = top.parent / f"{top.name}-state"
    settings.configure(
        INOTIFIER_WATCH_PATHS=[
            {
                "path": top,
                "processor": "inotifier.scheduling.EventMap",
                "options": {
                    "schedulers": {
                        "tasks": {
                            "processor": "inotifier.scheduling.TaskScheduler",
                            "options": {"job": "benchmarks.tasks.job", "delay": DELAY},
                        }
                    },
                    "event_map": {"IN_CLOSE_WRITE": "tasks", "IN_ATTRIB": {"cancel": "tasks"}},
                },
                "recursive": True,
            }
        ]
    )
    import django

    django.setup()
    from inotifier.events import IN_ATTRIB, IN_CLOSE_WRITE
    from inotifier.service import make_handlers
    from inotifier.state import State
    from inotifier.watches import load

    state = State(place)
    state.open()
    try:
        [handler] = make_handlers(load(), state)

        def cancel(event: Any) -> None:
            event.mask = IN_ATTRIB
            handler.attempt(event)
            event.mask = IN_CLOSE_WRITE

        take(handler.attempt, cancel)
    finally:
        state.close()
        for file in place.parent.glob(f"{place.name}*"):
            file.unlink()


def peer(top: Path, take: Take) -> None:
    """Use pyinotifyd's scheduler as its `EventMap` does: a task of the event loop for each event.

    The loop gets its turn after every hundred.
    """
    import pyinotifyd

    one = pyinotifyd.TaskScheduler(coroutine, delay=DELAY)
    loop = asyncio.new_event_loop()
    begun: list[asyncio.Task[Any]] = []

    def process(event: Any, call: Callable[[Any], Awaitable[Any]]) -> None:
        begun.append(loop.create_task(call(event)))  # type: ignore[arg-type]
        if len(begun) == FILES_OF_A_DIRECTORY:
            begun.clear()
            for _ in range(3):
                loop.run_until_complete(asyncio.sleep(0))

    take(partial(process, call=one.process_event), partial(process, call=one.process_cancel_event))
    # What waits still would be warned of one by one.
    sys.stdout.flush()
    os._exit(0)


READERS = {SCHEDULER: scheduler, ENTRY: entry, PYINOTIFYD: peer}


def act(top: Path, size: int, process: Process, cancel: Process) -> None:
    """Schedule a task for each file, re-schedule and cancel it, and print what that took."""
    from inotifier.events import IN_CLOSE_WRITE

    for event in events(top.with_name("warm"), FILES_OF_A_DIRECTORY, IN_CLOSE_WRITE):
        process(event)
    gc.collect()
    memory = _memory()
    measured = {"schedule": _timed(process, events(top, size, IN_CLOSE_WRITE), size)}
    gc.collect()
    measured["memory"] = (_memory() - memory) / 1e6
    measured["again"] = _timed(process, list(events(top, size, IN_CLOSE_WRITE)), size)
    measured["cancel"] = _timed(cancel, list(events(top, size, IN_CLOSE_WRITE)), size)
    sys.stdout.write(json.dumps(measured))


def _timed(call: Process, those: Iterator[Any] | list[Any], size: int) -> float:
    """Return the microseconds of CPU time that a call takes."""
    begin = time.process_time()
    for event in those:
        call(event)
    return (time.process_time() - begin) / size * 1e6


def _memory() -> int:
    """Return the resident set of this process, in bytes (proc(5))."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def cases(quick: bool) -> Iterator[Sequence[Case]]:
    """Give every reader, with files that are there."""
    size = TASKS // 100 if quick else TASKS
    with directory() as top:
        plant(top, size)
        yield [
            Case(f"{size:,} tasks", reader, partial(measure, reader, top, size))
            for reader in READERS
        ]


def goals(results: Results) -> Sequence[Goal]:
    """Hold memory and re-scheduling against what they may be."""
    [(table, rows)] = results.items()
    return [
        Goal(
            f"Memory of {table} that wait, MB",
            rows[SCHEDULER].median("memory"),
            100,
        ),
        Goal("Time to re-schedule a task, µs", rows[SCHEDULER].median("again"), 10),
    ]


BENCHMARK = Benchmark(
    name="tasks",
    title="Tasks that wait",
    text=(
        "A task is scheduled for each file, re-scheduled by a second event, and cancelled. CPU "
        "time of the whole process; that of scheduling has the making of its event in it, and "
        "memory is the growth of the resident set while they wait, with their events. `entry with "
        "state` is all that the daemon does with an event from its queue on: what is pending is "
        "counted, and nothing recorded."
    ),
    columns=(
        Column("memory", "memory, MB", 1),
        Column("schedule", "schedule, µs", 2),
        Column("again", "re-schedule, µs", 2),
        Column("cancel", "cancel, µs", 2),
    ),
    cases=cases,
    goals=goals,
    runs=3,
)

if __name__ == "__main__":
    name, place, number = sys.argv[1:]
    READERS[name](Path(place), partial(act, Path(place), int(number)))
