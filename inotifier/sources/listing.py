"""Which files are there, and what they look like: directories listed, paths looked at."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable, Mapping

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})

_CLOCK_REALTIME_COARSE = 5  # linux/time.h
_LONGEST_TICK = 20_000_000
_ROUNDS = 3


State = tuple[int, int, int, int]
"""What a file looks like: it is another, or has changed, if any of this has.

Its inode; its size in bytes; its mtime, the time of the last change of its content, which anybody
can set; its ctime, that of the last change of its content, owner, permissions, name or number of
names, which nobody can set; both in nanoseconds. A plain tuple takes half the time of a named one.
"""


class Part:
    """Some paths of a tree.

    Args:
        paths: files.
        tops: directories, with everything below.
    """

    def __init__(self, paths: Iterable[str], tops: Iterable[str]) -> None:
        self.tops: list[str] = []
        for top in sorted(tops, key=lambda path: f"{path}/"):
            # Now what is below a directory comes right behind it.
            if not self.tops or not top.startswith(f"{self.tops[-1]}/"):
                self.tops.append(top)
        self._tops = frozenset(self.tops)
        self._below = tuple(f"{top}/" for top in self.tops)
        self.paths = {path for path in paths if not self._is_below(path)}

    def __contains__(self, path: str) -> bool:
        return path in self.paths or self._is_below(path)

    def _is_below(self, path: str) -> bool:
        return path.startswith(self._below) or path in self._tops


class Listing:
    """Regular files, and symbolic links to such: whatever was listed or looked at.

    Attributes:
        files: what they look like, by path.
        untold: paths of files that may change without an event in their directory: symbolic links
            of any kind, and files with several names.
        unread: what may be there but cannot be listed or looked at, with the reason.
    """

    def __init__(self) -> None:
        self.files: dict[str, State] = {}
        self.untold: set[str] = set()
        self.unread: dict[str, OSError] = {}
        self._young: set[str] = set()
        self._since = _now()

    def look(self, path: str, *, recurse: bool) -> None:
        """Look at `path`; with `recurse`, list it if it is a directory."""
        try:
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                self.untold.add(path)
                status = os.stat(path)
                recurse = False
        except OSError as exc:
            self.failed(path, exc)
            return
        if recurse and stat.S_ISDIR(status.st_mode):
            self.walk(path, recurse=True)
        else:
            self.take(path, status)

    def walk(self, top: str, *, recurse: bool) -> None:
        """List the directory `top`; with `recurse`, all below it."""
        waiting = [top]
        while waiting:
            directory = waiting.pop()
            try:
                with os.scandir(directory) as items:
                    for item in items:
                        if not self._take_item(item) and recurse:
                            waiting.append(item.path)
            except OSError as exc:
                self.failed(directory, exc)

    def _take_item(self, item: os.DirEntry[str]) -> bool:
        """Look at `item`; False if it is a directory, which is still to be listed."""
        try:
            if item.is_file(follow_symlinks=False):
                self.take(item.path, item.stat(follow_symlinks=False))
            elif item.is_dir(follow_symlinks=False):
                return False
            elif item.is_symlink():
                self.look(item.path, recurse=False)
        except OSError as exc:
            self.failed(item.path, exc)
        return True

    def take(self, path: str, status: os.stat_result) -> None:
        """Take in `path`, of which `status` is known, if it is a regular file."""
        if stat.S_ISREG(status.st_mode):
            self.files[path] = (
                status.st_ino,
                status.st_size,
                status.st_mtime_ns,
                status.st_ctime_ns,
            )
            if status.st_nlink > 1:
                self.untold.add(path)
            if status.st_ctime_ns >= self._since:
                self._young.add(path)

    def settle(self) -> None:
        """Look again at files that have just changed, so that their next change will show.

        The clock for the times of files ticks (clock_getres(2) of
        CLOCK_REALTIME_COARSE: some milliseconds): what changes twice within a tick has the same
        times after both. So this waits for the next tick, at most a few times, if a file changes
        on and on.
        """
        for _ in range(_ROUNDS):
            # A time far ahead comes from another clock, and says nothing.
            ahead = _now() + _LONGEST_TICK
            young = [path for path in self._young if self.files[path][3] <= ahead]
            self._young = set()
            if not young:
                return
            _wait_for_tick()
            self._since = _now()
            for path in young:
                del self.files[path]
                self.look(path, recurse=False)

    def failed(self, path: str, exc: OSError) -> None:
        """Note that `path` was not to be looked at; what is gone is just not there."""
        if exc.errno not in _GONE:
            self.unread[path] = exc

    def keep(self, known: Mapping[str, State]) -> None:
        """Take over what is `known` of what cannot be read: nothing says that it has changed."""
        if not self.unread:
            return
        unread = Part((), self.unread)
        for path, state in known.items():
            if path in unread:
                self.files.setdefault(path, state)


def _now() -> int:
    """Return what the clock for the times of files says, in nanoseconds."""
    return time.clock_gettime_ns(_CLOCK_REALTIME_COARSE)


def _wait_for_tick() -> None:
    now = _now()
    while _now() == now:
        time.sleep(0.0005)
