"""File rules with real files: what they do, and what they refuse to do."""

import ctypes
import errno
import os
import re
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest

from inotifier.exceptions import RuleFailed, TryAgain
from inotifier.scheduling import FileManagerRule, renaming, transfers

MEMORY = Path("/dev/shm")


class Unnoted:
    """Takes notes, and keeps none."""

    def writing(self, path, is_whole=False):
        return nullcontext()

    def removes(self, path):
        pass


def rule(action: str, source: Path, target: Path | None = None, **options) -> FileManagerRule:
    """Return a rule for what is in `source`, which leads to the same names in `target`."""
    destination = "" if target is None else rf"{target}/\1"
    return FileManagerRule(action, f"^{re.escape(str(source))}/(.*)$", destination, **options)


def apply(applied: FileManagerRule, path: Path) -> str:
    return applied.apply(str(path), Unnoted())


def names(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir()}


def tree(path: Path) -> dict[str, object]:
    """Return everything below `path`: contents of files, targets of links, None for directories."""
    found: dict[str, object] = {}
    for entry in sorted(path.rglob("*")):
        name = str(entry.relative_to(path))
        if entry.is_symlink():
            found[name] = entry.readlink()
        else:
            found[name] = None if entry.is_dir() else entry.read_bytes()
    return found


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in"
    path.mkdir()
    return path


@pytest.fixture(params=["same", "other"])
def target(request, tmp_path):
    """A directory on the same file system, and one on another."""
    if request.param == "same":
        path = tmp_path / "out"
        path.mkdir()
        yield path
        return
    if not MEMORY.is_dir() or MEMORY.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system")
    path = MEMORY / f"inotifier-{os.getpid()}-{request.node.name.partition('[')[0][:40]}"
    path.mkdir()
    yield path
    for directory, names, files in os.walk(path, topdown=False):
        for name in files:
            Path(directory, name).unlink()
        for name in names:
            entry = Path(directory, name)
            entry.unlink() if entry.is_symlink() else entry.rmdir()
    path.rmdir()


def fill(path: Path) -> dict[str, object]:
    """Make a directory with something of everything at `path`; return what is in it."""
    (path / "sub" / "empty").mkdir(parents=True)
    (path / "file").write_bytes(b"x" * 3_000_000)
    (path / "sub" / "caf\udce9\n").write_text("name")
    (path / "sub" / "program").write_text("#!/bin/sh")
    (path / "sub" / "program").chmod(0o750)
    (path / "link").symlink_to("sub/program")
    (path / "dangling").symlink_to("/no/such/file")
    return tree(path)


# What they do


@pytest.mark.parametrize("action", ["move", "copy"])
def test_a_file_goes_to_its_target(source, target, action):
    (source / "a").write_bytes(b"x" * 3_000_000)
    os.utime(source / "a", ns=(1, 2_000_000_000))
    done = apply(rule(action, source, target), source / "a")
    assert done.startswith({"move": "moved", "copy": "copied"}[action])
    assert (target / "a").read_bytes() == b"x" * 3_000_000
    assert (target / "a").stat().st_mtime_ns == 2_000_000_000
    assert [path.name for path in target.iterdir()] == ["a"]
    assert (source / "a").exists() == (action == "copy")


@pytest.mark.parametrize("action", ["move", "copy"])
def test_a_directory_goes_whole(source, target, action):
    """Fault 7 of pyinotifyd: it could not move to another file system."""
    expected = fill(source / "d")
    apply(rule(action, source, target), source / "d")
    assert tree(target / "d") == expected
    assert stat.S_IMODE((target / "d" / "sub" / "program").stat().st_mode) == 0o750
    assert list(target.iterdir()) == [target / "d"]
    assert list(source.iterdir()) == ([source / "d"] if action == "copy" else [])


@pytest.mark.parametrize("action", ["move", "copy"])
def test_a_link_is_taken_as_a_link(source, target, action):
    (source / "link").symlink_to("/etc/passwd")
    apply(rule(action, source, target), source / "link")
    assert (target / "link").readlink() == Path("/etc/passwd")
    assert (source / "link").is_symlink() == (action == "copy")


