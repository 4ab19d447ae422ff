"""File names are bytes: all but NUL and "/" pass through."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyinotify import IN_CLOSE_WRITE, IN_CREATE, IN_DELETE, IN_MOVED_FROM, IN_MOVED_TO

from tests.integration.notifier.driving import TREE, driven

NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda name: not {0, ord("/")} & set(name) and name not in (b".", b"..")
)


@given(directory=NAMES, file=NAMES, other=NAMES)
@settings(max_examples=50, deadline=None)
def test_every_name_passes_through(directory, file, other):
    with tempfile.TemporaryDirectory() as root, driven() as drive:
        subscription = drive.watch(
            root, IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE, **TREE
        )
        base = Path(root, os.fsdecode(directory))
        early, late = base / os.fsdecode(file), base / os.fsdecode(other)
        base.mkdir()
        drive.settle()
        early.write_bytes(b"x")
        early.rename(late)
        drive.settle()
        expected = [base, early, early, early, late]
        if file == other:
            expected = expected[:3]
        seen = drive.of(subscription)
        assert [event.pathname for event in seen] == [str(path) for path in expected]
        assert all(f"{event.path}/{event.name}" == event.pathname for event in seen)
        assert {os.fsencode(event.name) for event in seen} == {directory, file, other}


@given(directory=NAMES, file=NAMES)
@settings(max_examples=50, deadline=None)
def test_every_name_is_announced(directory, file):
    with tempfile.TemporaryDirectory() as root, driven() as drive:
        subscription = drive.watch(root, IN_CREATE | IN_CLOSE_WRITE, **TREE)
        path = Path(root, os.fsdecode(directory), os.fsdecode(file))
        path.parent.mkdir()
        path.write_bytes(b"x")
        drive.settle()
        expected = [path.parent, path, path]
        assert [event.pathname for event in drive.of(subscription)] == list(map(str, expected))


@pytest.mark.parametrize("name", [b"\xff\xfe", b"new\nline", b"caf\xe9", b"\xf0\x9f\x90\x8d", b" "])
def test_a_root_may_have_any_name(drive, tmp_path, name):
    root = Path(tmp_path, os.fsdecode(name))
    root.mkdir()
    subscription = drive.watch(root, IN_CREATE, **TREE)
    (root / "sub").mkdir()
    (root / "sub" / os.fsdecode(name)).touch()
    drive.settle()
    assert drive.of(subscription).created == [f"{root}/sub", f"{root}/sub/{os.fsdecode(name)}"]


@pytest.mark.parametrize("length", [1, 15, 16, 17, 31, 32, 254, 255])
def test_names_of_any_length(drive, tmp_path, length):
    """The kernel pads them with zero bytes."""
    subscription = drive.watch(tmp_path, IN_CREATE)
    (tmp_path / ("x" * length)).touch()
    drive.settle()
    assert drive.of(subscription).created == [f"{tmp_path}/{'x' * length}"]
