"""A keeper without its threads: the test decides what it has read and when.

The kernel's events are real. What a busy machine does only now and then (the reader is late, or
half of a burst has been handled when the rest happens) is done here on purpose.
"""

from __future__ import annotations

import os
import queue
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyinotify import ALL_EVENTS, IN_CREATE, IN_ISDIR, IN_Q_OVERFLOW

from inotifier.events import Event
from inotifier.notifier import Batch, Inotify, Keeper, KeeperStage, Reader, Subscription
from inotifier.notifier.inotify import Fences
from tests.waiting import wait_for

TREE = {"recursive": True, "auto_add": True}


class Seen:
    """The events that a subscription got."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.events = list(events)

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The events as (maskname, pathname)."""
        return [(event.maskname, event.pathname) for event in self.events]

    @property
    def masknames(self) -> list[str]:
        return [event.maskname for event in self.events]

    def paths(self, mask: int) -> list[str]:
        """Paths of the events that have a bit of `mask`."""
        return [event.pathname for event in self.events if event.mask & mask]

    @property
    def created(self) -> list[str]:
        """Paths of the created files and directories."""
        return self.paths(IN_CREATE)

    @property
    def created_files(self) -> list[str]:
        return [e.pathname for e in self.events if e.mask & IN_CREATE and not e.mask & IN_ISDIR]


class Log:
    """Everything that came, in order."""

    keeper: Keeper

    def __init__(self) -> None:
        self.batch: Batch = []

    @property
    def watched_paths(self) -> list[str]:
        """Paths of the nodes of the keeper."""
        nodes = self.keeper.tree.nodes
        return sorted(os.fsdecode(self.keeper.disk_path(node)) for node in nodes.values())

    def of(self, subscription: Subscription) -> Seen:
        return Seen(event for whose, event in self.batch if whose is subscription)

    def clear(self) -> None:
        self.batch.clear()


class Interrupted(Inotify):
    """An instance whose user is interrupted before or after a system call on watches."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.due: list[tuple[int, Callable[[], object]]] = []

    def interrupt(self, act: Callable[[], object], after: int) -> None:
        """Call `act` at the step that comes `after` steps from now; each call has two."""
        self.due.append((self.steps + after, act))

    def _step(self) -> None:
        self.steps += 1
        now = [act for at, act in self.due if at <= self.steps]
        self.due = [(at, act) for at, act in self.due if at > self.steps]
        for act in now:
            act()

    def add_watch(self, path: bytes, mask: int) -> int:
        self._step()
        try:
            return super().add_watch(path, mask)
        finally:
            self._step()

    def remove_watch(self, wd: int) -> None:
        self._step()
        super().remove_watch(wd)
        self._step()


class Driven(Log):
    """A keeper that handles events when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: list[Subscription] = []
        self.inotify = Interrupted()
        self.keeper = Keeper(self.inotify, self.lost.append)
        self._fences = Fences(Inotify(self.inotify.fd))
        self._fences.prepare()
        self._raw: list[bytes] = []

    def close(self) -> None:
        self._fences.close()
        self.keeper.close()
        self.inotify.close()

    def watch(self, path: Path | str, mask: int = ALL_EVENTS, **fields: Any) -> Subscription:
        """Subscribe to `path`."""
        [subscription] = self.watch_all(Subscription(str(path), mask, **fields))
        return subscription

    def watch_all(self, *subscriptions: Subscription) -> tuple[Subscription, ...]:
        self.keeper.add(subscriptions)
        return subscriptions

    def read(self) -> None:
        """Take what the kernel has queued, without handling it."""
        while buffer := self.inotify.read():
            self._raw += split(buffer)

    def handle(self, count: int | None = None) -> int:
        """Handle `count` of the raw events that were read, all by default; return how many."""
        taken, self._raw = self._raw[:count], self._raw[count:] if count is not None else []
        for raw in taken:
            self.batch += self.keeper.decode(raw)
        self.keeper.tick(self.batch)
        return len(taken)

    def before_the_next_fence(self, act: Callable[[], object]) -> None:
        """Call `act` when the keeper has listed a directory, and its fence is not yet placed."""
        arrivals = self.keeper.arrivals
        close = arrivals.close

        def act_first() -> None:
            arrivals.close = close  # type: ignore[method-assign]
            act()
            close()

        arrivals.close = act_first  # type: ignore[method-assign]

    def settle(self, timeout: float = 20) -> None:
        """Handle everything that happened until now, and what follows from it."""
        wait_for(self._is_settled, timeout, "quiet")

    def _is_settled(self) -> bool:
        while self._handle_up_to_a_fence() > 1:
            pass
        return self.idle

    def _handle_up_to_a_fence(self) -> int:
        fence = self._fences.place()
        assert fence is not None
        handled = 0
        passed = False
        while not passed:
            self.read()
            passed = any(_descriptor(raw) == fence for raw in self._raw)
            handled += self.handle()
        return handled

    @property
    def idle(self) -> bool:
        """True if the keeper waits for nothing that it will look at by itself."""
        arrivals = self.keeper.arrivals
        missing = self.keeper.roots._missing.values()
        return not (arrivals._held or arrivals._behind or arrivals._doubtful) and all(
            one.told for one in missing
        )

    def overflow(self, kept: int) -> None:
        """Have the kernel's queue overflow: of what is not handled, only `kept` events are left."""
        self.read()
        self._raw[kept:] = [struct.pack("iIII", -1, IN_Q_OVERFLOW, 0, 0)]

    @property
    def kernel_masks(self) -> dict[int, int]:
        """What the kernel's watches ask for, by descriptor."""
        lines = Path(f"/proc/self/fdinfo/{self.inotify.fd}").read_text(encoding="ascii")
        found = re.findall(r"^inotify wd:([0-9a-f]+) .* mask:([0-9a-f]+) ", lines, re.MULTILINE)
        return {int(wd, 16): int(mask, 16) & ALL_EVENTS for wd, mask in found}

    @property
    def watched(self) -> set[int]:
        """Descriptors of the kernel's watches, ours for fences excepted."""
        own = {self._fences.ready, self.keeper.arrivals.fence_ready}
        return watch_descriptors(self.inotify.fd) - own


