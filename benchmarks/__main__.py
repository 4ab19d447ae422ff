"""Runs the benchmarks and writes the report."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import (
    arrivals,
    bridge,
    cost,
    filters,
    idle,
    latency,
    moves,
    nested,
    polling,
    rate,
    recovery,
    setup,
    tasks,
)
from benchmarks.harness import Case, PeerFailed, Results, Series
from benchmarks.report import report

BENCHMARKS = {
    module.BENCHMARK.name: module.BENCHMARK
    for module in (
        cost,
        filters,
        rate,
        latency,
        setup,
        nested,
        moves,
        arrivals,
        recovery,
        polling,
        tasks,
        bridge,
        idle,
    )
}


def main() -> None:
    """Do what the command line says."""
    options = parser().parse_args()
    load = os.getloadavg()[0]
    start = time.monotonic()
    results = {}
    for name in options.names or BENCHMARKS:
        benchmark = BENCHMARKS[name]
        runs = options.runs or (1 if options.quick else benchmark.runs)
        with benchmark.cases(options.quick) as cases:
            results[benchmark] = run(name, cases, runs, start)
    command = " ".join(["python -m benchmarks", *sys.argv[1:]])
    text = report(results, command, load)
    if options.out == Path("-"):
        sys.stdout.write(text)
    else:
        options.out.write_text(text, encoding="utf-8")
    say(f"{time.monotonic() - start:.0f} seconds\n")


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    found = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    found.add_argument(
        "names", nargs="*", metavar="NAME", help=f"all of {', '.join(BENCHMARKS)} if none is given"
    )
    found.add_argument("--runs", type=int, help="of each case, instead of each benchmark's own")
    found.add_argument("--quick", action="store_true", help="once, small: to see that it works")
    found.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).with_name("RESULTS.md"),
        help="where the report goes; - for standard output",
    )
    return found


def run(name: str, cases: Sequence[Case], runs: int, start: float) -> Results:
    """Measure every case `runs` times, the cases taking turns; all began at `start`."""
    results: Results = {}
    for case in cases:
        results.setdefault(case.table, {})[case.name] = Series()
    for number, case in turns(cases, runs):
        spent = time.monotonic() - start
        say(f"{spent:4.0f} s  {name}, run {number + 1}: {case.table}: {case.name}\n")
        series = results[case.table][case.name]
        try:
            series.runs.append(case.measure())
        except PeerFailed as exc:
            series.failures.append(str(exc))
    return results


def turns(cases: Sequence[Case], runs: int) -> Iterator[tuple[int, Case]]:
    """Yield A B C A B C ..., each case as often as it wants."""
    most = max((case.runs or runs for case in cases), default=0)
    for number in range(most):
        for case in cases:
            if number < (case.runs or runs):
                yield number, case


def say(text: str) -> None:
    """Show how far it is."""
    sys.stderr.write(text)
    sys.stderr.flush()


if __name__ == "__main__":
    main()
