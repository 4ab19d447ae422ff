"""The tree-keeper: raw buffers in, batches of events out, and watches kept on every directory.

It never waits for a handler. One thread calls it.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from struct import Struct

from pyinotify import (
    ALL_EVENTS,
    IN_ATTRIB,
    IN_CREATE,
    IN_DELETE,
    IN_DELETE_SELF,
    IN_DONT_FOLLOW,
    IN_IGNORED,
    IN_ISDIR,
    IN_MASK_ADD,
    IN_MOVE_SELF,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_ONLYDIR,
    IN_Q_OVERFLOW,
    IN_UNMOUNT,
)

from inotifier.events import UNASKED, Event, printable
from inotifier.notifier import masks
from inotifier.notifier.arrivals import Arrivals
from inotifier.notifier.inotify import Inotify, refusal
from inotifier.notifier.moves import Moves
from inotifier.notifier.places import Hot, Place, decode_name, emit, make_place
from inotifier.notifier.roots import Roots
from inotifier.notifier.subscription import Batch, Subscription
from inotifier.notifier.tree import Node, Tree, ancestors, below
from inotifier.notifier.walk import walk

logger = logging.getLogger(__name__)

_HEADER = Struct("iIII")  # wd, mask, cookie, length of the name: inotify(7)

_ALWAYS_SPECIAL = (
    IN_MOVED_FROM | IN_MOVED_TO | IN_MOVE_SELF | IN_DELETE_SELF | IN_IGNORED | IN_UNMOUNT
)

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

    Attributes:
        overflows: how often the kernel's queue was full, so that events were lost.
    """

    def __init__(
        self,
        inotify: Inotify,
        lost: Callable[[Subscription], object],
        *,
        adopted: bool = False,
    ) -> None:
        self.overflows = 0
        self.adding = IN_MASK_ADD if adopted else 0
        self.tree = Tree()
        self.inotify = inotify
        self._subscriptions: dict[int, list[Subscription]] = {}
        self._order: dict[Subscription, int] = {}
        self._hots: dict[int, Hot] = {}
        self.arrivals = Arrivals(self)
        self._moves = Moves(self)
        self._roots = Roots(self, lost)
        self._unreadable: dict[int, set[bytes]] = {}
        # What was not found because a directory above had been renamed by then.
        self._astray: dict[int, set[bytes]] = {}
        self._unlisted: dict[int, bool] = {}

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
                self._roots.expect(subscription)
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
        is_dir = self._roots.armed(subscription, node.wd)
        if is_dir and subscription.recursive:
            if node.parent is not None:
                self.arrivals.expect_own_listing(node.parent, node.name)
            walk(self, path, node, (subscription,), batch, announce=announce)
        elif announce:
            self.arrivals.announce_root(node, path, batch)
        self.arrivals.close()

    def _deep(self, node: Node) -> tuple[Subscription, ...]:
        """Return the subscriptions that reach below `node`."""
        return tuple(p.subscription for p in self.places(node) if p.subscription.deep)

    def remove(self, subscription: Subscription) -> None:
        """End `subscription`, and the watches that nobody else needs."""
        del self._order[subscription]
        self._roots.forget(subscription)
        for wd, subscriptions in list(self._subscriptions.items()):
            if subscription in subscriptions:
                self.unsubscribe(subscription, wd)

    def unsubscribe(self, subscription: Subscription, wd: int) -> None:
        """Take the root at `wd` away from `subscription`."""
        subscriptions = self._subscriptions[wd]
        subscriptions.remove(subscription)
        if not subscriptions:
            del self._subscriptions[wd]
        self.cool()
        if node := self.tree.nodes.get(wd):
            self._prune(node)

    def _prune(self, node: Node) -> None:
        """Drop the watches from `node` downwards that nobody asks for, narrow the others."""
        for one in list(below(node)):
            if self.places(one):
                self.set_mask(one)
            else:
                self.inotify.remove_watch(one.wd)
                self.tree.remove(one)
                self._forget(one.wd)

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
            self._forget(one.wd)
        in_use = {subscription for at in self._subscriptions.values() for subscription in at}
        self._order = {one: number for one, number in self._order.items() if one in in_use}
        self.cool()
        return [one.wd for one in doomed]

    def refresh(self, node: Node, rec: bool) -> None:
        """Set the masks of `node`, whose subscriptions have changed; with `rec` all below it."""
        self.cool()
        if rec:
            walk(self, self.disk_path(node), node, self._deep(node), [], announce=False)
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

    def is_planted(self, subscription: Subscription) -> bool:
        """Tell whether a root of `subscription` is watched."""
        return any(subscription in planted for planted in self._subscriptions.values())

    def is_root(self, wd: int) -> bool:
        """Tell whether `wd` is the root of a subscription."""
        return wd in self._subscriptions

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
        hot = self._hots.get(node.wd)
        if hot is None:
            if len(self._hots) >= _HOT_LIMIT:
                self._hots.clear()
            hot = self._hots[node.wd] = Hot(self.places(node))
        return hot

    def cool(self) -> None:
        """Forget all ready records: who sees what, or where, has changed."""
        self._hots.clear()

    def set_mask(self, node: Node, *, narrowly: bool = False) -> None:
        """Give the kernel's watch of `node` the mask that it should have."""
        subscriptions = [place.subscription for place in self.places(node)]
        mask = masks.of(subscriptions, root=node.wd in self._subscriptions)
        if node.wd in self._unreadable:
            mask |= IN_ATTRIB | IN_DELETE
        if narrowly:
            mask = masks.narrow(mask)
        try:
            wd = self.inotify.add_watch(self.disk_path(node), mask)
        except OSError:
            return  # it has just gone; its IN_IGNORED is on the way
        if wd != node.wd and wd not in self.tree.nodes:
            self.inotify.remove_watch(wd)  # another has its name now; its event is on the way

    # Directories

    def adopt(
        self, wd: int, path: bytes, name: bytes, parent: Node, deep: Iterable[Subscription]
    ) -> Node | None:
        """Take the directory `path`, watched as `wd`, as `name` below `parent`.

        Returns:
            Its node if it is still to be listed.
        """
        node = self.tree.nodes.get(wd)
        if node is None:
            node = self.tree.add(wd, name, parent)
        elif node.parent is not parent or node.name != name:
            if node in ancestors(parent) or self._is_alias(node, path):
                self.set_mask(node)
                return None  # a link or mount that leads to a directory which is watched
            if node.parent is not None:
                # It has moved, and the events that tell so are on the way.
                self._moves.seen(node.wd, (parent.wd, name))
                return None
            self.tree.move(node, parent, name)
            self.cool()
        else:
            self.cool()
        for subscription in deep:
            if subscription.members is not None:
                subscription.members.add(wd)
        return node

    def _is_alias(self, node: Node, path: bytes) -> bool:
        """Tell whether `path` is a second name of the directory `node`, at its place in a tree."""
        if node.parent is None:
            return False  # the root of another subscription takes its place in this tree
        try:
            return os.path.samefile(self.disk_path(node), path)
        except OSError:
            return False

    def leads_to(self, node: Node) -> bool:
        """Tell whether the path of the directory `node` still, or already, leads to it."""
        # Every watch has this bit.
        mask = IN_MOVED_FROM | IN_MASK_ADD | IN_ONLYDIR
        return self._leads(self.disk_path(node), mask) == node.wd

    def leads_root_to(self, subscription: Subscription, wd: int) -> bool:
        """Tell whether the path of `subscription` leads to what is watched as `wd`."""
        mask = IN_MOVED_FROM | IN_MASK_ADD | (subscription.mask & IN_DONT_FOLLOW)
        return self._leads(subscription.disk_path, mask) == wd

    def _leads(self, path: bytes, mask: int) -> int | None:
        """Return the descriptor of what `path` leads to, None if that is not watched."""
        try:
            wd = self.inotify.add_watch(path, mask)
        except OSError:
            return None
        if wd in self.tree.nodes:
            return wd
        self.inotify.remove_watch(wd)
        return None

    def list_later(self, node: Node, *, announce: bool) -> None:
        """List the directory `node` once its path leads to it again."""
        self._unlisted[node.wd] = announce
        self.arrivals.await_listing(node)

    def not_found(self, parent: Node, name: bytes) -> None:
        """Look for the directory `name` in `parent` later, if it is the path that is wrong."""
        if not self.leads_to(parent):
            self._astray.setdefault(parent.wd, set()).add(name)

    def _find_astray(self, batch: Batch) -> None:
        """Look for what was not found before: the event that tells its path may have come."""
        for wd in {*self._astray, *self._unlisted}:
            node = self.tree.nodes.get(wd)
            if node is None or not self.leads_to(node):
                continue
            if wd in self._unlisted:
                announce = self._unlisted.pop(wd)
                walk(self, self.disk_path(node), node, self._deep(node), batch, announce=announce)
                self.arrivals.close()
                self.set_mask(node)
            for name in self._astray.pop(wd, ()):
                self.appear(node, name, batch)

    def look_again(self, wd: int, name: bytes, batch: Batch) -> None:
        """See what `name` in `wd` is, or the root `wd`, now that its events have come."""
        if name and (node := self.tree.nodes.get(wd)):
            self.appear(node, name, batch, again=True)
        elif not name:
            self._roots.outlived(wd)

    def refused(self, parent: Node, name: bytes, path: bytes, exc: OSError) -> None:
        """Note that the directory `path` cannot be watched or listed."""
        if exc.errno != errno.EACCES:
            return  # it has gone again, or is none any more: events tell
        names = self._unreadable.setdefault(parent.wd, set())
        if name not in names:
            names.add(name)
            self.cool()
            logger.warning(
                "%s cannot be read: what happens in it is not seen until its permissions change",
                printable(os.fsdecode(path)),
            )
            self.set_mask(parent)

    def report_limit(self, top: Node, exc: OSError, needed: int) -> None:
        """Note that `top` and what is below it takes more watches than there are."""
        subscriptions = [place.subscription for place in self.places(top)]
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
            again: True to look no further if it is known at another place.
        """
        path = os.path.join(self.disk_path(parent), name)
        deep = tuple(
            place.subscription
            for place in self.hot(parent).places
            if place.subscription.auto_add
            and place.subscription.takes(path)
            and (place.subscription.follow_symlinks or not link)
        )
        if not deep:
            return
        flags = IN_ONLYDIR | IN_MASK_ADD | (0 if link else IN_DONT_FOLLOW)
        mask = masks.narrow(masks.of(deep, root=False))
        try:
            wd = self.inotify.add_watch(path, mask | flags)
        except OSError as exc:
            if masks.is_limit(exc):
                self.report_limit(parent, exc, len(self.tree.nodes) + 1)
            elif exc.errno == errno.EACCES:
                self.refused(parent, name, path, exc)
            else:
                self._readable(parent, name)
                self.not_found(parent, name)
            return
        self._readable(parent, name)
        known = self.tree.nodes.get(wd)
        if known is None:
            if source is not None and self._has_left(*source):
                # What has moved here seems to be known, and this one to have come later.
                self.inotify.remove_watch(wd)
                self.arrivals.look_again(parent.wd, name)
            elif self.leads_to(parent):
                self._explore(parent, name, path, wd, deep, batch)
            else:
                self.inotify.remove_watch(wd)
                self._astray.setdefault(parent.wd, set()).add(name)
        elif known.parent is None or (known.parent is parent and known.name == name):
            if self.adopt(wd, path, name, parent, deep) is not None:
                self._prune(known)
        elif (known.parent.wd, known.name) != source and not again and not link:
            # It came here later, and the events that tell so are on the way.
            self.arrivals.look_again(parent.wd, name)

    def moved(self, node: Node, parent: Node, name: bytes) -> None:
        """Put the directory `node`, with all below it, to where it was moved."""
        self.tree.move(node, parent, name)
        self.cool()
        for place in self.places(parent):
            subscription = place.subscription
            if subscription.members is None:
                continue
            for one in below(node):
                if not subscription.takes(self.disk_path(one)):
                    subscription.members.discard(one.wd)
                elif subscription.auto_add:
                    subscription.members.add(one.wd)
        # Its new place may be watched for other events, or not at all.
        self._prune(node)
        for one in list(below(node)):
            self._roots.displaced(one.wd)

    def _has_left(self, wd: int, name: bytes) -> bool:
        """Tell whether the tree has a directory as `name` in `wd` that is not there any more."""
        parent = self.tree.nodes.get(wd)
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
            self.arrivals.expect_own_listing(parent, name)
            walk(self, path, node, deep, batch, announce=True)
            self.arrivals.close()
            self.set_mask(node)

    def left(self, node: Node, batch: Batch) -> None:
        """Take `node` and all below it out: it was moved to where nothing is watched."""
        removed = self.tree.remove_all(node)
        seen = self._moves.seen_of(removed)
        for one in removed:
            self.inotify.remove_watch(one.wd)
            self._forget(one.wd)
        for one in removed:
            self._roots.vanished(one.wd)
        for wd, name in seen:
            if parent := self.tree.nodes.get(wd):
                self.appear(parent, name, batch)

    def _forget(self, wd: int) -> None:
        self._hots.pop(wd, None)
        self._unreadable.pop(wd, None)
        self._astray.pop(wd, None)
        self._unlisted.pop(wd, None)
        self._moves.forget(wd)
        self.arrivals.forget(wd)
        for subscription in self._order:
            if subscription.members:
                subscription.members.discard(wd)

    # Events

    def decode(self, buffer: bytes) -> Batch:
        """Return what the raw events of `buffer` mean to each subscription, in their order."""
        now = time.time()
        batch: Batch = []
        append = batch.append
        unpack = _HEADER.unpack_from
        hots = self._hots
        new = Event.__new__
        offset, size = 0, len(buffer)
        last_wd, last_raw, name = 0, b"", ""
        table: dict[int, tuple[Place, ...]] = {}
        while offset < size:
            wd, mask, cookie, length = unpack(buffer, offset)
            start = offset + 16
            offset = start + length
            if wd != last_wd:
                hot = hots.get(wd)
                table = hot.table if hot is not None else {}
                last_wd = wd
            places = table.get(mask)
            if places is None:
                self._special(batch, wd, mask, cookie, buffer[start:offset], now)
                last_wd = 0  # whatever was remembered may have changed
                continue
            if not places:
                continue
            raw = buffer[start:offset]
            if raw != last_raw:
                last_raw, name = raw, decode_name(raw)
            for subscription, path, prefix in places:
                event = new(Event)
                event.wd = wd
                event.mask = mask
                event.path = path
                event.name = name
                event.pathname = prefix + name if name else path
                event.dir = mask >= IN_ISDIR
                event.cookie = 0
                event.src_pathname = None
                event.synthetic = False
                event.watch = subscription.watch
                event.timestamp = now
                append((subscription, event))
        if self._astray or self._unlisted:
            self._find_astray(batch)
        return batch

    def _special(
        self, batch: Batch, wd: int, mask: int, cookie: int, raw: bytes, now: float
    ) -> None:
        """Handle one event whose mask is not in the ready table of its watch."""
        node = self.tree.nodes.get(wd)
        if node is None:
            if mask & IN_Q_OVERFLOW:
                self._overflow(batch, mask, now)
            elif mask & IN_IGNORED:
                self.arrivals.pass_fence(wd, batch)
            return
        hot = self.hot(node)
        name = raw.rstrip(b"\0")
        held = self.arrivals.held(wd)
        if held is not None and self.arrivals.swallows(held, node, name, mask, batch):
            return
        plain = mask & ~IN_ISDIR
        if plain & (IN_MOVED_FROM | IN_MOVED_TO):
            self._moves.moved(batch, node, hot, mask, cookie, name, now)
            if self._minds_names(hot, wd):
                self._name_changed(node, hot, name, mask, batch)
        elif plain & _ALWAYS_SPECIAL or (plain == IN_ATTRIB and self._minds_attrib(node)):
            self._self_event(batch, node, hot, mask, name, now)
        else:
            asked = _asked(hot, mask)
            emit(batch, asked, wd, mask, decode_name(raw), now)
            if mask & IN_ISDIR and mask & IN_CREATE and hot.deep:
                self._moves.taken(node, name)
                self.appear(node, name, batch)
            elif self._minds_names(hot, wd):
                self._name_changed(node, hot, name, mask, batch)
            elif held is None:
                hot.table[mask] = asked

    def _minds_names(self, hot: Hot, wd: int) -> bool:
        return hot.follows or wd in self._unreadable

    def _name_changed(self, node: Node, hot: Hot, name: bytes, mask: int, batch: Batch) -> None:
        """See what a name that has come or gone means where names are not only for events."""
        if mask & (IN_DELETE | IN_MOVED_FROM):
            self._readable(node, name)
        if mask & IN_ISDIR or not hot.follows:
            return
        if mask & (IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO):
            for child in node.children():
                if child.name == name:
                    self.left(child, batch)  # it was behind a link
        path = os.path.join(self.disk_path(node), name)
        if mask & (IN_CREATE | IN_MOVED_TO) and os.path.isdir(path):
            self.appear(node, name, batch, link=True)

    def _minds_attrib(self, node: Node) -> bool:
        return node.wd in self._unreadable or node.wd in self._subscriptions

    def _self_event(
        self, batch: Batch, node: Node, hot: Hot, mask: int, name: bytes, now: float
    ) -> None:
        is_dir = None
        if mask & (IN_DELETE_SELF | IN_MOVE_SELF):
            # For these two the kernel does not tell (inotify(7)).
            is_dir = node.parent is not None or self._roots.is_dir(node.wd)
        emit(batch, _asked(hot, mask), node.wd, mask, os.fsdecode(name), now, is_dir=is_dir)
        if mask & IN_ATTRIB:
            self._retry_unreadable(node, name, batch)
        if mask & IN_MOVE_SELF:
            self._moves.moved_self(node, batch)
        if mask & IN_IGNORED:
            self.tree.remove(node)
            self._forget(node.wd)
        if not name and node.wd in self._subscriptions:
            self._roots.changed(node.wd, mask, batch)

    def _retry_unreadable(self, node: Node, name: bytes, batch: Batch) -> None:
        names = self._unreadable.get(node.wd, set())
        for one in [name] if name else list(names):
            if one in names:
                self.appear(node, one, batch)

    def _readable(self, node: Node, name: bytes) -> None:
        """Note that `name` in `node` can be read, or is gone."""
        names = self._unreadable.get(node.wd)
        if names is not None:
            names.discard(name)
            if not names:
                del self._unreadable[node.wd]

    def _overflow(self, batch: Batch, mask: int, now: float) -> None:
        self.overflows += 1
        for subscription in self._order:
            event = Event(mask=mask, watch=subscription.watch, timestamp=now)
            batch.append((subscription, event))
        # Marks may be among what was dropped.
        self.arrivals.pass_all_fences(batch)

    # Time

    def tick(self, batch: Batch) -> float | None:
        """Do what is due; return seconds until there is more to do, None if there is nothing."""
        waits = [self._roots.look(batch), self.arrivals.look(batch)]
        return min((wait for wait in waits if wait is not None), default=None)

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


def _asked(hot: Hot, mask: int) -> tuple[Place, ...]:
    """Return the places that asked for an event with `mask`."""
    wanted = mask & ALL_EVENTS
    if mask & UNASKED:
        return hot.places
    return tuple(place for place in hot.places if place.subscription.mask & wanted)
