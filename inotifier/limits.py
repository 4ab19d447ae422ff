"""The kernel's limits on inotify, and how much of them is left (inotify(7), proc(5))."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

_SYSCTL = Path("/proc/sys/fs/inotify")


def limit(name: str) -> int | None:
    """Return the value of the sysctl `fs.inotify.<name>`, None if it cannot be read."""
    try:
        return int((_SYSCTL / name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def described(name: str) -> str:
    """Return a limit with its value, "fs.inotify.max_user_watches=8192"."""
    value = limit(name)
    return f"fs.inotify.{name}={'unknown' if value is None else value}"


def watches_in_use() -> int:
    """Return the number of watches that all processes of this user hold.

    Processes that may not be looked at do not count.
    """
    own = os.geteuid()
    processes = (path for path in Path("/proc").iterdir() if path.name.isdigit())
    return sum(_watches_of(process) for process in processes if _is(process, own))


def _is(process: Path, user: int) -> bool:
    try:
        return process.stat().st_uid == user
    except OSError:
        return False


def _watches_of(process: Path) -> int:
    total = 0
    try:
        for fd in (process / "fd").iterdir():
            if str(fd.readlink()) == "anon_inode:inotify":
                info = (process / "fdinfo" / fd.name).read_text(encoding="ascii")
                total += info.count("inotify wd:")
    except OSError:
        pass  # it has ended, or is none of ours
    return total


def directories(top: str, stop_at: int, skips: Callable[[str], bool] | None = None) -> int:
    """Return the number of directories of the tree `top`, symbolic links not followed.

    Counting ends at `stop_at`, and leaves out what `skips` is true of.
    """
    count = 1
    waiting: list[str] = [top]
    while waiting and count < stop_at:
        found = _below(waiting.pop())
        if skips is not None:
            found = [path for path in found if not skips(path)]
        count += len(found)
        waiting += found
    return count


def _below(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as items:
            return [item.path for item in items if item.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def shortage(trees: Mapping[str, Callable[[str], bool] | None]) -> tuple[int, int] | None:
    """Return (needed, left) if `trees` have more directories than there are watches left.

    `needed` is a lower bound where it is far too much.

    Args:
        trees: their roots, with what tells which directories to leave out.
    """
    most = limit("max_user_watches")
    if most is None:
        return None
    needed = sum(directories(tree, most + 1, skips) for tree, skips in trees.items())
    left = max(0, most - watches_in_use()) if needed else most
    return (needed, left) if needed > left else None
