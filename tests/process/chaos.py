"""A writer makes files by every way while the daemon is killed again and again.

python -m tests.process.chaos [--seed N] [--seeds N] [--files N] [--seconds S] [--keep DIRECTORY]

The promise that is checked: each regular file that is there at the end was delivered at least
once as it is, under its name or one that it had before a rename; and twice only if it was on its
way into the state when a daemon was killed.
"""

import argparse
import itertools
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.process.project import Project, signal_all, succeeded
from tests.waiting import wait_for

READY = "inotifier.event_processors.FileReadySignaler"
EVENTS = "inotifier.event_processors.AllEventsSignaler"

RECEIVERS = """
import json, os, time
from django.conf import settings
from django.dispatch import receiver
from inotifier.event_processors import AllEventsSignaler
from inotifier.signals import file_ready, in_close_write, in_create, in_moved_to

def append(name, event):
    try:
        status = os.lstat(event.pathname)
        state = [status.st_ino, status.st_size, status.st_mtime_ns]
    except OSError:
        state = None
    line = json.dumps([event.pathname, state, time.time(), os.getpid(), event.maskname,
                       event.synthetic])
    path = settings.BASE_DIR / "log" / name
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, b"\\n" + line.encode() + b"\\n")  # apart from one that a kill has torn
        os.fsync(fd)
    finally:
        os.close(fd)

@receiver(file_ready)
def ready(event, **kwargs):
    append("ready", event)

@receiver([in_close_write, in_create, in_moved_to], sender=AllEventsSignaler)
def happened(event, **kwargs):
    if not event.dir:
        append("events", event)
"""

ALIVE = (0.2, 2.0)
"""Seconds that a daemon lives, from its start or from the moment when its watches stand."""

WRITE_INTERVAL = 1.0
"""Seconds after which the state of what was delivered is written."""

MARGIN = 2.0
"""Seconds that the writing may take on a machine that is busy."""

LAST = "the-last-one"

State = tuple[int, int, int]
"""Inode, size and time of change."""


class Delivered(NamedTuple):
    """A line that a receiver has written."""

    path: str
    state: State | None
    time: float
    pid: int
    mask: str
    synthetic: object


@dataclass
class Report:
    """What came of it.

    Attributes:
        seed: of the random choices.
        directory: of the project.
        files: number of files at the end.
        kills: when daemons were killed.
        deliveries: number of deliveries of `file_ready`.
        doubles: deliveries of what had been delivered, as it was.
        seconds: how long it took.
        faults: what should not be, one line each.
        longest: seconds between a delivery that was repeated and the kill that explains it.
    """

    seed: int
    directory: Path
    files: int = 0
    kills: list[float] = field(default_factory=list)
    deliveries: int = 0
    doubles: int = 0
    longest: float = 0.0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {'FAILED' if self.faults else 'ok'}, {self.files} files, "
            f"{len(self.kills)} kills, {self.deliveries} deliveries, {self.doubles} doubles "
            f"(at most {self.longest:.2f} s before a kill), {self.seconds:.1f} s"
        )


