"""Which files are there, and what they look like: directories listed, paths looked at."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


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
