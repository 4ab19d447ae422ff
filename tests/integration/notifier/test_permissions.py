"""Other people's files, and directories that may not be read."""

import logging
import os
from pathlib import Path

import pytest
from pyinotify import ALL_EVENTS, IN_CLOSE_WRITE, IN_CREATE

from tests.integration.notifier.driving import TREE, directories, driven
from tests.integration.notifier.elsewhere import as_nobody, open_to_all

CONTENTS = IN_CREATE | IN_CLOSE_WRITE


@pytest.fixture
def public():
    with open_to_all() as path:
        yield path


class Warnings(logging.Handler):
    """Keeps the messages of the keeper."""

    def __init__(self):
        super().__init__()
        self.messages = []
        logging.getLogger("inotifier.notifier.directories").addHandler(self)

    def emit(self, record):
        self.messages.append((record.levelname, record.getMessage()))


def test_files_of_other_users_are_reported_whole_and_once(public):
    """There is no lease on them, so nobody can tell whether they are being written."""
    outside = public / "outside"
    for number in range(20):
        (outside / f"{number}").mkdir(parents=True)
        (outside / f"{number}" / "file").write_bytes(b"x")
    inside = public / "in"
    inside.mkdir(0o777)
    inside.chmod(0o777)
    for path in [outside, *outside.iterdir()]:
        os.chown(path, 65534, 65534)

    def act():
        with driven() as drive:
            subscription = drive.watch(inside, CONTENTS, **TREE)
            outside.rename(inside / "tree")
            drive.settle()
            seen = drive.of(subscription)
            return seen.created_files, seen.paths(IN_CLOSE_WRITE)

    if os.geteuid() == 0:
        os.chown(public, 65534, 65534)
    created, closed = as_nobody(act)
    expected = sorted(f"{inside}/tree/{number}/file" for number in range(20))
    assert sorted(created) == sorted(closed) == expected


def test_an_unreadable_directory_is_named_once_and_watched_when_it_can_be_read(public):
    closed = public / "closed"

    def act():
        warnings = Warnings()
        (public / "open").mkdir()
        closed.mkdir()
        closed.chmod(0)
        with driven() as drive:
            subscription = drive.watch(public, CONTENTS, **TREE)
            drive.settle()
            (public / "open" / "file").touch()
            closed.chmod(0o755)
            drive.settle()
            (closed / "file").write_bytes(b"x")
            drive.settle()
            return warnings.messages, drive.of(subscription).pairs, drive.watched_paths

    messages, pairs, watched = as_nobody(act)
    [(level, message)] = messages
    assert level == "WARNING"
    assert str(closed) in message
    assert ("IN_CREATE", f"{public}/open/file") in pairs
    assert pairs[-2:] == [("IN_CREATE", f"{closed}/file"), ("IN_CLOSE_WRITE", f"{closed}/file")]
    assert watched == sorted([str(public), f"{public}/open", str(closed)])


def test_what_an_unreadable_directory_holds_is_announced_when_it_can_be_read(public):
    def act():
        with driven() as drive:
            subscription = drive.watch(public, CONTENTS, **TREE)
            closed = public / "closed"
            closed.mkdir()
            (closed / "file").write_bytes(b"x")
            closed.chmod(0)
            drive.settle()
            closed.chmod(0o755)
            drive.settle()
            return drive.of(subscription).pairs

    assert as_nobody(act) == [
        ("IN_CREATE|IN_ISDIR", f"{public}/closed"),
        ("IN_CREATE", f"{public}/closed/file"),
        ("IN_CLOSE_WRITE", f"{public}/closed/file"),
    ]


def test_an_unreadable_directory_that_goes_is_forgotten(public):
    def act():
        warnings = Warnings()
        with driven() as drive:
            drive.watch(public, CONTENTS, **TREE)
            for _ in range(2):
                (public / "closed").mkdir()
                (public / "closed").chmod(0)
                drive.settle()
                (public / "closed").rmdir()
                drive.settle()
            return len(warnings.messages), drive.keeper.directories._unreadable

    assert as_nobody(act) == (2, {})


