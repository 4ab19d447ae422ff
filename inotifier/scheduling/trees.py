"""Files and whole directories: copied, compared, removed, given an owner and modes.

Symbolic links are taken for what they are, and never followed.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from inotifier.exceptions import RuleFailed
from inotifier.scheduling.places import Place

logger = logging.getLogger(__name__)

Snapshot = dict[str, tuple[int, int, int, int]]
"""Of every path below a place, "" for the place itself: mode, inode, size and mtime_ns."""

_CHUNK = 1024 * 1024
"""Bytes that are copied or compared at once."""

_SET_IDS = stat.S_ISUID | stat.S_ISGID

_NO_ATTRIBUTES = frozenset({errno.ENOTSUP, errno.ENODATA, errno.EPERM, errno.EACCES, errno.EINVAL})


@dataclass(frozen=True, kw_only=True)
class Attributes:
    """Modes and owner that files and directories get; None for those that they have."""

    filemode: int | None = None
    dirmode: int | None = None
    uid: int | None = None
    gid: int | None = None

    def __bool__(self) -> bool:
        return self != _NOTHING

    def set_on(self, place: Place, status: os.stat_result) -> None:
        """Set them on the one thing that stands at `place`, and has `status`."""
        if (self.uid, self.gid) != (None, None):
            uid = -1 if self.uid is None else self.uid
            gid = -1 if self.gid is None else self.gid
            os.chown(place.name, uid, gid, dir_fd=place.directory, follow_symlinks=False)
        mode = self.dirmode if stat.S_ISDIR(status.st_mode) else self.filemode
        if mode is not None and not stat.S_ISLNK(status.st_mode):
            set_mode(place, mode)


_NOTHING = Attributes()


def set_mode(place: Place, mode: int) -> None:
    """Give what stands at `place`, which is no link, the permissions `mode`."""
    # A descriptor cannot be led elsewhere by a link; one for the path alone opens even a fifo.
    fd = place.open(os.O_PATH)
    try:
        os.chmod(f"/proc/self/fd/{fd}", mode)
    finally:
        os.close(fd)


@contextlib.contextmanager
def given(place: Place, attributes: Attributes) -> Iterator[None]:
    """Give all that stands at `place`, a directory with all that is in it, `attributes`.

    After an exception, what still stands there has its own again.
    """
    before: dict[str, os.stat_result] = {}
    try:
        for found, status in _walk(place) if attributes else ():
            before[found.path] = status
            attributes.set_on(found, status)
        yield
    except BaseException:
        _give_back(place, before)
        raise


def _give_back(place: Place, before: dict[str, os.stat_result]) -> None:
    if (now := place.look()) is None:
        return
    try:
        if then := before.get(place.path):
            _give_own(place, then)
        if stat.S_ISDIR(now.st_mode):
            with place.entered() as directory:
                for name in os.listdir(directory):
                    _give_back(place.below(directory, name), before)
    except OSError as exc:
        logger.warning("%s has not got back its owner and mode: %s", place, exc)


def _give_own(place: Place, then: os.stat_result) -> None:
    """Give what stands at `place` the owner and mode of `then`, if it is the same."""
    fd = place.open(os.O_PATH)
    try:
        now = os.fstat(fd)
        if not os.path.samestat(then, now):
            return
        is_other_owner = (then.st_uid, then.st_gid) != (now.st_uid, now.st_gid)
        if is_other_owner:
            os.chown(f"/proc/self/fd/{fd}", then.st_uid, then.st_gid)
        # A change of the owner takes bits of the mode away.
        if (is_other_owner or then.st_mode != now.st_mode) and not stat.S_ISLNK(then.st_mode):
            os.chmod(f"/proc/self/fd/{fd}", stat.S_IMODE(then.st_mode))
    finally:
        os.close(fd)


def has_other_names(place: Place) -> bool:
    """Tell whether a file that stands at `place`, or in it, has another name somewhere."""
    return any(stat.S_ISREG(status.st_mode) and status.st_nlink > 1 for _, status in _walk(place))


def snapshot(place: Place) -> Snapshot:
    """Return how all that stands at `place` is now."""
    start = len(place.path)
    return {
        found.path[start:]: (status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns)
        for found, status in _walk(place)
    }


def _walk(place: Place) -> Iterator[tuple[Place, os.stat_result]]:
    """Yield all that is in what stands at `place`, then that itself."""
    status = _status(place)
    if stat.S_ISDIR(status.st_mode):
        with place.entered() as directory:
            for name in os.listdir(directory):
                yield from _walk(place.below(directory, name))
    yield place, status


def _status(place: Place) -> os.stat_result:
    status = place.look()
    if status is None:
        raise FileNotFoundError(errno.ENOENT, "it has vanished meanwhile", place.path)
    return status


def remove(place: Place) -> None:
    """Remove all that stands at `place`."""
    if stat.S_ISDIR(_status(place).st_mode):
        shutil.rmtree(place.name, dir_fd=place.directory)
    else:
        os.unlink(place.name, dir_fd=place.directory)


def discard(place: Place) -> None:
    """Remove all that stands at `place` and is ours, whatever its modes."""
    try:
        remove(place)
    except PermissionError:
        _open_up(place)
        remove(place)


def _open_up(place: Place) -> None:
    if stat.S_ISDIR(_status(place).st_mode):
        set_mode(place, stat.S_IRWXU)
        with place.entered() as directory:
            for name in os.listdir(directory):
                _open_up(place.below(directory, name))


def make_movable(place: Place) -> int | None:
    """Let the directory at `place` be moved elsewhere; return its mode if that takes another one.

    Only root can move a directory that nobody may write.
    """
    mode = _status(place).st_mode
    if not stat.S_ISDIR(mode) or mode & stat.S_IWUSR or not os.geteuid():
        return None
    set_mode(place, stat.S_IMODE(mode) | stat.S_IWUSR)
    return stat.S_IMODE(mode)


def copy(source: Place, target: Place, attributes: Attributes, *, keep_owner: bool) -> None:
    """Make `target`, which is not there, what `source` is, and have its contents on the disk.

    Args:
        source: what to copy.
        target: where to.
        attributes: owner and modes of the copy.
        keep_owner: True to give it the owner of `source`, if that is allowed.

    Raises:
        RuleFailed: there is something that cannot be copied, or no end to it.
    """
    _Copying(attributes, keep_owner).copy(source, target)


class _Copying:
    def __init__(self, attributes: Attributes, keep_owner: bool) -> None:
        self._attributes = attributes
        self._keep_owner = keep_owner
        self._root: tuple[int, int] | None = None

    def copy(self, source: Place, target: Place) -> None:
        status = _status(source)
        mode = status.st_mode
        if stat.S_ISREG(mode):
            self._copy_file(source, target)
        elif stat.S_ISDIR(mode):
            self._copy_directory(source, target, status)
        elif stat.S_ISLNK(mode):
            link = os.readlink(source.name, dir_fd=source.directory)
            os.symlink(link, target.name, dir_fd=target.directory)
            self._finish(target, status)
        else:
            raise RuleFailed(f"{source} is neither file, directory nor link; it cannot be copied")

    def _copy_file(self, source: Place, target: Place) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(source.open(os.O_RDONLY), "rb", 0) as reading:
            status = os.fstat(reading.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise RuleFailed(f"{source} is no file any more")
            with os.fdopen(target.open(flags), "wb", 0) as writing:
                shutil.copyfileobj(reading, writing, _CHUNK)
                _copy_extended(reading.fileno(), writing.fileno())
                self._finish(target, status)
                os.fsync(writing.fileno())

    def _copy_directory(self, source: Place, target: Place, status: os.stat_result) -> None:
        os.mkdir(target.name, 0o700, dir_fd=target.directory)
        with source.entered() as reading, target.entered() as writing:
            made = os.fstat(writing)
            self._root = self._root or (made.st_dev, made.st_ino)
            for name in os.listdir(reading):
                found = source.below(reading, name)
                inner = found.look()
                if inner is not None and (inner.st_dev, inner.st_ino) == self._root:
                    raise RuleFailed(f"{source} cannot be copied into itself")
                self.copy(found, target.below(writing, name))
            _copy_extended(reading, writing)
            self._finish(target, status)
            os.fsync(writing)

    def _finish(self, target: Place, status: os.stat_result) -> None:
        """Give the copy the attributes of what has `status`, or those that were asked for."""
        where = {"dir_fd": target.directory, "follow_symlinks": False}
        kept = self._keep_owner and _try_chown(target, status)
        if not stat.S_ISLNK(status.st_mode):
            mode = stat.S_IMODE(status.st_mode)
            set_mode(target, mode if kept else mode & ~_SET_IDS)
        self._attributes.set_on(target, status)
        os.utime(target.name, ns=(status.st_atime_ns, status.st_mtime_ns), **where)  # type: ignore[arg-type]


def _try_chown(target: Place, status: os.stat_result) -> bool:
    try:
        os.chown(
            target.name,
            status.st_uid,
            status.st_gid,
            dir_fd=target.directory,
            follow_symlinks=False,
        )
    except PermissionError:
        return False
    return True


def _copy_extended(reading: int, writing: int) -> None:
    """Copy the extended attributes that can be copied."""
    try:
        names = os.listxattr(reading)
    except OSError:
        return
    for name in names:
        try:
            os.setxattr(writing, name, os.getxattr(reading, name))
        except OSError as exc:
            if exc.errno not in _NO_ATTRIBUTES:
                raise


def contains(target: Place, source: Place) -> bool:
    """Tell whether all that stands at `source` stands at `target` as well, byte for byte."""
    one, other = source.look(), target.look()
    if one is None or other is None or stat.S_IFMT(one.st_mode) != stat.S_IFMT(other.st_mode):
        return False
    if (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino):
        return True
    if stat.S_ISREG(one.st_mode):
        return one.st_size == other.st_size and _same_bytes(source, target)
    if stat.S_ISLNK(one.st_mode):
        return _link(source) == _link(target)
    if stat.S_ISDIR(one.st_mode):
        with source.entered() as here, target.entered() as there:
            return all(
                contains(target.below(there, name), source.below(here, name))
                for name in os.listdir(here)
            )
    return False


def _link(place: Place) -> str:
    return os.readlink(place.name, dir_fd=place.directory)


def _same_bytes(one: Place, other: Place) -> bool:
    with contextlib.ExitStack() as stack:
        files: list[BinaryIO] = [
            stack.enter_context(os.fdopen(place.open(os.O_RDONLY), "rb")) for place in (one, other)
        ]
        while True:
            first, second = (file.read(_CHUNK) for file in files)
            if first != second:
                return False
            if not first:
                return True
