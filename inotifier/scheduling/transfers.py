"""Moves and copies that end well, or leave everything as it was, whenever they are cut off.

A file is never seen half under its final name, and what stands there already is not replaced
unless that is asked for. A move to another file system removes the source when the target is whole
and on the disk, not before; whoever is cut off in between finds the target there, compares, and
finishes.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from inotifier.exceptions import RuleFailed
from inotifier.scheduling.places import Place
from inotifier.scheduling.renaming import rename, rename_new
from inotifier.scheduling.trees import (
    Attributes,
    Snapshot,
    contains,
    copy,
    given,
    has_other_names,
    make_movable,
    remove,
    set_mode,
    snapshot,
)
from inotifier.scheduling.workshop import Purpose, recover, workshop_for

GONE = "is gone, there is nothing to do"


class Notes(Protocol):
    """Told of what is written where."""

    def writing(self, path: str, *, is_whole: bool = False) -> AbstractContextManager[None]:
        """Something, with all that is in it if `is_whole`, is put at `path` until this is left."""

    def removes(self, path: str) -> None:
        """`path` is about to be removed."""


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """From one place to another.

    Attributes:
        source: what to move or copy.
        target: where to.
        moves: True to move, False to copy.
        overwrites: True to replace what stands at the target: a file by a file, or a directory,
            with all that is in it, by a directory.
        attributes: owner and modes that it gets.
        notes: told of what is written.
    """

    source: Place
    target: Place
    moves: bool
    overwrites: bool
    attributes: Attributes
    notes: Notes

    def run(self) -> str:
        """Do it; return what has been done, for the log.

        Raises:
            RuleFailed, OSError: it cannot be done; the source is where it was.
            TryAgain: it cannot be done now, as another transfer works there.
        """
        self._refuse_itself()
        recover(self.target, Purpose.MAKE, lambda _: self.target.look() is not None)
        recover(self.source, Purpose.REMOVE, lambda old: contains(self.target, old))
        status = self.source.look()
        if status is None:
            return GONE
        if there := self.target.look():
            before = snapshot(self.source)
            if self._is_done(status, there):
                if self.moves:
                    self._remove_source(before)
                return f"is at {self.target} already"
        if self.moves and self._rename(status):
            return f"moved to {self.target}"
        before = self._copy()
        if not self.moves:
            return f"copied to {self.target}"
        self._remove_source(before)
        return f"moved to {self.target}, on another file system"

    def _refuse_itself(self) -> None:
        one, other = os.fstat(self.source.directory), os.fstat(self.target.directory)
        if self.source.name == self.target.name and os.path.samestat(one, other):
            raise RuleFailed(f"{self.source} would become itself; see that dst_re leads elsewhere")

    def _is_done(self, status: os.stat_result, there: os.stat_result) -> bool:
        """Tell whether what stands at the target is what is to stand there.

        Raises:
            RuleFailed: something else does, and must not be replaced.
        """
        if os.path.samestat(status, there):
            if _is_directory(status) or status.st_nlink < 2:
                raise RuleFailed(f"{self.source} and {self.target} are the same")
            return True
        if self.overwrites:
            if _is_directory(status) != _is_directory(there):
                raise RuleFailed(f"of {self.source} and {self.target}, one is a directory")
            return False
        if contains(self.target, self.source):
            return True
        raise self._exists()

    def _exists(self) -> RuleFailed:
        return RuleFailed(
            f"{self.target} exists and is not what {self.source} is; "
            "overwrite=True in the rule would replace it"
        )

    def _rename(self, status: os.stat_result) -> bool:
        """Rename the source to the target; False if that cannot be done."""
        if status.st_dev != os.fstat(self.target.directory).st_dev:
            return False
        if self.attributes and has_other_names(self.source):
            return False  # they keep what they have
        self.notes.removes(self.source.path)
        try:
            with given(self.source, self.attributes):
                if self.overwrites and _is_directory(status):
                    with workshop_for(self.target, Purpose.MAKE) as workshop:
                        self._install(self.source, workshop.old)
                else:
                    self._install(self.source)
        except OSError as exc:
            if exc.errno != errno.EXDEV:
                raise
            return False
        return True  # if a loss of power undoes it, the source is there

    def _copy(self) -> Snapshot:
        """Copy the source; return how it was."""
        before = snapshot(self.source)
        with workshop_for(self.target, Purpose.MAKE) as workshop:
            copy(self.source, workshop.new, self.attributes, keep_owner=self.moves)
            if snapshot(self.source) != before:
                raise RuleFailed(f"{self.source} has changed while it was copied")
            mode = make_movable(workshop.new)
            self._install(workshop.new, workshop.old)
            self.target.sync()
            if mode is not None:
                set_mode(self.target, mode)
        return before

    def _install(self, origin: Place, old: Place | None = None) -> None:
        """Rename `origin` to the target.

        A directory that it replaces is at `old` afterwards.
        """
        there, is_directory = self.target.look(), _is_directory(origin.look())
        try:
            with self.notes.writing(self.target.path, is_whole=is_directory):
                if self.overwrites and not is_directory:
                    rename(origin, self.target)
                elif self.overwrites and old is not None and _is_directory(there):
                    rename_new(self.target, old)
                    rename_new(origin, self.target)
                else:
                    rename_new(origin, self.target)
        except FileExistsError:
            raise self._exists() from None

    def _remove_source(self, before: Snapshot) -> None:
        """Remove the source, if it is still what it was when it was copied."""
        self.notes.removes(self.source.path)
        if stat.S_ISDIR(before[""][0]):
            # Out of sight in one step: a part of a directory would pass for a new one.
            with workshop_for(self.source, Purpose.REMOVE) as workshop:
                rename_new(self.source, workshop.old)
                self._refuse_change(workshop.old, before)
        else:
            self._refuse_change(self.source, before)
            remove(self.source)

    def _refuse_change(self, place: Place, before: Snapshot) -> None:
        if snapshot(place) != before:
            raise RuleFailed(
                f"{self.source} has changed after it was copied to {self.target}; both are kept"
            )


def _is_directory(status: os.stat_result | None) -> bool:
    return status is not None and stat.S_ISDIR(status.st_mode)
