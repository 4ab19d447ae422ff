"""Directories that need not be listed, because they hold no directories."""

import os
from pathlib import Path

import pytest

from inotifier.notifier import leaves
from inotifier.notifier.leaves import Leaves


def counts_links(path):
    """Tell whether the file system of `path` is one whose link counts are believed."""
    types = leaves._types_of_devices()
    return types.get(path.lstat().st_dev) in leaves._COUNTING


def test_a_directory_of_files_and_links_is_a_leaf(tmp_path):
    if not counts_links(tmp_path):
        pytest.skip("the temporary directory is on a file system that does not count")
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/")
    assert Leaves().knows(os.fsencode(tmp_path))


def test_a_directory_with_a_directory_is_none(tmp_path):
    (tmp_path / "sub").mkdir()
    assert not Leaves().knows(os.fsencode(tmp_path))


def test_a_directory_that_is_gone_is_none(tmp_path):
    assert not Leaves().knows(os.fsencode(tmp_path / "gone"))


def test_a_file_system_that_counts_otherwise_is_not_believed():
    # Two links, but directories in it: the numbers of the descriptors' owner.
    device = Path("/proc/self").stat().st_dev
    assert leaves._types_of_devices()[device] == "proc"
    assert not Leaves()._is_counting(device)
