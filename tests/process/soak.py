"""A daemon under mixed load for a long time: memory, descriptors and threads stay what they are.

python -m tests.process.soak [--minutes M] [--seed N] [--out FILE]

The first half of the time the daemon is reloaded again and again; in the second half it lives on,
so that a leak has time to show, and the kernel's queue overflows now and then. All the time files
are made, renamed and deleted in new directories; receivers fail; tasks wait.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.process.project import Project, succeeded
from tests.waiting import wait_for

EVENTS = "inotifier.event_processors.AllEventsSignaler"
READY = "inotifier.event_processors.FileReadySignaler"

RECEIVERS = """
import os
from django.conf import settings
from django.dispatch import receiver
from inotifier.event_processors import AllEventsSignaler
from inotifier.scheduling import TaskScheduler
from inotifier.signals import file_ready, in_close_write

def append(name, text):
    fd = os.open(settings.BASE_DIR / "log" / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, os.fsencode(text) + b"\\n")
    finally:
        os.close(fd)

@receiver(in_close_write, sender=AllEventsSignaler)
def fail_or_not(event, **kwargs):
    if event.name.startswith("fails"):
        raise ValueError("on purpose")

@receiver(file_ready)
def ready(event, **kwargs):
    if event.name.startswith("kept"):
        append("kept", event.name)

tasks = TaskScheduler(lambda event, task_id: None, delay=2)
"""

ROUND = 1.0
"""Seconds between two beginnings of a round of files."""

FILES = 100
"""Made in each round, and deleted some rounds later."""

ROUNDS_KEPT = 20

SAMPLE = 2.0
"""Seconds between two looks at the daemon."""

WARM = 3
"""Overflows before memory counts: what the first ones take from the system stays."""

GROWTH = 0.03
SLACK = 4 * 2**20
"""Bytes of resident memory, beside `GROWTH` of it, that are no leak: caches, arenas."""


PAGE = """\
Under load for a long time
==========================

A run of ``make soak``: {minutes:g} minutes with Python {python} on {cores} cores. Every second
{files} files are made in new directories, renamed, made to fail, and deleted later; tasks wait for
two seconds. In the first half the daemon is reloaded every ten seconds. In the second half it is
not, and the kernel's queue overflows now and then.

