"""Directories that appear: everything in them is announced, and nothing twice."""

import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from pyinotify import (
    ALL_EVENTS,
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_DONT_FOLLOW,
    IN_MODIFY,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_OPEN,
)

from inotifier import writers
from inotifier.notifier import arrivals
from inotifier.writers import Writers
from tests.integration.notifier.driving import TREE, Threaded, directories

ARRIVALS = IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO

BURST = """
import os, sys
os.chdir(sys.argv[1])
for d in range(200):
    os.makedirs(f"d{d}/s")
    for f in range(20):
        with open(f"d{d}/s/f{f}", "wb", buffering=0) as file:
            file.write(b"x")
"""


def burst(root: Path) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", BURST, str(root)])


def burst_files(root: Path) -> list[str]:
    return sorted(f"{root}/d{d}/s/f{f}" for d in range(200) for f in range(20))


@pytest.fixture
def memory(tmp_path_factory):
    """A directory on tmpfs, where things happen faster."""
    shm = Path("/dev/shm")
    if not shm.is_dir():
        pytest.skip("no /dev/shm here")
    path = shm / f"inotifier-{os.getpid()}"
    path.mkdir()
    yield path
    subprocess.run(["rm", "-rf", path], check=True)


@pytest.fixture
def threaded(tmp_path):
    keeper = Threaded(tmp_path / "mark")
    yield keeper
    keeper.stop()


@pytest.mark.parametrize("attempt", range(3))
@pytest.mark.parametrize("where", ["tmp_path", "memory"])
def test_a_burst_of_nested_directories_is_reported_whole_and_once(
    threaded, request, tmp_path, where, attempt
):
    root = request.getfixturevalue(where) / "root"
    root.mkdir()
    subscription = threaded.watch(root, ARRIVALS, **TREE)
    threaded.start()
    assert burst(root).wait(60) == 0
    threaded.sync()
    seen = threaded.of(subscription)
    assert sorted(seen.created_files) == burst_files(root)
    assert sorted(seen.paths(IN_CLOSE_WRITE)) == burst_files(root)
    assert max(Counter(seen.created).values()) == 1
    assert seen.created.index(f"{root}/d7/s") < seen.created.index(f"{root}/d7/s/f0")


def test_a_burst_handled_late_is_reported_whole_and_once(drive, tmp_path):
    subscription = drive.watch(tmp_path, ARRIVALS, **TREE)
    assert burst(tmp_path).wait(60) == 0
    drive.settle()
    seen = drive.of(subscription)
    assert sorted(seen.created_files) == burst_files(tmp_path)
    assert sorted(seen.paths(IN_CLOSE_WRITE)) == burst_files(tmp_path)
    assert max(Counter(seen.created).values()) == 1


def test_a_file_right_after_its_directories(threaded, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    subscription = threaded.watch(root, ARRIVALS, **TREE)
    threaded.start()
    expected = []
    for number in range(200):
        path = root / f"{number}" / "a" / "b"
        path.mkdir(parents=True)
        path.joinpath("file").write_bytes(b"x")
        expected.append(str(path / "file"))
    threaded.sync()
    seen = threaded.of(subscription)
    assert sorted(seen.created_files) == sorted(expected)
    assert sorted(seen.paths(IN_CLOSE_WRITE)) == sorted(expected)


def test_what_was_there_before_the_watch_is_announced_by_synthetic_events(drive, tmp_path):
    subscription = drive.watch(tmp_path, ARRIVALS, **TREE)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"x")
    drive.settle()
    seen = drive.of(subscription)
    assert seen.pairs == [
        ("IN_CREATE|IN_ISDIR", f"{tmp_path}/a"),
        ("IN_CREATE|IN_ISDIR", f"{tmp_path}/a/b"),
        ("IN_CREATE", f"{tmp_path}/a/b/file"),
        ("IN_CLOSE_WRITE", f"{tmp_path}/a/b/file"),
    ]
    assert [event.synthetic for event in seen] == [False, *["new-directory"] * 3]
    assert all(event.watch is subscription.watch for event in seen)


