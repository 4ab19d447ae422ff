"""`FileReadySignaler` with real kernel events, in one directory and in a tree."""

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from inotifier.watches import Watch
from tests.in_process import Receiver, Running
from tests.waiting import wait_for

READY = "inotifier.event_processors.FileReadySignaler"

SLOW_WRITER = """
import sys, time
with open(sys.argv[1], "w") as file:
    for number in range(6):
        file.write("line\\n")
        file.flush()
        time.sleep(0.15)
"""


class Tree:
    """A watched directory `inside`, one that is not, and what was sent."""

    def __init__(self, top: Path, received: Receiver) -> None:
        self.outside = top / "outside"
        self.top = top / "inside"
        self._received = received
        self.running: Running | None = None
        self.inside = self.top
        for path in (self.outside, self.inside):
            path.mkdir()

    @property
    def sent(self) -> list[str]:
        return [str(Path(path).relative_to(self.inside)) for path in self._received.pathnames]

    def file(self, name: str = "file", text: str = "text") -> Path:
        """Return a file that is not in the tree."""
        path = self.outside / name
        path.write_text(text)
        return path


@pytest.fixture
def received():
    with Receiver("file_ready") as receiver:
        yield receiver


@pytest.fixture(params=["flat", "recursive", "below"])
def tree(request, watching, received, tmp_path):
    """Watch a directory, a tree, or what is in a directory of a tree."""
    tree = Tree(tmp_path, received)
    if request.param == "below":
        tree.inside = tree.top / "a" / "b"
        tree.inside.mkdir(parents=True)
    watch = Watch(tree.top, processor=READY, recursive=request.param != "flat")
    tree.running = watching(watch)
    yield tree
    tree.running.stop()
    assert [handler.failed for handler in tree.running.handlers] == [0]


def settled(tree: Tree) -> list[str]:
    tree.running.sync()
    return tree.sent


def test_a_written_file_is_sent_once(tree):
    (tree.inside / "x").write_text("text")
    assert settled(tree) == ["x"]


def test_an_empty_file_is_sent_once(tree):
    (tree.inside / "x").touch()
    assert settled(tree) == ["x"]


def test_a_slow_writer_is_waited_for(tree):
    path = tree.inside / "x"
    with subprocess.Popen([sys.executable, "-c", SLOW_WRITER, path]) as writer:
        wait_for(lambda: path.exists() and path.stat().st_size > 5)
        assert settled(tree) == []
        assert writer.wait(30) == 0
    assert settled(tree) == ["x"]
    assert path.stat().st_size == 30


def test_a_touch_is_no_change(tree):
    path = tree.inside / "x"
    path.write_text("text")
    assert settled(tree) == ["x"]
    path.touch()
    path.touch()
    assert settled(tree) == ["x"]


def test_a_changed_file_is_sent_again(tree):
    path = tree.inside / "x"
    path.write_text("text")
    assert settled(tree) == ["x"]
    with path.open("a") as file:
        file.write("more")
    assert settled(tree) == ["x", "x"]
    os.truncate(path, 2)
    wait_for(lambda: settled(tree) == ["x"] * 3)
    path.write_text("")
    assert settled(tree) == ["x"] * 4


def test_a_hard_link_is_sent_once(tree):
    (tree.inside / "x").hardlink_to(tree.file())
    assert settled(tree) == ["x"]


def test_a_hard_link_within_the_tree_is_another_file(tree):
    (tree.inside / "x").write_text("text")
    (tree.inside / "y").hardlink_to(tree.inside / "x")
    assert settled(tree) == ["x", "y"]


def test_a_symbolic_link_is_sent_once(tree):
    (tree.inside / "x").symlink_to(tree.file())
    (tree.inside / "nothing").symlink_to("nowhere")
    (tree.inside / "directory").symlink_to(tree.outside)
    assert settled(tree) == ["x"]


def test_a_file_from_elsewhere_is_sent_once(tree):
    tree.file().rename(tree.inside / "x")
    assert settled(tree) == ["x"]


def test_a_file_from_elsewhere_that_is_still_written_is_waited_for(tree):
    path = tree.outside / "x"
    with path.open("w") as file:
        path.rename(tree.inside / "x")
        assert settled(tree) == []
        file.write("text")
    assert settled(tree) == ["x"]


def test_a_temporary_name_is_not_sent(tree):
    (tree.inside / "x.part").write_text("text")
    assert settled(tree) == []
    (tree.inside / "x.part").rename(tree.inside / "x")
    assert settled(tree) == ["x"]


