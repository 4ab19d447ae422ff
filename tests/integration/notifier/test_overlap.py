"""Several subscriptions to the same directories: each has its own events, and no others."""

import pytest
from pyinotify import (
    ALL_EVENTS,
    IN_ATTRIB,
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_DELETE_SELF,
    IN_ISDIR,
    IN_MODIFY,
    IN_MOVE_SELF,
    IN_OPEN,
)

from inotifier.events import UNASKED
from inotifier.notifier import Subscription
from tests.integration.notifier.driving import TREE, directories


def everything(root):
    """Cause every kind of event below `root`."""
    file = root / "file"
    file.write_bytes(b"x")
    file.read_bytes()
    file.chmod(0o600)
    file.rename(root / "renamed")
    (root / "renamed").unlink()
    (root / "d" / "e").mkdir(parents=True)
    (root / "d" / "e" / "file").write_bytes(b"x")
    (root / "d" / "e" / "file").unlink()
    (root / "d" / "e").rename(root / "f")
    (root / "f").rmdir()


def test_the_same_path_twice(drive, tmp_path):
    one, two = drive.watch_all(
        Subscription(str(tmp_path), IN_CREATE), Subscription(str(tmp_path), IN_DELETE)
    )
    (tmp_path / "a").touch()
    (tmp_path / "a").unlink()
    drive.settle()
    assert drive.of(one).masknames == ["IN_CREATE"]
    assert drive.of(two).masknames == ["IN_DELETE"]
    assert len(drive.watched) == 1


@pytest.mark.parametrize(
    "mask", [IN_DELETE, IN_ATTRIB, IN_MODIFY, IN_CREATE, IN_CLOSE_WRITE, IN_MOVE_SELF]
)
def test_what_others_and_the_keeper_need_reaches_nobody(drive, tmp_path, mask):
    subscription = drive.watch(tmp_path, mask, **TREE)
    drive.watch(tmp_path, ALL_EVENTS, **TREE)
    everything(tmp_path)
    drive.settle()
    assert all(event.mask & (mask | UNASKED) for event in drive.of(subscription))


def test_a_subscription_sees_no_more_and_no_less_beside_another(drive, tmp_path):
    """What it sees alone, at the same history, is the measure."""
    alone, both = tmp_path / "alone", tmp_path / "both"
    alone.mkdir()
    both.mkdir()
    mask = IN_CREATE | IN_DELETE | IN_CLOSE_WRITE | IN_DELETE_SELF
    first = drive.watch(alone, mask, **TREE)
    second = drive.watch(both, mask, **TREE)
    drive.watch(both, ALL_EVENTS, **TREE)
    everything(alone)
    everything(both)
    drive.settle()
    assert [(e.mask, e.pathname.removeprefix(str(alone))) for e in drive.of(first)] == [
        (e.mask, e.pathname.removeprefix(str(both))) for e in drive.of(second)
    ]


@pytest.mark.parametrize("inner_first", [True, False])
def test_a_tree_within_a_tree(drive, tmp_path, inner_first):
    inner = tmp_path / "a" / "inner"
    (inner / "deep").mkdir(parents=True)
    paths = [inner, tmp_path] if inner_first else [tmp_path, inner]
    got = dict(
        zip(
            paths,
            drive.watch_all(*(Subscription(str(path), IN_CREATE, **TREE) for path in paths)),
            strict=True,
        )
    )
    (tmp_path / "outside").touch()
    (inner / "deep" / "inside").touch()
    (inner / "deep" / "new").mkdir()
    (inner / "deep" / "new" / "file").touch()
    drive.settle()
    below = [f"{inner}/deep/{name}" for name in ("inside", "new", "new/file")]
    assert drive.of(got[inner]).created == below
    assert drive.of(got[tmp_path]).created == [f"{tmp_path}/outside", *below]
    assert len(drive.watched) == len(directories(tmp_path))