def test_what_came_after_the_watch_is_announced_by_the_kernel(drive, tmp_path):
    subscription = drive.watch(tmp_path, ARRIVALS, **TREE)
    (tmp_path / "a").mkdir()
    drive.settle()
    (tmp_path / "a" / "file").write_bytes(b"x")
    drive.settle()
    assert [event.synthetic for event in drive.of(subscription)] == [False] * 3


def test_a_file_that_is_being_written_gets_its_close_write_from_the_kernel(drive, tmp_path):
    subscription = drive.watch(tmp_path, ARRIVALS, **TREE)
    (tmp_path / "a").mkdir()
    with (tmp_path / "a" / "file").open("wb") as file:
        file.write(b"x")
        drive.settle()
        assert drive.of(subscription).paths(IN_CLOSE_WRITE) == []
    drive.settle()
    closes = [e for e in drive.of(subscription) if e.mask & IN_CLOSE_WRITE]
    assert [(e.pathname, e.synthetic) for e in closes] == [(f"{tmp_path}/a/file", False)]


def test_a_file_that_is_written_again_is_closed_once_by_us_and_once_by_the_kernel(drive, tmp_path):
    subscription = drive.watch(tmp_path, ARRIVALS, **TREE)
    (tmp_path / "a").mkdir()
    file = tmp_path / "a" / "file"
    file.write_bytes(b"x")
    drive.settle()
    file.write_bytes(b"y")
    drive.settle()
    assert drive.of(subscription).paths(IN_CLOSE_WRITE) == [str(file)] * 2


def make_tree(root: Path, directories: int = 20, files: int = 50) -> list[str]:
    paths = []
    for d in range(directories):
        directory = root / f"d{d}" / "deep"
        directory.mkdir(parents=True)
        for f in range(files):
            (directory / f"f{f}").write_bytes(b"x")
            paths.append(f"d{d}/deep/f{f}")
    return paths