@pytest.mark.parametrize("name", ["caf\udce9", "a\nb", "-rf", " ", "x" * 255])
@pytest.mark.parametrize("action", ["move", "copy"])
def test_any_name_will_do(source, target, action, name):
    (source / name).write_text("x")
    apply(rule(action, source, target), source / name)
    assert names(target) == {name}


def test_a_file_is_deleted(source):
    (source / "a").touch()
    (source / "link").symlink_to("a")
    assert apply(rule("delete", source), source / "link") == "deleted"
    assert apply(rule("delete", source), source / "a") == "deleted"
    assert list(source.iterdir()) == []


def test_a_full_directory_is_deleted_with_rec_only(source, tmp_path):
    """Fault 7 of pyinotifyd: it could delete no directory without rec."""
    (source / "empty").mkdir()
    apply(rule("delete", source), source / "empty")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    fill(source / "d")
    (source / "d" / "outside").symlink_to(outside)
    with pytest.raises(RuleFailed, match="d is not empty; rec=True in the rule would delete all"):
        apply(rule("delete", source), source / "d")
    apply(rule("delete", source, rec=True), source / "d")
    assert list(source.iterdir()) == []
    assert (outside / "kept").exists()


@pytest.mark.parametrize("action", ["move", "copy", "delete"])
def test_what_has_vanished_is_no_error(source, target, action):
    applied = rule(action, source, None if action == "delete" else target / "x")
    assert "is gone" in apply(applied, source / "a")
    assert "is gone" in apply(applied, source / "d" / "a")
    assert list(target.iterdir()) == []


def test_missing_directories_are_made_on_demand_only(source, target):
    (source / "a").touch()
    missing = target / "x" / "y"
    with pytest.raises(RuleFailed, match=r"x, where .* should go, does not exist; auto_create"):
        apply(rule("move", source, missing), source / "a")
    assert (source / "a").exists()
    assert not (target / "x").exists()
    apply(rule("move", source, missing, auto_create=True, dirmode="0710"), source / "a")
    assert (missing / "a").exists()
    assert stat.S_IMODE((target / "x").stat().st_mode) == 0o710
    assert stat.S_IMODE(missing.stat().st_mode) == 0o710


@pytest.mark.parametrize("action", ["move", "copy"])
def test_modes_of_files_and_directories(source, target, action):
    fill(source / "d")
    apply(rule(action, source, target, filemode=0o604, dirmode=0o705), source / "d")
    for path in (target / "d").rglob("*"):
        if not path.is_symlink():
            expected = 0o705 if path.is_dir() else 0o604
            assert stat.S_IMODE(path.stat().st_mode) == expected, path
    assert stat.S_IMODE((target / "d").stat().st_mode) == 0o705


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("action", ["move", "copy"])
def test_owner_of_files_and_directories(source, target, action):
    fill(source / "d")
    applied = rule(action, source, target / "x", auto_create=True, user="nobody", group=65534)
    apply(applied, source / "d")
    for path in (target / "x", *(target / "x").rglob("*")):
        status = path.lstat()
        assert (status.st_uid, status.st_gid) == (65534, 65534), path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_move_keeps_the_owner_and_a_copy_has_ours(source, target):
    for name in ("a", "b"):
        (source / name).touch()
        os.chown(source / name, 65534, 65534)
        (source / name).chmod(0o4755)
    apply(rule("move", source, target), source / "a")
    apply(rule("copy", source, target), source / "b")
    moved, copied = (target / "a").stat(), (target / "b").stat()
    assert (moved.st_uid, stat.S_IMODE(moved.st_mode)) == (65534, 0o4755)
    assert (copied.st_uid, stat.S_IMODE(copied.st_mode)) == (0, 0o755)


def test_other_names_of_a_file_keep_their_mode(source, target, tmp_path):
    (source / "a").write_text("x")
    (source / "a").chmod(0o600)
    other = tmp_path / "other"
    other.hardlink_to(source / "a")
    apply(rule("move", source, target, filemode=0o644), source / "a")
    assert stat.S_IMODE(other.stat().st_mode) == 0o600
    assert stat.S_IMODE((target / "a").stat().st_mode) == 0o644
    assert not (source / "a").exists()


