"""Who asked for the events of a path."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from inotifier.events import Event


@dataclass(eq=False)
class Subscription:
    """Who asked for the events of a path.

    Attributes:
        path: absolute path of a directory or file, in the words of the one who asked.
        mask: the events that were asked for.
        recursive: True for the directories below as well.
        auto_add: True for directories that appear below later.
        follow_symlinks: True to go into directories behind symbolic links below the root.
        excluded: tells of the absolute path of a directory whether it takes no watch, nor
            anything below it.
        wait: True if the root need not be there yet.
        persistent: True to look for a root that is gone, and to watch it again.
        found: called when a root is watched that was gone, or not there yet. What is in it is
            then not announced: whoever is called finds that out.
        watch: the entry, which every event carries.
        handler: whose events these are; the notifier itself does not look at it.
        problem: why it does not get all its events, "" if it does.
    """

    path: str
    mask: int
    recursive: bool = False
    auto_add: bool = False
    follow_symlinks: bool = False
    excluded: Callable[[str], bool] | None = None
    wait: bool = False
    persistent: bool = True
    found: Callable[[Subscription], object] | None = None
    watch: Any = None
    handler: Any = None
    problem: str = ""
    # Directories below the root that belong to it, by watch descriptor; None means all.
    members: set[int] | None = field(default=None, repr=False)
    # Whether the root is a mount point, and which device and inode it has.
    mount: bool = field(default=False, repr=False)
    identity: tuple[int, int] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.disk_path = os.fsencode(self.path)
        if self.recursive != self.auto_add or self.excluded:
            self.members = set()

    def grow(self, *, recursive: bool, auto_add: bool) -> None:
        """Reach further down."""
        self.recursive |= recursive
        self.auto_add |= auto_add
        if self.deep and self.members is None and self.recursive != self.auto_add:
            self.members = set()

    def takes(self, path: bytes) -> bool:
        """Tell whether the directory `path` may be watched for it."""
        return self.excluded is None or not self.excluded(os.fsdecode(path))

    @property
    def deep(self) -> bool:
        """True if it may reach below its root."""
        return self.recursive or self.auto_add

    def reaches(self, wd: int) -> bool:
        """Tell whether the directory `wd`, somewhere below the root, belongs to it."""
        return self.deep and (self.members is None or wd in self.members)


Batch = list[tuple[Subscription, Event]]
