"""Which directories are in the tree: those that appear, move, leave, and that cannot be read."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pyinotify import (
    IN_CREATE,
    IN_DELETE,
    IN_DONT_FOLLOW,
    IN_ISDIR,
    IN_MASK_ADD,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_ONLYDIR,
)

from inotifier.events import printable
from inotifier.notifier import masks
from inotifier.notifier.inotify import refusal
from inotifier.notifier.places import Hot, Place
from inotifier.notifier.subscription import Batch, Subscription
from inotifier.notifier.tree import Node, ancestors, below
from inotifier.notifier.walk import walk

if TYPE_CHECKING:
    from inotifier.notifier.keeper import Keeper

logger = logging.getLogger(__name__)


class Directories:
    """Takes directories into the keeper's tree and out of it, as events and walks find them."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._unreadable: dict[int, set[bytes]] = {}
        # What was not found because a directory above had been renamed by then.
        self._astray: dict[int, set[bytes]] = {}
        self._unlisted: dict[int, bool] = {}

    def adopt(
        self, wd: int, path: bytes, name: bytes, parent: Node, deep: Iterable[Subscription]
    ) -> Node | None:
        """Take the directory `path`, watched as `wd`, as `name` below `parent`.

        Returns:
            Its node if it is still to be listed.
        """
        node = self._keeper.tree.nodes.get(wd)
        if node is None:
            node = self._keeper.tree.add(wd, name, parent)
        elif node.parent is not parent or node.name != name:
            if self._is_alias(node, parent, path):
                self._keeper.set_mask(node)
                return None
            if node.parent is not None or node in ancestors(parent):
                # It has moved, and the events that tell so are on the way.
                self._keeper.moves.seen(node.wd, (parent.wd, name))
                return None
            self._keeper.tree.move(node, parent, name)
            self._keeper.cool()
        else:
            self._keeper.cool()
        for subscription in deep:
            if subscription.members is not None:
                subscription.members.add(wd)
        return node

    def _is_alias(self, node: Node, parent: Node, path: bytes) -> bool:
        """Tell whether `path`, in `parent`, is a link or mount that leads to `node`."""
        if node in ancestors(parent):
            return os.path.islink(path) or os.path.ismount(path)
        if node.parent is None:
            return False  # the root of another subscription takes its place in this tree
        # The same path means that something above has moved, not that there are two; and a link
        # may have been put in place of something above.
        above = [one for one in ancestors(node) if one.parent is not None]
        return self._keeper.disk_path(node) != path and all(map(self.stands, above))

    def leads_to(self, node: Node) -> bool:
        """Tell whether the path of the directory `node` still, or already, leads to it."""
        # Every watch has this bit.
        mask = IN_MOVED_FROM | IN_MASK_ADD | IN_ONLYDIR
        return self._leads(self._keeper.disk_path(node), mask) == node.wd

    def node_at(self, path: bytes) -> Node | None:
        """Return the node of the directory `path`, None if it is not watched."""
        wd = self._leads(path, IN_MOVED_FROM | IN_MASK_ADD | IN_ONLYDIR)
        return None if wd is None else self._keeper.tree.nodes[wd]

    def stands(self, node: Node) -> bool:
        """Tell whether the directory `node` is where the tree says, now.

        A link that was put in its place does not count, unless links are followed there.
        """
        follows = any(one.follow_symlinks for one in self._keeper.deep(node))
        mask = IN_MOVED_FROM | IN_MASK_ADD | (0 if follows else IN_DONT_FOLLOW)
        return self._leads(self._keeper.disk_path(node), mask) == node.wd

    def stands_at(self, node: Node, parent: Node, name: bytes) -> bool:
        """Tell whether the directory `node` is `name` in `parent`, now."""
        path = os.path.join(self._keeper.disk_path(parent), name)
        mask = IN_MOVED_FROM | IN_MASK_ADD | IN_DONT_FOLLOW
        return self._leads(path, mask) == node.wd

    def leads_root_to(self, subscription: Subscription, wd: int) -> bool:
        """Tell whether the path of `subscription` leads to what is watched as `wd`."""
        mask = IN_MOVED_FROM | IN_MASK_ADD | (subscription.mask & IN_DONT_FOLLOW)
        return self._leads(subscription.disk_path, mask) == wd

    def _leads(self, path: bytes, mask: int) -> int | None:
        """Return the descriptor of what `path` leads to, None if that is not watched."""
        try:
            wd = self._keeper.inotify.add_watch(path, mask)
        except OSError:
            return None
        if wd in self._keeper.tree.nodes:
            return wd
        self._keeper.inotify.remove_watch(wd)
        return None

    def list_later(self, node: Node, *, announce: bool) -> None:
        """List the directory `node` once its path leads to it again."""
        self._unlisted[node.wd] = announce
        self._keeper.arrivals.await_listing(node)

    def not_found(self, parent: Node, name: bytes) -> None:
        """Look for the directory `name` in `parent` later, if it is the path that is wrong."""
        if not self.leads_to(parent):
            self._astray.setdefault(parent.wd, set()).add(name)

    @property
    def is_looking(self) -> bool:
        """True while there is something that was not found, and should be looked for."""
        return bool(self._astray or self._unlisted)

    def look_for_astray(self, batch: Batch) -> None:
        """Look for what was not found before: the event that tells its path may have come."""
        for wd in {*self._astray, *self._unlisted}:
            node = self._keeper.tree.nodes.get(wd)
            if node is None or not self.leads_to(node):
                continue
            if wd in self._unlisted:
                announce = self._unlisted.pop(wd)
                walk(
                    self._keeper,
                    self._keeper.disk_path(node),
                    node,
                    self._keeper.deep(node),
                    batch,
                    announce=announce,
                )
                self._keeper.arrivals.close()
                self._keeper.set_mask(node)
            for name in self._astray.pop(wd, ()):
                self.appear(node, name, batch)

    def look_again(self, wd: int, name: bytes, batch: Batch) -> None:
        """See what `name` in `wd` is, or the root `wd`, now that its events have come."""
        if name and (node := self._keeper.tree.nodes.get(wd)):
            self.appear(node, name, batch, again=True)
        elif not name:
            self._keeper.roots.outlived(wd)

    def refused(self, parent: Node, name: bytes, path: bytes, exc: OSError) -> None:
        """Note that the directory `path` cannot be watched or listed."""
        if exc.errno != errno.EACCES:
            return  # it has gone again, or is none any more: events tell
        names = self._unreadable.setdefault(parent.wd, set())
        if name not in names:
            names.add(name)
            self._keeper.cool()
            logger.warning(
                "%s cannot be read: what happens in it is not seen until its permissions change",
                printable(os.fsdecode(path)),
            )
            self._keeper.set_mask(parent)

    def report_limit(self, top: Node, exc: OSError, needed: int) -> None:
        """Note that `top` and what is below it takes more watches than there are."""
        subscriptions = [place.subscription for place in self._keeper.places(top)]
        news = [subscription for subscription in subscriptions if not subscription.problem]
        for subscription in news:
            problem = str(refusal(subscription.path, exc.errno or 0, needed))
            subscription.problem = problem
            logger.error("%s", problem)

    def appear(
        self,
        parent: Node,
        name: bytes,
        batch: Batch,
        source: tuple[int, bytes] | None = None,
        *,
        link: bool = False,
        again: bool = False,
    ) -> None:
        """Take a directory into the tree that has appeared in `parent`, unless it is known.

        Args:
            parent: where it is now.
            name: its name there.
            batch: takes the synthetic events.
            source: descriptor of the directory where it was before, and its name there.
            link: True if it is behind a symbolic link.
            again: True if the events that tell of its place have come by now.
        """
        path = os.path.join(self._keeper.disk_path(parent), name)
        deep = tuple(
            place.subscription
            for place in self._keeper.hot(parent).places
            if place.subscription.auto_add
            and place.subscription.takes(path)
            and (place.subscription.follow_symlinks or not link)
        )
        if not deep:
            return
        flags = IN_ONLYDIR | IN_MASK_ADD | (0 if link else IN_DONT_FOLLOW)
        mask = masks.narrow(masks.of(deep, root=False))
        try:
            wd = self._keeper.inotify.add_watch(path, mask | flags)
        except OSError as exc:
            if masks.is_limit(exc):
                self.report_limit(parent, exc, len(self._keeper.tree.nodes) + 1)
            elif exc.errno == errno.EACCES:
                self.refused(parent, name, path, exc)
            else:
                self.readable(parent, name)
                self.not_found(parent, name)
            return
        self.readable(parent, name)
        known = self._keeper.tree.nodes.get(wd)
        if known is None:
            if source is not None and self._has_left(*source):
                # What has moved here seems to be known, and this one to have come later.
                self._keeper.inotify.remove_watch(wd)
                self._keeper.arrivals.look_again(parent.wd, name)
            elif self.leads_to(parent):
                self._explore(parent, name, path, wd, deep, batch)
            else:
                self._keeper.inotify.remove_watch(wd)
                self._astray.setdefault(parent.wd, set()).add(name)
        elif known.parent is None or (known.parent is parent and known.name == name):
            if self.adopt(wd, path, name, parent, deep) is not None:
                self._keeper.prune(known)
        elif again:
            if wd in self._unlisted and not self.leads_to(known) and known not in ancestors(parent):
                # Its watch came while it was moved, too late for the event that tells so.
                self.moved(known, parent, name)
        elif ((known.parent.wd, known.name) != source or wd in self._unlisted) and not link:
            # It came here later, and the events that tell so are on the way, if there are any.
            self._keeper.arrivals.look_again(parent.wd, name)

    def moved(self, node: Node, parent: Node, name: bytes) -> None:
        """Put the directory `node`, with all below it, to where it was moved."""
        before = self._keeper.places(node)
        self._keeper.tree.move(node, parent, name)
        self._keeper.cool()
        for place in self._keeper.places(parent):
            subscription = place.subscription
            if subscription.members is None:
                continue
            for one in below(node):
                if not subscription.takes(self._keeper.disk_path(one)):
                    subscription.members.discard(one.wd)
                elif subscription.auto_add:
                    subscription.members.add(one.wd)
        if not same_for_all_below(before, self._keeper.places(node)):
            self._keeper.prune(node)
        self._keeper.displace_roots(node)

    def _has_left(self, wd: int, name: bytes) -> bool:
        """Tell whether the tree has a directory as `name` in `wd` that is not there any more."""
        parent = self._keeper.tree.nodes.get(wd)
        found = [one for one in parent.children() if one.name == name] if parent else []
        return any(not self.leads_to(one) for one in found)

    def _explore(
        self,
        parent: Node,
        name: bytes,
        path: bytes,
        wd: int,
        deep: tuple[Subscription, ...],
        batch: Batch,
    ) -> None:
        """Take in the directory `path`, which is new, and all that is below it."""
        node = self.adopt(wd, path, name, parent, deep)
        if node is not None:
            self._keeper.arrivals.expect_own_listing(parent, name)
            walk(self._keeper, path, node, deep, batch, announce=True)
            self._keeper.arrivals.close()
            self._keeper.set_mask(node)

    def left(self, node: Node, batch: Batch) -> None:
        """Take `node` and all below it out: it was moved to where nothing is watched."""
        removed = self._keeper.tree.remove_all(node)
        seen = self._keeper.moves.seen_of(removed)
        for one in removed:
            self._keeper.inotify.remove_watch(one.wd)
            self._keeper.forget(one.wd)
        for one in removed:
            self._keeper.roots.vanished(one.wd)
        for wd, name in seen:
            if parent := self._keeper.tree.nodes.get(wd):
                self.appear(parent, name, batch)

    def name_changed(self, node: Node, hot: Hot, name: bytes, mask: int, batch: Batch) -> None:
        """See what a name that has come or gone means where names are not only for events."""
        if mask & (IN_DELETE | IN_MOVED_FROM):
            self.readable(node, name)
        if mask & IN_ISDIR or not hot.follows:
            return
        if mask & (IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO):
            for child in node.children():
                if child.name == name:
                    self.left(child, batch)  # it was behind a link
        path = os.path.join(self._keeper.disk_path(node), name)
        if mask & (IN_CREATE | IN_MOVED_TO) and os.path.isdir(path):
            self.appear(node, name, batch, link=True)

    def has_unreadable(self, wd: int) -> bool:
        """Tell whether something in the directory `wd` cannot be read."""
        return wd in self._unreadable

    def retry_unreadable(self, node: Node, name: bytes, batch: Batch) -> None:
        """See whether `name` in `node`, or with b"" anything in it, can be read by now."""
        names = self._unreadable.get(node.wd, set())
        for one in [name] if name else list(names):
            if one in names:
                self.appear(node, one, batch)

    def reset(self) -> None:
        """Look for nothing any more: everything is looked for anew."""
        self._astray.clear()
        self._unlisted.clear()

    def forget(self, wd: int) -> None:
        """Forget the directory `wd`, whose watch is gone."""
        self._unreadable.pop(wd, None)
        self._astray.pop(wd, None)
        self._unlisted.pop(wd, None)

    def readable(self, node: Node, name: bytes) -> None:
        """Note that `name` in `node` can be read, or is gone."""
        names = self._unreadable.get(node.wd)
        if names is not None:
            names.discard(name)
            if not names:
                del self._unreadable[node.wd]


def same_for_all_below(before: Iterable[Place], after: Iterable[Place]) -> bool:
    """Tell whether a directory and all below it are watched by the same as before it moved."""
    sees = [place.subscription for place in before]
    return sees == [place.subscription for place in after] and all(
        subscription.members is None for subscription in sees
    )