def test_so_they_do_in_a_directory(source, target, tmp_path):
    other = tmp_path / "other"
    other.write_text("x")
    other.chmod(0o600)
    (source / "d").mkdir()
    (source / "d" / "a").hardlink_to(other)
    apply(rule("move", source, target, filemode=0o644), source / "d")
    assert stat.S_IMODE(other.stat().st_mode) == 0o600
    assert stat.S_IMODE((target / "d" / "a").stat().st_mode) == 0o644


def test_extended_attributes_go_along(source, target):
    (source / "a").touch()
    try:
        os.setxattr(source / "a", "user.origin", b"scanner")
        os.setxattr(target, "user.probe", b"")
    except OSError:
        pytest.skip("one of the file systems has none")
    apply(rule("copy", source, target), source / "a")
    assert os.getxattr(target / "a", "user.origin") == b"scanner"


@pytest.fixture
def no_root():
    """A directory, and no privileges; root gives its own up for a time."""
    with tempfile.TemporaryDirectory() as name:
        is_root = os.geteuid() == 0
        if is_root:
            os.chown(name, 65534, 65534)
            os.seteuid(65534)
        try:
            (Path(name) / "in").mkdir()
            (Path(name) / "out").mkdir()
            yield Path(name)
            for path in Path(name).rglob("*"):
                if path.is_dir():
                    path.chmod(0o700)
        finally:
            if is_root:
                os.seteuid(0)


def test_a_directory_that_may_not_be_written_is_copied_without_privileges(no_root):
    original = no_root / "in" / "d"
    (original / "sub").mkdir(parents=True)
    (original / "sub" / "a").write_text("x")
    for path in (original / "sub", original):
        path.chmod(0o555)
    apply(rule("copy", no_root / "in", no_root / "out"), original)
    copied = no_root / "out" / "d"
    assert tree(copied) == {"sub": None, "sub/a": b"x"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (copied, copied / "sub")} == {0o555}
    assert names(no_root / "out") == {"d"}


def test_nothing_is_left_of_a_copy_that_fails_without_privileges(no_root):
    original = no_root / "in" / "d"
    (original / "sub").mkdir(parents=True)
    (original / "sub").chmod(0o555)
    os.mkfifo(original / "zzz")
    (original / "unreadable").touch(0o000)
    with pytest.raises((RuleFailed, PermissionError)):
        apply(rule("copy", no_root / "in", no_root / "out"), original)
    assert names(no_root / "out") == set()


def test_modes_are_as_they_were_after_a_move_that_fails_without_privileges(no_root):
    original = no_root / "in" / "d"
    (original / "sub").mkdir(parents=True)
    (original / "sub" / "a").touch()
    before = {original: 0o750, original / "sub": 0o700, original / "sub" / "a": 0o4600}
    for path, mode in before.items():
        path.chmod(mode)
    (no_root / "out").chmod(0o555)
    applied = rule("move", no_root / "in", no_root / "out", filemode=0o666, dirmode=0o111)
    with pytest.raises(PermissionError):
        apply(applied, original)
    assert {path: stat.S_IMODE(path.stat().st_mode) for path in before} == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owner_and_mode_are_as_they_were_after_a_move_that_fails(source, tmp_path, monkeypatch):
    (source / "d").mkdir()
    (source / "d" / "a").touch()
    (source / "d" / "a").chmod(0o4750)
    (source / "d" / "link").symlink_to("/nowhere")

    def refused(*places):
        raise PermissionError

    monkeypatch.setattr(transfers, "rename_new", refused)
    with pytest.raises(PermissionError):
        apply(rule("move", source, tmp_path, user=65534, group=65534), source / "d")
    for path in (source / "d", source / "d" / "a", source / "d" / "link"):
        status = path.lstat()
        assert (status.st_uid, status.st_gid) == (0, 0), path
    assert stat.S_IMODE((source / "d" / "a").stat().st_mode) == 0o4750


# What stands at the target


@pytest.mark.parametrize("action", ["move", "copy"])
def test_what_stands_there_is_kept(source, target, action):
    (source / "a").write_text("new")
    (target / "a").write_text("old")
    with pytest.raises(RuleFailed, match=r"exists and is not what .* is; overwrite=True"):
        apply(rule(action, source, target), source / "a")
    assert ((source / "a").read_text(), (target / "a").read_text()) == ("new", "old")


