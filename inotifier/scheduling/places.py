"""Where a path leads: its name, in a directory that stays open while something is done there.

Whoever changes the way to the directory meanwhile changes nothing: all is done below its
descriptor, and nothing follows a symbolic link that has the name.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from inotifier.events import printable
from inotifier.exceptions import RuleFailed

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC

Made = Callable[["Place"], object]
"""Takes the place of a directory that was made."""


@dataclass(frozen=True)
class Place:
    """A name in a directory.

    Attributes:
        directory: descriptor of the directory, opened as a path only.
        name: the name.
        path: the whole path, for people.
    """

    directory: int
    name: str
    path: str

    def __str__(self) -> str:
        return printable(self.path)

    def beside(self, name: str) -> Place:
        """Return the place `name` in the same directory."""
        return Place(self.directory, name, str(Path(self.path).with_name(name)))

    def below(self, directory: int, name: str) -> Place:
        """Return the place `name` in the directory that stands here, open as `directory`."""
        return Place(directory, name, f"{self.path}/{name}")

    def look(self) -> os.stat_result | None:
        """Return what stands here, None if nothing does."""
        try:
            return os.lstat(self.name, dir_fd=self.directory)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open(self, flags: int, mode: int = 0o600) -> int:
        """Open what stands here, but nothing that a symbolic link leads to."""
        flags |= os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        return os.open(self.name, flags, mode, dir_fd=self.directory)

    @contextlib.contextmanager
    def entered(self) -> Iterator[int]:
        """Open the directory that stands here; it is closed at the end."""
        fd = self.open(os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield fd
        finally:
            os.close(fd)

    def sync(self) -> None:
        """Have the names in the directory reach the disk."""
        try:
            fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.directory)
        except PermissionError:  # it may be written, but not read
            return
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


@contextlib.contextmanager
def place_of(path: str, root: str | None = None, make: Made | None = None) -> Iterator[Place]:
    """Open the directory of `path`.

    Args:
        path: absolute, and without "." and "..".
        root: a directory that the way must not leave; None for any way.
        make: called for each directory that was missing, and was made; None to make none.

    Raises:
        OSError: there is no such directory, or it cannot be opened.
        RuleFailed: `path` is none of a file, or leads out of `root`.
    """
    directory, _, name = path.rpartition("/")
    parts = [part for part in directory.split("/") if part]
    if not path.startswith("/") or not name or {".", ".."} & {*parts, name}:
        raise RuleFailed(
            f"{printable(path) or 'an empty path'} is not the absolute path of a file; it should "
            "begin with a slash, end in a name, and have no '.' or '..' in it"
        )
    start = "/"
    if root is not None:
        start = os.path.realpath(root)
        parts = _parts_below(start, directory or "/", path)
    fd = _walk(start, parts, follow=root is None, make=make)
    try:
        yield Place(fd, name, path)
    finally:
        os.close(fd)


def _parts_below(root: str, directory: str, path: str) -> list[str]:
    """Return the way from `root` to `directory`, without symbolic links."""
    real = os.path.realpath(directory)
    if not f"{real}/".startswith(f"{root.rstrip('/')}/"):
        raise RuleFailed(f"{printable(path)} leads out of {printable(root)}, the root of its rule")
    return [part for part in real[len(root) :].split("/") if part]


def _walk(start: str, parts: Sequence[str], *, follow: bool, make: Made | None) -> int:
    """Return a descriptor of the directory at the end of `parts`."""
    fd = os.open(start, _DIRECTORY)
    path = start.rstrip("/")
    try:
        for part in parts:
            place = Place(fd, part, f"{path}/{part}")
            path = place.path
            fd, before = _enter(place, follow=follow, make=make), fd
            os.close(before)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _enter(place: Place, *, follow: bool, make: Made | None) -> int:
    # What was missing and what has no links on its way is no link; what is one now came later.
    flags = _DIRECTORY if follow else _DIRECTORY | os.O_NOFOLLOW
    try:
        return os.open(place.name, flags, dir_fd=place.directory)
    except FileNotFoundError as exc:
        if make is None:
            exc.filename = place.path
            raise
    except OSError as exc:
        exc.filename = place.path
        raise
    with contextlib.suppress(FileExistsError):  # somebody else was faster
        os.mkdir(place.name, dir_fd=place.directory)
        make(place)
    return os.open(place.name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=place.directory)
