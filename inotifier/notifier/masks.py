"""The kernel's masks: what subscriptions ask for, and what the keeper needs besides."""

from __future__ import annotations

import errno
from collections.abc import Iterable

from pyinotify import (
    ALL_EVENTS,
    IN_ACCESS,
    IN_ATTRIB,
    IN_CLOSE_NOWRITE,
    IN_CREATE,
    IN_DELETE,
    IN_DELETE_SELF,
    IN_EXCL_UNLINK,
    IN_MOVE_SELF,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_OPEN,
)

from inotifier.notifier.subscription import Subscription

READING = IN_OPEN | IN_ACCESS | IN_CLOSE_NOWRITE
"""What our own listing of a directory causes."""

_FOR_MOVES = IN_MOVED_FROM
_FOR_DEPTH = IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_MOVE_SELF
_FOR_ROOTS = IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB


def of(subscriptions: Iterable[Subscription], *, root: bool) -> int:
    """Return the kernel's mask for a path that `subscriptions` see, a root of one or not."""
    mask = _FOR_MOVES
    excl_unlink = IN_EXCL_UNLINK
    for one in subscriptions:
        mask |= one.mask & ALL_EVENTS
        excl_unlink &= one.mask
        if one.deep:
            mask |= _FOR_DEPTH
            if one.follow_symlinks:
                mask |= IN_DELETE
    if root:
        mask |= _FOR_ROOTS
    # IN_EXCL_UNLINK takes events away, so it holds only if all ask for it.
    return mask | excl_unlink


def narrow(mask: int) -> int:
    """Return `mask` without what our own listing of a directory causes."""
    return mask & ~READING


def is_limit(exc: OSError) -> bool:
    """Tell whether the kernel refused a watch for want of room."""
    return exc.errno in (errno.ENOSPC, errno.ENOMEM)
