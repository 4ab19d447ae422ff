"""A rename that never takes the place of anything."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import stat

from inotifier.exceptions import RuleFailed
from inotifier.scheduling.places import Place

_NOREPLACE = 1
"""RENAME_NOREPLACE of renameat2(2)."""

_UNKNOWN = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})

_NO_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.ENOTSUP})


def rename(source: Place, target: Place) -> None:
    """Rename `source` to `target`, in place of what stands there."""
    os.rename(source.name, target.name, src_dir_fd=source.directory, dst_dir_fd=target.directory)


def rename_new(source: Place, target: Place) -> None:
    """Rename `source` to `target`, where nothing stands.

    Raises:
        FileExistsError: something does.
        RuleFailed: the file system has no such rename.
        OSError: with EXDEV, if they are on two file systems.
    """
    code = _renameat2(source, target)
    if code in _UNKNOWN:
        _rename_by_other_means(source, target)
    elif code:
        raise OSError(code, os.strerror(code), source.path, None, target.path)


def _renameat2(source: Place, target: Place) -> int:
    """Return the error of renameat2(2), 0 if there was none."""
    call = _libc_renameat2()
    if call is None:
        return errno.ENOSYS
    arguments = (
        source.directory,
        os.fsencode(source.name),
        target.directory,
        os.fsencode(target.name),
    )
    return ctypes.get_errno() if call(*arguments, _NOREPLACE) else 0


@functools.cache
def _libc_renameat2():  # type: ignore[no-untyped-def]
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is not None:
        text, number = ctypes.c_char_p, ctypes.c_int
        call.argtypes = (number, text, number, text, ctypes.c_uint)
        call.restype = number
    return call


def _rename_by_other_means(source: Place, target: Place) -> None:
    """Do so on a file system, or with a libc, that does not know how."""
    status = source.look()
    if status is not None and stat.S_ISDIR(status.st_mode):
        if target.look() is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target.path)
        rename(source, target)  # of what comes meanwhile, it replaces an empty directory only
        return
    try:
        os.link(
            source.name,
            target.name,
            src_dir_fd=source.directory,
            dst_dir_fd=target.directory,
            follow_symlinks=False,
        )
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        raise RuleFailed(
            f"the file system of {target} cannot rename without replacing what may stand there; "
            "a rule with overwrite=True can be used there"
        ) from exc
    os.unlink(source.name, dir_fd=source.directory)