@pytest.mark.parametrize("option", ["overwrite", "override"])
@pytest.mark.parametrize("action", ["move", "copy"])
def test_a_file_is_replaced_if_that_is_asked_for(source, target, action, option):
    (source / "a").write_text("new")
    (target / "a").write_text("old")
    apply(rule(action, source, target, **{option: True}), source / "a")
    assert tree(target) == {"a": b"new"}


@pytest.mark.parametrize("action", ["move", "copy"])
def test_a_directory_is_replaced_whole_if_that_is_asked_for(source, target, action):
    """Fault 7 of pyinotifyd: it could not copy over a directory."""
    expected = fill(source / "d")
    (target / "d").mkdir()
    (target / "d" / "old").write_text("old")
    with pytest.raises(RuleFailed, match="overwrite=True"):
        apply(rule(action, source, target), source / "d")
    apply(rule(action, source, target, overwrite=True), source / "d")
    assert tree(target / "d") == expected
    assert list(target.iterdir()) == [target / "d"]


def test_a_file_and_a_directory_do_not_replace_each_other(source, target):
    (source / "a").write_text("new")
    (source / "b").mkdir()
    (target / "a").mkdir()
    (target / "b").write_text("old")
    for name in ("a", "b"):
        with pytest.raises(RuleFailed, match="one is a directory"):
            apply(rule("move", source, target, overwrite=True), source / name)
    assert names(source) == names(target) == {"a", "b"}


@pytest.mark.parametrize("name", ["a", "d"])
def test_a_move_is_finished_if_the_same_stands_there(source, target, name):
    (source / "a").write_text("same")
    (target / "a").write_text("same")
    fill(source / "d")
    fill(target / "d")
    assert "already" in apply(rule("copy", source, target), source / name)
    assert (source / name).exists()
    assert "already" in apply(rule("move", source, target), source / name)
    assert not (source / name).exists()
    assert (target / name).exists()