.. list-table::
   :header-rows: 1

   * - Part
     - Memory, MiB: median (least to most)
     - Descriptors
     - Threads"""


@dataclass(frozen=True)
class Sample:
    """What the daemon has.

    Attributes:
        memory: resident, bytes.
        descriptors: number of open ones.
        threads: number of them.
    """

    memory: int
    descriptors: int
    threads: int


@dataclass
class Report:
    """What came of it.

    Attributes:
        minutes: that it took.
        reloaded: samples of the first half, while the daemon was reloaded.
        living: samples of the second half, when it was not.
        counts: what happened how often.
        faults: what should not be, one line each.
    """

    minutes: float
    reloaded: list[Sample] = field(default_factory=list)
    living: list[Sample] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def quarters(self) -> Iterator[tuple[str, list[Sample]]]:
        """Yield the parts of the time, in their order, with a name."""
        half = len(self.living) // 2
        yield "with reloads", self.reloaded
        yield "then, first half", self.living[:half]
        yield "then, second half", self.living[half:]

    def __str__(self) -> str:
        counts = ", ".join(f"{number:,} {name}" for name, number in self.counts.items())
        lines = [f"{'FAILED' if self.faults else 'ok'} after {self.minutes:.1f} minutes: {counts}"]
        lines += [f"  {name}: {_figures(samples)}" for name, samples in self.quarters()]
        return "\n".join([*lines, *(f"  {fault}" for fault in self.faults)])


class Soak:
    """One run.

    Args:
        directory: where to make the project.
        minutes: how long the load lasts.
        seed: of all random choices.
    """

    def __init__(self, directory: Path, minutes: float, seed: int) -> None:
        self._project = Project(
            directory,
            receivers=RECEIVERS,
            INOTIFIER_RETRIES=1,
            INOTIFIER_RETRY_DELAY=0.1,
            INOTIFIER_WATCH_PATHS=[
                ("incoming", "IN_CLOSE_WRITE|IN_DELETE|IN_MOVE", EVENTS, {"recursive": True}),
                ("incoming", None, READY, {"recursive": True, "initial": "emit"}),
                ("incoming", "IN_CREATE", "app.receivers.tasks", {"recursive": True}),
            ],
        )
        self._seconds = minutes * 60
        self._random = random.Random(seed)
        self._report = Report(minutes)
        self._rounds: list[Path] = []
        self._round = 0
        self._kept: set[str] = set()
        self._overflows = 0

    def run(self) -> Report:
        """Do it, and judge what was seen."""
        try:
            self._project.start()
            half = self._seconds / 2
            reloads = self._load(half, self._report.reloaded, self._reload, every=10)
            for _ in range(WARM):
                self._overflow()
            self._load(half, self._report.living, self._overflow, every=half / 5)
            self._finish(reloads)
        finally:
            self._project.end()
        self._judge()
        return self._report

    def _load(
        self, seconds: float, samples: list[Sample], disturb: Callable[[], None], every: float
    ) -> int:
        """Make files for `seconds`, `disturb` now and then, and return how often that was."""
        began = time.monotonic()
        disturbed = 0
        sampled = began
        while (now := time.monotonic() - began) < seconds:
            self._make_files()
            if now >= (disturbed + 1) * every:
                disturb()
                disturbed += 1
            if time.monotonic() - sampled >= SAMPLE:
                samples.append(self._look())
                sampled = time.monotonic()
            time.sleep(max(0.0, now + ROUND - (time.monotonic() - began)))
        return disturbed

    def _make_files(self) -> None:
        self._round += 1
        directory = self._project.incoming / f"round-{self._round}" / "below"
        directory.mkdir(parents=True)
        for number in range(FILES):
            kind = self._random.choice(("plain", "plain", "renamed", "fails"))
            file = directory / f"{kind}-{number}"
            file.write_bytes(b"x" * self._random.randrange(1000))
            if kind == "renamed":
                file.rename(directory / f"new-{number}")
        kept = f"kept-{self._round}"
        (directory / kept).write_text(kept)
        (directory / kept).rename(self._project.incoming / kept)
        self._kept.add(kept)
        self._rounds.append(directory.parent)
        if len(self._rounds) > ROUNDS_KEPT:
            shutil.rmtree(self._rounds.pop(0))

    def _reload(self) -> None:
        self._project.reload()

    def _overflow(self) -> None:
        """Make more events than the kernel's queue holds, while the daemon sleeps."""
        limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
        names = [f"many-{number}" for number in range(limit // 2 + 100)]
        with self._project.paused():
            self._project.drop(*names)
        self._overflows += 1
        wait_for(lambda: self._project.status()["overflows"] >= self._overflows, 60)
        for name in names:
            (self._project.incoming / name).unlink()

    def _look(self) -> Sample:
        pid = self._project.pid
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return Sample(
            pages * os.sysconf("SC_PAGE_SIZE"),
            self._project.descriptors(),
            self._project.threads(),
        )

    def _finish(self, reloads: int) -> None:
        self._project.caught_up()
        kept = self._project.directory / "log" / "kept"
        wait_for(lambda: kept.exists() and self._kept <= set(kept.read_text().split()), 120)
        status = self._project.status()
        succeeded(self._project.run("inotifier_stop", timeout=120))
        self._report.counts = {
            "files": self._round * (FILES + 1),
            "events delivered since the last reload": sum(
                entry["delivered"] for entry in status["entries"]
            ),
            "failures": sum(entry["failed"] for entry in status["entries"]),
            "overflows": status["overflows"],
            "reloads": reloads,
        }
        told = kept.read_text().split()
        if len(told) != len(set(told)):
            self._report.faults.append("a file was told of twice")

    def _judge(self) -> None:
        (_, reloaded), (_, before), (_, after) = self._report.quarters()
        memory = median(one.memory for one in before)
        grown = median(one.memory for one in after) - memory
        if grown > memory * GROWTH + SLACK:
            self._report.faults.append(f"memory has grown by {grown / 2**20:.1f} MiB")
        most = max(one.descriptors for one in reloaded + before)
        if median(one.descriptors for one in after) > most:
            self._report.faults.append("there are more descriptors than before")
        if median(one.threads for one in after) > max(one.threads for one in reloaded + before):
            self._report.faults.append("there are more threads than before")
        for line in self._project.errors.splitlines():
            if "thread of the daemon has died" in line:
                self._report.faults.append(line)


def _figures(samples: list[Sample]) -> str:
    memory = [one.memory / 2**20 for one in samples]
    return (
        f"{median(memory):.1f} MiB ({min(memory):.1f} to {max(memory):.1f}), "
        f"{_range(one.descriptors for one in samples)} descriptors, "
        f"{_range(one.threads for one in samples)} threads"
    )


def _range(numbers: Iterator[int]) -> str:
    found = sorted(numbers)
    return f"{found[0]}" if found[0] == found[-1] else f"{found[0]} to {found[-1]}"


def page(report: Report) -> str:
    """Return the report as a page of the documentation."""
    lines = [
        PAGE.format(
            minutes=report.minutes,
            python=platform.python_version(),
            cores=os.cpu_count(),
            files=FILES,
        )
    ]
    for name, samples in report.quarters():
        memory = [one.memory / 2**20 for one in samples]
        lines += [
            f"   * - {name}",
            f"     - {median(memory):.1f} ({min(memory):.1f} to {max(memory):.1f})",
            f"     - {_range(one.descriptors for one in samples)}",
            f"     - {_range(one.threads for one in samples)}",
        ]
    counts = [f"* {number:,} {name}" for name, number in report.counts.items()]
    return "\n".join([*lines, "", *counts, ""])


def main() -> int:
    """Run, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.process.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="of load (default: 30)")
    parser.add_argument("--seed", type=int, default=1, help="of the random choices (default: 1)")
    parser.add_argument("--out", type=Path, help="where to write the report, if all is well")
    options = parser.parse_args()
    # So that the daemon ends as well.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="inotifier-soak-") as directory:
        report = Soak(Path(directory) / "project", options.minutes, options.seed).run()
    print(report, flush=True)  # noqa: T201
    if options.out and not report.faults:
        options.out.write_text(page(report), encoding="utf-8")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
