"""Idle: CPU time, writes and memory of the daemon itself while nothing happens."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks.harness import (
    Benchmark,
    Case,
    Column,
    Goal,
    Measured,
    PeerFailed,
    Results,
    directory,
    disk,
    plant,
)

SIZES = (0, 10_000, 100_000)
SECONDS = 60.0
PATIENCE = 600.0
DAEMON = "daemon, one recursive entry that catches up"

SETTINGS = """
SECRET_KEY = "idle"
INSTALLED_APPS = ["inotifier"]
USE_TZ = True
PROJECT_PATH = {home!r}
INOTIFIER_WATCH_PATHS = [{{"path": {top!r}, "recursive": True}}]
"""


def measure(top: Path, seconds: float) -> Measured:
    """Leave a daemon that watches `top` alone for `seconds`, and see what it does."""
    # Not on tmpfs, which has no disk to write to.
    with directory(disk()) as home, running(home, top) as pid:
        before, start = counters(pid), time.monotonic()
        time.sleep(seconds)
        spent = {key: value - before[key] for key, value in counters(pid).items()}
        return {
            "cpu": spent["cpu"] / (time.monotonic() - start) * 100,
            "wakes": spent["wakes"] / (time.monotonic() - start),
            "written": spent["written"],
            "calls": spent["calls"],
            "memory": memory(pid),
        }


@contextlib.contextmanager
def running(home: Path, top: Path) -> Iterator[int]:
    """Run a daemon with its files in `home`, and give its pid once it has nothing left to do."""
    text = SETTINGS.format(home=str(home), top=str(top))
    (home / "idle_settings.py").write_text(text, encoding="utf-8")
    with (home / "output").open("wb") as output:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "django", "inotifier_start", "--foreground"],
            cwd=home,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "idle_settings", "PYTHONPATH": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for_rest(daemon, home)
        yield daemon.pid
    finally:
        daemon.terminate()
        daemon.wait()


def wait_for_rest(daemon: subprocess.Popen[bytes], home: Path) -> None:
    """Return when it has caught up, and has done nothing in a while."""
    deadline = time.monotonic() + PATIENCE
    calm_since, before = time.monotonic(), 0.0
    while time.monotonic() < calm_since + 3:
        if daemon.poll() is not None or time.monotonic() > deadline:
            text = (home / "output").read_text(encoding="utf-8", errors="replace")
            raise PeerFailed(f"no daemon at rest: {text[-500:]}")
        time.sleep(0.1)
        cpu = counters(daemon.pid)["cpu"]
        if cpu - before > 0.005 or is_busy(home):
            calm_since = time.monotonic()
        before = cpu


def is_busy(home: Path) -> bool:
    """Tell whether it starts, or looks for what it missed."""
    try:
        status = json.loads((home / "inotifier.status.json").read_text(encoding="ascii"))
    except FileNotFoundError:
        return True
    return bool(status["catching_up"] or status["queue_depth"])


def counters(pid: int) -> dict[str, float]:
    """Return what the process has used: seconds of CPU, times it slept, bytes and calls written."""
    process = Path("/proc", str(pid))
    io = dict(line.split(": ") for line in (process / "io").read_text().splitlines())
    wakes = 0
    for status in process.glob("task/*/status"):
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        wakes += int(lines["voluntary_ctxt_switches"])
    return {
        "cpu": time.clock_gettime(~pid << 3 | 2),  # as clock_getcpuclockid(3) has it
        "wakes": wakes,
        "written": int(io["write_bytes"]),
        "calls": int(io["syscw"]),
    }


def memory(pid: int) -> float:
    """Return the resident set, in MB (proc(5))."""
    pages = int(Path("/proc", str(pid), "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def heading(size: int) -> str:
    """Return the heading of a table."""
    return f"{size:,} directories below the one that is watched"


@contextlib.contextmanager
def cases(quick: bool) -> Iterator[Sequence[Case]]:
    """Make the trees."""
    with contextlib.ExitStack() as stack:
        found = []
        for size in (0, 1_000) if quick else SIZES:
            top = stack.enter_context(directory())
            plant(top, size)
            found.append(
                Case(heading(size), DAEMON, partial(measure, top, 3 if quick else SECONDS))
            )
        yield found


def goals(results: Results) -> Sequence[Goal]:
    """Hold the largest tree against what nobody notices."""
    table = list(results)[-1]
    row = results[table][DAEMON]
    return [
        Goal(f"CPU of an idle daemon, {table}, %", row.median("cpu"), 0.1),
        Goal(f"Bytes that an idle daemon writes, {table}", row.median("written"), 0),
        Goal(f"Calls of an idle daemon that write, {table}", row.median("calls"), 0),
    ]


BENCHMARK = Benchmark(
    name="idle",
    title="A daemon that has nothing to do",
    text=(
        f"`inotifier_start --foreground` with one recursive entry, and its state on disk, is left "
        f"alone for {SECONDS:g} seconds once it has caught up. CPU is user and system time of all "
        "threads; wake-ups are the times that a thread went to sleep; written is what "
        "/proc/PID/io calls write_bytes, calls its syscw: writes of any kind, to any file. Memory "
        "is the resident set, with Python and Django; the kernel's own for the watches comes on "
        "top."
    ),
    columns=(
        Column("cpu", "CPU, %", 3),
        Column("wakes", "wake-ups per second", 2),
        Column("written", "bytes written", bare=True),
        Column("calls", "calls that write", bare=True),
        Column("memory", "memory, MB", 1),
    ),
    cases=cases,
    goals=goals,
    runs=3,
)
