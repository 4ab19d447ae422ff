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
        base = os.path.join(os.fsencode(root), directory)
        early, late = os.path.join(base, file), os.path.join(base, other)
        os.mkdir(base)
        drive.settle()
        Path(os.fsdecode(early)).write_bytes(b"x")
        os.rename(early, late)
        drive.settle()
        expected = [base, early, early, early, late]
        if file == other:
            expected = expected[:3]
        assert [os.fsencode(e.pathname) for e in drive.of(subscription)] == expected
        assert all(
            os.path.join(os.fsencode(e.path), os.fsencode(e.name)) == os.fsencode(e.pathname)
            for e in drive.of(subscription)
        )


@given(directory=NAMES, file=NAMES)
@settings(max_examples=50, deadline=None)
def test_every_name_is_announced(directory, file):
    with tempfile.TemporaryDirectory() as root, driven() as drive:
        subscription = drive.watch(root, IN_CREATE | IN_CLOSE_WRITE, **TREE)
        base = os.path.join(os.fsencode(root), directory)
        path = os.path.join(base, file)
        os.mkdir(base)
        Path(os.fsdecode(path)).write_bytes(b"x")
        drive.settle()
        assert [os.fsencode(e.pathname) for e in drive.of(subscription)] == [base, path, path]


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
