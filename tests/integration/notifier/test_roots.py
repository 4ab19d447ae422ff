"""Roots that go and come back."""

import os
import subprocess
from pathlib import Path

import pytest
from pyinotify import (
    ALL_EVENTS,
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_DELETE_SELF,
    IN_MODIFY,
    IN_UNMOUNT,
)

from tests.integration.notifier.driving import TREE, directories
from tests.waiting import wait_for

CONTENTS = IN_CREATE | IN_CLOSE_WRITE


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "root"
    path.mkdir()
    return path


def returned(drive, subscription):
    """Wait until the root of `subscription` is watched again."""

    def is_watched():
        drive.settle()
        return drive.keeper.is_planted(subscription)

    wait_for(is_watched)
    drive.settle()


def remove(path):
    subprocess.run(["rm", "-rf", path], check=True)


# Directories


def test_a_root_that_is_deleted_and_made_again_is_watched(drive, root):
    subscription = drive.watch(root, CONTENTS, **TREE)
    remove(root)
    (root / "a").mkdir(parents=True)
    returned(drive, subscription)
    drive.clear()
    (root / "a" / "file").write_bytes(b"x")
    drive.settle()
    assert drive.of(subscription).pairs == [
        ("IN_CREATE", f"{root}/a/file"),
        ("IN_CLOSE_WRITE", f"{root}/a/file"),
    ]
    assert drive.lost == []
    assert drive.watched_paths == directories(root)


def test_what_a_root_holds_when_it_is_back_is_announced(drive, root):
    (root / "old").touch()
    subscription = drive.watch(root, CONTENTS, **TREE)
    remove(root)
    root.mkdir()
    (root / "new").mkdir()
    (root / "new" / "file").write_bytes(b"x")
    returned(drive, subscription)
    announced = [e for e in drive.of(subscription) if e.synthetic]
    assert [(e.maskname, e.pathname) for e in announced] == [
        ("IN_CREATE|IN_ISDIR", f"{root}/new"),
        ("IN_CREATE", f"{root}/new/file"),
        ("IN_CLOSE_WRITE", f"{root}/new/file"),
    ]


def test_a_root_that_is_not_recursive_is_announced_to_its_depth(drive, root):
    subscription = drive.watch(root, CONTENTS)
    remove(root)
    (root / "directory").mkdir(parents=True)
    (root / "directory" / "file").touch()
    (root / "file").write_bytes(b"x")
    returned(drive, subscription)
    announced = {(e.maskname, e.pathname) for e in drive.of(subscription) if e.synthetic}
    assert announced == {
        ("IN_CREATE|IN_ISDIR", f"{root}/directory"),
        ("IN_CREATE", f"{root}/file"),
        ("IN_CLOSE_WRITE", f"{root}/file"),
    }


def test_a_root_that_is_gone_is_lost_once(drive, root):
    subscription = drive.watch(root, CONTENTS, **TREE)
    root.rmdir()
    drive.settle()
    assert drive.lost == [subscription]
    drive.settle()
    assert drive.lost == [subscription]


def test_a_root_that_is_lost_twice_is_told_twice(drive, root):
    subscription = drive.watch(root, CONTENTS, **TREE)
    root.rmdir()
    drive.settle()
    root.mkdir()
    returned(drive, subscription)
    root.rmdir()
    drive.settle()
    assert drive.lost == [subscription] * 2


def test_a_root_that_is_renamed_away_is_lost(drive, root, tmp_path):
    (root / "a").mkdir()
    subscription = drive.watch(root, CONTENTS, **TREE)
    root.rename(tmp_path / "elsewhere")
    drive.settle()
    (tmp_path / "elsewhere" / "a" / "file").touch()
    drive.settle()
    assert drive.lost == [subscription]
    assert len(drive.of(subscription)) == len(drive.watched) == 0


def test_a_root_that_is_replaced_by_a_rename_is_watched(drive, root, tmp_path):
    subscription = drive.watch(root, CONTENTS, **TREE)
    (tmp_path / "fresh" / "a").mkdir(parents=True)
    root.rename(tmp_path / "old")
    (tmp_path / "fresh").rename(root)
    returned(drive, subscription)
    drive.clear()
    (tmp_path / "old" / "file").touch()
    (root / "a" / "file").touch()
    drive.settle()
    assert drive.of(subscription).created == [f"{root}/a/file"]
    assert drive.lost == []


