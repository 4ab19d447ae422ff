"""Random histories of a real file system: watches, paths and events agree with the disk."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import stat
import tempfile
from collections.abc import Collection
from pathlib import Path

from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from pyinotify import (
    ALL_EVENTS,
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_MOVED_FROM,
    IN_MOVED_TO,
)

from inotifier.events import Event
from tests.integration.notifier.driving import TREE, Driven, directories

EXAMPLES = int(os.environ.get("INOTIFIER_EXAMPLES", "100"))

_libc = ctypes.CDLL(None)
_AT_FDCWD, _EXCHANGE = -100, 2

NAMES = st.sampled_from("abc")
INDEX = st.integers(0, 30)


def below(root: Path) -> list[Path]:
    """Everything below `root`, links not followed."""
    return sorted(
        Path(path, name) for path, dirs, files in os.walk(root) for name in [*dirs, *files]
    )


def exchange(one: Path, two: Path) -> None:
    """Exchange two names; not possible for one below the other."""
    _libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(two), _EXCHANGE)


class Replay:
    """The tree as somebody knows it who has the events only."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.told: set[str] = set()
        self.last: dict[str, bool] = {}
        self.twice: list[Event] = []
        self._leaving: tuple[int, str, set[str], set[str]] = (0, "", set(), set())

    def take(self, event: Event) -> None:
        path = event.pathname
        if event.mask & (IN_CREATE | IN_MOVED_TO):
            self.last[path] = True
        elif event.mask & (IN_DELETE | IN_MOVED_FROM):
            self.last[path] = False
        if event.mask & IN_CREATE:
            if path in self.paths:
                self.twice.append(event)
            self.paths.add(path)
        elif event.mask & (IN_DELETE | IN_MOVED_FROM):
            self._leaving = (event.cookie, path, self._under(path), self._told(path))
            self._drop(path)
        elif event.mask & IN_MOVED_TO:
            self._drop(path)
            self.paths.add(path)
            self.told.add(path)
            cookie, source, paths, told = self._leaving
            if event.src_pathname is not None and cookie == event.cookie:
                self.told.discard(path)
                self.paths |= {path + one.removeprefix(source) for one in paths}
                self.told |= {path + one.removeprefix(source) for one in told}
        elif event.mask & IN_CLOSE_WRITE:
            self.told.add(path)

    def _under(self, path: str) -> set[str]:
        return {one for one in self.paths if one == path or one.startswith(path + "/")}

    def _told(self, path: str) -> set[str]:
        return {one for one in self.told if one == path or one.startswith(path + "/")}

    def _drop(self, path: str) -> None:
        self.paths -= self._under(path)
        self.told -= self._told(path)


