"""What an event of a watch descriptor means, and to whom: kept ready for descriptors in use."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

from inotifier.events import Event
from inotifier.notifier.subscription import Batch, Subscription

_ENCODING = sys.getfilesystemencoding()
_ERRORS = sys.getfilesystemencodeerrors()


class Place(NamedTuple):
    """A watched path as one subscription sees it.

    Attributes:
        subscription: who sees it.
        path: the path, in the subscription's own words.
        prefix: what a name below it is appended to.
    """

    subscription: Subscription
    path: str
    prefix: str


class Hot:
    """A watch descriptor in use.

    Attributes:
        places: who gets events of it, in the order of their subscriptions.
        table: mask of an event -> the places that asked for it. A mask that needs more than
            being handed on is not in it.
    """

    __slots__ = ("deep", "follows", "places", "table")

    def __init__(self, places: tuple[Place, ...]) -> None:
        self.places = places
        deep = [place.subscription for place in places if place.subscription.deep]
        self.deep = bool(deep)
        self.follows = any(subscription.follow_symlinks for subscription in deep)
        self.table: dict[int, tuple[Place, ...]] = {}


def make_place(subscription: Subscription, relative: bytes) -> Place:
    """Return the place of `relative`, a path below the root of `subscription` or b""."""
    path = subscription.path
    if relative:
        path = f"{_prefix(path)}{os.fsdecode(relative)}"
    return Place(subscription, path, _prefix(path))


def _prefix(path: str) -> str:
    return path if path.endswith("/") else f"{path}/"


def decode_name(raw: bytes) -> str:
    """Return the file name in `raw`, padded with zero bytes by the kernel."""
    return raw.rstrip(b"\0").decode(_ENCODING, _ERRORS)


def emit(
    batch: Batch,
    places: tuple[Place, ...],
    wd: int,
    mask: int,
    name: str,
    now: float,
    *,
    cookie: int = 0,
    src_pathname: str | None = None,
    synthetic: str | bool = False,
    is_dir: bool | None = None,
) -> None:
    """Append one event for each of `places` to `batch`."""
    for subscription, path, _ in places:
        event = Event(
            mask=mask,
            path=path,
            name=name,
            wd=wd,
            cookie=cookie,
            dir=is_dir,
            src_pathname=src_pathname,
            synthetic=synthetic,
            watch=subscription.watch,
            timestamp=now,
        )
        batch.append((subscription, event))