def test_a_root_that_moves_away_and_back_is_watched(drive, root, tmp_path):
    subscription = drive.watch(root, IN_CREATE, **TREE)
    root.rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").rename(root)
    drive.settle()
    drive.clear()
    (root / "file").touch()
    drive.settle()
    assert drive.of(subscription).created == [f"{root}/file"]


def test_a_root_within_another_tree_is_deleted_and_made_again(drive, root, tmp_path):
    outer = drive.watch(tmp_path, IN_CREATE, **TREE)
    inner = drive.watch(root, IN_CREATE, **TREE)
    for _ in range(3):
        remove(root)
        root.mkdir()
        returned(drive, inner)
    drive.clear()
    (root / "file").touch()
    drive.settle()
    assert drive.of(outer).created == drive.of(inner).created == [f"{root}/file"]
    assert drive.watched_paths == directories(tmp_path)
    assert drive.watched == set(drive.keeper.tree.nodes)


def test_a_root_that_is_not_there_yet(drive, tmp_path):
    subscription = drive.watch(tmp_path / "later", CONTENTS, wait=True, **TREE)
    drive.settle()
    (tmp_path / "later" / "a").mkdir(parents=True)
    (tmp_path / "later" / "a" / "file").write_bytes(b"x")
    returned(drive, subscription)
    assert drive.of(subscription).pairs == [
        ("IN_CREATE|IN_ISDIR", f"{tmp_path}/later/a"),
        ("IN_CREATE", f"{tmp_path}/later/a/file"),
        ("IN_CLOSE_WRITE", f"{tmp_path}/later/a/file"),
    ]
    assert drive.lost == []


