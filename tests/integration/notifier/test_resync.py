"""After an overflow of the kernel's queue the watches are right again, whatever was lost."""

import ctypes
import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from pyinotify import ALL_EVENTS, IN_ATTRIB, IN_CREATE, IN_MOVED_TO, IN_Q_OVERFLOW

from inotifier.notifier import Keeper, Subscription
from tests.integration.notifier.driving import TREE, directories, driven
from tests.integration.notifier.elsewhere import as_nobody, limited, open_to_all
from tests.waiting import wait_for

_LIMIT = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())

pytestmark = pytest.mark.skipif(_LIMIT > 1_000_000, reason="the kernel's queue is too long here")


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def outside(tmp_path):
    path = tmp_path / "outside"
    path.mkdir()
    return path


class Lossy:
    """A keeper whose kernel queue can be filled at will."""

    def __init__(self, drive, noise):
        self.drive = drive
        self._files = [noise / "1", noise / "2"]
        for file in self._files:
            file.touch()
        drive.watch(noise, IN_ATTRIB)
        self._noise = noise
        self._round = 0

    def fill(self):
        """Leave no room in the kernel's queue."""
        for _ in range(_LIMIT // 2 + 1):
            for file in self._files:
                file.chmod(0o600)

    def handle(self):
        """Handle what the kernel has, which is not all that happened."""
        before = self.drive.keeper.overflows
        self.drive.read()
        self.drive.handle()
        assert self.drive.keeper.overflows > before

    @contextmanager
    def losing(self):
        """Lose the events of what is done in this block."""
        self.drive.settle()
        self.fill()
        yield
        self.handle()
        self.drive.settle()
        self.drive.clear()

    @property
    def watched_paths(self):
        return [path for path in self.drive.watched_paths if path != str(self._noise)]

    def check(self, subscription, *, paths=None):
        """See that all directories are watched, each under its path."""
        expected = directories(Path(subscription.path)) if paths is None else sorted(paths)
        assert self.watched_paths == expected
        keeper = self.drive.keeper
        assert self.drive.watched == set(keeper.tree.nodes)
        masks = {node.wd: keeper.mask_of(node) & ALL_EVENTS for node in keeper.tree.nodes.values()}
        assert masks == {wd: self.drive.kernel_masks[wd] for wd in masks}
        assert not keeper.resync.settling
        self.check_files(subscription, expected)

    def check_files(self, subscription, paths):
        """See that new files are reported, each under its path, once."""
        self.drive.settle()
        self.drive.clear()
        self._round += 1
        files = [f"{path}/file-{self._round}" for path in paths]
        for file in files:
            Path(file).touch()
        self.drive.settle()
        assert self.drive.of(subscription).created == files
        self.drive.clear()


@pytest.fixture
def lossy(drive, tmp_path):
    noise = tmp_path / "noise"
    noise.mkdir()
    return Lossy(drive, noise)


def plant(root, *paths):
    for path in paths:
        (root / path).mkdir(parents=True, exist_ok=True)


def swap(one, two):
    """Exchange two names."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(two), 2):
        raise OSError(ctypes.get_errno(), "renameat2")


def move(source, target):
    source.rename(target)


def invert(parent, child):
    """Put `parent` below what was its child."""
    move(parent / child, parent.parent / "aside")
    move(parent, parent.parent / "aside" / parent.name)
    move(parent.parent / "aside", parent.parent / child)


CHANGES = {
    "create": lambda r, o: plant(r, "new"),
    "create nested": lambda r, o: plant(r, "new/of/many", "a/b/new/too"),
    "delete": lambda r, o: shutil.rmtree(r / "a"),
    "delete and create": lambda r, o: (shutil.rmtree(r / "a"), plant(r, "a/b/c", "a/d")),
    "move inside": lambda r, o: move(r / "a" / "b", r / "x" / "b"),
    "rename": lambda r, o: move(r / "a", r / "renamed"),
    "rename a chain": lambda r, o: (move(r / "a" / "b", r / "a" / "z"), move(r / "a", r / "z")),
    "swap": lambda r, o: swap(r / "a", r / "x"),
    "swap by turns": lambda r, o: (
        move(r / "a", r / "t"),
        move(r / "x", r / "a"),
        move(r / "t", r / "x"),
    ),
    "swap nested": lambda r, o: (swap(r / "a" / "b", r / "x" / "y"), swap(r / "a", r / "x")),
    "move out": lambda r, o: move(r / "a", o / "a"),
    "move out and link": lambda r, o: (move(r / "a", o / "a"), (r / "a").symlink_to(o / "a")),
    "rename and link": lambda r, o: (move(r / "a", r / "z"), (r / "a").symlink_to(r / "z")),
    "move in": lambda r, o: move(o / "in", r / "a" / "in"),
    "out and in": lambda r, o: (move(r / "a", o / "a"), move(o / "a", r / "x" / "a")),
    "invert": lambda r, o: invert(r / "a", "b"),
    "invert twice": lambda r, o: (invert(r / "a", "b"), invert(r / "b", "c")),
    "into a new one": lambda r, o: (plant(r, "new/er"), move(r / "a", r / "new" / "er" / "a")),
    "replace": lambda r, o: (move(r / "a", o / "a"), move(o / "in", r / "a")),
}


@pytest.fixture
def grown(root, outside):
    plant(root, "a/b/c", "a/d", "x/y/z")
    plant(outside, "in/ner/most")
    return root


@pytest.mark.parametrize("mask", [ALL_EVENTS, IN_CREATE], ids=["all", "create"])
@pytest.mark.parametrize("what", CHANGES)
def test_a_change_that_is_lost(lossy, grown, outside, what, mask):
    subscription = lossy.drive.watch(grown, mask, **TREE)
    with lossy.losing():
        CHANGES[what](grown, outside)
    lossy.check(subscription)


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_whose_events_follow_the_overflow(lossy, grown, outside, what):
    """The crawl sees what was done; its events come afterwards and must not undo it."""
    drive = lossy.drive
    subscription = drive.watch(grown, ALL_EVENTS, **TREE)
    lossy.fill()
    drive.read()
    CHANGES[what](grown, outside)
    drive.handle()
    drive.settle()
    lossy.check(subscription)


@pytest.mark.long
@pytest.mark.parametrize("second", CHANGES)
@pytest.mark.parametrize("what", ["create nested", "swap", "invert", "out and in", "replace"])
def test_one_change_is_lost_and_one_follows(lossy, grown, outside, what, second):
    drive = lossy.drive
    subscription = drive.watch(grown, ALL_EVENTS, **TREE)
    CHANGES[what](grown, outside)
    drive.overflow(0)
    with suppress(OSError):  # as far as it is possible by then
        CHANGES[second](grown, outside)
    drive.handle()
    drive.settle()
    lossy.check(subscription)


def test_directories_that_are_exchanged_with_those_below_them(lossy, root):
    """On the way there are two of one path: as it was before the loss, and as it is."""
    plant(root, "a/a/a", "b/a/a", "c/a/a")
    subscription = lossy.drive.watch(root, ALL_EVENTS, **TREE)
    with lossy.losing():
        swap(root / "c" / "a", root / "a" / "a")
        swap(root / "a" / "a" / "a", root / "c" / "a" / "a")
    lossy.check(subscription)


@pytest.mark.parametrize("after", range(1, 60, 3))
@pytest.mark.parametrize(
    "what", ["rename", "swap", "move out", "invert", "into a new one", "move in"]
)
def test_a_change_during_the_crawl(lossy, grown, outside, what, after):
    drive = lossy.drive
    subscription = drive.watch(grown, ALL_EVENTS, **TREE)
    plant(grown, "lost/and/found")
    drive.overflow(0)
    drive.inotify.interrupt(lambda: CHANGES[what](grown, outside), after)
    drive.handle()
    drive.settle()
    lossy.check(subscription)


def test_what_is_handled_in_a_window_that_moves_again(lossy, grown):
    """There and back again: each event is older or newer than what was seen."""
    drive = lossy.drive
    subscription = drive.watch(grown, ALL_EVENTS, **TREE)
    lossy.fill()
    drive.read()
    for _ in range(3):
        move(grown / "a", grown / "t")
        move(grown / "x", grown / "a")
        move(grown / "t", grown / "x")
    while drive.handle(7):
        drive.read()
        if (grown / "a").exists():
            move(grown / "a", grown / "t")
        else:
            move(grown / "t", grown / "a")
        if len(drive.batch) > _LIMIT + 200:
            break
    drive.settle()
    lossy.check(subscription)


# Roots


def test_a_renamed_root_is_lost(lossy, grown, outside):
    subscription = lossy.drive.watch(grown, ALL_EVENTS, **TREE)
    with lossy.losing():
        move(grown, outside / "root")
    assert lossy.drive.lost == [subscription]
    assert lossy.watched_paths == []
    (outside / "root" / "a" / "file").touch()
    lossy.drive.settle()
    assert len(lossy.drive.of(subscription)) == 0


@pytest.mark.parametrize("how", ["deleted", "renamed", "kept open"])
def test_a_root_that_is_replaced_is_watched(lossy, grown, outside, how):
    drive = lossy.drive
    subscription = drive.watch(grown, ALL_EVENTS, **TREE)
    fd = os.open(grown, os.O_PATH) if how == "kept open" else None
    with lossy.losing():
        if how == "renamed":
            move(grown, outside / "old")
        else:
            shutil.rmtree(grown)
        plant(grown, "a/b", "fresh")
    wait_for(lambda: drive.settle() or drive.keeper.is_planted(subscription))
    lossy.check(subscription)
    assert drive.lost == []
    if fd is not None:
        os.close(fd)


def test_a_root_that_comes_back_is_announced(lossy, grown):
    drive = lossy.drive
    subscription = drive.watch(grown, ALL_EVENTS, **TREE)
    lossy.fill()
    shutil.rmtree(grown)
    plant(grown, "fresh")
    (grown / "fresh" / "file").touch()
    lossy.handle()
    wait_for(lambda: drive.settle() or drive.keeper.is_planted(subscription))
    drive.settle()
    assert f"{grown}/fresh/file" in drive.of(subscription).created


def test_a_root_that_is_a_file(lossy, root):
    file = root / "file"
    file.touch()
    drive = lossy.drive
    subscription = drive.watch(file, ALL_EVENTS)
    with lossy.losing():
        (root / "other").touch()
        (root / "other").replace(file)
    wait_for(lambda: drive.settle() or drive.keeper.is_planted(subscription))
    drive.clear()
    file.chmod(0o600)
    drive.settle()
    assert drive.of(subscription).paths(IN_ATTRIB) == [str(file)]


# Several subscriptions


@pytest.mark.long
@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("order", [1, -1])
def test_overlapping_subscriptions(lossy, grown, outside, what, order):
    drive = lossy.drive
    inner_root = grown / "a" / "b"
    outer = Subscription(str(grown), ALL_EVENTS, **TREE)
    inner = Subscription(str(inner_root), IN_CREATE, **TREE)
    flat = Subscription(str(grown), IN_CREATE)
    drive.watch_all(*[outer, inner, flat][::order])
    with lossy.losing():
        CHANGES[what](grown, outside)
    wait_for(lambda: drive.settle() or drive.keeper.is_planted(inner) == inner_root.is_dir())
    drive.settle()
    if not (grown / "a").is_symlink():
        lossy.check(outer)
    if inner_root.is_dir():
        lossy.check_files(inner, directories(inner_root))
    lossy.check_files(flat, [str(grown)])


def test_excluded_directories(lossy, root):
    plant(root, "a/b", "skip/c", "d")
    drive = lossy.drive
    subscription = drive.watch(
        root, ALL_EVENTS, **TREE, excluded=lambda path: os.path.basename(path) == "skip"
    )
    with lossy.losing():
        move(root / "a", root / "skip" / "a")
        move(root / "skip" / "c", root / "c")
        plant(root, "d/skip/e", "d/f")
    lossy.check(subscription, paths=[f"{root}{end}" for end in ("", "/c", "/d", "/d/f")])


def test_links_that_are_followed(lossy, root, outside):
    plant(outside, "one/deep", "two/deep")
    (root / "link").symlink_to(outside / "one")
    drive = lossy.drive
    subscription = drive.watch(root, ALL_EVENTS, **TREE, follow_symlinks=True)
    with lossy.losing():
        (root / "link").unlink()
        (root / "link").symlink_to(outside / "two")
        plant(outside, "two/deep/er")
    lossy.check(
        subscription, paths=[f"{root}{end}" for end in ("", "/link", "/link/deep", "/link/deep/er")]
    )


def test_who_wants_no_new_directories_gets_none(lossy, grown):
    drive = lossy.drive
    before = directories(grown)
    subscription = drive.watch(grown, ALL_EVENTS, recursive=True)
    with lossy.losing():
        plant(grown, "new/one")
        move(grown / "a" / "d", grown / "x" / "d")
    expected = [path.replace("/a/d", "/x/d") for path in before]
    lossy.check(subscription, paths=expected)


def test_who_wants_new_directories_only_gets_those(lossy, root):
    drive = lossy.drive
    subscription = drive.watch(root, ALL_EVENTS, auto_add=True)
    plant(root, "a/b")
    drive.settle()
    with lossy.losing():
        plant(root, "a/c", "d")
        move(root / "a" / "b", root / "b")
    lossy.check(subscription)


# What is told


def test_our_own_listing_is_no_event(lossy, grown):
    drive = lossy.drive
    subscription = drive.watch(grown, ALL_EVENTS, **TREE)
    inner = drive.watch(grown / "a", ALL_EVENTS, **TREE)
    lossy.fill()
    plant(grown, "new/of/many")
    (grown / "new" / "file").touch()
    lossy.handle()
    drive.settle()
    for one in (subscription, inner):
        assert [event.mask for event in drive.of(one)] == [IN_Q_OVERFLOW]


def test_who_asks_for_reading_gets_it_again(lossy, grown):
    drive = lossy.drive
    subscription = drive.watch(grown, ALL_EVENTS, **TREE)
    with lossy.losing():
        plant(grown, "new/of/many")
        move(grown / "a", grown / "z")
    for path in directories(grown):
        os.listdir(path)
    drive.settle()
    opened = [e.path for e in drive.of(subscription) if e.maskname == "IN_OPEN|IN_ISDIR"]
    assert set(opened) == set(directories(grown))


def test_the_hook_is_called_once_the_watches_stand(lossy, grown):
    drive = lossy.drive
    subscription = drive.watch(grown, ALL_EVENTS, **TREE)
    seen = []
    drive.keeper.resync._overflowed = lambda: seen.append(lossy.watched_paths)
    with lossy.losing():
        plant(grown, "new")
    assert seen == [directories(grown)]
    lossy.check(subscription)


def test_the_hook_is_an_argument(drive):
    calls = []
    keeper = Keeper(drive.inotify, lambda subscription: None, overflowed=lambda: calls.append(1))
    keeper.resync.run([])
    keeper.close()
    assert calls == [1]


def test_overflow_upon_overflow(lossy, grown):
    drive = lossy.drive
    subscription = drive.watch(grown, ALL_EVENTS, **TREE)
    for number in range(3):
        lossy.fill()
        plant(grown, f"a/b/new{number}/er")
        move(grown / "a", grown / "t")
        lossy.handle()
        lossy.fill()
        move(grown / "t", grown / "a")
        lossy.handle()
    drive.settle()
    lossy.check(subscription)
    assert drive.keeper.overflows == 6


def test_an_overflow_during_the_crawl(lossy, grown):
    drive = lossy.drive
    subscription = drive.watch(grown, ALL_EVENTS, **TREE)
    lossy.fill()
    drive.read()

    def act():
        lossy.fill()
        plant(grown, "x/new/one")
        move(grown / "a", grown / "z")

    drive.inotify.interrupt(act, 10)
    drive.handle()
    lossy.handle()
    drive.settle()
    lossy.check(subscription)


def test_moves_are_paired_again_after_an_overflow(lossy, grown):
    drive = lossy.drive
    subscription = drive.watch(grown, ALL_EVENTS, **TREE)
    with lossy.losing():
        move(grown / "a", grown / "z")
    move(grown / "z", grown / "y")
    drive.settle()
    [event] = [e for e in drive.of(subscription) if e.mask & IN_MOVED_TO]
    assert (event.src_pathname, event.pathname) == (f"{grown}/z", f"{grown}/y")
    lossy.check(subscription)


# What the kernel refuses


def test_a_directory_that_cannot_be_read_is_watched_when_it_can(tmp_path):
    def act(root):
        with driven() as drive:
            drive.watch(root, ALL_EVENTS, **TREE)
            plant(root, "a/new")
            (root / "a").chmod(0)
            drive.overflow(0)
            drive.settle()
            without = drive.watched_paths
            (root / "a").chmod(0o755)
            drive.settle()
            return without, drive.watched_paths, directories(root)

    with open_to_all() as public:

        def act_below():
            plant(public, "root/a/b")
            return act(public / "root")

        without, found, real = as_nobody(act_below)
        assert without == [str(public / "root")]
        assert found == real


def test_too_many_directories(root):
    plant(root, *(f"a/{number}" for number in range(20)))

    def act():
        with driven() as drive:
            subscription = drive.watch(root, ALL_EVENTS, **TREE)
            plant(root, *(f"b/{number}" for number in range(40)))
            move(root / "a", root / "z")
            drive.overflow(0)
            drive.settle()
            watched = drive.watched == set(drive.keeper.tree.nodes)
            return subscription.problem, drive.watched_paths, watched

    problem, found, watched = limited("max_inotify_watches", 50, act)
    assert "fs.inotify.max_user_watches=" in problem
    assert watched
    assert len(found) >= 40
    assert set(directories(root / "z")) <= set(found)
