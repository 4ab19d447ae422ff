"""The tree-keeper: raw buffers in, batches of events out, and watches kept on every directory.

It never waits for a handler. One thread calls it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from pyinotify import (
    IN_ATTRIB,
    IN_DELETE,
    IN_DONT_FOLLOW,
    IN_MASK_ADD,
    IN_ONLYDIR,
)

from inotifier.notifier import masks
from inotifier.notifier.arrivals import Arrivals
from inotifier.notifier.decoder import Decoder
from inotifier.notifier.directories import Directories
from inotifier.notifier.inotify import Inotify, refusal
from inotifier.notifier.moves import Moves
from inotifier.notifier.places import Hot, Place, make_place
from inotifier.notifier.resync import Resync
from inotifier.notifier.roots import Roots
from inotifier.notifier.subscription import Batch, Subscription
from inotifier.notifier.tree import Node, Tree, ancestors, below
from inotifier.notifier.walk import walk

_HOT_LIMIT = 8192
_SETTLE_READS = 100


class Keeper:
    """The watches of one inotify instance, shared by all subscriptions.

    The kernel has one watch per inode. Its mask is the union of what the subscriptions ask for
    and of what the keeper needs itself; each subscription gets its own events only, under the
    path that it knows.

    Args:
        inotify: the instance.
        lost: called with a subscription whose root is gone.
        adopted: True if the instance has watches already, whose masks must not shrink before
            all subscriptions have come.
        overflowed: called when the kernel's queue has overflowed, once the watches are right
            again; what happened to files meanwhile is left to the caller to find out.

    Attributes:
        overflows: how often the kernel's queue was full, so that events were lost.
    """

    def __init__(
        self,
        inotify: Inotify,
        lost: Callable[[Subscription], object],
        *,
        adopted: bool = False,
        overflowed: Callable[[], object] | None = None,
    ) -> None:
        self.overflows = 0
        self.adding = IN_MASK_ADD if adopted else 0
        self.tree = Tree()
        self.inotify = inotify
        self._subscriptions: dict[int, list[Subscription]] = {}
        self._order: dict[Subscription, int] = {}
        self.hots: dict[int, Hot] = {}
        self.directories = Directories(self)
        self.arrivals = Arrivals(self)
        self.moves = Moves(self)
        self.roots = Roots(self, lost)
        self.resync = Resync(self, overflowed)
        decoder = Decoder(self)
        self.is_plain, self.decode = decoder.is_plain, decoder.decode

    # Subscriptions

    def add(self, subscriptions: Sequence[Subscription]) -> None:
        """Set the kernel's watches for `subscriptions`, roots that are missing excepted.

        A root that the kernel refuses for another reason is an error; directories below that
        it refuses are logged and leave `subscription.problem`.

        Raises:
            WatchError: the kernel refused a root.
        """
        planted = []
        for subscription in subscriptions:
            try:
                planted.append((subscription, self._plant(subscription)))
            except FileNotFoundError as exc:
                if not subscription.wait:
                    raise refusal(subscription.path, exc.errno or 0) from exc
                self.roots.expect(subscription)
            except OSError as exc:
                raise refusal(subscription.path, exc.errno or 0) from exc
        batch: Batch = []
        for subscription, node in planted:
            self._grow(subscription, node, batch, announce=False)
        self.adding = 0
        # Only now: listing one root may be an event of another.
        for _, node in planted:
            self.set_mask(node)

    def add_now(self, subscription: Subscription, batch: Batch, *, announce: bool) -> Node:
        """Set the kernel's watches for `subscription`, whose root must be there.

        Args:
            subscription: who asks.
            batch: takes the synthetic events.
            announce: True to make events of what is there.

        Raises:
            OSError: the kernel refused the root.
        """
        node = self._plant(subscription)
        self._grow(subscription, node, batch, announce=announce)
        self.set_mask(node)
        return node

    def _plant(self, subscription: Subscription) -> Node:
        """Watch the root of `subscription`."""
        self._order.setdefault(subscription, len(self._order))
        if subscription.deep:
            self.arrivals.prepare()
        flags = subscription.mask & (IN_ONLYDIR | IN_DONT_FOLLOW)
        mask = masks.narrow(masks.of([subscription], root=True))
        try:
            wd = self.inotify.add_watch(subscription.disk_path, self.adding | mask | flags)
        except OSError:
            if not subscription.wait and not subscription.persistent:
                del self._order[subscription]
            raise
        self._subscriptions.setdefault(wd, []).append(subscription)
        node = self.tree.nodes.get(wd)
        if node is None:
            node = self.tree.add(wd)
        elif not self.adding:
            self.set_mask(node, narrowly=True)
        self.cool()
        return node

    def _grow(
        self, subscription: Subscription, node: Node, batch: Batch, *, announce: bool
    ) -> None:
        """Watch what belongs to `subscription` below its root."""
        path = subscription.disk_path
        is_dir = self.roots.armed(subscription, node.wd)
        if is_dir and subscription.recursive:
            if node.parent is not None:
                self.arrivals.expect_own_listing(node.parent, node.name)
            if not self.adding:
                self.set_mask(node, narrowly=True)
            walk(self, path, node, (subscription,), batch, announce=announce)
        elif announce:
            self.arrivals.announce_root(node, path, batch)
        self.arrivals.close()

    def deep(self, node: Node) -> tuple[Subscription, ...]:
        """Return the subscriptions that reach below `node`."""
        return tuple(p.subscription for p in self.places(node) if p.subscription.deep)

    def remove(self, subscription: Subscription) -> None:
        """End `subscription`, and the watches that nobody else needs."""
        del self._order[subscription]
        self.roots.forget(subscription)
        for wd, subscriptions in list(self._subscriptions.items()):
            if subscription in subscriptions:
                self.unsubscribe(subscription, wd)

    def unsubscribe(self, subscription: Subscription, wd: int) -> None:
        """Take the root at `wd` away from `subscription`, and the watches nobody else needs."""
        self.uproot(subscription, wd)
        if node := self.tree.nodes.get(wd):
            self.prune(node)

    def uproot(self, subscription: Subscription, wd: int) -> None:
        """Take the root at `wd` away from `subscription`; the watches stand."""
        subscriptions = self._subscriptions[wd]
        subscriptions.remove(subscription)
        if not subscriptions:
            del self._subscriptions[wd]
        self.cool()

    def prune(self, node: Node) -> None:
        """Drop the watches from `node` downwards that nobody asks for, narrow the others."""
        for one in list(below(node)):
            if self.places(one):
                self.set_mask(one)
            else:
                self.inotify.remove_watch(one.wd)
                self.tree.remove(one)
                self.forget(one.wd)

    def own_subscriptions(self, node: Node) -> list[Subscription]:
        """Return subscriptions whose root `node` is; it becomes one if it is not."""
        if node.wd not in self._subscriptions:
            self._stand_alone(node)
        return self.subscriptions_at(node.wd)

    def _stand_alone(self, node: Node) -> None:
        """Make `node` a root: what reached it from above gets a subscription of its own there."""
        for place in self.places(node):
            if place.subscription in self._subscriptions.get(node.wd, ()):
                continue
            copy = replace(place.subscription, path=place.path)
            copy.members = place.subscription.members
            self._order[copy] = len(self._order)
            self._subscriptions.setdefault(node.wd, []).append(copy)
        self.tree.move(node, None, b"")
        self.cool()

    def remove_watch(self, node: Node, rec: bool) -> list[int]:
        """Remove the watch of `node`, with `rec` all below it; return their descriptors."""
        doomed = list(below(node)) if rec else [node]
        if not rec:
            for child in node.children():
                self._stand_alone(child)
        for one in reversed(doomed):
            self._subscriptions.pop(one.wd, None)
            self.inotify.remove_watch(one.wd)
            self.tree.remove(one)
            self.forget(one.wd)
        in_use = {subscription for at in self._subscriptions.values() for subscription in at}
        self._order = {one: number for one, number in self._order.items() if one in in_use}
        self.cool()
        return [one.wd for one in doomed]

    def refresh(self, node: Node, rec: bool) -> None:
        """Set the masks of `node`, whose subscriptions have changed; with `rec` all below it."""
        self.cool()
        if rec:
            walk(self, self.disk_path(node), node, self.deep(node), [], announce=False)
        for one in below(node):
            self.set_mask(one)

    def find(self, path: str) -> Node | None:
        """Return the node of the absolute `path`."""
        wanted = os.fsencode(path)
        for wd, subscriptions in self._subscriptions.items():
            for subscription in subscriptions:
                if relative := _relative(wanted, subscription.disk_path):
                    node = _descend(self.tree.nodes[wd], relative)
                    if node is not None:
                        return node
        return None

    @property
    def subscriptions(self) -> Iterable[Subscription]:
        """All subscriptions, in the order in which they came."""
        return self._order.keys()

    def is_planted(self, subscription: Subscription) -> bool:
        """Tell whether a root of `subscription` is watched."""
        return any(subscription in planted for planted in self._subscriptions.values())

    def is_root(self, wd: int) -> bool:
        """Tell whether `wd` is the root of a subscription."""
        return wd in self._subscriptions

    def planted(self) -> list[tuple[int, Subscription]]:
        """Return all roots, each with who asked for it."""
        return [(wd, one) for wd, at in self._subscriptions.items() for one in at]

    def watches_of(self, subscription: Subscription) -> int:
        """Return how many watches serve `subscription`.

        Any thread may ask; while the tree changes, the answer is an estimate.
        """
        roots = [wd for wd, at in list(self._subscriptions.items()) if subscription in at]
        if subscription.members is not None:
            return len(roots) + len(subscription.members.difference(roots))
        nodes = [node for wd in roots if (node := self.tree.nodes.get(wd))]
        if not subscription.deep:
            return len(nodes)
        return sum(1 for node in nodes for _ in below(node))

    def subscriptions_at(self, wd: int) -> list[Subscription]:
        """Return the subscriptions whose root `wd` is."""
        return list(self._subscriptions.get(wd, ()))

    def remove_strangers(self) -> None:
        """Remove the kernel's watches that nobody here subscribed to."""
        known = {*self.tree.nodes, self.arrivals.fence_ready}
        for wd in self.inotify.watch_descriptors() - known:
            self.inotify.remove_watch(wd)

    # Places and masks

    def places(self, node: Node) -> tuple[Place, ...]:
        """Return who gets events of `node`."""
        found = []
        names: list[bytes] = []
        here: Node | None = node
        while here is not None:
            for subscription in self._subscriptions.get(here.wd, ()):
                if here is node or subscription.reaches(node.wd):
                    place = make_place(subscription, b"/".join(reversed(names)))
                    found.append(place)
            names.append(here.name)
            here = here.parent
        if len(found) > 1:
            found.sort(key=lambda place: self._order[place.subscription])
        return tuple(found)

    def disk_path(self, node: Node) -> bytes:
        """Return where `node` is on disk."""
        names: list[bytes] = []
        here = node
        while here.parent is not None:
            names.append(here.name)
            here = here.parent
        at_top = self._subscriptions.get(here.wd)
        # A top that nobody asked for is about to go: its IN_IGNORED is on the way.
        return os.path.join(at_top[0].disk_path, *reversed(names)) if at_top else b""

    def hot(self, node: Node) -> Hot:
        """Return the ready record of `node`."""
        hot = self.hots.get(node.wd)
        if hot is None:
            if len(self.hots) >= _HOT_LIMIT:
                self.hots.clear()
            hot = self.hots[node.wd] = Hot(self.places(node))
        return hot

    def cool(self) -> None:
        """Forget all ready records: who sees what, or where, has changed."""
        self.hots.clear()

    def mask_of(self, node: Node) -> int:
        """Return the mask that the kernel's watch of `node` should have."""
        subscriptions = [place.subscription for place in self.places(node)]
        mask = masks.of(subscriptions, root=node.wd in self._subscriptions)
        if self.directories.has_unreadable(node.wd):
            mask |= IN_ATTRIB | IN_DELETE
        return mask

    def set_mask(self, node: Node, *, narrowly: bool = False) -> bool:
        """Give the kernel's watch of `node` its mask; False if it is not where the tree says."""
        mask = self.mask_of(node)
        if narrowly:
            mask = masks.narrow(mask)
        try:
            wd = self.inotify.add_watch(self.disk_path(node), mask)
        except OSError:
            return False  # it has just gone; its IN_IGNORED is on the way
        if wd != node.wd and wd not in self.tree.nodes:
            self.inotify.remove_watch(wd)  # another has its name now; its event is on the way
        return wd == node.wd

    def displace_roots(self, node: Node) -> None:
        """See what it means for roots that `node`, or what holds them, has moved."""
        for wd in list(self._subscriptions):
            root = self.tree.nodes.get(wd)
            if root is not None and node in ancestors(root):
                self.roots.displaced(wd)

    def forget(self, wd: int) -> None:
        """Forget `wd`, whose watch is gone."""
        self.hots.pop(wd, None)
        self.directories.forget(wd)
        self.moves.forget(wd)
        self.arrivals.forget(wd)
        for subscription in self._order:
            if subscription.members:
                subscription.members.discard(wd)

    # For whoever compares the tree with something else

    def list_quietly(self, path: bytes) -> list[os.DirEntry[bytes]]:
        """List the directory `path`; nobody gets events of that.

        Raises:
            OSError: it cannot be listed.
        """
        node = self.directories.node_at(path)
        if node is not None:
            self.arrivals.expect_own_listing(node, b"")
            if node.parent is not None:
                self.arrivals.expect_own_listing(node.parent, node.name)
        try:
            with os.scandir(path) as items:
                return list(items)
        finally:
            self.arrivals.close()

    def after_queue(self, add: Callable[[Batch], object]) -> None:
        """Have `add` called once what the kernel has queued by now is decoded.

        It gets the batch with the last of that, to which it may add.
        """
        # Twice: a directory that is found among that has a fence of its own, behind the first.
        self.arrivals.call_later(lambda batch: self.arrivals.call_later(add))

    # Time

    def tick(self, batch: Batch) -> float | None:
        """Do what is due; return seconds until there is more to do, None if there is nothing."""
        return earlier(self.roots.look(batch), self.arrivals.look(batch))

    def settle(self) -> Batch:
        """Read and decode until no fence is awaited, but not for ever; then stop waiting."""
        batch: Batch = []
        for _ in range(_SETTLE_READS):
            buffer = self.inotify.read() if self.arrivals.waiting else b""
            if not buffer:
                break
            batch += self.decode(buffer)
        self.arrivals.pass_all_fences(batch)
        return batch

    def close(self) -> None:
        """Close what is open besides the inotify instance."""
        self.arrivals.shut()


def earlier(one: float | None, other: float | None) -> float | None:
    """Return the smaller of two waits in seconds; None is no wait at all."""
    return min((wait for wait in (one, other) if wait is not None), default=None)


def _relative(path: bytes, root: bytes) -> list[bytes] | None:
    """Return the names from `root` down to `path`; [b""] if they are the same, None if outside."""
    if path == root:
        return [b""]
    prefix = root if root.endswith(b"/") else root + b"/"
    return path[len(prefix) :].split(b"/") if path.startswith(prefix) else None


def _descend(node: Node, names: Iterable[bytes]) -> Node | None:
    for name in names:
        if name:
            found = [child for child in node.children() if child.name == name]
            if not found:
                return None
            node = found[0]
    return node