class Histories(RuleBasedStateMachine):
    """Operations inside and outside of a watched tree, with the keeper more or less behind."""

    mask = ALL_EVENTS
    failed = True
    # Whether there were two operations or more since all was handled.
    operated = late = exchanged = lost = False

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="histories-"))
        self.inside, self.outside = self.base / "in", self.base / "out"
        self.inside.mkdir()
        self.outside.mkdir()
        self.drive = Driven()
        self.replay = Replay()

    @initialize(already=st.lists(st.lists(NAMES, min_size=1, max_size=3), max_size=3))
    def watch(self, already: list[list[str]]) -> None:
        for names in already:
            self.inside.joinpath(*names).mkdir(parents=True, exist_ok=True)
        self.replay.paths = {str(path) for path in below(self.inside)}
        self.subscription = self.drive.watch(self.inside, self.mask, **TREE)
        self.failed = False

    def teardown(self) -> None:
        try:
            if not self.failed:
                self.check()
        finally:
            self.drive.close()
            shutil.rmtree(self.base)

    def assert_same(self, found: Collection[str], real: Collection[str], what: str) -> None:
        """Compare paths, and name those that differ."""
        missing = [os.path.relpath(path, self.base) for path in sorted(set(real) - set(found))]
        excess = [os.path.relpath(path, self.base) for path in sorted(set(found) - set(real))]
        assert not missing, f"there but not {what}: {missing}, excess {excess}"
        assert not excess, f"{what} but not there: {excess}"
        assert len(found) == len(real), f"{what} twice: {found}"

    # Choosing

    def everything(self) -> list[Path]:
        return below(self.base)[2:] or [self.outside]

    def directory(self, index: int) -> Path:
        found = [Path(path) for path in directories(self.inside, self.outside)]
        return found[index % len(found)]

    def existing(self, index: int) -> Path | None:
        roots = (self.inside, self.outside)
        found = [path for path in below(self.base) if path not in roots]
        return found[index % len(found)] if found else None

    def file(self, index: int) -> Path | None:
        found = [p for p in below(self.base) if stat.S_ISREG(p.lstat().st_mode)]
        return found[index % len(found)] if found else None

    def do(self, what: str, *paths: Path) -> None:
        """Have hypothesis show the operation if it belongs to a history that fails."""
        self.late |= self.operated
        self.operated = True
        note(" ".join([what, *(str(path.relative_to(self.base)) for path in paths)]))

    # Operations

    @rule(at=INDEX, name=NAMES)
    def write(self, at: int, name: str) -> None:
        path = self.directory(at) / name
        if not path.is_dir() and not path.is_symlink():
            self.do("write", path)
            path.write_bytes(b"x")

    @rule(at=INDEX)
    def append(self, at: int) -> None:
        if path := self.file(at):
            self.do("append", path)
            with path.open("ab") as file:
                file.write(b"y")

    @rule(at=INDEX, names=st.lists(NAMES, min_size=1, max_size=4))
    def make_directories(self, at: int, names: list[str]) -> None:
        path = self.directory(at).joinpath(*names)
        self.do("mkdir -p", path)
        with contextlib.suppress(OSError):
            path.mkdir(parents=True, exist_ok=True)

    @rule(at=INDEX, names=st.lists(NAMES, min_size=1, max_size=3), name=NAMES)
    def make_directories_and_write(self, at: int, names: list[str], name: str) -> None:
        self.make_directories(at, names)
        path = self.directory(at).joinpath(*names, name)
        self.do("write", path)
        with contextlib.suppress(OSError):
            path.write_bytes(b"z")

    @rule(what=INDEX, to=INDEX, name=NAMES)
    def rename(self, what: int, to: int, name: str) -> None:
        source, target = self.existing(what), self.directory(to) / name
        if source is None:
            return
        self.do("mv", source, target)
        # Not if it is not empty, below itself, or a file in place of a directory.
        with contextlib.suppress(OSError):
            source.rename(target)

    @rule(at=INDEX, name=NAMES, what=INDEX)
    def link(self, at: int, name: str, what: int) -> None:
        if source := self.file(what):
            self.do("ln", source, self.directory(at) / name)
            with contextlib.suppress(FileExistsError):
                (self.directory(at) / name).hardlink_to(source)

    @rule(at=INDEX, name=NAMES, to=INDEX)
    def symlink(self, at: int, name: str, to: int) -> None:
        self.do("ln -s", self.directory(to), self.directory(at) / name)
        with contextlib.suppress(FileExistsError):
            (self.directory(at) / name).symlink_to(self.directory(to))

    @rule(what=INDEX, mode=st.sampled_from([0o700, 0o755, 0o600]))
    def chmod(self, what: int, mode: int) -> None:
        path = self.existing(what)
        if path is not None and not path.is_symlink():
            self.do("chmod", path)
            path.chmod(mode)

    @rule(what=INDEX)
    def delete(self, what: int) -> None:
        if path := self.existing(what):
            self.do("rm -r", path)
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    @rule(what=INDEX)
    def rmdir(self, what: int) -> None:
        if path := self.existing(what):
            self.do("rmdir", path)
            with contextlib.suppress(OSError):
                path.rmdir()

    @rule(what=INDEX, other=INDEX)
    def exchange(self, what: int, other: int) -> None:
        one, two = self.existing(what), self.existing(other)
        if one is not None and two is not None:
            self.do("exchange", one, two)
            exchange(one, two)
            self.exchanged = True

    # The keeper

    @rule(
        after=st.integers(1, 12),
        kind=st.sampled_from(["rename", "delete", "write", "make"]),
        what=INDEX,
        to=INDEX,
        name=NAMES,
    )
    def meanwhile(self, after: int, kind: str, what: int, to: int, name: str) -> None:
        """Let something happen between two system calls of the keeper."""
        acts = {
            "rename": lambda: self.rename(what=what, to=to, name=name),
            "delete": lambda: self.delete(what=what),
            "write": lambda: self.write(at=to, name=name),
            "make": lambda: self.make_directories_and_write(at=to, names=[name], name=name),
        }

        def act() -> None:
            note(f"meanwhile, after {after}:")
            acts[kind]()

        self.drive.inotify.interrupt(act, after)

    @rule(count=st.integers(1, 6))
    def handle_some(self, count: int) -> None:
        note(f"handle {count}")
        self.drive.read()
        self.drive.handle(count)

    @rule(kept=st.integers(0, 8))
    def overflow(self, kept: int) -> None:
        note(f"overflow, {kept} kept")
        self.drive.overflow(kept)
        self.lost = True

    @rule()
    def check(self) -> None:
        note("check")
        self.failed = True
        self.drive.settle()
        self.drive.inotify.due.clear()
        for event in self.drive.of(self.subscription):
            self.replay.take(event)
        self.drive.clear()
        watched = self.drive.watched_paths
        self.assert_same(watched, directories(self.inside), "watched")
        assert self.drive.watched == set(self.drive.keeper.tree.nodes)
        real = {str(path) for path in below(self.inside)}
        told = self.replay.paths
        assert not self.drive.keeper.resync.settling
        if self.exchanged or self.lost:
            # The events of an exchange look as if one directory had taken the other's place;
            # and after an overflow, only the disk knows.
            self.replay.paths = told = real
        elif self.late:
            # A name that was used again meanwhile: what its second bearer holds is announced
            # before the events that tell of the end of the first.
            told = {path for path in told if path in real or self.replay.last.get(path)}
            told |= {path for path in real if self.replay.last.get(path)}
            self.replay.paths = set(told)
        self.assert_same(told, real, "told")
        assert self.late or self.exchanged or self.lost or not self.replay.twice
        self.replay.twice.clear()
        self.operated = self.late = self.exchanged = self.lost = False
        self.failed = False


Histories.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestHistories = Histories.TestCase
