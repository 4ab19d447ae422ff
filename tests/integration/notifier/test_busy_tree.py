"""Processes that work on a tree as fast as they can, while the keeper follows."""

import os
import random
import subprocess
import sys

import pytest

from tests.integration.notifier.driving import TREE, Threaded, directories

WORK = """
import os, random, shutil, sys
base, seed = sys.argv[1], int(sys.argv[2])
pick = random.Random(seed)
names = "abcd"
def place(depth=3):
    return os.path.join(base, pick.choice(["in", "in", "out"]),
                        *(pick.choice(names) for _ in range(pick.randint(1, depth))))
for _ in range(1500):
    act = pick.randrange(6)
    try:
        if act == 0:
            os.makedirs(place(4))
        elif act == 1:
            with open(place(4), "wb") as file:
                file.write(b"x")
        elif act in (2, 3):
            os.rename(place(), place())
        elif act == 4:
            path = place(4)
            os.makedirs(path)
            with open(os.path.join(path, "file"), "wb") as file:
                file.write(b"x")
        else:
            shutil.rmtree(place())
    except OSError:
        pass
"""


@pytest.fixture
def threaded(tmp_path):
    keeper = Threaded(tmp_path / "mark")
    yield keeper
    keeper.stop()


@pytest.mark.parametrize("attempt", range(int(os.environ.get("INOTIFIER_ATTEMPTS", "3"))))
def test_the_watches_are_the_directories_in_the_end(threaded, tmp_path, attempt):
    root = tmp_path / "in"
    root.mkdir()
    (tmp_path / "out").mkdir()
    threaded.watch(root, **TREE)
    threaded.start()
    seeds = [random.randrange(2**32) for _ in range(2)]
    command = [sys.executable, "-c", WORK, str(tmp_path)]
    workers = [subprocess.Popen([*command, str(seed)]) for seed in seeds]
    for worker in workers:
        assert worker.wait(60) == 0
    threaded.sync()
    if threaded.keeper.overflows:
        pytest.skip("the kernel's queue was full; what was lost then is found by other means")
    mark = str(tmp_path / "mark")
    watched = [path for path in threaded.watched_paths if path != mark]
    assert watched == directories(root), f"seeds {seeds}"
