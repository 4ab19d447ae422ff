"""Which directories hold no directories: on some file systems their link count tells."""

from __future__ import annotations

import os
from pathlib import Path

_COUNTING = frozenset({"ext2", "ext3", "ext4", "tmpfs", "ramfs", "xfs"})
"""Types that count the `..` of each sub-directory as a link, so that a directory without any has
two links. (ext4 gives up counting at 65,000, with one link.) Others, btrfs and overlay among
them, count otherwise or not at all."""


class Leaves:
    """Knows the file systems of one walk."""

    def __init__(self) -> None:
        self._counts: dict[int, bool] = {}
        self._types: dict[int, str] | None = None

    def knows(self, path: bytes) -> bool:
        """Tell whether the directory `path` surely holds no directory."""
        try:
            status = os.lstat(path)
        except OSError:
            return False
        return status.st_nlink == 2 and self._is_counting(status.st_dev)

    def _is_counting(self, device: int) -> bool:
        counts = self._counts.get(device)
        if counts is None:
            if self._types is None:
                self._types = _types_of_devices()
            counts = self._counts[device] = self._types.get(device) in _COUNTING
        return counts


def _types_of_devices() -> dict[int, str]:
    """Return the type of each mounted file system by its device, from proc_pid_mountinfo(5)."""
    types = {}
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        major, _, minor = before.split()[2].partition(":")
        types[os.makedev(int(major), int(minor))] = after.split()[0]
    return types
