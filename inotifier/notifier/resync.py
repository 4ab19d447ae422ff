"""After an overflow: the tree is compared with the disk, and the disk is believed.

Events were lost, so directories may have come, gone and moved without a word. All roots are crawled
anew: a directory is opened, known by the descriptor that the kernel gives for it, and only then
listed; so what is seen in it is in it, whatever its path leads to by then. What stands in the tree
and was not seen is dropped if its path does not lead to it any more.

The events that the kernel had queued by the end of the crawl may be older than what the crawl saw.
Until a fence tells that they are handled, `settling` is True, and IN_MOVE_SELF moves nothing that
stands where the tree says (see `Moves.moved_self`). Whatever else they say leads to a directory
that is dropped and found again, at worst.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyinotify import IN_DONT_FOLLOW, IN_MASK_ADD, IN_MOVED_FROM, IN_ONLYDIR

from inotifier.notifier import masks
from inotifier.notifier.directories import same_for_all_below
from inotifier.notifier.leaves import Leaves
from inotifier.notifier.subscription import Batch, Subscription
from inotifier.notifier.tree import Node, ancestors, below
from inotifier.notifier.walk import Deep, is_directory

if TYPE_CHECKING:
    from inotifier.notifier.keeper import Keeper

_PROBE = IN_MOVED_FROM | IN_MASK_ADD | IN_ONLYDIR
"""Tells the descriptor of a directory; every watch has the bit already."""

_Found = tuple[bytes, Node, Deep]


class Resync:
    """Puts the tree right after an overflow.

    Attributes:
        due: True once events were lost, until `run`.
    """

    def __init__(self, keeper: Keeper, overflowed: Callable[[], object] | None) -> None:
        self.due = False
        self._keeper = keeper
        self._overflowed = overflowed
        self._windows = 0
        self._ahead = False
        self._missed: list[Node] = []

    @property
    def settling(self) -> bool:
        """True while events may come that are older than what the last crawl saw."""
        return self._windows > 0

    def run(self, batch: Batch) -> None:
        """Crawl all roots; `batch` takes what the loss of roots makes."""
        self.due = False
        keeper = self._keeper
        keeper.moves.reset()
        keeper.directories.reset()
        keeper.arrivals.stop_awaiting_listings()
        uprooted = keeper.roots.uproot()
        crawl = _Crawl(keeper)
        crawl.changed += [keeper.tree.nodes[wd] for _, wd in uprooted]
        crawl.from_roots()
        crawl.judge_the_rest(batch)
        crawl.prune()
        self._missed = crawl.set_masks()
        keeper.cool()
        keeper.roots.search(subscription for subscription, _ in uprooted)
        self._open_window()
        if self._overflowed is not None:
            self._overflowed()

    def stay_ahead(self) -> None:
        """Settle for longer: something was seen again before all of its events have come."""
        self._ahead = True

    def _open_window(self) -> None:
        self._windows += 1
        self._ahead = False
        self._keeper.arrivals.call_later(lambda _: self._close_window())

    def _close_window(self) -> None:
        self._windows -= 1
        for node in self._missed:
            if self._keeper.tree.nodes.get(node.wd) is node:
                self._keeper.set_mask(node)
        self._missed = []
        if self._ahead:
            self._open_window()


class _Crawl:
    """One look at everything below all roots.

    Attributes:
        changed: nodes that may be seen by others than before, as may all below them.
    """

    def __init__(self, keeper: Keeper) -> None:
        self.changed: list[Node] = []
        self._keeper = keeper
        self._standing = list(keeper.tree.nodes.values())
        self._known = {node.wd for node in self._standing}
        self._visited: set[int] = set()
        self._remask: dict[int, Node] = {}
        self._leaves = Leaves()
        self._reading = any(one.mask & masks.READING for one in keeper.subscriptions)
        self._limited = False

    def from_roots(self) -> None:
        """Crawl all roots, the outermost first: they tell where those within them are."""
        depths = {
            wd: len(os.path.realpath(subscription.disk_path))
            for wd, subscription in self._keeper.planted()
        }
        for wd in sorted(depths, key=lambda wd: depths[wd]):
            node = self._keeper.tree.nodes[wd]
            if wd not in self._visited and node.parent is not None:
                self._move(node, None, b"")
            self._visited.add(wd)
            if self._keeper.roots.is_dir(wd):
                subscriptions = self._keeper.subscriptions_at(wd)
                deep = tuple(one for one in subscriptions if one.deep)
                self._crawl((subscriptions[0].disk_path, node, deep))

    def judge_the_rest(self, batch: Batch) -> None:
        """Drop what was not seen and is not there; crawl what came while we were looking."""
        keeper = self._keeper
        for node in self._standing:
            if node.wd in self._visited or keeper.tree.nodes.get(node.wd) is not node:
                continue
            top = node
            while top.parent is not None and top.parent.wd not in self._visited:
                top = top.parent
            for one in below(top):
                self._judge(one, batch)

    def _judge(self, node: Node, batch: Batch) -> None:
        keeper = self._keeper
        if node.wd in self._visited or keeper.tree.nodes.get(node.wd) is not node:
            return
        if keeper.directories.stands(node):
            self._visited.add(node.wd)
            self._crawl((keeper.disk_path(node), node, keeper.deep(node)))
        else:
            keeper.directories.left(node, batch)

    def prune(self) -> None:
        """Drop the changed nodes that nobody asks for, set the masks of the others."""
        for node in self.changed:
            if self._keeper.tree.nodes.get(node.wd) is node:
                self._keeper.prune(node)

    def set_masks(self) -> list[Node]:
        """Give back what our own listing had to do without; return whom it did not reach."""
        nodes = self._keeper.tree.nodes
        there = [node for node in self._remask.values() if nodes.get(node.wd) is node]
        return [node for node in there if not self._keeper.set_mask(node)]

    def _crawl(self, top: _Found) -> None:
        waiting = [top]
        while waiting:
            path, node, deep = waiting.pop()
            if deep:
                waiting += self._list(path, node, deep)

    def _list(self, path: bytes, node: Node, deep: Deep) -> list[_Found]:
        """Return the directories in `node` that are to be listed."""
        try:
            fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as exc:
            self._not_listed(path, node, exc)
            return []
        try:
            return self._list_open(b"/proc/self/fd/%d/" % fd, path, node, deep)
        except OSError as exc:
            self._not_listed(path, node, exc)
            return []
        finally:
            os.close(fd)

    def _list_open(self, here: bytes, path: bytes, node: Node, deep: Deep) -> list[_Found]:
        keeper = self._keeper
        wd = keeper.inotify.add_watch(here, _PROBE)
        if wd != node.wd:
            if wd not in keeper.tree.nodes:
                keeper.inotify.remove_watch(wd)
            keeper.directories.list_later(node, announce=True)
            return []
        follow = any(subscription.follow_symlinks for subscription in deep)
        # What is behind a symbolic link does not count as a link.
        if not follow and self._leaves.knows(here):
            return []
        if self._reading:
            keeper.inotify.add_watch(here, masks.narrow(keeper.mask_of(node)))
            self._remask[node.wd] = node
        with os.scandir(here) as items:
            names = [(item.name, item.is_symlink()) for item in items if is_directory(item, follow)]
        found = []
        for name, link in names:
            child_path = os.path.join(path, name)
            takers = tuple(
                one for one in deep if one.takes(child_path) and (one.follow_symlinks or not link)
            )
            if not takers:
                continue
            try:
                child = self._take(here + name, child_path, node, name, takers, link=link)
            except OSError as exc:
                self._not_taken(child_path, node, name, exc)
                continue
            if child is not None:
                found.append(child)
        return found

    def _not_listed(self, path: bytes, node: Node, exc: OSError) -> None:
        if exc.errno != errno.EACCES:
            self._keeper.directories.list_later(node, announce=True)
        elif node.parent is not None:
            self._keeper.directories.refused(node.parent, node.name, path, exc)

    def _not_taken(self, path: bytes, parent: Node, name: bytes, exc: OSError) -> None:
        directories = self._keeper.directories
        if not masks.is_limit(exc):
            directories.refused(parent, name, path, exc)
        elif not self._limited:
            self._limited = True
            directories.report_limit(parent, exc, len(self._keeper.tree.nodes) + 1)

    def _take(
        self, here: bytes, path: bytes, parent: Node, name: bytes, deep: Deep, *, link: bool
    ) -> _Found | None:
        """Take the directory `here`, which is `name` in `parent`, to its place in the tree."""
        keeper = self._keeper
        flags = 0 if link else IN_DONT_FOLLOW
        wd = keeper.inotify.add_watch(here, _PROBE | flags)
        keeper.directories.readable(parent, name)
        node = keeper.tree.nodes.get(wd)
        at_its_place = node is not None and node.parent is parent and node.name == name
        fresh = not at_its_place or wd not in self._known
        takers = tuple(one for one in deep if _wants(one, wd, fresh=fresh))
        if not takers:
            if node is None:
                keeper.inotify.remove_watch(wd)
            return None
        if node is not None and not at_its_place:
            if node in ancestors(parent) or self._is_alias(node, path, link=link):
                return None
            self._move(node, parent, name)
        if node is None:
            node = keeper.tree.add(wd, name, parent)
        self._visited.add(wd)
        self._make_members(node, deep, takers)
        if wd not in self._known and not self._watch(here, flags, node):
            return None
        return path, node, takers

    def _is_alias(self, node: Node, path: bytes, *, link: bool) -> bool:
        """Tell whether `path` is a second name of `node`, whose place in the tree is as good."""
        place = self._keeper.disk_path(node)
        # The same name is none: the tree has yet to learn that a directory above has moved.
        if node.parent is None or place == path:
            return False
        try:
            standing = os.stat(place, follow_symlinks=link)
            return os.path.samestat(standing, os.stat(path))
        except OSError:
            return False

    def _move(self, node: Node, parent: Node | None, name: bytes) -> None:
        before = self._keeper.places(node)
        self._keeper.tree.move(node, parent, name)
        if not same_for_all_below(before, self._keeper.places(node)):
            self.changed.append(node)

    def _make_members(self, node: Node, deep: Deep, takers: Deep) -> None:
        for subscription in deep:
            if subscription.members is None:
                continue
            if subscription not in takers:
                subscription.members.difference_update(one.wd for one in below(node))
            elif node.wd not in subscription.members:
                subscription.members.add(node.wd)
                self._remask[node.wd] = node

    def _watch(self, here: bytes, flags: int, node: Node) -> bool:
        """Give the new `node` its mask; if it has just left its place, it is not there yet."""
        keeper = self._keeper
        mask = masks.narrow(keeper.mask_of(node)) | IN_MASK_ADD | IN_ONLYDIR | flags
        try:
            wd = keeper.inotify.add_watch(here, mask)
        except OSError:
            wd = -1
        if self._reading:
            self._remask[node.wd] = node
        if wd == node.wd:
            return True
        if wd != -1 and wd not in keeper.tree.nodes:
            keeper.inotify.remove_watch(wd)
        keeper.inotify.remove_watch(node.wd)
        keeper.tree.remove(node)
        keeper.forget(node.wd)
        return False


def _wants(subscription: Subscription, wd: int, *, fresh: bool) -> bool:
    """Tell whether the directory `wd`, new at its place or not, belongs to `subscription`."""
    if subscription.reaches(wd):
        return True
    return subscription.auto_add and (fresh or subscription.recursive)