def test_one_level_within_a_tree(drive, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    tree = drive.watch(tmp_path, IN_CREATE, **TREE)
    level = drive.watch(tmp_path / "a", IN_CREATE)
    (tmp_path / "a" / "file").touch()
    (tmp_path / "a" / "b" / "file").touch()
    drive.settle()
    assert drive.of(tree).created == [f"{tmp_path}/a/file", f"{tmp_path}/a/b/file"]
    assert drive.of(level).created == [f"{tmp_path}/a/file"]


@pytest.mark.parametrize("deep_first", [True, False])
def test_a_tree_without_auto_add_beside_one_with_it(drive, tmp_path, deep_first):
    (tmp_path / "old").mkdir()
    fixed = Subscription(str(tmp_path), IN_CREATE, recursive=True)
    growing = Subscription(str(tmp_path), IN_CREATE, **TREE)
    drive.watch_all(*([growing, fixed] if deep_first else [fixed, growing]))
    (tmp_path / "new").mkdir()
    drive.settle()
    (tmp_path / "old" / "file").touch()
    (tmp_path / "new" / "file").touch()
    drive.settle()
    both = [f"{tmp_path}/new", f"{tmp_path}/old/file"]
    assert drive.of(fixed).created == both
    assert drive.of(growing).created == [*both, f"{tmp_path}/new/file"]


@pytest.mark.parametrize("deep_first", [True, False])
def test_auto_add_without_recursion_beside_a_tree(drive, tmp_path, deep_first):
    (tmp_path / "old").mkdir()
    later = Subscription(str(tmp_path), IN_CREATE, auto_add=True)
    growing = Subscription(str(tmp_path), IN_CREATE, **TREE)
    drive.watch_all(*([growing, later] if deep_first else [later, growing]))
    (tmp_path / "new").mkdir()
    drive.settle()
    (tmp_path / "old" / "file").touch()
    (tmp_path / "new" / "file").touch()
    drive.settle()
    assert drive.of(later).created == [f"{tmp_path}/new", f"{tmp_path}/new/file"]
    assert len(drive.of(growing)) == 3


def test_two_roots_that_are_one_directory(drive, tmp_path):
    """Each has its events under its own name."""
    real, alias = tmp_path / "real", tmp_path / "alias"
    (real / "sub").mkdir(parents=True)
    alias.symlink_to(real)
    one = drive.watch(real, IN_CREATE, **TREE)
    two = drive.watch(alias, IN_CREATE, **TREE)
    (real / "sub" / "file").touch()
    (real / "new").mkdir()
    (real / "new" / "file").touch()
    drive.settle()
    names = ["sub/file", "new", "new/file"]
    assert drive.of(one).created == [f"{real}/{name}" for name in names]
    assert drive.of(two).created == [f"{alias}/{name}" for name in names]
    assert len(drive.watched) == 3


def test_a_file_and_its_directory(drive, tmp_path):
    file = tmp_path / "file"
    file.touch()
    of_file = drive.watch(file, IN_MODIFY)
    of_directory = drive.watch(tmp_path, IN_MODIFY)
    with file.open("ab") as appended:
        appended.write(b"x")
    drive.settle()
    assert drive.of(of_file).pairs == drive.of(of_directory).pairs == [("IN_MODIFY", str(file))]


def test_listing_for_a_later_subscription_makes_no_event_for_the_first(drive, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    first = drive.watch(tmp_path, ALL_EVENTS, **TREE)
    drive.watch(tmp_path / "a", IN_CREATE, **TREE)
    drive.watch(tmp_path / "a", ALL_EVENTS, **TREE)
    drive.settle()
    assert len(drive.of(first)) == 0


def test_an_excluded_directory_is_another_subscriptions(drive, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "c").mkdir()
    choosy = drive.watch(tmp_path, IN_CREATE, excluded=lambda path: path.endswith("/a"), **TREE)
    greedy = drive.watch(tmp_path, IN_CREATE, **TREE)
    for directory in ("a", "a/b", "c"):
        (tmp_path / directory / "file").touch()
    drive.settle()
    assert drive.of(choosy).created == [f"{tmp_path}/c/file"]
    assert len(drive.of(greedy)) == 3


def test_a_subscription_that_ends_leaves_the_other(drive, tmp_path):
    (tmp_path / "a").mkdir()
    one = drive.watch(tmp_path, ALL_EVENTS, **TREE)
    two = drive.watch(tmp_path / "a", IN_CREATE)
    drive.keeper.remove(one)
    drive.settle()
    assert drive.watched_paths == [f"{tmp_path}/a"]
    (tmp_path / "a" / "file").touch()
    drive.settle()
    assert drive.of(two).created == [f"{tmp_path}/a/file"]
    assert not drive.of(one).paths(IN_OPEN | IN_CREATE)


def test_the_order_of_subscriptions_is_the_order_of_their_events(drive, tmp_path):
    all_ = [Subscription(str(tmp_path), IN_CREATE | IN_ISDIR) for _ in range(3)]
    drive.watch_all(*all_)
    (tmp_path / "a").touch()
    drive.settle()
    assert [subscription for subscription, _ in drive.batch] == all_


@pytest.mark.parametrize("order", [1, -1])
def test_what_one_does_not_ask_for_the_other_keeps(drive, tmp_path, order):
    (tmp_path / "a" / "b").mkdir(parents=True)
    outer = Subscription(str(tmp_path), ALL_EVENTS, **TREE)
    inner = Subscription(str(tmp_path / "a"), IN_CREATE, **TREE)
    drive.watch_all(*[outer, inner][::order])
    file = tmp_path / "a" / "b" / "file"
    file.touch()
    drive.settle()
    assert drive.of(outer).paths(IN_OPEN) == [str(file)]
