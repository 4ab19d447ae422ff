"""Applies a rule in a process that is killed (SIGKILL) at its first step, then at its second ...

A step is a call of the system by the code of the rules. After each kill it is looked what there
is; after another kill, at any step of the second try, again; then the rule is applied to the end.
`python -m tests.integration.killed_rules` prints what was wrong, as JSON.
"""

import functools
import gc
import io
import json
import os
import random
import shutil
import signal
import sys
from contextlib import nullcontext
from pathlib import Path

from inotifier.scheduling import FileManagerRule, trees

PACKAGE = str(Path(sys.modules[FileManagerRule.__module__].__file__).parent)
SIZE = 1_500
"""Bytes: more than are copied at once, here."""


class Unnoted:
    """Takes notes, and keeps none."""

    def writing(self, path, is_whole=False):
        return nullcontext()

    def removes(self, path):
        pass


def content(path: Path) -> object:
    """Return all that is at `path`, in a form that can be compared; None for nothing."""
    if path.is_symlink():
        return str(path.readlink())
    if path.is_dir():
        return {entry.name: content(entry) for entry in path.iterdir()}
    return path.read_bytes() if path.exists() else None


def make(path: Path, kind: str, text: bytes) -> None:
    if kind == "file":
        path.write_bytes(text * SIZE)
        return
    (path / "sub").mkdir(parents=True)
    (path / "sub" / "big").write_bytes(text * SIZE)
    (path / "link").symlink_to("sub")


@functools.cache
def is_of_rules(filename: str) -> bool:
    return filename.startswith((PACKAGE, shutil.__file__))


def killing_itself_at(number: int):
    """Return a hook for sys.setprofile that kills this process at the step `number`."""
    steps = 0
    pid = os.getpid()

    def hook(frame, event, argument):
        nonlocal steps
        if event == "c_call" and is_of_rules(frame.f_code.co_filename):
            calls_system = argument.__module__ in ("posix", "fcntl")
            steps += calls_system or isinstance(argument.__self__, io.FileIO)
            if steps == number:
                os.kill(pid, signal.SIGKILL)

    return hook


def ends(rule: FileManagerRule, path: Path, number: int) -> bool:
    """Apply `rule` in a child that is killed at the step `number`; tell whether it came through."""
    child = os.fork()
    if not child:
        code = 1
        try:
            sys.setprofile(killing_itself_at(number))
            rule.apply(str(path), Unnoted())
            code = 0
        except Exception as exc:
            sys.stderr.write(f"{exc!r}\n")
        finally:
            sys.setprofile(None)
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError("the rule has failed")
    return os.WIFEXITED(status)


class Scenario:
    """A rule, what it is applied to, and what may be found.

    Args:
        arguments: directories of source and target, action, "file" or "directory", and whether
            something stands at the target that is to be replaced.
    """

    def __init__(self, source: str, target: str, action: str, kind: str, replaces: str) -> None:
        self.source, self.target = Path(source), Path(target)
        self.path, self.goal = self.source / "x", self.target / "made" / "x"
        self.moves, self.kind, self.replaces = action == "move", kind, replaces == "replaces"
        self.rule = FileManagerRule(
            action,
            f"^{source}/(.*)$",
            rf"{target}/made/\1",
            auto_create=True,
            filemode=0o640,
            dirmode=0o750,
            overwrite=self.replaces,
        )

    def begin(self) -> None:
        for directory in (self.source, self.target):
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
        make(self.path, self.kind, b"n")
        if self.replaces:
            self.goal.parent.mkdir()
            make(self.goal, self.kind, b"o")
        self.whole, self.old = content(self.path), content(self.goal)

    def problems(self) -> list[str]:
        """Return what must not be, whenever the process was killed."""
        source, goal = content(self.path), content(self.goal)
        found = []
        if goal is not None and goal not in (self.old, self.whole):
            found.append("something half stands at the target")
        if source is not None and source != self.whole:
            found.append("something half stands at the source")
        if self.whole not in (source, goal):
            found.append("it is neither at the source nor at the target")
        if not self.moves and source is None:
            found.append("what was copied is gone")
        return found

    def problems_at_the_end(self) -> list[str]:
        found = []
        if content(self.goal) != self.whole:
            found.append("it is not at the target")
        if (content(self.path) is None) != self.moves:
            found.append("it is at the source, or is not")
        for path in (self.source, self.target, self.goal.parent):
            if any(entry.name.startswith(".") for entry in path.iterdir()):
                found.append(f"something is left in {path}")
        files = [self.goal, *self.goal.rglob("*")]
        modes = {oct(path.stat().st_mode & 0o777) for path in files if not path.is_dir()}
        if modes != {"0o640"}:
            found.append(f"the modes of the files are {modes}")
        return found


def main() -> None:
    trees._CHUNK = 1_000
    # A kill takes nothing from the disk's cache, and the disk is slow.
    os.fsync = os.fstat
    gc.freeze()  # what a child does not touch need not be copied for it
    scenario = Scenario(*sys.argv[1:])
    chance = random.Random(1)
    problems, step, came_through = [], 0, False
    while not came_through:
        step += 1
        scenario.begin()
        came_through = ends(scenario.rule, scenario.path, step)
        found = scenario.problems()
        ends(scenario.rule, scenario.path, chance.randrange(1, max(3, step)))
        found += scenario.problems()
        scenario.rule.apply(str(scenario.path), Unnoted())
        found += scenario.problems_at_the_end()
        problems += [f"step {step}: {problem}" for problem in found]
    sys.stdout.write(json.dumps({"steps": step, "problems": problems}))


if __name__ == "__main__":
    main()