def split(buffer: bytes) -> list[bytes]:
    """Return the raw events of `buffer` one by one."""
    found = []
    offset = 0
    while offset < len(buffer):
        [length] = struct.unpack_from("I", buffer, offset + 12)
        found.append(buffer[offset : offset + 16 + length])
        offset += 16 + length
    return found


def _descriptor(raw: bytes) -> int:
    [wd] = struct.unpack_from("i", raw)
    return int(wd)


def directories(*roots: Path) -> list[str]:
    """Return the paths of `roots` and all directories below, links not followed."""
    return sorted(path for root in roots for path, _, _ in os.walk(root))


class Threaded(Log):
    """A keeper with its threads, as the service runs it."""

    def __init__(self, mark: Path) -> None:
        super().__init__()
        self.lost: list[Subscription] = []
        self.inotify = Inotify()
        self.keeper = Keeper(self.inotify, self.lost.append)
        self._batches: queue.SimpleQueue[Batch] = queue.SimpleQueue()
        self._stage = KeeperStage(self.keeper, self._batches.put)
        self._reader = Reader(self.inotify, self._stage.put)
        mark.mkdir()
        self._mark = mark
        [self._marks] = self._pending = [Subscription(str(mark), IN_CREATE)]

    def watch(self, path: Path | str, mask: int = ALL_EVENTS, **fields: Any) -> Subscription:
        """Subscribe to `path`, before `start`."""
        subscription = Subscription(str(path), mask, **fields)
        self._pending.append(subscription)
        return subscription

    def start(self) -> None:
        self.keeper.add(self._pending)
        self._stage.start()
        self._reader.start()

    def sync(self, timeout: float = 60) -> None:
        """Return when everything that happened until now is handled, and what follows from it."""
        for number in range(2):  # behind the first, the keeper's last fences are on their way
            mark = self._mark / f"{len(self.of(self._marks))}-{number}"
            mark.touch()
            wait_for(lambda mark=mark: str(mark) in self._take().created, timeout, "the mark")
        arrivals = self.keeper.arrivals
        wait_for(lambda: not (arrivals._held or arrivals._behind), timeout, "the fences")
        self._take()

    def _take(self) -> Seen:
        while not self._batches.empty():
            self.batch += self._batches.get()
        return self.of(self._marks)

    def stop(self) -> None:
        self._reader.stop()
        self._stage.finish()
        self._take()
        self.keeper.close()
        self.inotify.close()


@contextmanager
def driven() -> Iterator[Driven]:
    """A keeper for one block."""
    keeper = Driven()
    try:
        yield keeper
    finally:
        keeper.close()


def watch_descriptors(fd: int) -> set[int]:
    """Return the descriptors of all watches of an instance, from proc_pid_fdinfo(5)."""
    lines = Path(f"/proc/self/fdinfo/{fd}").read_text(encoding="ascii")
    return {int(wd, 16) for wd in re.findall(r"^inotify wd:([0-9a-f]+) ", lines, re.MULTILINE)}
