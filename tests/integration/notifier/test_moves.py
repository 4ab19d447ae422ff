"""Renames of directories and files, within, between, into and out of what is watched."""

from pathlib import Path

import pytest
from pyinotify import (
    ALL_EVENTS,
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_MOVED_FROM,
    IN_MOVED_TO,
)

from tests.integration.notifier.driving import TREE, directories

MOVES = IN_MOVED_FROM | IN_MOVED_TO


@pytest.fixture
def two(tmp_path):
    """Two directories."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    return one, other


def sources(seen):
    return [(e.pathname, e.src_pathname) for e in seen if e.mask & IN_MOVED_TO]


def test_a_rename_tells_where_it_came_from(drive, tmp_path):
    subscription = drive.watch(tmp_path, MOVES)
    (tmp_path / "a").touch()
    (tmp_path / "a").rename(tmp_path / "b")
    drive.settle()
    seen = drive.of(subscription)
    assert sources(seen) == [(f"{tmp_path}/b", f"{tmp_path}/a")]
    [from_, to] = seen
    assert from_.cookie == to.cookie != 0
    assert from_.src_pathname is None


def test_a_rename_between_subscriptions_tells_where_it_came_from(drive, two):
    one, other = two
    drive.watch(one, MOVES)
    subscription = drive.watch(other, IN_MOVED_TO)
    (one / "a").touch()
    (one / "a").rename(other / "b")
    drive.settle()
    assert sources(drive.of(subscription)) == [(f"{other}/b", f"{one}/a")]


def test_the_source_is_known_though_nobody_asked_for_its_event(drive, two):
    one, other = two
    silent = drive.watch(one, IN_DELETE)
    subscription = drive.watch(other, IN_MOVED_TO)
    (one / "a").touch()
    (one / "a").rename(other / "b")
    drive.settle()
    assert sources(drive.of(subscription)) == [(f"{other}/b", f"{one}/a")]
    assert len(drive.of(silent)) == 0


def test_what_comes_from_outside_has_no_source(drive, two):
    one, other = two
    subscription = drive.watch(other, MOVES)
    (one / "a").touch()
    (one / "a").rename(other / "b")
    drive.settle()
    assert sources(drive.of(subscription)) == [(f"{other}/b", None)]


def test_a_move_away_holds_nothing_back(drive, two):
    one, other = two
    subscription = drive.watch(one, MOVES | IN_CREATE)
    (one / "a").touch()
    (one / "a").rename(other / "a")
    (one / "b").touch()
    drive.read()
    drive.handle()
    assert drive.of(subscription).masknames == ["IN_CREATE", "IN_MOVED_FROM", "IN_CREATE"]


def test_a_directory_that_moves_inside_keeps_its_watches(drive, tmp_path):
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (tmp_path / "x").mkdir()
    subscription = drive.watch(tmp_path, ALL_EVENTS, **TREE)
    watched = drive.watched
    (tmp_path / "a").rename(tmp_path / "x" / "y")
    drive.settle()
    drive.clear()
    (tmp_path / "x" / "y" / "b" / "c" / "file").touch()
    drive.settle()
    assert drive.watched == watched
    assert drive.watched_paths == directories(tmp_path)
    assert set(drive.of(subscription).paths(ALL_EVENTS)) == {f"{tmp_path}/x/y/b/c/file"}


def test_nothing_is_announced_when_a_known_directory_moves(drive, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "file").touch()
    subscription = drive.watch(tmp_path, MOVES | IN_CREATE | IN_CLOSE_WRITE, **TREE)
    (tmp_path / "a").rename(tmp_path / "c")
    drive.settle()
    assert drive.of(subscription).masknames == ["IN_MOVED_FROM|IN_ISDIR", "IN_MOVED_TO|IN_ISDIR"]


def test_the_events_before_a_move_have_the_old_path_and_those_after_it_the_new(drive, tmp_path):
    (tmp_path / "a").mkdir()
    subscription = drive.watch(tmp_path, IN_CREATE, **TREE)
    (tmp_path / "a" / "early").touch()
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "b" / "late").touch()
    drive.settle()
    assert drive.of(subscription).created == [f"{tmp_path}/a/early", f"{tmp_path}/b/late"]


def test_a_directory_that_moves_out_is_not_watched_any_more(drive, two):
    one, other = two
    (one / "a" / "b").mkdir(parents=True)
    subscription = drive.watch(one, ALL_EVENTS, **TREE)
    (one / "a").rename(other / "a")
    drive.settle()
    drive.clear()
    (other / "a" / "file").touch()
    (other / "a" / "b" / "file").touch()
    (other / "a" / "b" / "c").mkdir()
    drive.settle()
    assert len(drive.of(subscription)) == 0
    assert len(drive.watched) == 1


def test_a_directory_that_moves_out_and_back_is_watched(drive, two):
    one, other = two
    (one / "a" / "b").mkdir(parents=True)
    subscription = drive.watch(one, IN_CREATE, **TREE)
    (one / "a").rename(other / "a")
    (other / "a").rename(one / "c")
    drive.settle()
    drive.clear()
    (one / "c" / "b" / "file").touch()
    drive.settle()
    assert drive.of(subscription).created == [f"{one}/c/b/file"]
    assert drive.watched_paths == directories(one)


def test_a_directory_that_moves_between_trees_gets_the_masks_of_the_other(drive, two):
    one, other = two
    (one / "a" / "b").mkdir(parents=True)
    first = drive.watch(one, IN_CREATE, **TREE)
    second = drive.watch(other, IN_CLOSE_WRITE | IN_DELETE, **TREE)
    (one / "a").rename(other / "a")
    drive.settle()
    drive.clear()
    file = other / "a" / "b" / "file"
    file.touch()
    file.unlink()
    drive.settle()
    assert drive.of(second).pairs == [("IN_CLOSE_WRITE", str(file)), ("IN_DELETE", str(file))]
    assert len(drive.of(first)) == 0


@pytest.mark.parametrize("mask", [MOVES, IN_CREATE])
def test_a_directory_that_moves_to_where_only_one_level_is_watched_loses_its_watches(
    drive, two, mask
):
    one, other = two
    (one / "a" / "b").mkdir(parents=True)
    drive.watch(one, ALL_EVENTS, **TREE)
    drive.watch(other, mask)
    (one / "a").rename(other / "a")
    drive.settle()
    assert drive.watched_paths == [str(one), str(other)]
    assert len(drive.watched) == 2


def test_a_chain_of_moves(drive, tmp_path):
    (tmp_path / "a" / "sub").mkdir(parents=True)
    subscription = drive.watch(tmp_path, MOVES | IN_CREATE, **TREE)
    for old, new in ("ab", "bc", "cd", "da", "ae"):
        (tmp_path / old).rename(tmp_path / new)
    (tmp_path / "e" / "sub" / "file").touch()
    drive.settle()
    assert drive.of(subscription).created == [f"{tmp_path}/e/sub/file"]
    assert drive.watched_paths == directories(tmp_path)
    assert [Path(src).name for _, src in sources(drive.of(subscription))] == list("abcda")


def test_two_directories_that_swap_their_names(drive, tmp_path):
    (tmp_path / "a" / "one").mkdir(parents=True)
    (tmp_path / "b" / "two").mkdir(parents=True)
    subscription = drive.watch(tmp_path, IN_CREATE, **TREE)
    for _ in range(5):
        (tmp_path / "a").rename(tmp_path / "t")
        (tmp_path / "b").rename(tmp_path / "a")
        (tmp_path / "t").rename(tmp_path / "b")
    (tmp_path / "a" / "two" / "file").touch()
    (tmp_path / "b" / "one" / "file").touch()
    drive.settle()
    assert drive.of(subscription).created == [f"{tmp_path}/a/two/file", f"{tmp_path}/b/one/file"]
    assert drive.watched_paths == directories(tmp_path)


def test_a_directory_that_takes_the_place_of_an_empty_one(drive, tmp_path):
    (tmp_path / "full" / "sub").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    subscription = drive.watch(tmp_path, IN_CREATE, **TREE)
    (tmp_path / "full").rename(tmp_path / "empty")
    (tmp_path / "empty" / "sub" / "file").touch()
    drive.settle()
    assert drive.of(subscription).created == [f"{tmp_path}/empty/sub/file"]
    assert drive.watched == set(drive.keeper.tree.nodes)
    assert drive.watched_paths == directories(tmp_path)


def test_a_directory_that_moves_while_it_is_listed(drive, two):
    one, other = two
    for number in range(5):
        (other / "tree" / f"{number}" / "deep").mkdir(parents=True)
        (other / "tree" / f"{number}" / "deep" / "file").write_bytes(b"x")
    subscription = drive.watch(one, IN_CREATE | IN_CLOSE_WRITE, **TREE)
    (other / "tree").rename(one / "tree")
    # Watches of a part of it stand by then.
    drive.inotify.interrupt(lambda: (one / "tree").rename(one / "moved"), after=9)
    drive.settle()
    assert drive.watched_paths == directories(one)
    seen = drive.of(subscription)
    assert sorted(Path(path).parts[-3] for path in seen.created_files) == list("01234")
    assert len(seen.paths(IN_CLOSE_WRITE)) == 5


def test_a_new_directory_that_is_renamed_within_one_that_was_renamed(drive, tmp_path):
    (tmp_path / "a").mkdir()
    subscription = drive.watch(tmp_path, IN_CREATE, **TREE)
    (tmp_path / "a" / "new").mkdir()
    (tmp_path / "a" / "new" / "file").touch()
    (tmp_path / "a").rename(tmp_path / "b")
    drive.settle()
    assert drive.watched_paths == directories(tmp_path)
    assert drive.of(subscription).created[-1] == f"{tmp_path}/b/new/file"


def test_a_storm_of_renames(drive, tmp_path):
    (tmp_path / "0" / "sub").mkdir(parents=True)
    subscription = drive.watch(tmp_path, MOVES, **TREE)
    for number in range(500):
        (tmp_path / f"{number}").rename(tmp_path / f"{number + 1}")
        if number % 50 == 0:
            drive.read()
            drive.handle(7)
    drive.settle()
    assert drive.watched_paths == directories(tmp_path)
    assert all(src for _, src in sources(drive.of(subscription)))


def test_moves_away_do_not_pile_up(drive, two):
    one, other = two
    drive.watch(one, MOVES, **TREE)
    for number in range(6000):
        (one / "file").touch()
        (one / "file").rename(other / f"{number % 10}")
        if number % 1000 == 0:
            drive.settle()
            drive.clear()
    drive.settle()
    assert len(drive.keeper.moves._departures) <= 4096


def test_the_root_of_another_subscription_moves_along(drive, tmp_path):
    inner = tmp_path / "a" / "inner"
    inner.mkdir(parents=True)
    outer = drive.watch(tmp_path, IN_CREATE, **TREE)
    nested = drive.watch(inner, IN_CREATE)
    (tmp_path / "a").rename(tmp_path / "b")
    drive.settle()
    (tmp_path / "b" / "inner" / "file").touch()
    drive.settle()
    assert drive.of(outer).created == [f"{tmp_path}/b/inner/file"]
    # It asked for a/inner, which is not there any more.
    assert drive.of(nested).created == []
    assert drive.lost == [nested]
