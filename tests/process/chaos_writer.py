"""Makes files by every way there is. Runs as a process of its own:

python chaos_writer.py ROOT OUTSIDE JOURNAL SEED FILES SECONDS

OUTSIDE must be on the file system of ROOT. At the end, JOURNAL holds what was renamed below ROOT,
in its order, where a file was deleted and made anew, and how often each way was taken.
"""

import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

_MOST_DIRECTORIES = 60
_MOST_OPEN = 12
_MOST_TOUCHED = 500
_DEPTH = 4


class Growing:
    """A file that is written over time: as x.part, opened for each chunk, or open as x."""

    def __init__(self, path: Path, chunks: int, *, held_open: bool) -> None:
        self.target = path
        self.left = chunks
        self.held_open = held_open
        self._name = path.name if held_open else f"{path.name}.part"
        self._file = self.current.open("ab") if held_open else None

    @property
    def current(self) -> Path:
        """Where it is now."""
        return self.target.with_name(self._name)

    def grow(self, data: bytes) -> bool:
        """Write a chunk; tell whether it was the last."""
        self.left -= 1
        if self._file is not None:
            self._file.write(data)
            self._file.flush()
        else:
            with self.current.open("ab") as file:
                file.write(data)
        if self.left <= 0:
            if self._file is not None:
                self._file.close()
            else:
                self.current.rename(self.target)
        return self.left <= 0


