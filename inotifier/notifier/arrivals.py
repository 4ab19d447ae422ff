"""Directories that appear: what is in them already is announced once, and only once.

A new directory is watched first and listed second. So what came before the watch is in the
listing, what came after it is in the kernel's queue, and some of it is in both. The names of the
listing are remembered until a fence, put into the queue after the listing, comes back: until
then the kernel's IN_CREATE for a remembered name is the second one, and is swallowed. A file that
nobody was writing when it was listed, and that the kernel never mentioned, was complete before
the watch: it gets its IN_CLOSE_WRITE from us, at the fence.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from pyinotify import (
    IN_ACCESS,
    IN_CLOSE_NOWRITE,
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_ISDIR,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_OPEN,
)

from inotifier.notifier.inotify import Fences
from inotifier.notifier.places import Place, emit
from inotifier.notifier.subscription import Batch
from inotifier.notifier.tree import Node
from inotifier.writers import Writers, writers_of

if TYPE_CHECKING:
    from inotifier.notifier.keeper import Keeper

REASON = "new-directory"

_QUIET = 0.2
"""Seconds that a file must stay the same where no lease can tell whether it is written."""


@dataclass(eq=False)
class _Name:
    """A name that the listing showed.

    `complete` is True while nothing says that its content may still come, or came, by events, and
    `in_doubt` while that is still to be judged: by what has become of the file with the status
    `before`, or of the one that was not there at the path `missing`.
    """

    complete: bool
    in_doubt: bool = False
    created: bool = True
    renamed: bool = False
    before: os.stat_result | None = None
    missing: bytes | None = None


@dataclass(eq=False)
class _Held:
    """What is remembered of one directory until a fence."""

    names: dict[bytes, _Name] = field(default_factory=dict)
    own_listing: dict[bytes, list[set[int]]] = field(default_factory=dict)
    # What the kernel has mentioned while the directory is still to be listed, and of what it has
    # told the end of its writing.
    mentioned: set[bytes] | None = None
    ended: set[bytes] = field(default_factory=set)


class _Listing(NamedTuple):
    """What a fence ends: the names listed in `wd`, or the events of our listing of `child`.

    Or, if `again`, the doubt what `child` is. Or whatever `act` does, called with the batch that
    holds what came before.
    """

    wd: int
    child: bytes = b""
    expected: set[int] | None = None
    again: bool = False
    act: Callable[[Batch], object] | None = None


class Arrivals:
    """The listings whose fence has not come back."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._fences = Fences(keeper.inotify)
        self._held: dict[int, _Held] = {}
        self._open: list[_Listing] = []
        self._behind: dict[int, list[_Listing]] = {}
        self._doubtful: dict[tuple[int, bytes], float] = {}

    @property
    def fence_ready(self) -> int | None:
        """The descriptor of the fences' own watch."""
        return self._fences.ready

    def prepare(self) -> None:
        """Make sure that a fence can be placed later, when there may be no watch left."""
        self._fences.prepare()

    @property
    def waiting(self) -> bool:
        """True while a fence is on its way."""
        return bool(self._behind)

    # Listing

    def announce(self, node: Node, found: Iterable[os.DirEntry[bytes]], batch: Batch) -> None:
        """Make IN_CREATE of what the listing of `node` shows, and remember it."""
        hot = self._keeper.hot(node)
        creates = tuple(p for p in hot.places if p.subscription.mask & IN_CREATE)
        closes = any(p.subscription.mask & IN_CLOSE_WRITE for p in hot.places)
        now = time.time()
        held = self._hold(_Listing(node.wd))
        mentioned, held.mentioned = held.mentioned or (), None
        ended, held.ended = held.ended, set()
        for item in found:
            if item.name in mentioned:
                continue
            is_dir = item.is_dir(follow_symlinks=False)
            mask = IN_CREATE | IN_ISDIR if is_dir else IN_CREATE
            text = os.fsdecode(item.name)
            emit(batch, creates, node.wd, mask, text, now, synthetic=REASON)
            name = held.names[item.name] = _Name(complete=False)
            if closes and item.name not in ended and item.is_file(follow_symlinks=False):
                name.complete = True
                self._judge(name, item.path)

    def announce_root(self, node: Node, path: bytes, batch: Batch) -> None:
        """Announce what a root that has come back holds; a file is complete, or will be."""
        if os.path.isdir(path):
            with os.scandir(path) as items:
                self.announce(node, items, batch)
            self.close()
            return
        hot = self._keeper.hot(node)
        now = time.time()
        for mask in (IN_CREATE, IN_CLOSE_WRITE):
            if mask == IN_CREATE or writers_of(path) is not Writers.SOME:
                asked = tuple(p for p in hot.places if p.subscription.mask & mask)
                emit(batch, asked, node.wd, mask, "", now, synthetic=REASON)

    @staticmethod
    def _judge(name: _Name, path: bytes) -> None:
        """Look whether the file is being written, or note that this cannot be told yet."""
        before, name.before = name.before, None
        missing, name.missing = name.missing, None
        writers = writers_of(path)
        if writers is Writers.UNKNOWN:
            try:
                name.before = os.stat(path, follow_symlinks=False)
            except OSError:
                writers = Writers.GONE
            else:
                name.in_doubt = before is None or not _same(before, name.before)
        elif writers is not Writers.GONE:
            name.complete = writers is Writers.NONE
            name.in_doubt = False
        if writers is Writers.GONE:
            # A directory above may have moved, which is yet to be read.
            name.missing = path
            name.complete = name.in_doubt = path != missing

    def expect_own_listing(self, parent: Node, name: bytes) -> None:
        """Swallow the events that our listing of `name` causes in `parent`."""
        asked = 0
        for place in self._keeper.hot(parent).places:
            asked |= place.subscription.mask
        if asked & (IN_OPEN | IN_ACCESS | IN_CLOSE_NOWRITE):
            expected = {IN_OPEN | IN_ISDIR, IN_ACCESS | IN_ISDIR, IN_CLOSE_NOWRITE | IN_ISDIR}
            held = self._hold(_Listing(parent.wd, name, expected))
            held.own_listing.setdefault(name, []).append(expected)

    def await_listing(self, node: Node) -> None:
        """Remember what the kernel mentions in the directory `node` until it is listed."""
        held = self._held_of(node.wd)
        if held.mentioned is None:
            held.mentioned = set()

    def look_again(self, wd: int, name: bytes = b"") -> None:
        """Look at `name` in `wd`, or at `wd`, once what is queued by now is handled."""
        self._open.append(_Listing(wd, name, again=True))
        self.close()

    def call_later(self, act: Callable[[Batch], object]) -> None:
        """Call `act`, with the batch as far as it is, once what is queued by now is handled."""
        self._open.append(_Listing(-1, act=act))
        self.close()

    def stop_awaiting_listings(self) -> None:
        """Forget what was mentioned in directories still to be listed: they will not be."""
        for wd, held in list(self._held.items()):
            held.mentioned, held.ended = None, set()
            self._release(wd, held)

    def _hold(self, listing: _Listing) -> _Held:
        self._open.append(listing)
        return self._held_of(listing.wd)

    def _held_of(self, wd: int) -> _Held:
        held = self._held.get(wd)
        if held is None:
            held = self._held[wd] = _Held()
            self._keeper.hot(self._keeper.tree.nodes[wd]).table.clear()
        return held

    def _release(self, wd: int, held: _Held) -> None:
        if not held.names and not held.own_listing and held.mentioned is None:
            self._held.pop(wd, None)

    # Fences

    def close(self) -> None:
        """Put a fence behind what was listed since the last one."""
        if not self._open:
            return
        fence = self._fences.place()
        self._behind.setdefault(-1 if fence is None else fence, []).extend(self._open)
        self._open = []

    def pass_fence(self, wd: int, batch: Batch) -> None:
        """Handle IN_IGNORED of a descriptor that is none of the tree's."""
        for one in self._behind.pop(wd, ()):
            self._settle(one, batch)

    def pass_all_fences(self, batch: Batch) -> None:
        """Stop waiting for fences: they may have been lost."""
        for fence in list(self._behind):
            self.pass_fence(fence, batch)

    def lose_all_fences(self, batch: Batch) -> None:
        """Stop waiting for fences, as they may have been lost; who is to be called still waits."""
        for fence in list(self._behind):
            for one in self._behind.pop(fence):
                if one.act is not None:
                    self._open.append(one)
                else:
                    self._settle(one, batch)
        self.close()

    def _settle(self, listing: _Listing, batch: Batch) -> None:
        """End what `listing` began."""
        if listing.act is not None:
            listing.act(batch)
            self.close()
            return
        held = self._held.get(listing.wd)
        node = self._keeper.tree.nodes.get(listing.wd)
        if listing.again:
            self._keeper.directories.look_again(listing.wd, listing.child, batch)
            return
        if held is None or node is None:
            return
        if listing.expected is None:
            self._complete_all(node, held, batch)
        else:
            expected = held.own_listing.pop(listing.child, [])
            if others := [one for one in expected if one is not listing.expected]:
                held.own_listing[listing.child] = others
        self._release(listing.wd, held)

    def _complete_all(self, node: Node, held: _Held, batch: Batch) -> None:
        """Complete the files of the directory `node` that the kernel has not mentioned."""
        for raw, name in list(held.names.items()):
            if name.missing is not None:
                self._judge_again(node.wd, raw, batch)
            else:
                self._conclude(node, held, raw, batch)
        self.close()

    def _conclude(self, node: Node, held: _Held, raw: bytes, batch: Batch) -> None:
        """Complete a file, or forget it, unless it is still in doubt."""
        name = held.names[raw]
        if name.complete and name.in_doubt:
            if name.missing is None:
                self._doubtful.setdefault((node.wd, raw), time.monotonic() + _QUIET)
            else:
                again = partial(self._judge_again, node.wd, raw)
                self._open.append(_Listing(node.wd, act=again))
            return
        if name.complete:
            self._complete(batch, node.wd, self._keeper.hot(node).places, raw, name)
        del held.names[raw]

    @staticmethod
    def _complete(
        batch: Batch, wd: int, places: tuple[Place, ...], raw: bytes, name: _Name
    ) -> None:
        asked = tuple(
            place
            for place in places
            if place.subscription.mask & IN_CLOSE_WRITE
            # Who saw the rename knows that the file is complete.
            and not (name.renamed and place.subscription.mask & IN_MOVED_TO)
        )
        emit(batch, asked, wd, IN_CLOSE_WRITE, os.fsdecode(raw), time.time(), synthetic=REASON)

    def look(self, batch: Batch) -> float | None:
        """Judge the files that are due by their size and time; return seconds to the next."""
        if -1 in self._behind:
            self.pass_fence(-1, batch)
        now = time.monotonic()
        for (wd, raw), due in list(self._doubtful.items()):
            if due <= now:
                del self._doubtful[wd, raw]
                self._judge_again(wd, raw, batch)
        self.close()
        return max(0.0, min(self._doubtful.values()) - now) if self._doubtful else None

    def _judge_again(self, wd: int, raw: bytes, batch: Batch) -> None:
        """Judge a file that was in doubt."""
        held, node = self._held.get(wd), self._keeper.tree.nodes.get(wd)
        name = held.names.get(raw) if held else None
        if node is None or name is None:
            return
        if name.complete:
            was_missing = name.missing is not None
            self._judge(name, os.path.join(self._keeper.disk_path(node), raw))
            if was_missing and name.complete and not name.in_doubt:
                # If somebody has closed it just now, the kernel says so before the next fence.
                again = partial(self._conclude_again, wd, raw)
                self._open.append(_Listing(wd, act=again))
                return
        self._conclude_again(wd, raw, batch)

    def _conclude_again(self, wd: int, raw: bytes, batch: Batch) -> None:
        held, node = self._held.get(wd), self._keeper.tree.nodes.get(wd)
        if held is not None and node is not None and raw in held.names:
            self._conclude(node, held, raw, batch)
            self._release(wd, held)

    # Events in between

    def held(self, wd: int) -> _Held | None:
        """Return what is remembered of the directory `wd`."""
        return self._held.get(wd)

    def swallows(self, held: _Held, node: Node, raw: bytes, mask: int, batch: Batch) -> bool:
        """Note what the kernel says of a remembered name; True if it was announced already."""
        for expected in held.own_listing.get(raw, ()):
            if mask in expected:
                if not mask & IN_ACCESS:  # one for each call that reads the directory
                    expected.discard(mask)
                return True
        if held.mentioned is not None and mask & (IN_CREATE | IN_MOVED_TO):
            held.mentioned.add(raw)
        elif held.mentioned is not None and mask & IN_CLOSE_WRITE:
            held.ended.add(raw)
        name = held.names.get(raw)
        if name is None:
            return False
        if mask & (IN_DELETE | IN_MOVED_FROM):
            del held.names[raw]
            if name.complete:
                # It is not there any more at the fence.
                self._complete(batch, node.wd, self._keeper.hot(node).places, raw, name)
        elif mask & IN_CREATE and name.created:
            name.created = name.complete = False
            return True
        elif mask & IN_CLOSE_WRITE:
            name.complete = False
        elif mask & IN_MOVED_TO:
            name.renamed = True
        return False

    def forget(self, wd: int) -> None:
        """Forget the directory `wd`, whose watch is gone."""
        self._held.pop(wd, None)

    def shut(self) -> None:
        """Close the private file of the fences."""
        self._fences.close()


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