def test_a_tree_that_is_moved_in_is_announced(drive, tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    files = make_tree(outside / "tree")
    subscription = drive.watch(inside, ARRIVALS, **TREE)
    (outside / "tree").rename(inside / "tree")
    drive.settle()
    seen = drive.of(subscription)
    expected = sorted(f"{inside}/tree/{path}" for path in files)
    assert sorted(seen.created_files) == sorted(seen.paths(IN_CLOSE_WRITE)) == expected
    assert seen.pairs[0] == ("IN_MOVED_TO|IN_ISDIR", f"{inside}/tree")
    assert {event.synthetic for event in list(seen)[1:]} == {"new-directory"}
    known = {str(inside), f"{inside}/tree"}
    for path in seen.created:
        assert str(Path(path).parent) in known  # parents before children
        known.add(path)
    first_close = {path: n for n, path in reversed(list(enumerate(seen.paths(IN_CLOSE_WRITE))))}
    assert len(first_close) == 1000
    assert drive.watched_paths == directories(inside)


def test_a_tree_that_is_moved_in_is_announced_without_a_mask_that_sees_the_move(drive, tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    make_tree(outside / "tree", 2, 2)
    subscription = drive.watch(inside, IN_CLOSE_WRITE, **TREE)
    (outside / "tree").rename(inside / "tree")
    drive.settle()
    assert len(drive.of(subscription).paths(IN_CLOSE_WRITE)) == len(drive.of(subscription)) == 4


def test_a_directory_made_under_a_temporary_name_filled_and_renamed(drive, tmp_path):
    subscription = drive.watch(tmp_path, ARRIVALS | IN_MOVED_FROM, **TREE)
    for name in ("one", "two", "three"):
        temporary = tmp_path / f".{name}.tmp"
        temporary.mkdir()
        (temporary / "early").write_bytes(b"x")
        temporary.rename(tmp_path / name)
        (tmp_path / name / "later").write_bytes(b"x")
    drive.settle()
    for name in ("one", "two", "three"):
        (tmp_path / name / "last").write_bytes(b"x")
    drive.settle()
    seen = drive.of(subscription)
    expected = sorted(
        f"{tmp_path}/{name}/{file}"
        for name in ("one", "two", "three")
        for file in ("early", "later", "last")
    )
    assert sorted(seen.created_files) == sorted(seen.paths(IN_CLOSE_WRITE)) == expected


def test_a_file_that_is_renamed_right_after_it_was_listed_is_complete(drive, tmp_path):
    subscription = drive.watch(tmp_path, IN_CLOSE_WRITE, **TREE)
    early = tmp_path / "a" / "early"
    early.parent.mkdir()
    early.write_bytes(b"x")
    drive.before_the_next_fence(lambda: early.rename(tmp_path / "a" / "late"))
    drive.settle()
    assert drive.of(subscription).paths(IN_CLOSE_WRITE) == [str(early)]


def test_a_file_that_is_deleted_right_after_it_was_listed_was_complete(drive, tmp_path):
    subscription = drive.watch(tmp_path, ARRIVALS | IN_DELETE, **TREE)
    file = tmp_path / "a" / "file"
    file.parent.mkdir()
    file.write_bytes(b"x")
    drive.before_the_next_fence(file.unlink)
    drive.settle()
    assert drive.of(subscription).masknames[1:] == ["IN_CREATE", "IN_CLOSE_WRITE", "IN_DELETE"]


def test_a_file_that_is_written_right_after_it_was_listed_is_closed_once(drive, tmp_path):
    subscription = drive.watch(tmp_path, IN_CLOSE_WRITE, **TREE)
    file = tmp_path / "a" / "file"
    file.parent.mkdir()
    file.write_bytes(b"x")
    drive.before_the_next_fence(lambda: file.write_bytes(b"y"))
    drive.settle()
    assert [event.synthetic for event in drive.of(subscription)] == [False]


def test_a_file_that_is_replaced_right_after_it_was_listed_is_created_twice(drive, tmp_path):
    subscription = drive.watch(tmp_path, ARRIVALS | IN_DELETE, **TREE)
    file = tmp_path / "a" / "file"
    file.parent.mkdir()
    file.write_bytes(b"x")

    def replace():
        file.unlink()
        file.write_bytes(b"y")

    drive.before_the_next_fence(replace)
    drive.settle()
    seen = drive.of(subscription)
    again = ["IN_CREATE", "IN_CLOSE_WRITE"]
    assert seen.masknames[1:] == [*again, "IN_DELETE", *again]


def test_other_kinds_of_files_are_announced_as_created_only(drive, tmp_path):
    subscription = drive.watch(tmp_path, ARRIVALS, **TREE)
    (tmp_path / "a").mkdir()
    os.mkfifo(tmp_path / "a" / "fifo")
    (tmp_path / "a" / "link").symlink_to("nowhere")
    drive.settle()
    assert sorted(drive.of(subscription).pairs[1:]) == [
        ("IN_CREATE", f"{tmp_path}/a/fifo"),
        ("IN_CREATE", f"{tmp_path}/a/link"),
    ]


# Our own listing


def test_setting_up_ten_thousand_directories_makes_no_event(drive, tmp_path):
    for outer in range(100):
        for inner in range(99):
            (tmp_path / f"{outer}" / f"{inner}").mkdir(parents=True)
    subscription = drive.watch(tmp_path, ALL_EVENTS, **TREE)
    assert len(drive.watched) == 10_001
    drive.settle()
    assert len(drive.of(subscription)) == 0
    assert drive.keeper.overflows == 0


def test_the_listing_of_a_new_directory_makes_no_event(drive, tmp_path):
    subscription = drive.watch(tmp_path, ALL_EVENTS, **TREE)
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    drive.settle()
    assert drive.of(subscription).masknames == ["IN_CREATE|IN_ISDIR"] * 3


def test_the_listing_of_a_new_directory_makes_no_event_while_its_parent_is_held(drive, tmp_path):
    subscription = drive.watch(tmp_path, ALL_EVENTS, **TREE)
    (tmp_path / "a").mkdir()
    drive.before_the_next_fence((tmp_path / "a" / "b").mkdir)
    drive.settle()
    assert drive.of(subscription).masknames == ["IN_CREATE|IN_ISDIR"] * 2


def test_our_leases_make_no_event(drive, tmp_path):
    subscription = drive.watch(tmp_path, ALL_EVENTS, **TREE)
    (tmp_path / "a").mkdir()
    for number in range(50):
        (tmp_path / "a" / f"{number}").write_bytes(b"x")
    drive.settle()
    assert set(drive.of(subscription).masknames) == {
        "IN_CREATE|IN_ISDIR",
        "IN_CREATE",
        "IN_CLOSE_WRITE",
    }
    assert len(drive.of(subscription)) == 101


def test_what_others_open_is_reported_in_a_new_directory(drive, tmp_path):
    subscription = drive.watch(tmp_path, ALL_EVENTS, **TREE)
    (tmp_path / "a").mkdir()
    drive.settle()
    list((tmp_path / "a").iterdir())
    drive.settle()
    assert drive.of(subscription).paths(IN_OPEN) == [f"{tmp_path}/a"] * 2  # of a and in its parent


def test_a_subscription_to_contents_only_sees_no_arrivals(drive, tmp_path):
    subscription = drive.watch(tmp_path, IN_MODIFY, **TREE)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x")
    drive.settle()
    (tmp_path / "a" / "file").write_bytes(b"y")
    drive.settle()
    assert set(drive.of(subscription).masknames) == {"IN_MODIFY"}


# The directory moves while it is listed


@pytest.fixture
def renaming(monkeypatch, tmp_path):
    """Renames the directory a to b before the first of its files is asked for its writers."""

    def writers_of(path):
        if (tmp_path / "a").exists():
            (tmp_path / "a").rename(tmp_path / "b")
        return writers.writers_of(path)

    monkeypatch.setattr(arrivals, "writers_of", writers_of)


def test_a_file_that_is_written_is_not_complete_in_a_renamed_directory(drive, tmp_path, renaming):
    subscription = drive.watch(tmp_path, ARRIVALS, **TREE)
    (tmp_path / "a").mkdir()
    with (tmp_path / "a" / "file").open("wb") as file:
        drive.settle()
        assert (tmp_path / "b").exists()
        assert not drive.of(subscription).paths(IN_CLOSE_WRITE)
        file.write(b"x")
    drive.settle()
    closes = [e for e in drive.of(subscription) if e.mask & IN_CLOSE_WRITE]
    assert [(e.pathname, e.synthetic) for e in closes] == [(f"{tmp_path}/b/file", False)]


def test_a_file_that_nobody_writes_is_complete_in_a_renamed_directory(drive, tmp_path, renaming):
    subscription = drive.watch(tmp_path, ARRIVALS, **TREE)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x")
    drive.settle()
    assert (tmp_path / "b").exists()
    assert drive.of(subscription).paths(IN_CLOSE_WRITE) == [f"{tmp_path}/b/file"]


@pytest.mark.parametrize("times", [1, 2])
def test_a_directory_that_moves_while_its_watch_is_set(drive, tmp_path, monkeypatch, times):
    """The kernel has found it by its old name, and the watch stands when all was told."""
    add_watch = drive.inotify.add_watch
    names = [tmp_path / name for name in "abc"[: times + 1]]

    def late(path, mask):
        if path != os.fsencode(names[0]) or not names[0].exists():
            return add_watch(path, mask)
        found = os.open(path, os.O_PATH)
        for source, target in pairwise(names):
            source.rename(target)
        try:
            return add_watch(b"/proc/self/fd/%d" % found, mask & ~IN_DONT_FOLLOW)
        finally:
            os.close(found)

    monkeypatch.setattr(drive.inotify, "add_watch", late)
    subscription = drive.watch(tmp_path, ARRIVALS, **TREE)
    names[0].mkdir()
    (names[0] / "file").write_bytes(b"x")
    drive.settle()
    (names[-1] / "later").write_bytes(b"x")
    drive.settle()
    assert drive.of(subscription).paths(IN_CLOSE_WRITE) == [
        f"{names[-1]}/file",
        f"{names[-1]}/later",
    ]


def test_a_file_whose_end_is_told_meanwhile_has_one(drive, tmp_path, monkeypatch):
    subscription = drive.watch(tmp_path, ARRIVALS, **TREE)
    (tmp_path / "a").mkdir()
    file = (tmp_path / "a" / "file").open("wb")

    def writers_of(path):
        if (tmp_path / "a").exists():
            (tmp_path / "a").rename(tmp_path / "b")
            file.write(b"x")
            file.close()
        return writers.writers_of(path)

    monkeypatch.setattr(arrivals, "writers_of", writers_of)
    drive.settle()
    closes = [e for e in drive.of(subscription) if e.mask & IN_CLOSE_WRITE]
    assert [(e.pathname, e.synthetic) for e in closes] == [(f"{tmp_path}/b/file", False)]


def test_a_directory_that_moves_whenever_its_file_is_looked_for(drive, tmp_path, monkeypatch):
    moves = [tmp_path / name for name in "abcdef"]

    def writers_of(path):
        if len(moves) > 1:
            moves.pop(0).rename(moves[0])
        return writers.writers_of(path)

    monkeypatch.setattr(arrivals, "writers_of", writers_of)
    subscription = drive.watch(tmp_path, ARRIVALS, **TREE)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x")
    drive.settle()
    assert drive.of(subscription).paths(IN_CLOSE_WRITE) == [f"{tmp_path}/f/file"]


def test_a_file_that_is_gone_without_a_word_is_forgotten(drive, tmp_path, monkeypatch):
    """As after an overflow, which took the word with it."""
    monkeypatch.setattr(arrivals, "writers_of", lambda path: Writers.GONE)
    subscription = drive.watch(tmp_path, ARRIVALS, **TREE)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x")
    drive.settle()
    assert not drive.of(subscription).paths(IN_CLOSE_WRITE)
    assert not drive.keeper.arrivals.waiting


# Without leases


@pytest.fixture
def no_leases(monkeypatch):
    """As for a user who does not own the files."""
    monkeypatch.setattr(arrivals, "writers_of", lambda path: Writers.UNKNOWN)


def test_without_leases_a_quiet_file_is_complete(drive, tmp_path, no_leases):
    subscription = drive.watch(tmp_path, ARRIVALS, **TREE)
    (tmp_path / "a").mkdir()
    for number in range(20):
        (tmp_path / "a" / f"{number}").write_bytes(b"x")
    drive.settle()
    seen = drive.of(subscription)
    assert len(seen.created_files) == len(seen.paths(IN_CLOSE_WRITE)) == 20
    assert max(Counter(seen.paths(IN_CLOSE_WRITE)).values()) == 1


def test_without_leases_the_kernels_close_write_is_enough(drive, tmp_path, no_leases):
    subscription = drive.watch(tmp_path, ARRIVALS, **TREE)
    (tmp_path / "a").mkdir()
    with (tmp_path / "a" / "file").open("wb") as file:
        file.write(b"x")
        drive.read()
        drive.handle()
    drive.settle()
    closes = [e for e in drive.of(subscription) if e.mask & IN_CLOSE_WRITE]
    assert [e.synthetic for e in closes] == [False]
