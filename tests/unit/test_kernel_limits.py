"""How much of the kernel's limits is needed, and how much is left."""

import os

import pytest
from django.core.checks import run_checks

from inotifier import limits
from inotifier.notifier import Inotify


@pytest.fixture
def tree(tmp_path):
    for name in ("a/b", "a/c", "d"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("a")
    return tmp_path


def test_a_limit_is_read_and_described():
    value = limits.limit("max_user_watches")
    assert value is not None
    assert limits.described("max_user_watches") == f"fs.inotify.max_user_watches={value}"


def test_a_limit_that_cannot_be_read_is_unknown():
    assert limits.limit("none") is None
    assert limits.described("none") == "fs.inotify.none=unknown"


def test_directories_are_counted_without_files_and_links(tree):
    assert limits.directories(str(tree), 100) == 5


def test_counting_ends_at_the_limit(tree):
    assert limits.directories(str(tree), 2) < 5


def test_a_directory_that_is_not_there_counts_as_one(tmp_path):
    assert limits.directories(str(tmp_path / "none"), 100) == 1


def test_the_watches_of_this_user_are_counted(tmp_path):
    before = limits.watches_in_use()
    inotify = Inotify()
    inotify.add_watch(os.fsencode(tmp_path), 0x100)
    assert limits.watches_in_use() >= before + 1 or before > 1
    inotify.close()


def test_a_tree_that_fits_is_no_shortage(tree):
    assert limits.shortage({str(tree): None}) is None
    assert limits.shortage({}) is None


def test_a_tree_that_does_not_fit_is_warned_of(tree, settings, monkeypatch):
    monkeypatch.setattr(limits, "limit", lambda name: 3)
    monkeypatch.setattr(limits, "watches_in_use", lambda: 1)
    settings.INOTIFIER_WATCH_PATHS = [{"path": tree, "recursive": True}]
    [warning] = run_checks(tags=["inotifier"])
    assert warning.id == "inotifier.W001"
    assert "but only 2 are left of fs.inotify.max_user_watches=3" in warning.msg


def test_an_unknown_limit_warns_of_nothing(tree, monkeypatch):
    monkeypatch.setattr(limits, "limit", lambda name: None)
    assert limits.shortage({str(tree): None}) is None