class Writer:
    """Takes the ways at random until enough files were made.

    Args:
        root: where the files come to be.
        outside: where what is moved in is made.
        seed: of the random choices.
        files: how many to make.
        seconds: how long to take, at least.
    """

    def __init__(self, root: Path, outside: Path, seed: int, files: int, seconds: float) -> None:
        self._root, self._outside = root, outside
        self._random = random.Random(seed)
        self._goal, self._seconds = files, seconds
        self._number = 0
        self._made = 0
        self._directories = [root]
        self._files: list[Path] = []
        self._linked: set[Path] = set()
        self._growing: list[Growing] = []
        self.renames: list[tuple[str, str]] = []
        self.remade: list[str] = []
        self.ways: Counter[str] = Counter()
        self._ways: dict[Callable[[], int], int] = {
            self._write: 30,
            self._write_and_rename: 20,
            self._rename_in: 8,
            self._link_in: 6,
            self._link_within: 6,
            self._move_tree_in: 2,
            self._begin_to_grow: 8,
            self._grow: 20,
            self._append: 4,
            self._replace: 3,
            self._delete: 3,
            self._delete_and_make: 2,
            self._rename_within: 3,
            self._move_directory: 1,
            self._move_directory_out_and_in: 0.5,
        }

    def run(self) -> None:
        """Make all files."""
        began = time.monotonic()
        ways, weights = list(self._ways), list(self._ways.values())
        while self._made < self._goal:
            way = self._random.choices(ways, weights)[0]
            self._made += way()
            self.ways[way.__name__.strip("_")] += 1
            behind = time.monotonic() - began - self._seconds * self._made / self._goal
            if behind < 0 and self._random.random() < 0.05:
                time.sleep(-behind)
        while self._growing:
            self._made += self._grow()

    # Ways; each returns the number of files that have come

    def _write(self) -> int:
        return self._take(self._fill(self._new_path()))

    def _write_and_rename(self) -> int:
        path = self._new_path()
        suffix = self._random.choice([".part", ".tmp", ".filepart"])
        self._fill(path.with_name(path.name + suffix)).rename(path)
        return self._take(path)

    def _rename_in(self) -> int:
        path = self._new_path()
        self._fill(self._outside / path.name).rename(path)
        return self._take(path)

    def _link_in(self) -> int:
        path = self._new_path()
        source = self._fill(self._outside / path.name)
        path.hardlink_to(source)
        # An empty one that is linked and loses its first name in the same tick of the clock of
        # files looks like one that is about to be written.
        if self._random.random() < 0.5 and source.stat().st_size:
            source.unlink()
        return self._take(path, linked=True)

    def _link_within(self) -> int:
        if not self._files:
            return 0
        path, source = self._new_path(), self._random.choice(self._files)
        path.hardlink_to(source)
        self._linked.add(source)
        return self._take(path, linked=True)

    def _move_tree_in(self) -> int:
        tree = self._outside / self._new_name("tree")
        tree.mkdir()
        within = [tree]
        paths = []
        for _ in range(self._random.randint(3, 40)):
            if self._random.random() < 0.3:
                deeper = self._random.choice(within) / self._new_name("sub")
                deeper.mkdir()
                within.append(deeper)
            paths.append(self._fill(self._random.choice(within) / self._new_name("file")))
        target = self._directory() / tree.name
        tree.rename(target)
        self._directories += [target / one.relative_to(tree) for one in within]
        return sum(self._take(target / path.relative_to(tree)) for path in paths)

    def _begin_to_grow(self) -> int:
        if len(self._growing) >= _MOST_OPEN:
            return 0
        held_open = self._random.random() < 0.5
        chunks = self._random.randint(2, 30)
        self._growing.append(Growing(self._new_path(), chunks, held_open=held_open))
        return 0

    def _grow(self) -> int:
        if not self._growing:
            return 0
        growing = self._random.choice(self._growing)
        if not growing.grow(self._random.randbytes(self._random.randint(1, 2000))):
            return 0
        self._growing.remove(growing)
        return self._take(growing.target)

    def _append(self) -> int:
        # Who changes a file with a second name changes the second name's without an event.
        path = self._some_file()
        if path is not None and path not in self._linked:
            with path.open("ab") as file:
                file.write(b"and more")
        return 0

    def _replace(self) -> int:
        path = self._some_file()
        if path is not None:
            self._linked.discard(path)
            self._fill(path.with_name(f"{path.name}.tmp")).rename(path)
        return 0

    def _delete(self) -> int:
        path = self._some_file()
        if path is not None:
            path.unlink()
            self._files.remove(path)
            self._linked.discard(path)
        return 0

    def _delete_and_make(self) -> int:
        """Use an inode again, for the same name or another."""
        path = self._some_file()
        if path is None or path in self._linked:
            return 0
        path.unlink()
        self._files.remove(path)
        if self._random.random() < 0.5:
            return self._take(self._fill(self._new_path()))
        self.remade.append(str(path))
        return self._take(self._fill(path))

    def _rename_within(self) -> int:
        path = self._some_file()
        if path is not None:
            target = self._new_path()
            path.rename(target)
            self._moved(path, target)
        return 0

    def _move_directory(self) -> int:
        source = self._random.choice(self._directories)
        parents = [one for one in self._directories if not one.is_relative_to(source)]
        if source == self._root or not parents:
            return 0
        target = self._random.choice(parents) / self._new_name("moved")
        source.rename(target)
        self._moved(source, target)
        return 0

    def _move_directory_out_and_in(self) -> int:
        source = self._random.choice(self._directories)
        if source == self._root:
            return 0
        away = self._outside / self._new_name("away")
        source.rename(away)
        if self._random.random() < 0.5:
            time.sleep(self._random.uniform(0, 0.05))
        target = self._root / self._new_name("back")
        away.rename(target)
        self._moved(source, target)
        return 0

    # Names

    def _new_name(self, kind: str) -> str:
        self._number += 1
        return f"{kind}-{self._number:06}"

    def _new_path(self) -> Path:
        return self._directory() / self._new_name("file")

    def _directory(self) -> Path:
        """Return a directory, sometimes a new one, or one in a new one."""
        directory = self._random.choice(self._directories)
        is_deep = len(directory.relative_to(self._root).parts) >= _DEPTH
        if is_deep or len(self._directories) > _MOST_DIRECTORIES or self._random.random() > 0.05:
            return directory
        for _ in range(self._random.randint(1, 3)):
            directory = directory / self._new_name("dir")
            directory.mkdir()
            self._directories.append(directory)
        return directory

    def _some_file(self) -> Path | None:
        return self._random.choice(self._files) if self._files else None

    def _fill(self, path: Path) -> Path:
        with path.open("wb") as file:
            for _ in range(self._random.randint(0, 3)):
                file.write(self._random.randbytes(self._random.randint(1, 2000)))
                file.flush()
        return path

    def _take(self, path: Path, *, linked: bool = False) -> int:
        self._files.append(path)
        if linked:
            self._linked.add(path)
        if len(self._files) > _MOST_TOUCHED:
            # Older ones are left alone: the newest are those that may be on their way.
            self._linked.discard(self._files.pop(0))
        return 1

    def _moved(self, source: Path, target: Path) -> None:
        """Note that `source`, and all below, is at `target`."""

        def now(path: Path) -> Path:
            return target / path.relative_to(source) if path.is_relative_to(source) else path

        self._directories = [now(path) for path in self._directories]
        self._files = [now(path) for path in self._files]
        self._linked = {now(path) for path in self._linked}
        for growing in self._growing:
            growing.target = now(growing.target)
        self.renames.append((str(source), str(target)))


def main(root: str, outside: str, journal: str, seed: str, files: str, seconds: str) -> None:
    """Write, then write the journal."""
    writer = Writer(Path(root), Path(outside), int(seed), int(files), float(seconds))
    writer.run()
    text = json.dumps({"renames": writer.renames, "remade": writer.remade, "ways": writer.ways})
    Path(f"{journal}.new").write_text(text)
    os.replace(f"{journal}.new", journal)  # noqa: PTH105


if __name__ == "__main__":
    main(*sys.argv[1:])
