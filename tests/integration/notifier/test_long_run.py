"""What a daemon does for weeks leaves nothing behind."""

import gc
import os
import tracemalloc
from collections.abc import Sized
from pathlib import Path

import pytest
from pyinotify import ALL_EVENTS

from tests.integration.notifier.driving import TREE

pytestmark = pytest.mark.long

ROUNDS = int(os.environ.get("INOTIFIER_ROUNDS", "10000"))
WARM_UP = 5000


def create_and_delete(root, number):
    path = root / f"{number}"
    path.write_bytes(b"x")
    path.unlink()


def rename(root, number):
    (root / f"name{number}").rename(root / f"name{number + 1}")


def rename_a_directory(root, number):
    (root / f"directory{number}").rename(root / f"directory{number + 1}")


def move_away(root, number):
    path = root / "leaving"
    path.mkdir()
    path.rename(root.parent / "outside" / "left")
    (root.parent / "outside" / "left").rmdir()


def make_and_remove_directories(root, number):
    deep = root / f"{number}" / "deep"
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"x")
    (deep / "file").unlink()
    deep.rmdir()
    deep.parent.rmdir()


def sizes(thing, depth=3):
    """The sizes of all collections that belong to `thing`, by their names."""
    found = {}
    for name, value in vars(thing).items():
        if isinstance(value, Sized) and not isinstance(value, (str, bytes)):
            found[name] = len(value)
        elif depth and type(value).__module__.startswith("inotifier"):
            within = {} if name in ("_keeper", "keeper") else sizes(value, depth - 1)
            found.update({f"{name}.{key}": size for key, size in within.items()})
    return found


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize(
    ("act", "share"),
    [
        (create_and_delete, 1),
        (rename, 1),
        (rename_a_directory, 0.3),
        (move_away, 0.3),
        (make_and_remove_directories, 0.1),
    ],
)
def test_memory_and_descriptors_stay_flat(drive, tmp_path, act, share):
    root = tmp_path / "root"
    (root / "directory0" / "sub").mkdir(parents=True)
    (root / "name0").touch()
    (tmp_path / "outside").mkdir()
    drive.watch(root, ALL_EVENTS, **TREE)

    def run(numbers):
        for number in numbers:
            act(root, number)
            if number % 100 == 99:
                drive.settle()
                drive.clear()
        drive.settle()
        drive.clear()
        gc.collect()

    run(range(WARM_UP))  # whatever grows to a limit has grown
    before = sizes(drive.keeper)
    files = descriptors()
    tracemalloc.start()
    try:
        run(range(WARM_UP, WARM_UP + int(ROUNDS * share)))
        snapshot = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    kept = snapshot.filter_traces([tracemalloc.Filter(True, "*/inotifier/*")]).statistics("lineno")
    # What was put in place of what was there before counts as well.
    assert sum(entry.size for entry in kept) < 1_000_000, kept[:5]
    assert descriptors() == files
    assert len(drive.watched) == len(drive.keeper.tree.nodes)
    grown = {name: size for name, size in sizes(drive.keeper).items() if size > before[name] + 5}
    assert grown == {}