def test_a_move_onto_another_name_of_the_same_file_is_finished(source, tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (source / "a").write_text("x")
    (target / "a").hardlink_to(source / "a")
    apply(rule("move", source, target, overwrite=True), source / "a")
    assert tree(tmp_path) == {"in": None, "out": None, "out/a": b"x"}


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("action", ["move", "copy"])
def test_a_file_does_not_become_itself(source, tmp_path, action, overwrite):
    (source / "a").write_text("x")
    (tmp_path / "alias").symlink_to(source)
    for target in (source, tmp_path / "alias"):
        with pytest.raises(RuleFailed, match="would become itself"):
            apply(rule(action, source, target, overwrite=overwrite), source / "a")
    assert (source / "a").read_text() == "x"


@pytest.mark.parametrize("action", ["move", "copy"])
def test_a_directory_does_not_go_into_itself(source, action):
    expected = fill(source / "d")
    into = rule(action, source, source / "d" / "sub")
    with pytest.raises((RuleFailed, OSError)):
        apply(into, source / "d")
    assert tree(source / "d") == expected


@pytest.mark.parametrize("action", ["move", "copy"])
def test_what_comes_to_the_target_meanwhile_is_kept(source, target, action, monkeypatch):
    (source / "a").write_text("new")

    def overtaken(*places):
        (target / "a").write_text("of others")
        return rename_new(*places)

    rename_new = transfers.rename_new
    monkeypatch.setattr(transfers, "rename_new", overtaken)
    with pytest.raises(RuleFailed, match="exists"):
        apply(rule(action, source, target), source / "a")
    assert ((source / "a").read_text(), tree(target)) == ("new", {"a": b"of others"})


def test_of_many_at_once_one_gets_the_name(source, target):
    many = [f"{number}.x" for number in range(20)]
    for name in many:
        (source / name).write_text(name)
    applied = FileManagerRule("move", f"^{source}/.*$", f"{target}/one")
    outcomes = []

    def attempt(name):
        try:
            apply(applied, source / name)
            outcomes.append(name)
        except (RuleFailed, TryAgain):
            pass

    threads = [threading.Thread(target=attempt, args=(name,)) for name in many]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [winner] = outcomes
    assert tree(target) == {"one": winner.encode()}
    assert names(source) == set(many) - {winner}


# Failures


def test_what_cannot_be_copied_is_kept(source, target):
    os.mkfifo(source / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(source / "socket"))
        for name in ("fifo", "socket"):
            with pytest.raises(RuleFailed, match="neither file, directory nor link"):
                apply(rule("copy", source, target), source / name)
    assert names(source) == {"fifo", "socket"}
    assert names(target) == set()


def test_a_full_disk_keeps_the_source(source, target, monkeypatch):
    (source / "a").write_text("x")

    def full(fd):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        apply(rule("copy", source, target), source / "a")
    assert (source / "a").read_text() == "x"


def test_a_file_that_changes_while_it_is_copied_does_not_arrive(source, target, monkeypatch):
    (source / "a").write_text("x")

    def appending(*arguments, **options):
        copy(*arguments, **options)
        with (source / "a").open("a") as file:
            file.write("more")

    copy = transfers.copy
    monkeypatch.setattr(transfers, "copy", appending)
    with pytest.raises(RuleFailed, match="has changed while it was copied"):
        apply(rule("copy", source, target), source / "a")
    assert names(target) == set()


@pytest.mark.parametrize("name", ["a", "d"])
def test_what_comes_after_the_copy_is_not_removed(source, target, name, monkeypatch):
    (source / "a").write_text("x")
    (source / "d").mkdir()

    def late(self, origin, old=None):
        install(self, origin, old)
        (source / ("d/late" if name == "d" else "a")).write_text("late")

    install = transfers.Transfer._install
    monkeypatch.setattr(transfers.Transfer, "_install", late)
    if source.stat().st_dev == target.stat().st_dev:
        pytest.skip("nothing is copied here")
    with pytest.raises(RuleFailed, match="has changed after it was copied"):
        apply(rule("move", source, target), source / name)
    assert (source / ("d/late" if name == "d" else "a")).read_text() == "late"
    assert names(source) == {"a", "d"}


@pytest.mark.parametrize("path", ["relative", "/out/", "/out/../x", "/out/.", ""])
def test_a_target_that_is_no_file_is_refused(source, path):
    (source / "a").touch()
    applied = FileManagerRule("move", "(x?).*$", path or r"\1", overwrite=True)
    with pytest.raises(RuleFailed, match="is not the absolute path of a file"):
        apply(applied, source / "a")
    assert (source / "a").exists()


# File systems, and libraries, that cannot rename without replacing


@pytest.fixture(params=["unknown to the library", "unknown to the file system"])
def without_renameat2(request, monkeypatch):
    def refusing(*arguments):
        ctypes.set_errno(errno.EINVAL)
        return -1

    call = None if request.param == "unknown to the library" else refusing
    monkeypatch.setattr(renaming, "_libc_renameat2", lambda: call)


@pytest.mark.usefixtures("without_renameat2")
def test_without_renameat2_files_and_directories_are_moved_as_well(source, target):
    expected = fill(source / "d")
    apply(rule("move", source, target), source / "d")
    assert tree(target / "d") == expected
    assert names(source) == set()


@pytest.mark.usefixtures("without_renameat2")
def test_without_renameat2_nothing_is_replaced_either(source, target, monkeypatch):
    (source / "a").write_text("new")
    (source / "d").mkdir()
    (target / "a").write_text("old")
    (target / "d").mkdir()
    (target / "d" / "old").touch()
    monkeypatch.setattr(transfers.Transfer, "_is_done", lambda *arguments: False)
    for name in ("a", "d"):
        with pytest.raises(RuleFailed, match="exists"):
            apply(rule("move", source, target), source / name)
    assert tree(target) == {"a": b"old", "d": None, "d/old": b""}
    assert tree(source) == {"a": b"new", "d": None}


@pytest.mark.usefixtures("without_renameat2")
def test_where_there_are_no_links_either_a_rule_has_to_overwrite(source, target, monkeypatch):
    def refusing(*arguments, **options):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refusing)
    (source / "a").write_text("x")
    with pytest.raises(RuleFailed, match=r"cannot rename without replacing .* overwrite=True"):
        apply(rule("move", source, target), source / "a")
    assert names(source) == {"a"}
    apply(rule("move", source, target, overwrite=True), source / "a")
    assert tree(target) == {"a": b"x"}


# The root