def test_a_rename_is_no_second_file(tree):
    (tree.inside / "x").write_text("text")
    (tree.inside / "x").rename(tree.inside / "y")
    (tree.inside / "y").rename(tree.inside / "z")
    assert len(settled(tree)) == 1


def test_a_replaced_file_is_sent_again(tree):
    (tree.inside / "x").write_text("text")
    assert settled(tree) == ["x"]
    tree.file(text="other").rename(tree.inside / "x")
    assert settled(tree) == ["x", "x"]


def test_a_deleted_file_is_not_sent(tree):
    for number in range(20):
        path = tree.inside / f"{number}"
        with path.open("w"):
            path.unlink()
    assert settled(tree) == []


def test_fifos_are_not_files(tree):
    os.mkfifo(tree.inside / "x")
    assert settled(tree) == []


@pytest.mark.parametrize("recursive", [False, True])
def test_a_file_that_gets_its_name_last_is_sent_once(watching, received, tmp_path, recursive):
    running = watching(Watch(tmp_path, processor=READY, recursive=recursive))
    descriptor = os.open(tmp_path, os.O_TMPFILE | os.O_WRONLY)
    os.write(descriptor, b"text")
    name = f"/proc/self/fd/{descriptor}"
    os.link(name, tmp_path / "x", src_dir_fd=descriptor, follow_symlinks=True)
    os.close(descriptor)
    wait_for(lambda: received.pathnames)
    running.sync()
    assert received.pathnames == [str(tmp_path / "x")]


# Directories.


@pytest.fixture
def recursive(watching, received, tmp_path):
    tree = Tree(tmp_path, received)
    tree.running = watching(Watch(tree.top, processor=READY, recursive=True))
    yield tree
    tree.running.stop()
    assert [handler.failed for handler in tree.running.handlers] == [0]


def test_files_of_a_directory_from_elsewhere_are_sent_once(recursive):
    below = recursive.outside / "d" / "e"
    below.mkdir(parents=True)
    names = [f"d/e/{number}" for number in range(20)]
    for name in names:
        (recursive.outside / name).write_text(name)
    (recursive.outside / "d").rename(recursive.inside / "d")
    wait_for(lambda: len(recursive.sent) >= len(names))
    assert Counter(settled(recursive)) == Counter(names)


def test_files_of_a_renamed_directory_are_not_new(recursive):
    (recursive.inside / "d").mkdir()
    (recursive.inside / "d" / "x").write_text("text")
    (recursive.inside / "d" / "y").write_text("text")
    wait_for(lambda: len(recursive.sent) == 2)
    (recursive.inside / "d").rename(recursive.inside / "e")
    recursive.running.sync()
    (recursive.inside / "e" / "x").rename(recursive.inside / "z")
    (recursive.inside / "e" / "y").write_text("changed")
    wait_for(lambda: len(recursive.sent) == 3)
    assert sorted(settled(recursive)) == ["d/x", "d/y", "e/y"]


def test_a_directory_may_be_renamed_while_its_file_is_written(recursive):
    (recursive.inside / "d").mkdir()
    with (recursive.inside / "d" / "x").open("w") as file:
        recursive.running.sync()
        (recursive.inside / "d").rename(recursive.inside / "e")
        file.write("text")
    wait_for(lambda: recursive.sent == ["e/x"])
    assert settled(recursive) == ["e/x"]


def test_files_in_new_directories_are_sent_once(recursive):
    names = [f"{number}/a/b/x" for number in range(100)]
    for name in names:
        path = recursive.inside / name
        path.parent.mkdir(parents=True)
        path.write_text("text")
    wait_for(lambda: len(recursive.sent) >= len(names))
    assert Counter(settled(recursive)) == Counter(names)


# Options.


def test_a_marked_file_is_sent_for_its_marker(watching, received, tmp_path):
    running = watching(Watch(tmp_path, processor=READY, options={"marker": ".done"}))
    (tmp_path / "x").write_text("text")
    running.sync()
    assert received.pathnames == []
    (tmp_path / "x.done").touch()
    (tmp_path / "y.done").touch()
    (tmp_path / "y").write_text("text")
    running.stop()
    assert received.pathnames == [str(tmp_path / "x"), str(tmp_path / "y")]


def test_many_files_are_sent_once_each(watching, received, tmp_path):
    running = watching(Watch(tmp_path, processor=READY))
    deadline = time.monotonic() + 1
    names = []
    while time.monotonic() < deadline and len(names) < 3000:
        names.append(str(tmp_path / f"{len(names)}"))
        Path(names[-1]).write_text("text")
    running.stop()
    assert received.pathnames == names
