"""What is to be recorded of paths of which events are not done with."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from inotifier.state import Seen

Record = Callable[[Seen | None, bool], object]
"""Takes what is to be recorded, None for nothing there, and whether all was told of it."""


class Unsettled:
    """Keeps it until all that was begun of a path has been settled; from any thread."""

    # A hundred thousand paths may be open, most of them once: one dict holds what all have.

    def __init__(self) -> None:
        self._seen: dict[str, Seen | None] = {}
        self._further: Counter[str] = Counter()
        self._untold: set[str] = set()
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        """Tell whether there is anything."""
        return bool(self._seen)

    def __contains__(self, path: object) -> bool:
        return path in self._seen

    def __getitem__(self, path: str) -> Seen | None:
        """Return what is to be recorded of `path`."""
        return self._seen[path]

    def begin(self, path: str, *, is_new: bool) -> None:
        """Record nothing of `path` until it is settled.

        Args:
            path: that of an event.
            is_new: True if there will be a `settle` for it; False if it is one with another event
                for which there will be.
        """
        with self._lock:
            if is_new and path in self._seen:
                self._further[path] += 1
            self._seen.setdefault(path, None)

    def put(self, path: str, seen: Seen | None) -> bool:
        """Keep what is to be recorded of `path`; False if it can be recorded at once."""
        with self._lock:
            if path not in self._seen:
                return False
            self._seen[path] = seen
            return True

    def holds_below(self, directory: str) -> bool:
        """Tell whether there is anything below a directory, itself not counted."""
        with self._lock:
            return any(path.startswith(f"{directory}/") for path in self._seen)

    def settle(self, path: str, *, is_told: bool, record: Record) -> None:
        """Note that what was begun of `path` is done with.

        Args:
            path: that of the event.
            is_told: False if it is to be told again.
            record: called the last time, before anything else can be recorded of `path`.
        """
        with self._lock:
            if not is_told:
                self._untold.add(path)
            if self._further[path]:
                self._further[path] -= 1
                return
            self._further.pop(path, None)
            record(self._seen[path], path not in self._untold)
            self._untold.discard(path)
            del self._seen[path]