def test_the_need_to_watch_permissions_reaches_nobody(public):
    def act():
        with driven() as drive:
            subscription = drive.watch(public, IN_CREATE, **TREE)
            (public / "closed").mkdir()
            (public / "closed").chmod(0)
            drive.settle()
            (public / "file").touch()
            (public / "file").chmod(0o600)
            drive.settle()
            return drive.of(subscription).masknames

    assert as_nobody(act) == ["IN_CREATE|IN_ISDIR", "IN_CREATE"]


# Links


def test_links_to_directories_are_not_followed(drive, tmp_path):
    root, target = tmp_path / "root", tmp_path / "target"
    root.mkdir()
    (target / "sub").mkdir(parents=True)
    (root / "early").symlink_to(target)
    subscription = drive.watch(root, ALL_EVENTS, **TREE)
    (root / "late").symlink_to(target)
    drive.settle()
    drive.clear()
    (target / "file").touch()
    (target / "sub" / "file").touch()
    drive.settle()
    assert len(drive.of(subscription)) == 0
    assert drive.watched_paths == [str(root)]


def test_links_to_directories_are_followed_if_that_is_wanted(drive, tmp_path):
    root, target = tmp_path / "root", tmp_path / "target"
    root.mkdir()
    (target / "sub").mkdir(parents=True)
    (root / "link").symlink_to(target)
    subscription = drive.watch(root, IN_CREATE, follow_symlinks=True, **TREE)
    (target / "sub" / "file").touch()
    (target / "new").mkdir()
    (target / "new" / "file").touch()
    drive.settle()
    assert drive.of(subscription).created == [
        f"{root}/link/{name}" for name in ("sub/file", "new", "new/file")
    ]


def test_a_link_that_appears_is_followed_if_that_is_wanted(drive, tmp_path):
    root, target = tmp_path / "root", tmp_path / "target"
    root.mkdir()
    target.mkdir()
    subscription = drive.watch(root, IN_CREATE, follow_symlinks=True, **TREE)
    (root / "link").symlink_to(target)
    drive.settle()
    (target / "file").touch()
    drive.settle()
    assert drive.of(subscription).created == [f"{root}/link", f"{root}/link/file"]


def test_a_link_that_is_removed_takes_what_is_behind_it_along(drive, tmp_path):
    root, target = tmp_path / "root", tmp_path / "target"
    root.mkdir()
    (target / "sub").mkdir(parents=True)
    (root / "link").symlink_to(target)
    subscription = drive.watch(root, IN_CREATE, follow_symlinks=True, **TREE)
    (root / "link").rename(root / "other")
    drive.settle()
    (target / "sub" / "file").touch()
    drive.settle()
    assert drive.of(subscription).created[-1] == f"{root}/other/sub/file"
    (root / "other").unlink()
    drive.settle()
    drive.clear()
    (target / "sub" / "late").touch()
    drive.settle()
    assert len(drive.of(subscription)) == 0
    assert drive.watched_paths == [str(root)]


def test_a_link_to_what_is_watched_already_changes_nothing(drive, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    subscription = drive.watch(tmp_path, IN_CREATE, follow_symlinks=True, **TREE)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "up").symlink_to("..")
    drive.settle()
    (tmp_path / "a" / "b" / "file").touch()
    drive.settle()
    assert drive.of(subscription).created[-1] == f"{tmp_path}/a/b/file"
    assert drive.watched_paths == directories(tmp_path)


def test_a_loop_of_links_ends(drive, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(".")
    (tmp_path / "nowhere").symlink_to("nowhere")
    subscription = drive.watch(tmp_path, IN_CREATE, follow_symlinks=True, **TREE)
    (tmp_path / "a" / "b" / "file").touch()
    drive.settle()
    assert drive.of(subscription).created == [f"{tmp_path}/a/b/file"]
    assert len(drive.watched) == 3


def test_the_root_may_be_a_link(drive, tmp_path):
    (tmp_path / "target" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to("target")
    subscription = drive.watch(tmp_path / "link", IN_CREATE, **TREE)
    (tmp_path / "target" / "sub" / "file").touch()
    drive.settle()
    assert drive.of(subscription).created == [f"{tmp_path}/link/sub/file"]


def test_a_dangling_link_is_no_directory(drive, tmp_path):
    Path(tmp_path, "dangling").symlink_to("nowhere")
    drive.watch(tmp_path, IN_CREATE, follow_symlinks=True, **TREE)
    assert drive.watched_paths == [str(tmp_path)]