class Chaos:
    """One run.

    Args:
        directory: where to make the project.
        seed: of all random choices.
        files: how many files to make.
        seconds: how long the writer takes, at least.
    """

    def __init__(self, directory: Path, seed: int, files: int, seconds: float) -> None:
        self._project = Project(
            directory,
            receivers=RECEIVERS,
            INOTIFIER_WATCH_PATHS=[
                (
                    "incoming",
                    None,
                    READY,
                    {"recursive": True, "initial": "emit", "name": "ready"},
                ),
                (
                    "incoming",
                    "IN_CREATE|IN_CLOSE_WRITE|IN_MOVED_TO",
                    EVENTS,
                    {"recursive": True, "initial": "emit", "name": "events"},
                ),
            ],
        )
        self._outside = directory / "outside"
        self._outside.mkdir()
        self._journal = directory / "journal.json"
        self._random = random.Random(seed)
        self._files, self._seconds = files, seconds
        self._report = Report(seed, directory)
        self._torn = 0  # lines whose writing was cut by a kill

    def run(self) -> Report:
        """Do it, and check what came of it."""
        began = time.monotonic()
        try:
            with self._writer() as writer:
                try:
                    self._kill_again_and_again(writer)
                    self._let_it_finish(writer)
                finally:
                    writer.kill()
        finally:
            self._project.end()
        self._check()
        self._report.seconds = time.monotonic() - began
        return self._report

    def _writer(self) -> "subprocess.Popen[bytes]":
        script = Path(__file__).with_name("chaos_writer.py")
        arguments = (
            self._project.incoming,
            self._outside,
            self._journal,
            self._report.seed,
            self._files,
            self._seconds,
        )
        return subprocess.Popen([sys.executable, str(script), *map(str, arguments)])

    def _kill_again_and_again(self, writer: "subprocess.Popen[bytes]") -> None:
        # The last daemon sees some of the writing, all of it, or none.
        end = time.monotonic() + self._seconds * self._random.uniform(0.8, 1.2)
        while time.monotonic() < end:
            starting = self._project.begin("inotifier_start", stdout=subprocess.DEVNULL)
            if self._random.random() < 0.7:
                starting.wait(60)
            time.sleep(self._random.uniform(*ALIVE))
            self._kill()
            if self._random.random() < 0.3:
                time.sleep(self._random.uniform(0, 0.5))

    def _kill(self) -> None:
        def nothing_left() -> bool:
            signal_all(self._project.processes(), signal.SIGKILL)
            self._project.reap()
            return not self._project.processes()

        wait_for(nothing_left)
        self._report.kills.append(time.time())

    def _let_it_finish(self, writer: "subprocess.Popen[bytes]") -> None:
        pid = self._project.start()
        assert writer.wait(self._seconds * 10 + 60) == 0, "the writer failed"
        wait_for(lambda: self._has_compared(pid), 300)
        # What happened before it is in the queue before it.
        (self._project.incoming / LAST).write_bytes(b"")
        wait_for(lambda: self._is_told(LAST), 300)
        succeeded(self._project.run("inotifier_stop", timeout=300))

    def _has_compared(self, pid: int) -> bool:
        status = self._project.status()
        return status.get("pid") == pid and not status["catching_up"]

    def _is_told(self, name: str) -> bool:
        path = self._project.directory / "log" / "ready"
        return path.exists() and f"/{name}" in path.read_text()[-100_000:]

    # The check

    def _check(self) -> None:
        ready, events = self._delivered("ready"), self._delivered("events")
        files = dict(_regular_files(self._project.incoming))
        self._report.files = len(files)
        self._report.deliveries = len(ready)
        journal = json.loads(self._journal.read_text())
        names = {path: list(_names(path, journal["renames"])) for path in files}
        self._check_missed("ready", files, names, ready)
        self._check_missed("events", files, names, events)
        self._check_doubles(ready, set(journal["remade"]))
        self._check_log()
        if self._torn > len(self._report.kills):
            self._report.faults.append(f"{self._torn} lines of the receivers are torn")

    def _delivered(self, name: str) -> list[Delivered]:
        lines = (self._project.directory / "log" / name).read_text().splitlines()
        found = []
        for line in filter(None, lines):
            try:
                path, state, *rest = json.loads(line)
            except ValueError:
                self._torn += 1
                continue
            found.append(Delivered(path, state and tuple(state), *rest))
        return found

    def _check_missed(
        self,
        kind: str,
        files: dict[str, State],
        names: dict[str, list[str]],
        delivered: Iterable[Delivered],
    ) -> None:
        told = {(one.path, one.state) for one in delivered}
        for path, state in files.items():
            as_it_is = any((name, state) in told for name in names[path])
            # It was there when its event was made, and had moved on when it was delivered.
            on_its_way = kind == "events" and any((name, None) in told for name in names[path][1:])
            if not as_it_is and not on_its_way:
                self._report.faults.append(f"{kind}: never delivered as it is: {path} {state}")

    def _check_doubles(self, delivered: Iterable[Delivered], remade: set[str]) -> None:
        by_content: dict[tuple[str, State], list[Delivered]] = defaultdict(list)
        for one in delivered:
            # The event of a file that was deleted may have been delivered when the new one of the
            # same name was there.
            if one.state is not None and one.path not in remade:
                by_content[one.path, one.state].append(one)
        for several in by_content.values():
            for earlier, later in itertools.pairwise(several):
                self._report.doubles += 1
                self._check_double(earlier, later)

    def _check_double(self, earlier: Delivered, later: Delivered) -> None:
        if earlier.pid == later.pid:
            self._report.faults.append(f"twice by one daemon: {earlier} {later}")
            return
        if earlier.mask == "IN_CREATE" and later.mask == "IN_CLOSE_WRITE":
            return  # it was found complete; the event that says so had not been delivered
        until_kill = min(
            (kill - earlier.time for kill in self._report.kills if kill >= earlier.time),
            default=float("inf"),
        )
        self._report.longest = max(self._report.longest, until_kill)
        if until_kill > WRITE_INTERVAL + MARGIN:
            self._report.faults.append(
                f"twice, and no kill within {until_kill:.2f} s of the first: {earlier} {later}"
            )

    def _check_log(self) -> None:
        for word in ("Traceback", "ERROR", "failed on", "cannot"):
            lines = [line for line in self._project.errors.splitlines() if word in line]
            self._report.faults += [f"in the log: {line}" for line in lines[:3]]


def _regular_files(root: Path) -> Iterator[tuple[str, State]]:
    for directory, _, names in os.walk(root):
        for name in names:
            path = os.path.join(directory, name)  # noqa: PTH118
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode):
                yield path, (status.st_ino, status.st_size, status.st_mtime_ns)


def _names(path: str, renames: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield `path` and the names that the file had before."""
    yield path
    for source, target in reversed(list(renames)):
        if path == target or path.startswith(f"{target}/"):
            path = source + path[len(target) :]
            yield path


def main() -> int:
    """Run for several seeds, and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.process.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="the first one; random if it is not given")
    parser.add_argument("--seeds", type=int, default=20, help="how many, in a row (default: 20)")
    parser.add_argument("--files", type=int, default=20_000, help="to make (default: 20000)")
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="that the writing takes (default: 30)"
    )
    parser.add_argument("--keep", type=Path, help="where to keep what failed")
    options = parser.parse_args()
    first = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    failed = 0
    for seed in range(first, first + options.seeds):
        directory = Path(tempfile.mkdtemp(prefix=f"inotifier-chaos-{seed}-"))
        report = Chaos(directory / "project", seed, options.files, options.seconds).run()
        print(report, flush=True)  # noqa: T201
        for fault in report.faults[:10]:
            print(f"    {fault}", flush=True)  # noqa: T201
        failed += bool(report.faults)
        if report.faults and options.keep:
            shutil.move(directory, options.keep / str(seed))
        else:
            shutil.rmtree(directory)
    print(f"{options.seeds - failed} of {options.seeds} seeds passed")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
