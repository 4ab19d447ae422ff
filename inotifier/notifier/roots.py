"""Roots that go and come back: deleted, renamed, replaced, unmounted, not there yet."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyinotify import IN_ATTRIB, IN_DONT_FOLLOW, IN_IGNORED, IN_MOVE_SELF

from inotifier.events import printable
from inotifier.notifier.subscription import Batch, Subscription

if TYPE_CHECKING:
    from inotifier.notifier.keeper import Keeper

logger = logging.getLogger(__name__)

_FIRST_LOOK = 0.01
_LAST_LOOK = 1.0
_TELL_AFTER = 0.16
"""An editor that saves takes a file away for a moment: that is no loss."""


@dataclass(eq=False)
class _Missing:
    """A root that is not there: when to look again, and whether that was said."""

    due: float
    wait: float
    told: bool


class Roots:
    """Which roots are there.

    A root that is missing is looked for, first soon and then once a second. What is in it when
    it is found again is announced.
    """

    def __init__(self, keeper: Keeper, lost: Callable[[Subscription], object]) -> None:
        self._keeper = keeper
        self._lost = lost
        self._missing: dict[Subscription, _Missing] = {}
        self._directories: set[int] = set()

    def armed(self, subscription: Subscription, wd: int) -> bool:
        """Note that the root of `subscription` is watched; tell whether it is a directory."""
        path = subscription.disk_path
        subscription.mount = subscription.mount or os.path.ismount(path)
        subscription.identity = _identity(subscription)
        is_link = subscription.mask & IN_DONT_FOLLOW and os.path.islink(path)
        is_dir = not is_link and os.path.isdir(path)
        if is_dir:
            self._directories.add(wd)
        return is_dir

    def is_dir(self, wd: int) -> bool:
        """Tell whether the root `wd` was a directory when it was watched."""
        return wd in self._directories

    def expect(self, subscription: Subscription) -> None:
        """Look for a root that has never been there."""
        self._missing[subscription] = _Missing(time.monotonic(), _LAST_LOOK, told=True)

    def forget(self, subscription: Subscription) -> None:
        """Stop looking."""
        self._missing.pop(subscription, None)

    def changed(self, wd: int, mask: int, batch: Batch) -> None:
        """See whether the path of the root `wd` still leads to what is watched."""
        if mask & IN_IGNORED:
            self.vanished(wd)
        elif mask & IN_MOVE_SELF:
            self.displaced(wd)
        elif mask & IN_ATTRIB:
            for subscription in self._keeper.subscriptions_at(wd):
                if _identity(subscription) != subscription.identity:
                    # The watch goes when what is watched goes: the last to tell. But if that
                    # lives on under another name, the watch must not.
                    self._search(subscription)
                    self._keeper.arrivals.look_again(wd)
        self.look(batch)

    def outlived(self, wd: int) -> None:
        """Let go of `wd` for those whose root it was and is not any more."""
        for subscription in self._keeper.subscriptions_at(wd):
            if not self._keeper.directories.leads_root_to(subscription, wd):
                self._keeper.unsubscribe(subscription, wd)

    def displaced(self, wd: int) -> None:
        """Let go of the root `wd`, which has moved, or something above it, if it has left."""
        for subscription in self._keeper.subscriptions_at(wd):
            if _identity(subscription) != subscription.identity:
                self._keeper.unsubscribe(subscription, wd)
                self._search(subscription)

    def vanished(self, wd: int) -> None:
        """Begin to look for the roots that were watched as `wd`."""
        for subscription in self._keeper.subscriptions_at(wd):
            self._keeper.unsubscribe(subscription, wd)
            if not self._keeper.is_planted(subscription):
                self._search(subscription)
        self._directories.discard(wd)

    def uproot(self) -> list[tuple[Subscription, int]]:
        """Take roots away from subscriptions whose paths lead elsewhere; return both.

        What is watched there is left to the caller, as is the search for the roots.
        """
        gone = [
            (subscription, wd)
            for wd, subscription in self._keeper.planted()
            if not self._keeper.directories.leads_root_to(subscription, wd)
        ]
        for subscription, wd in gone:
            self._keeper.uproot(subscription, wd)
        return gone

    def search(self, subscriptions: Iterable[Subscription]) -> None:
        """Begin to look for the roots of those `subscriptions` that have none."""
        for subscription in subscriptions:
            if not self._keeper.is_planted(subscription):
                self._search(subscription)

    def _search(self, subscription: Subscription) -> None:
        if not subscription.persistent:
            if not self._keeper.is_planted(subscription):
                self._keeper.remove(subscription)
        elif subscription not in self._missing:
            self._missing[subscription] = _Missing(time.monotonic(), _FIRST_LOOK, told=False)

    def look(self, batch: Batch) -> float | None:
        """Look for the roots that are due; return seconds to the next look."""
        now = time.monotonic()
        for subscription, missing in list(self._missing.items()):
            if missing.due <= now and self._find(subscription, missing, batch):
                del self._missing[subscription]
        dues = [missing.due for missing in self._missing.values()]
        return max(0.0, min(dues) - now) if dues else None

    def _find(self, subscription: Subscription, missing: _Missing, batch: Batch) -> bool:
        """Try to watch the root again; tell whether it is there."""
        if self._arm(subscription, batch):
            if missing.told:
                logger.info("%s is there and watched", printable(subscription.path))
            return True
        if missing.wait >= _TELL_AFTER and not missing.told:
            missing.told = True
            logger.error(
                "%s is gone; it is watched again when it returns", printable(subscription.path)
            )
            self._lost(subscription)
        missing.due = time.monotonic() + missing.wait
        missing.wait = min(_LAST_LOOK, missing.wait * 2)
        return False

    def _arm(self, subscription: Subscription, batch: Batch) -> bool:
        if subscription.mount and not os.path.ismount(subscription.disk_path):
            return False  # unmounted: the empty directory below is not what was watched
        try:
            self._keeper.add_now(subscription, batch, announce=subscription.found is None)
        except OSError:
            return False
        if subscription.found is not None:
            subscription.found(subscription)
        return True


def _identity(subscription: Subscription) -> tuple[int, int] | None:
    """Return device and inode of what the path leads to, None if it leads nowhere."""
    try:
        status = os.stat(
            subscription.disk_path, follow_symlinks=not subscription.mask & IN_DONT_FOLLOW
        )
    except OSError:
        return None
    return status.st_dev, status.st_ino