def test_a_root_behind_a_link_that_is_turned_round(drive, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    link = tmp_path / "link"
    link.symlink_to("one")
    subscription = drive.watch(link, IN_CREATE, **TREE)
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").rename(link)
    (tmp_path / "one").rmdir()
    returned(drive, subscription)
    (tmp_path / "two" / "file").touch()
    drive.settle()
    assert drive.of(subscription).created == [f"{link}/file"]


# Single files


def save_by_rename(file):
    temporary = file.with_name("temporary")
    temporary.write_bytes(b"new")
    temporary.rename(file)


def save_by_deletion(file):
    file.unlink()
    file.write_bytes(b"new")


def save_with_backup(file):
    """As vim does with 'backupcopy' set to no."""
    file.rename(file.with_name("file~"))
    file.write_bytes(b"new")
    file.with_name("file~").unlink()


def save_with_lasting_backup(file):
    """As emacs does."""
    file.rename(file.with_name("file~"))
    file.write_bytes(b"new")


def save_with_linked_backup(file):
    backup = file.with_name("file.bak")
    backup.unlink(missing_ok=True)
    backup.hardlink_to(file)
    save_by_rename(file)


WAYS = [
    save_by_rename,
    save_by_deletion,
    save_with_backup,
    save_with_lasting_backup,
    save_with_linked_backup,
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    return path


@pytest.mark.parametrize("save", WAYS)
def test_a_file_that_an_editor_saves_is_watched_on(drive, file, save):
    subscription = drive.watch(file, CONTENTS | IN_MODIFY)
    for _ in range(3):
        save(file)
        returned(drive, subscription)
        drive.clear()
        with file.open("ab") as appended:
            appended.write(b"x")
        drive.settle()
        assert drive.of(subscription).pairs == [
            ("IN_MODIFY", str(file)),
            ("IN_CLOSE_WRITE", str(file)),
        ]
    assert drive.lost == []


@pytest.mark.parametrize("save", WAYS)
def test_a_save_is_one_close_write(drive, file, save):
    subscription = drive.watch(file, IN_CLOSE_WRITE)
    save(file)
    returned(drive, subscription)
    assert drive.of(subscription).paths(IN_CLOSE_WRITE) == [str(file)]


@pytest.mark.parametrize("save", [save_with_lasting_backup, save_with_linked_backup])
def test_the_backup_of_a_file_is_not_the_file(drive, file, save):
    subscription = drive.watch(file, ALL_EVENTS)
    save(file)
    returned(drive, subscription)
    drive.clear()
    [backup] = [p for p in file.parent.iterdir() if p != file]
    backup.write_bytes(b"x")
    drive.settle()
    assert len(drive.of(subscription)) == 0


def test_a_file_that_is_saved_while_it_is_saved(drive, file):
    subscription = drive.watch(file, IN_CLOSE_WRITE)
    with file.with_name("temporary").open("wb") as temporary:
        file.with_name("temporary").rename(file)
        returned(drive, subscription)
        assert drive.of(subscription).paths(IN_CLOSE_WRITE) == []
        temporary.write(b"new")
    drive.settle()
    closes = [event for event in drive.of(subscription) if event.mask & IN_CLOSE_WRITE]
    assert [event.synthetic for event in closes] == [False]


def test_a_mounted_config_map(drive, tmp_path):
    """The kubelet writes a new directory, turns the link ..data to it and removes the old one."""

    def publish(version: str) -> None:
        fresh = tmp_path / f"..{version}"
        fresh.mkdir()
        (fresh / "config").write_text(version)
        (tmp_path / "..data_tmp").symlink_to(fresh.name)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    config = tmp_path / "config"
    publish("1")
    config.symlink_to("..data/config")
    subscription = drive.watch(config, IN_CLOSE_WRITE)
    for version in ("2", "3"):
        publish(version)
        remove(tmp_path / f"..{int(version) - 1}")
        returned(drive, subscription)
        assert drive.of(subscription).paths(IN_CLOSE_WRITE) == [str(config)]
        drive.clear()
    assert config.read_text() == "3"


def test_a_file_that_is_gone_is_lost_and_found(drive, file):
    subscription = drive.watch(file, CONTENTS | IN_DELETE_SELF)
    file.unlink()
    drive.settle()
    assert drive.lost == [subscription]
    assert drive.of(subscription).masknames[0] == "IN_DELETE_SELF"
    drive.clear()
    file.write_bytes(b"x")
    returned(drive, subscription)
    assert drive.of(subscription).pairs == [("IN_CREATE", str(file)), ("IN_CLOSE_WRITE", str(file))]


# Mounts


@pytest.fixture
def mounted(root):
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    if subprocess.run(["mount", "-t", "tmpfs", "none", root], check=False).returncode:
        pytest.skip("this machine does not let us mount")
    yield root
    while os.path.ismount(root):
        subprocess.run(["umount", "-l", root], check=True)


def test_a_root_that_is_unmounted_is_lost_once_and_watched_when_it_is_back(drive, mounted):
    for number in range(50):
        (mounted / f"{number}").mkdir()
        (mounted / f"{number}" / "file").touch()
    subscription = drive.watch(mounted, ALL_EVENTS, **TREE)
    subprocess.run(["umount", mounted], check=True)
    drive.settle()
    assert drive.lost == [subscription]
    seen = drive.of(subscription)
    assert not seen.paths(IN_DELETE | IN_DELETE_SELF)
    assert len(seen.paths(IN_UNMOUNT)) >= 1
    drive.clear()
    (mounted / "below").touch()
    drive.settle()
    assert len(drive.of(subscription)) == 0
    (mounted / "below").unlink()
    subprocess.run(["mount", "-t", "tmpfs", "none", mounted], check=True)
    (mounted / "file").write_bytes(b"x")
    returned(drive, subscription)
    assert (drive.of(subscription).created) == [f"{mounted}/file"]
    assert drive.lost == [subscription]


def test_what_is_not_lost_is_not_told(drive, root, tmp_path):
    (root / "a").mkdir()
    drive.watch(root, ALL_EVENTS, **TREE)
    remove(root / "a")
    (root / "a").mkdir()
    (root / "a").rename(tmp_path / "b")
    drive.settle()
    assert drive.lost == []


def test_a_path_with_a_link_in_it(drive, tmp_path):
    (tmp_path / "real" / "root").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    path = Path(tmp_path, "link", "root")
    subscription = drive.watch(path, IN_CREATE, **TREE)
    (path / "a" / "b").mkdir(parents=True)
    drive.settle()
    (tmp_path / "real" / "root" / "a" / "b" / "file").touch()
    drive.settle()
    assert drive.of(subscription).created[-1] == f"{path}/a/b/file"
