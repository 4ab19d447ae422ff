"""pyinotify's `WatchManager` and `Notifier` on the tree-keeper: same calls, same results."""

from __future__ import annotations

import glob
import logging
import os
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pyinotify
from pyinotify import WatchManagerError

from inotifier.notifier.inotify import Inotify, refusal
from inotifier.notifier.keeper import Keeper
from inotifier.notifier.methods import Methods
from inotifier.notifier.subscription import Batch, Subscription
from inotifier.notifier.tree import Node, below

logger = logging.getLogger(__name__)

FAILED, EXCLUDED, NOT_A_PATH = -1, -2, -3
"""What stands in place of a watch descriptor, as in pyinotify."""


def _nothing(path: str) -> bool:
    """Exclude no path."""
    return False


Paths = str | bytes | os.PathLike[Any] | Iterable[Any]


class Watched(Mapping[str, int]):
    """What `add_watch` returns: watch descriptor by path.

    The directories below a recursive watch are listed when somebody looks: for a large tree
    that takes more room than the watches themselves.

    Args:
        manager: who watches.

    Attributes:
        roots: the recursive watches among them.
    """

    def __init__(self, manager: WatchManager) -> None:
        self.roots: list[Node] = []
        self._manager = manager
        self._found: dict[str, int] = {}

    def __setitem__(self, path: str, wd: int) -> None:
        self._found[path] = wd

    def _all(self) -> dict[str, int]:
        while self.roots:
            for node in below(self.roots.pop()):
                if path := self._manager.get_path(node.wd):
                    self._found[path] = node.wd
        return self._found

    def __getitem__(self, path: str) -> int:
        return self._found[path] if path in self._found else self._all()[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return repr(self._all())


class WatchManager(pyinotify.WatchManager):
    """Watches, as pyinotify's manager keeps them, with these differences.

    A second `add_watch` on a path adds a subscriber; nothing is replaced. `rec` and `auto_add`
    follow a growing tree without gaps and doubles. Bits that the tree needs do not reach
    processors. An excluded directory is excluded with all that is below it. Paths may be `str`,
    `bytes` or `os.PathLike`.

    Args:
        exclude_filter: tells of an absolute path whether it takes no watch.

    Raises:
        WatchError: the kernel gives no inotify instance.
    """

    def __init__(self, exclude_filter: Callable[[str], bool] = _nothing) -> None:
        self._closed = False
        self._ignore_events = False
        self._exclude_filter = exclude_filter
        self._inotify = Inotify()
        self._fd = self._inotify.fd
        self.keeper = Keeper(self._inotify, lost=lambda subscription: None)

    def close(self) -> None:
        """Close the inotify instance, and with it all watches; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self.keeper.close()
            self._inotify.close()

    def add_watch(
        self,
        path: Paths,
        mask: int,
        proc_fun: Callable[[Any], Any] | None = None,
        rec: bool = False,
        auto_add: bool = False,
        do_glob: bool = False,
        quiet: bool = True,
        exclude_filter: Callable[[str], bool] | None = None,
    ) -> Mapping[str, int]:
        """Watch one path or several.

        Args:
            path: a path, or an iterable of paths.
            mask: bits of pyinotify.
            proc_fun: takes the events; the notifier's default if None.
            rec: True for the directories below as well.
            auto_add: True for directories that appear below later.
            do_glob: True to expand `*` and its like.
            quiet: False to raise instead of returning a negative descriptor.
            exclude_filter: takes the place of the manager's.

        Returns:
            Watch descriptor by path; negative: -1 refused, -2 excluded, -3 not a path.

        Raises:
            WatchManagerError: with `quiet=False`, what the kernel refused; `wmd` is the partial
                result.
        """
        excluded = exclude_filter or self._exclude_filter
        result = Watched(self)
        for given in _listed(path):
            try:
                text = os.path.normpath(os.fsdecode(given))
            except TypeError:
                result[given] = NOT_A_PATH
                continue
            for one in glob.iglob(text) if do_glob else [text]:
                if excluded(one):
                    result[one] = EXCLUDED
                    continue
                subscription = Subscription(
                    os.path.abspath(one),
                    mask,
                    recursive=rec,
                    auto_add=auto_add,
                    excluded=None if excluded is _nothing else excluded,
                    persistent=False,
                    handler=Methods(proc_fun) if proc_fun is not None else None,
                )
                self._add(subscription, one, quiet, result)
        return result

    def _add(self, subscription: Subscription, path: str, quiet: bool, result: Watched) -> None:
        try:
            node = self.keeper.add_now(subscription, [], announce=False)
        except OSError as exc:
            result[path] = FAILED
            reason = f"add_watch: {refusal(path, exc.errno or 0)}"
            if not quiet:
                raise WatchManagerError(reason, result) from exc
            logger.error("%s", reason)
            return
        result[path] = node.wd
        if subscription.recursive:
            result.roots.append(node)

    def update_watch(
        self,
        wd: int | Iterable[int],
        mask: int | None = None,
        proc_fun: Callable[[Any], Any] | None = None,
        rec: bool = False,
        auto_add: bool = False,
        quiet: bool = True,
    ) -> dict[int, bool]:
        """Give watches another mask or processor, or let them grow.

        Returns:
            Whether it was done, by watch descriptor.

        Raises:
            WatchManagerError: with `quiet=False`, a descriptor that is not watched.
        """
        result: dict[int, bool] = {}
        for node in self._known("update_watch", wd, quiet, result):
            for subscription in self.keeper.own_subscriptions(node):
                if mask:
                    subscription.mask = mask
                if proc_fun is not None:
                    subscription.handler = Methods(proc_fun)
                if rec or auto_add:
                    subscription.grow(recursive=rec, auto_add=auto_add)
            self.keeper.refresh(node, rec)
            result[node.wd] = True
        return result

    def rm_watch(
        self, wd: int | Iterable[int], rec: bool = False, quiet: bool = True
    ) -> dict[int, bool]:
        """Remove watches; with `rec` all below them as well.

        Returns:
            Whether it was done, by watch descriptor.

        Raises:
            WatchManagerError: with `quiet=False`, a descriptor that is not watched.
        """
        result: dict[int, bool] = {}
        for node in self._known("rm_watch", wd, quiet, result):
            for removed in self.keeper.remove_watch(node, rec):
                result[removed] = True
        return result

    def _known(
        self, what: str, wd: int | Iterable[int], quiet: bool, result: dict[int, bool]
    ) -> Iterator[Node]:
        """Yield the nodes of `wd`; one that is not watched is told in `result`, or raised."""
        for one in _listed(wd):
            node = self.keeper.tree.nodes.get(one)
            if node is not None:
                yield node
                continue
            result[one] = False
            reason = f"{what}: {one} is not a watch descriptor in use"
            if not quiet:
                raise WatchManagerError(reason, result)
            logger.error("%s", reason)

    def get_wd(self, path: str | os.PathLike[str]) -> int | None:
        """Return the watch descriptor of `path`, None if it is not watched."""
        node = self.keeper.find(os.path.abspath(os.fspath(path)))
        return node.wd if node else None

    def get_path(self, wd: int) -> Any:
        """Return the path of a watch descriptor, None if it is not watched."""
        node = self.keeper.tree.nodes.get(wd)
        return os.fsdecode(self.keeper.disk_path(node)) if node else None

    def get_watch(self, wd: int) -> Any:
        """Return a `pyinotify.Watch` that describes the watch, None if there is none."""
        node = self.keeper.tree.nodes.get(wd)
        return self._described(node) if node else None

    @property
    def watches(self) -> dict[int, Any]:
        """A description of every watch, by its descriptor."""
        return {node.wd: self._described(node) for node in self.keeper.tree.nodes.values()}

    def _described(self, node: Node) -> Any:
        subscriptions = [place.subscription for place in self.keeper.places(node)]
        first = subscriptions[0]
        return pyinotify.Watch(
            wd=node.wd,
            path=self.get_path(node.wd),
            mask=first.mask,
            proc_fun=first.handler and first.handler.processor,
            auto_add=first.auto_add,
            exclude_filter=first.excluded or self._exclude_filter,
        )

    def del_watch(self, wd: int) -> None:
        """Forget a watch that the kernel has removed."""
        if node := self.keeper.tree.nodes.get(wd):
            self.keeper.tree.remove(node)


def _listed(value: Any) -> Iterator[Any]:
    if isinstance(value, (str, bytes, int, os.PathLike)):
        yield value
    else:
        try:
            yield from value
        except TypeError:
            yield value


class Notifier(pyinotify.Notifier):
    """Reads events and hands them to the processors of their watches, in one thread.

    Args:
        watch_manager: an `inotifier.notifier.WatchManager`.
        default_proc_fun: takes the events of watches without a processor; prints by default.
        read_freq: seconds between two reads at least.
        threshold: bytes that must wait before they are read.
        timeout: milliseconds that a read waits, None for as long as it takes.
    """

    def __init__(
        self,
        watch_manager: WatchManager,
        default_proc_fun: Callable[[Any], Any] | None = None,
        read_freq: float = 0,
        threshold: int = 0,
        timeout: int | None = None,
    ) -> None:
        super().__init__(watch_manager, default_proc_fun, read_freq, threshold, timeout)
        self._keeper = watch_manager.keeper
        self._inotify = Inotify(watch_manager.get_fd())
        self._buffers: list[bytes] = []
        self._made: Batch = []
        self._default = Methods(self._default_proc_fun)

    def append_event(self, event: Any) -> None:
        """Queue a raw event, with wd, mask, cookie and name, behind what was read."""
        name = os.fsencode(event.name)
        name += b"\0" * (16 - len(name) % 16) if name else b""
        header = struct.pack("iIII", event.wd, event.mask, event.cookie, len(name))
        self._buffers.append(header + name)

    def check_events(self, timeout: int | None = None) -> bool:
        """Wait for events; True if there are any.

        Args:
            timeout: milliseconds; the notifier's by default.
        """
        if timeout is None:
            timeout = self._timeout
        end = None if timeout is None else time.monotonic() + timeout / 1000
        while True:
            due = self._keeper.tick(self._made)
            if self._made:
                return True
            left = None if end is None else max(0.0, end - time.monotonic())
            waits = [wait for wait in (due, left) if wait is not None]
            if super().check_events(int(min(waits) * 1000) + 1 if waits else None):
                return True
            if left == 0.0:
                return False

    def read_events(self) -> None:
        """Read what the kernel has queued."""
        pending = self._inotify.pending_bytes()
        if pending < self._threshold:
            return
        while pending > 0 and (buffer := self._inotify.read()):
            self._buffers.append(buffer)
            pending -= len(buffer)

    def process_events(self) -> None:
        """Hand everything that was read to its processor."""
        made, self._made = self._made, []
        self._handle(made)
        while self._buffers:
            self._handle(self._keeper.decode(self._buffers.pop(0)))

    def stop(self) -> None:
        """Close the manager and its inotify instance; a second call does nothing."""
        if self._fd is not None:
            self._pollobj.unregister(self._fd)
            self._watch_manager.close()
            self._fd = None

    def _handle(self, batch: Batch) -> None:
        if self._watch_manager.ignore_events:
            return
        if self._coalesce:
            batch = _coalesced(batch)
        default = self._default
        rest = iter(batch)
        try:
            for subscription, event in rest:
                methods = subscription.handler
                if methods is None:
                    methods = default
                methods[event.mask](event)
        except BaseException:
            # Whoever catches the error of a processor and goes on gets the other events.
            self._made[:0] = rest
            raise


def _coalesced(batch: Batch) -> Batch:
    seen = set()
    kept = []
    for subscription, event in batch:
        key = (subscription, event.wd, event.mask, event.cookie, event.name)
        if key not in seen:
            seen.add(key)
            kept.append((subscription, event))
    return kept
