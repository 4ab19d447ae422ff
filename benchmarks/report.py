"""The report: figures as tables, and the machine that they were taken on."""

from __future__ import annotations

import datetime
import os
import platform
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from benchmarks.harness import TMPFS, Benchmark, Column, Goal, Results, Series, disk

PEERS = (
    "pyinotify",
    "watchdog",
    "watchfiles",
    "inotify_simple",
    "asyncinotify",
    "pyinotifyd",
    "Django",
    "redis",
)


def report(results: Mapping[Benchmark, Results], command: str, load: float) -> str:
    """Return the whole report as Markdown."""
    goals = [goal for one, result in results.items() for goal in one.goals(result)]
    parts = [
        "# Results",
        f"Written by `{command}`. Figures are medians, with the smallest and the largest of all "
        "runs in brackets, or alone if all runs gave the same. Each run of each reader is a "
        "process of its own; the readers take turns.",
        _machine(load),
        *(["## What must show", _goals(goals)] if goals else []),
        *(_section(one, result) for one, result in results.items()),
    ]
    return "\n\n".join(parts) + "\n"


# The machine


def _machine(load: float) -> str:
    peers = ", ".join(f"{name} {metadata.version(name)}" for name in PEERS)
    rows = {
        "Date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
        "CPU": f"{_field('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores",
        "Memory": f"{int(_field('/proc/meminfo', 'MemTotal').split()[0]) / 1e6:.0f} GB",
        "Kernel": f"Linux {platform.release()}, {platform.machine()}",
        "Load before": f"{load:.2f} (average of one minute)",
        "File systems": f"tmpfs: {_file_system(TMPFS)}; disk: {_file_system(disk())}",
        "inotify": ", ".join(
            f"{one.name} {one.read_text().strip()}"
            for one in sorted(Path("/proc/sys/fs/inotify").iterdir())
        ),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "C compiler": _compiler(),
        "Peers": peers,
    }
    return _table(["", ""], [[key, value] for key, value in rows.items()])


def _field(file: str, name: str) -> str:
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"


def _file_system(path: Path) -> str:
    """Return the type of the file system that `path` is on: of the last mount that holds it."""
    found = "unknown"
    length = -1
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, mount, kind, *_ = line.split()
        if path.resolve().is_relative_to(mount) and len(mount) >= length:
            found, length = kind, len(mount)
    return found


def _compiler() -> str:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return "none"
    shown = subprocess.run(  # noqa: S603
        [compiler, "--version"], capture_output=True, text=True, check=True
    )
    return shown.stdout.splitlines()[0]


# Figures


def _goals(goals: Iterable[Goal]) -> str:
    rows = [
        [
            goal.text,
            f"{goal.value:.2f}",
            f"{'at least' if goal.at_least else 'at most'} {goal.limit:g}",
            "yes" if goal.reached else "no",
        ]
        for goal in goals
    ]
    return _table(["", "measured", "should be", "reached"], rows)


def _section(benchmark: Benchmark, results: Results) -> str:
    parts = [f"## {benchmark.title}", benchmark.text]
    for name, rows in results.items():
        columns = [
            column
            for column in benchmark.columns
            if any(column.key in run for series in rows.values() for run in series.runs)
        ]
        parts.append(f"**{name}**")
        parts.append(
            _table(
                ["", *(column.heading for column in columns), "runs"],
                [_row(peer, series, columns) for peer, series in rows.items()],
            )
        )
        parts += [
            f"{peer}: {count} run(s) failed: {reason}"
            for peer, series in rows.items()
            for reason, count in Counter(series.failures).items()
        ]
    return "\n\n".join(parts)


def _row(peer: str, series: Series, columns: Iterable[Column]) -> list[str]:
    return [peer, *(_cell(series, column) for column in columns), str(len(series.runs))]


def _cell(series: Series, column: Column) -> str:
    numbers = series.numbers(column.key)
    texts = Counter(str(run[column.key]) for run in series.runs if _is_text(run.get(column.key)))
    words = [f"{text} ({n} of {len(series.runs)})" for text, n in texts.items()]
    if len(texts) == 1 and not numbers:
        words = list(texts)
    if numbers:
        words.insert(0, _numbers(series.median(column.key), numbers, column))
    return "; ".join(words) or "-"


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _numbers(middle: float, numbers: list[float], column: Column) -> str:
    def shown(number: float) -> str:
        return f"{number:,.{column.digits}f}"

    if column.bare or shown(min(numbers)) == shown(max(numbers)):
        return shown(middle)
    return f"{shown(middle)} ({shown(min(numbers))} to {shown(max(numbers))})"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
