"""What the benchmarks share: sub-processes that read, programs in C, places, and statistics."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import IO, Any, Self

from benchmarks.peers import C

ROOT = Path(__file__).resolve().parents[1]
TMPFS = Path("/dev/shm")  # noqa: S108 -- each run makes a directory of its own there
QUIET = 0.5
"""Seconds of silence after which nothing more is expected."""
QUIET_WATCHFILES = 2.5
"""The same for watchfiles, which collects changes for 1.6 seconds."""


class PeerFailed(Exception):
    """A peer crashed, or gave no answer in time."""


# Programs in C


def compiled(name: str) -> Path:
    """Return the program made of `name`.c by the C compiler of this machine."""
    program = _builds() / name
    if not program.exists():
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            raise SystemExit("the benchmarks need a C compiler: install gcc")
        source = Path(__file__).with_name(f"{name}.c")
        subprocess.run([compiler, "-O2", "-o", program, source], check=True)  # noqa: S603
    return program


_build_directory: list[tempfile.TemporaryDirectory[str]] = []


def _builds() -> Path:
    if not _build_directory:
        _build_directory.append(tempfile.TemporaryDirectory(prefix="inotifier-bench-"))
    return Path(_build_directory[0].name)


# Sub-processes


def apart(module: str, *arguments: object) -> Measured:
    """Return what `module` of the benchmarks prints as JSON, run in a process of its own."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, check=False)  # noqa: S603
    if done.returncode:
        raise PeerFailed(done.stderr.decode(errors="replace")[-500:])
    answer: Measured = json.loads(done.stdout)
    return answer


def most_memory() -> int:
    """Return the most memory that the process has had, in bytes (getrusage(2))."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def of_files(size: int) -> str:
    """Return the heading of a table of `size` files."""
    return f"{size:,} files"


class Lines:
    """The lines of JSON that a sub-process prints."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._fd = stream.fileno()
        self._rest = b""

    def waiting(self, seconds: float) -> bool:
        """Tell whether there is something to read, within `seconds`."""
        return bool(self._rest or select.select([self._fd], [], [], seconds)[0])

    def next(self, timeout: float) -> dict[str, Any] | None:
        """Return the next line; None if the sub-process ends or is silent for `timeout` seconds."""
        end = time.monotonic() + timeout
        while b"\n" not in self._rest:
            if not select.select([self._fd], [], [], max(0.0, end - time.monotonic()))[0]:
                return None
            read = os.read(self._fd, 1 << 20)
            if not read:
                return None
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Reader:
    """A sub-process in which one peer watches `path`; a context manager that ends it.

    Args:
        peer: a name of `benchmarks.peers`.
        path: what it watches.
        mask: the events.
        recursive: whether all below is watched too.
        record: "count", "last" or "events", see `benchmarks.reader`.
        stop_at_overflow: whether it tells at once that the kernel's queue was full.
        timeout: seconds that setting the watches may take.

    Attributes:
        standing: what setting the watches took: "seconds", "cpu" seconds, "bytes" of memory.
    """

    def __init__(
        self,
        peer: str,
        path: Path,
        mask: int,
        *,
        recursive: bool = False,
        record: str = "count",
        stop_at_overflow: bool = False,
        timeout: float = 60,
    ) -> None:
        self._peer = peer
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 -- close() closes it
        self._process = subprocess.Popen(  # noqa: S603
            _command(peer, path, mask, recursive, record, stop_at_overflow),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=ROOT,
        )
        assert self._process.stdout  # noqa: S101
        self.lines = Lines(self._process.stdout)
        try:
            self.standing = self._answer(timeout)
        except PeerFailed:
            self.close()
            raise

    def ask(
        self, expected: int | None = None, *, quiet: float = QUIET, timeout: float = 60
    ) -> dict[str, Any]:
        """Return what was recorded, once there are `expected` events or `quiet` seconds of silence.

        Returns:
            "count" of all events; "cpu" seconds since the last answer; "now", the time of the
            last event by the monotonic clock; "overflows"; "peak" memory in bytes; "events" as
            [nanoseconds, kind, path] since the last answer.

        Raises:
            PeerFailed: it ended, or took more than `timeout` seconds.
        """
        self.put_question(expected, quiet=quiet)
        return self._answer(timeout)

    def put_question(self, expected: int | None, *, quiet: float = QUIET) -> None:
        """Put the question that `wait` waits for."""
        assert self._process.stdin  # noqa: S101
        if self._peer.startswith("watchfiles"):
            quiet = max(quiet, QUIET_WATCHFILES)
        line = f"{-1 if expected is None else expected} {quiet}\n"
        with contextlib.suppress(BrokenPipeError):  # the missing answer tells
            os.write(self._process.stdin.fileno(), line.encode())

    def wait(self, timeout: float = 60) -> dict[str, Any]:
        """Return the answer."""
        return self._answer(timeout)

    def _answer(self, timeout: float) -> dict[str, Any]:
        answer = self.lines.next(timeout)
        while answer is not None and "overflow" in answer:
            answer = self.lines.next(timeout)
        if answer is None:
            raise PeerFailed(self._reason())
        return answer

    def _reason(self) -> str:
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            return "no answer in time"
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - 4000))
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"ended with {self._process.returncode}"

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Keep the sub-process from running for a while, so that the kernel's queue fills."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the sub-process."""
        assert self._process.stdin  # noqa: S101
        assert self._process.stdout  # noqa: S101
        self._process.stdin.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _command(
    peer: str, path: Path, mask: int, recursive: bool, record: str, stop_at_overflow: bool
) -> list[str | Path]:
    if peer == C:
        flags = [str(int(recursive)), str(int(record == "events"))]
        return [compiled("reader"), path, str(mask), *flags]
    order = {
        "peer": peer,
        "path": str(path),
        "mask": mask,
        "recursive": recursive,
        "record": record,
        "stop_at_overflow": stop_at_overflow,
    }
    return [sys.executable, "-m", "benchmarks.reader", json.dumps(order)]