@pytest.fixture
def outside(tmp_path):
    path = tmp_path / "outside"
    path.mkdir()
    (path / "secret").write_text("secret")
    return path


def test_what_lies_below_the_root_may_go_anywhere_below_it(source, tmp_path):
    (source / "a").write_text("x")
    (tmp_path / "alias").symlink_to(source)
    applied = rule("move", source, tmp_path / "alias" / "x", auto_create=True, root=tmp_path)
    apply(applied, source / "a")
    assert (source / "x" / "a").read_text() == "x"


def test_neither_end_may_lie_outside_of_the_root(source, outside):
    (source / "a").write_text("x")
    with pytest.raises(RuleFailed, match=r"leads out of .*in, the root of its rule"):
        apply(rule("copy", source, outside, root=source), source / "a")
    with pytest.raises(RuleFailed, match="leads out of"):
        apply(rule("copy", outside, source, root=source), outside / "secret")
    with pytest.raises(RuleFailed, match="leads out of"):
        apply(rule("delete", source.parent, root=source), source)
    assert names(outside) == {"secret"}
    assert names(source) == {"a"}


@pytest.mark.parametrize("action", ["move", "copy", "delete"])
def test_no_link_leads_out_of_the_root(source, outside, action):
    (source / "a").write_text("x")
    (source / "way").symlink_to(outside)
    if action != "delete":
        with pytest.raises(RuleFailed, match="leads out of"):
            apply(rule(action, source, source / "way", root=source), source / "a")
    target = None if action == "delete" else source / "x"
    with pytest.raises(RuleFailed, match="leads out of"):
        apply(rule(action, source, target, root=source), source / "way" / "secret")
    assert tree(outside) == {"secret": b"secret"}


def test_a_name_that_only_begins_like_the_root_is_outside(source, outside, tmp_path):
    sibling = tmp_path / "in-other"
    sibling.mkdir()
    (source / "a").touch()
    with pytest.raises(RuleFailed, match="leads out of"):
        apply(rule("move", source, sibling, root=source), source / "a")


SWAP = """
import ctypes, sys
exchange = ctypes.CDLL(None, use_errno=True).renameat2
one, other = map(str.encode, sys.argv[1:])
print("ready", flush=True)
while not exchange(-100, one, -100, other, 2):  # RENAME_EXCHANGE
    pass
"""


NUMBERS = [str(number) for number in range(1000)]


@pytest.fixture
def swapping(source, outside):
    """A directory that is, again and again, a link to one outside of the root."""
    way, link = source / "way", source / "link"
    way.mkdir()
    for number in NUMBERS:
        (way / number).write_text("own")
    link.symlink_to(outside)
    # A process of its own: two threads of one interpreter take turns, and rarely meet.
    arguments = [sys.executable, "-c", SWAP, str(way), str(link)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        yield way
        process.kill()


def outcomes(applied: FileManagerRule, paths: list[Path]) -> set[bool]:
    """Apply a rule to each of `paths`; return whether it worked, at least once, and did not."""
    found = set()
    for path in paths:
        try:
            found.add("gone" not in apply(applied, path))
        except (RuleFailed, OSError):
            found.add(False)
    return found


@pytest.mark.parametrize("action", ["move", "copy", "delete"])
def test_nobody_who_swaps_a_directory_for_a_link_gets_at_what_is_outside(
    source, outside, swapping, action
):
    (source / "out").mkdir()
    for number in NUMBERS:
        (outside / number).write_text("outside")
    before = tree(outside)
    target = None if action == "delete" else source / "out"
    applied = rule(action, swapping, target, root=source)
    assert outcomes(applied, [swapping / number for number in NUMBERS]) == {True, False}
    assert tree(outside) == before
    assert set(tree(source / "out").values()) <= {b"own"}


@pytest.mark.parametrize("action", ["move", "copy"])
def test_nobody_who_swaps_a_directory_for_a_link_leads_out_of_the_root(
    source, outside, swapping, action
):
    (source / "from").mkdir()
    for number in NUMBERS:
        (source / "from" / number).write_text("own")
    applied = rule(action, source / "from", swapping, root=source, overwrite=True)
    paths = [source / "from" / number for number in NUMBERS]
    assert outcomes(applied, paths) == {True, False}
    assert tree(outside) == {"secret": b"secret"}
