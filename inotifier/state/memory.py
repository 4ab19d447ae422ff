"""What has been delivered of one entry, for as long as the process lives."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping

from inotifier.state.seen import Seen


class MemoryLedger:
    """Does what `Ledger` does, without a file: at the start, nothing is recorded.

    Args:
        root: path of the entry.
    """

    is_kept = True

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/") or "/"
        self.mount = False
        self._since: float | None = None
        self._settled = False
        self._lock = threading.Lock()
        self._files: dict[str, dict[bytes, Seen]] = {}  # by their directory

    def begin(self, now: float, *, deep: bool) -> None:
        """Keep that the entry starts `now` (time.time()), whether it is `deep` or not."""
        if self._since is None:
            self._since = now

    def first_seen(self, otherwise: float, *, below: bool) -> float:
        """Return until when what is not recorded may have been there at the first start."""
        if self._settled:
            return 0.0
        return otherwise if self._since is None else self._since

    def settle(self, *, deep: bool) -> None:
        """Keep that what was there at the first start is recorded completely."""
        self._settled = True

    def set_mount(self, mount: bool) -> None:
        """Keep whether the root is a mount point."""
        self.mount = mount

    def record(self, pathname: str, seen: Seen | None) -> None:
        """Keep that `pathname` was delivered as `seen`, or with None that it is gone."""
        directory, name = _place(pathname)
        with self._lock:
            if seen is not None:
                self._files.setdefault(directory, {})[name] = seen
            elif directory in self._files:
                self._files[directory].pop(name, None)
                if not self._files[directory]:
                    del self._files[directory]

    def get(self, pathname: str) -> Seen | None:
        """Return what was recorded last of `pathname`."""
        directory, name = _place(pathname)
        with self._lock:
            return self._files.get(directory, {}).get(name)

    def directory(self, pathname: str) -> Mapping[bytes, Seen]:
        """Return what is recorded of the paths right in a directory, by their base names."""
        with self._lock:
            return dict(self._files.get(pathname, {}))

    def others(self, visited: Collection[str]) -> Iterator[tuple[str, Seen]]:
        """Yield (pathname, seen) of all that is recorded of what lies outside of `visited`."""
        with self._lock:
            left = [
                (f"{directory.rstrip('/')}/{os.fsdecode(name)}", seen)
                for directory, files in self._files.items()
                if directory not in visited
                for name, seen in files.items()
            ]
        yield from left

    def forget_below(self, pathname: str) -> None:
        """Forget `pathname`, a directory that has gone, and all below."""
        self._take(pathname)

    def rename(self, source: str, target: str) -> None:
        """Let what was recorded of the directory `source`, and below, be that of `target`."""
        if source == target:
            return
        seen = self.get(source)
        taken = self._take(source)
        self._take(target)
        with self._lock:
            for directory, files in taken.items():
                self._files[target + directory[len(source) :]] = files
        if seen is not None:
            self.record(target, seen)

    def holds_below(self, pathname: str) -> bool:
        """Tell whether anything is recorded below a directory, itself not counted."""
        with self._lock:
            return any(_is_at_or_below(one, pathname) for one in self._files)

    def when_written(self, call: Callable[[], object]) -> None:
        """Call `call`."""
        call()

    def flush(self) -> None:
        """Do nothing: there is nothing to write."""

    def _take(self, directory: str) -> dict[str, dict[bytes, Seen]]:
        self.record(directory, None)
        with self._lock:
            below = [one for one in self._files if _is_at_or_below(one, directory)]
            return {one: self._files.pop(one) for one in below}


def _place(pathname: str) -> tuple[str, bytes]:
    directory, _, name = pathname.rpartition("/")
    return directory or "/", os.fsencode(name)


def _is_at_or_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
