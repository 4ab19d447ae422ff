"""Set the watches of a whole tree: each directory is watched first and listed second."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from pyinotify import IN_DONT_FOLLOW, IN_MASK_ADD, IN_ONLYDIR

from inotifier.notifier import masks
from inotifier.notifier.leaves import Leaves
from inotifier.notifier.subscription import Batch, Subscription
from inotifier.notifier.tree import Node

if TYPE_CHECKING:
    from inotifier.notifier.keeper import Keeper

Deep = tuple[Subscription, ...]


def walk(
    keeper: Keeper, path: bytes, top: Node, deep: Deep, batch: Batch, *, announce: bool
) -> None:
    """Watch all directories below `top`.

    A watch takes what our own listing causes (IN_OPEN and its like) only once everything below
    its directory is listed.

    Args:
        keeper: takes the nodes.
        path: where `top` is on disk.
        top: a node, watched already; its own mask is left to the caller.
        deep: the subscriptions that reach below `top`.
        batch: takes the synthetic events.
        announce: True to make events of what the listing shows.
    """
    follow = any(subscription.follow_symlinks for subscription in deep)
    flags = IN_ONLYDIR if follow else IN_ONLYDIR | IN_DONT_FOLLOW
    wide = bool(masks.of(deep, root=False) & masks.READING)
    mask = masks.narrow(masks.of(deep, root=False)) | flags
    if not (wide and keeper.adding):
        mask |= IN_MASK_ADD  # no gap in what a watch tells that stands already
    nodes, add_watch, add = keeper.tree.nodes, keeper.inotify.add_watch, keeper.tree.add
    choosy = any(subscription.excluded for subscription in deep)
    simple = all(subscription.members is None for subscription in deep)
    # What is behind a symbolic link does not count as a link.
    leaves = None if announce or follow else Leaves()
    listed: list[Node] = []
    refused: OSError | None = None
    needed = 1
    waiting = [(path, top, deep)]
    while waiting:
        path, node, deep = waiting.pop()
        if leaves is not None and leaves.knows(path):
            continue
        try:
            with os.scandir(path) as items:
                found = list(items)
        except (FileNotFoundError, NotADirectoryError):
            keeper.directories.list_later(node, announce=announce)
            continue
        except OSError as exc:
            if node.parent is not None:
                keeper.directories.refused(node.parent, node.name, path, exc)
            continue
        if announce and not keeper.directories.leads_to(node):
            keeper.directories.list_later(node, announce=announce)
            continue
        if announce:
            keeper.arrivals.announce(node, found, batch)
        for item in found:
            if not is_directory(item, follow):
                continue
            child_path = item.path
            takers = deep if not choosy else tuple(one for one in deep if one.takes(child_path))
            if not takers:
                continue
            needed += 1
            if refused is not None:
                continue
            try:
                wd = add_watch(child_path, mask)
                alone = wd not in nodes and simple
                if alone:
                    child: Node | None = add(wd, item.name, node)
                else:
                    child = keeper.directories.adopt(wd, child_path, item.name, node, takers)
                    if child is not None:
                        keeper.set_mask(child, narrowly=True)
            except OSError as exc:
                if masks.is_limit(exc):
                    refused = exc
                elif exc.errno != errno.EACCES:
                    keeper.directories.not_found(node, item.name)
                else:
                    keeper.directories.refused(node, item.name, child_path, exc)
                continue
            if child is not None:
                waiting.append((child_path, child, takers))
                if wide or not alone or keeper.is_root(wd):
                    listed.append(child)
    for node in listed:
        keeper.set_mask(node)
    if refused is not None:
        keeper.directories.report_limit(top, refused, needed)


def is_directory(item: os.DirEntry[bytes], follow: bool) -> bool:
    """Tell whether `item` is a directory, with `follow` also behind a symbolic link."""
    try:
        return item.is_dir(follow_symlinks=follow)
    except OSError:
        return False  # a link that leads to itself
