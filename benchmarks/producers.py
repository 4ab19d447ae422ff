"""Work on files, each kind in a process of its own: `python -m benchmarks.producers WHAT ...`."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def fill(top: str, files: str) -> None:
    """Create, open, write to and close `files` files: four events each."""
    for number in range(int(files)):
        Path(top, f"f{number}").write_bytes(b"x")


def create(top: str, files: str, rate: str) -> dict[str, int]:
    """Create `files` empty files, `rate` a second; return the nanosecond before each."""
    times = {}
    start = time.perf_counter()
    for number in range(int(files)):
        name = f"f{number}"
        path = os.path.join(top, name)  # noqa: PTH118 -- nothing slow between clock and create
        time.sleep(max(0.0, start + number / int(rate) - time.perf_counter()))
        before = time.perf_counter_ns()
        fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL)
        os.close(fd)
        times[name] = before
    return times


def burst(top: str, trees: str, files: str) -> None:
    """Make `trees` times dN/s with `files` files of one byte in each, as fast as it goes."""
    for tree in range(int(trees)):
        path = f"{top}/d{tree}/s"
        os.makedirs(path)  # noqa: PTH103 -- as fast as it goes
        for number in range(int(files)):
            with open(f"{path}/f{number}", "wb") as file:  # noqa: PTH123
                file.write(b"x")


def rename(top: str, first: str, count: str) -> int:
    """Rename aFIRST and the following `count` - 1 files to b...; return the nanosecond before."""
    before = time.perf_counter_ns()
    for number in range(int(first), int(first) + int(count)):
        os.rename(f"{top}/a{number}", f"{top}/b{number}")  # noqa: PTH104
    return before


def make_and_rename(top: str, trees: str, files: str) -> None:
    """Make directories .tmp-N, put `files` files into each and rename it to N, at once."""
    for tree in range(int(trees)):
        temporary = Path(top, f".tmp-{tree}")
        temporary.mkdir()
        for number in range(int(files)):
            (temporary / f"early{number}").write_bytes(b"x")
        temporary.rename(Path(top, str(tree)))


WORKS = {work.__name__: work for work in (fill, create, burst, rename, make_and_rename)}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(WORKS[sys.argv[1]](*sys.argv[2:])))