def produce(what: str, *args: object, timeout: float = 60) -> Any:
    """Run a function of `benchmarks.producers` in a process of its own; return what it printed."""
    command = [sys.executable, "-m", "benchmarks.producers", what, *map(str, args)]
    done = subprocess.run(  # noqa: S603
        command, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=timeout
    )
    return json.loads(done.stdout or "null")


# Places


def disk() -> Path:
    """Return the directory for temporary files, which is on a disk unless the user says so."""
    return Path(tempfile.gettempdir())


@contextlib.contextmanager
def directory(place: Path = TMPFS) -> Iterator[Path]:
    """Make an empty directory, and remove it with all that is in it."""
    path = Path(tempfile.mkdtemp(prefix="inotifier-bench-", dir=place))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def plant(top: Path, size: int) -> None:
    """Make `size` directories below `top`: each hundredth holds the 99 that follow."""
    for number in range(size):
        branch = f"d{number // 100:05}"
        (top / branch / f"s{number % 100:02}" if number % 100 else top / branch).mkdir()


# Results

Measured = Mapping[str, float | str]


@dataclass(frozen=True)
class Case:
    """One row of a table, measured `runs` times.

    Attributes:
        table: heading of its table.
        name: the peer.
        measure: makes one run and returns its figures by column.
        runs: how often, if not as often as the benchmark says.
    """

    table: str
    name: str
    measure: Callable[[], Measured]
    runs: int | None = None


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        key: of the figure.
        heading: with the unit.
        digits: behind the point.
        bare: True to show the median alone.
    """

    key: str
    heading: str
    digits: int = 0
    bare: bool = False


@dataclass
class Series:
    """What the runs of one case gave."""

    runs: list[Measured] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def numbers(self, key: str) -> list[float]:
        """Return the figures of one column, of the runs that have one."""
        values = (run.get(key) for run in self.runs)
        return [value for value in values if isinstance(value, (int, float))]

    def median(self, key: str) -> float:
        """Return the median of one column, NaN if there is none."""
        return median(self.numbers(key) or [float("nan")])


Results = dict[str, dict[str, Series]]
"""By table and case."""


@dataclass(frozen=True)
class Goal:
    """What must show: a figure, and what it is held against.

    Attributes:
        text: what it is.
        value: as measured; NaN if it was not.
        limit: what it should reach.
        at_least: True if more is better.
    """

    text: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def reached(self) -> bool:
        """Whether it is as it should be."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
        name: what it is called by.
        title: heading in the report.
        text: what is measured, and how.
        columns: of its tables.
        cases: context manager; takes whether it is to be quick, gives the cases, cleans up.
        goals: takes the results.
        runs: how often each case is measured.
    """

    name: str
    title: str
    text: str
    columns: Sequence[Column]
    cases: Callable[[bool], AbstractContextManager[Sequence[Case]]]
    goals: Callable[[Results], Sequence[Goal]]
    runs: int = 5
