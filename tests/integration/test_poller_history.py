"""Random histories of a real file system: both pollers of files give the same answers."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Self

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from inotifier.sources import FilePoller, INotifyPoller

EXAMPLES = int(os.environ.get("INOTIFIER_EXAMPLES", "100"))

NAMES = st.sampled_from(["a", "b", "c", "caf\udce9"])
INDEX = st.integers(0, 30)


class History(RuleBasedStateMachine):
    """Files come, go, move and change, and now and then both pollers are asked.

    What one who looks himself knows is a third answer: from the states of all files that he sees
    at each call.
    """

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp(prefix="history-"))
        self.root = self.top / "root"
        self.outside = self.top / "outside"
        for path in (self.root, self.outside):
            path.mkdir()
        (self.outside / "file").touch()

    @initialize(recurse=st.booleans(), initial=st.sampled_from(["ignore", "created"]))
    def start(self, recurse: bool, initial: str) -> None:
        for name in "ab":
            (self.root / name).mkdir()
            (self.root / name / "file").touch()
        self.recurse = recurse
        self.listing = FilePoller(self.root, recurse, initial=initial)
        self.inotify = INotifyPoller(self.root, recurse, initial=initial)
        self.known = self.look() if initial == "ignore" else {}

    def teardown(self) -> None:
        with contextlib.suppress(AttributeError):
            self.ask()
            self.ask()
        for poller in (getattr(self, "listing", None), getattr(self, "inotify", None)):
            if poller is not None:
                poller.close()
        shutil.rmtree(self.top)

    def look(self) -> dict[str, tuple[int, ...]]:
        """Return what each file looks like, by a way of its own."""
        if self.root.is_file():
            return {str(self.root): self.state(self.root.stat())}
        found = {}
        for directory, subdirectories, names in os.walk(self.root):
            for name in names:
                path = Path(directory, name)
                if path.is_file():
                    found[str(path)] = self.state(path.stat())
            if not self.recurse:
                subdirectories.clear()
        return found

    @staticmethod
    def state(status: os.stat_result) -> tuple[int, ...]:
        return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns

    @rule()
    def ask(self) -> None:
        by_listing = self.listing.get_new_events()
        by_inotify = self.inotify.get_new_events()
        before, self.known = self.known, self.look()
        note(f"{by_inotify}")
        assert by_inotify == by_listing
        assert dict(by_listing) == {
            **dict.fromkeys(before.keys() - self.known.keys(), "deleted"),
            **dict.fromkeys(self.known.keys() - before.keys(), "created"),
            **{
                path: "modified"
                for path in self.known.keys() & before.keys()
                if self.known[path] != before[path]
            },
        }

    # What happens

    def directory(self, index: int) -> Path:
        """Return one of all directories, the outside among them."""
        found = [
            Path(path, name)
            for start in (self.root, self.outside)
            for path, names, _ in os.walk(start)
            for name in names
        ]
        found = sorted([self.outside, self.root, *found])
        return found[index % len(found)]

    def anything(self, index: int) -> Path:
        """Return one of all paths that there are."""
        found = sorted([*self.root.rglob("*"), *self.outside.rglob("*")])
        return found[index % len(found)] if found else self.outside / "nothing"

    @rule(index=INDEX, name=NAMES, content=st.sampled_from([b"1", b"2", b"333"]))
    def write(self, index: int, name: str, content: bytes) -> None:
        path = self.directory(index) / name
        if path.is_fifo():
            return  # nobody reads it
        with contextlib.suppress(OSError):
            path.write_bytes(content)

    @rule(index=INDEX, content=st.sampled_from([b"1", b"2", b"333"]))
    def change(self, index: int, content: bytes) -> None:
        path = self.anything(index)
        if path.is_file():
            path.write_bytes(content)

    @rule(index=INDEX, seconds=st.integers(1, 3))
    def age(self, index: int, seconds: int) -> None:
        with contextlib.suppress(OSError):
            os.utime(self.anything(index), (seconds, seconds))

    @rule(index=INDEX, mode=st.sampled_from([0o700, 0o750]))
    def permit(self, index: int, mode: int) -> None:
        with contextlib.suppress(OSError):
            self.anything(index).chmod(mode)

    @rule(index=INDEX, names=st.lists(NAMES, min_size=1, max_size=3))
    def make_directories(self, index: int, names: list[str]) -> None:
        with contextlib.suppress(OSError):
            self.directory(index).joinpath(*names).mkdir(parents=True)

    @rule(index=INDEX, name=NAMES)
    def make_fifo(self, index: int, name: str) -> None:
        with contextlib.suppress(OSError):
            os.mkfifo(self.directory(index) / name)

    @rule(index=INDEX, name=NAMES, number=INDEX)
    def make_link(self, index: int, name: str, number: int) -> None:
        with contextlib.suppress(OSError):
            (self.directory(index) / name).symlink_to(self.anything(number))

    @rule(index=INDEX, name=NAMES, number=INDEX)
    def give_another_name(self, index: int, name: str, number: int) -> None:
        source, path = self.anything(number), self.directory(index) / name
        with contextlib.suppress(OSError):
            inode = source.stat().st_ino
            is_known = any(inode == known for known, *_ in self.known.values())
            # The kernel does not tell that a file has got a name outside, or lost one meanwhile.
            if is_known and not (self.is_inside(source) and self.is_inside(path)):
                return
            path.hardlink_to(source)
            if is_known:
                self.ask()

    def is_inside(self, path: Path) -> bool:
        """Tell whether `path` is watched."""
        directory = path.parent.resolve()
        return directory == self.root or (self.recurse and self.root in directory.parents)

    @rule(source=INDEX, index=INDEX, name=NAMES)
    def rename(self, source: int, index: int, name: str) -> None:
        with contextlib.suppress(OSError):
            self.anything(source).replace(self.directory(index) / name)

    @rule(index=INDEX)
    def remove(self, index: int) -> None:
        path = self.anything(index)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    # What happens to the root

    @rule()
    def remove_root(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    @rule(kind=st.sampled_from(["directory", "file"]))
    def make_root(self, kind: str) -> None:
        with contextlib.suppress(OSError):
            self.root.mkdir() if kind == "directory" else self.root.touch(exist_ok=False)

    @rule()
    def exchange_root(self) -> None:
        """The root becomes what was outside, and the other way round."""
        if self.root.is_dir():
            self.root.rename(self.top / "aside")
            self.outside.rename(self.root)
            (self.top / "aside").rename(self.outside)
        else:
            self.root.unlink(missing_ok=True)


History.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow],
)
TestHistory = History.TestCase


class Busy:
    """Files that come, go, move and change as fast as they can, in a thread of their own."""

    def __init__(self, root: Path, seed: int) -> None:
        self._root = root
        self._random = random.Random(seed)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    @property
    def works(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        for _ in range(3000):
            with contextlib.suppress(OSError):
                self._act(self._path(), self._path())

    def _path(self) -> Path:
        depth = self._random.randint(1, 3)
        return self._root.joinpath(*(self._random.choice("abc") for _ in range(depth)))

    def _act(self, path: Path, other: Path) -> None:
        match self._random.randrange(6):
            case 0 | 1:
                path.mkdir(parents=True, exist_ok=True)
            case 2 | 3:
                path.write_bytes(b"x" * self._random.randint(1, 9))
            case 4:
                path.replace(other)
            case _:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("backend", [FilePoller, INotifyPoller])
def test_whatever_happens_while_it_looks(tmp_path, backend, seed):
    """The answers, one after the other, lead to what is there in the end."""
    there: set[str] = set()

    def take(changes: list[tuple[str, str]]) -> None:
        for subject, kind in changes:
            assert (subject in there) == (kind != "created"), (subject, kind)
            if kind == "deleted":
                there.remove(subject)
            else:
                there.add(subject)

    with backend(tmp_path, recurse=True) as poller:
        with Busy(tmp_path, seed) as busy:
            while busy.works:
                take(poller.get_new_events())
        take(poller.get_new_events())
        assert there == {str(path) for path in tmp_path.rglob("*") if path.is_file()}
        assert poller.get_new_events() == []
        # Every directory is watched.
        for number, path in enumerate([tmp_path, *tmp_path.rglob("*")]):
            if path.is_dir():
                (path / f"{number}").touch()
                assert poller.get_new_events() == [(str(path / f"{number}"), "created")]
