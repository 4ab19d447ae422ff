"""What to do with files whose paths match: move, copy or delete."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from functools import partial
from pathlib import Path
from typing import Any

from inotifier.events import printable
from inotifier.exceptions import RuleFailed
from inotifier.scheduling.accounts import find_group, find_user
from inotifier.scheduling.places import Place, place_of
from inotifier.scheduling.transfers import GONE, Notes, Transfer
from inotifier.scheduling.trees import Attributes, remove

_ACTIONS = ("move", "copy", "delete")

_LOOKS_DECIMAL = range(0o1000, 778)
"""Modes that nobody means: 644 written without 0o is the mode 0o1204."""


class FileManagerRule:
    """What to do with the files, or directories, whose paths match.

    Args:
        action: "move", "copy" or "delete".
        src_re: regular expression that the path begins with; end it with $ if it is to match the
            whole path. "." matches every character, as any of them may be in a name.
        dst_re: where to, with groups as \\1 or \\g<name>. It takes the place of what has matched;
            what follows that in the path follows here.
        auto_create: True to make the directories that are missing on the way there.
        rec: True to delete directories with all that is in them.
        filemode, dirmode: permissions of what is moved or copied, and of the directories that are
            made; an int, or text in octal digits such as "0640".
        user, group: its owner, as names or numbers.
        overwrite: True to replace what is there: a file by a file, and a directory, with all that
            is in it, by a directory.
        root: a directory that neither end may lie outside of, wherever symbolic links lead.
        override: another name for `overwrite`.

    Raises:
        TypeError, ValueError: an argument cannot be used.
    """

    def __init__(
        self,
        action: str,
        src_re: str | re.Pattern[str],
        dst_re: str = "",
        auto_create: bool = False,
        rec: bool = False,
        filemode: int | str | None = None,
        dirmode: int | str | None = None,
        user: str | int | None = None,
        group: str | int | None = None,
        overwrite: bool = False,
        root: str | os.PathLike[str] | None = None,
        *,
        override: bool = False,
    ) -> None:
        if action not in _ACTIONS:
            raise ValueError(f"action is {action!r}; it should be one of {', '.join(_ACTIONS)}")
        self.action = action
        self._pattern = _compiled(src_re)
        self._template = _checked_template(self._pattern, dst_re, action)
        self._makes = _flag(auto_create, "auto_create")
        self._deletes_all = _flag(rec, "rec")
        self._overwrites = _flag(overwrite, "overwrite") or _flag(override, "override")
        self._root = _absolute(root, "root") if root is not None else None
        self._attributes = Attributes(
            filemode=_mode(filemode, "filemode"),
            dirmode=_mode(dirmode, "dirmode"),
            uid=None if user is None else find_user(user, "user"),
            gid=None if group is None else find_group(group, "group"),
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.action} {self._pattern.pattern!r}>"

    def matches(self, path: str) -> bool:
        """Tell whether it is for `path`."""
        return self._pattern.match(path) is not None

    def target(self, path: str) -> str:
        """Return where it takes `path`, which matches."""
        match = self._pattern.match(path)
        if match is None:
            raise ValueError(f"{path!r} does not match {self._pattern.pattern!r}")
        return match.expand(self._template) + path[match.end() :]

    @property
    def target_directory(self) -> str | None:
        """A directory that all targets lie below, None if that cannot be told."""
        if self._root is not None:
            return self._root
        fixed, _, _ = self._template.partition("\\")
        return os.path.dirname(fixed) if fixed.startswith("/") else None

    def apply(self, path: str, notes: Notes) -> str:
        """Do what it says with `path`, which matches.

        Args:
            path: of a file or directory.
            notes: told of what is written.

        Returns:
            What has been done, for the log.

        Raises:
            RuleFailed, OSError: it cannot be done; the file is where it was.
            TryAgain: it cannot be done now, as another rule works there.
        """
        with contextlib.ExitStack() as stack:
            try:
                source = stack.enter_context(place_of(path, self._root))
            except FileNotFoundError:
                return GONE
            if self.action == "delete":
                return self._delete(source, notes)
            # For what has vanished, no directories are made.
            make = partial(self._made, notes=notes) if self._makes and source.look() else None
            try:
                target = stack.enter_context(place_of(self.target(path), self._root, make))
            except FileNotFoundError as exc:
                if source.look() is None:
                    return GONE
                raise RuleFailed(
                    f"{printable(str(exc.filename))}, where {source} should go, does not exist; "
                    "auto_create=True in the rule would make it"
                ) from None
            return Transfer(
                source=source,
                target=target,
                moves=self.action == "move",
                overwrites=self._overwrites,
                attributes=self._attributes,
                notes=notes,
            ).run()

    def _made(self, place: Place, notes: Notes) -> None:
        with notes.writing(place.path):
            status = place.look()
            if status is not None:
                self._attributes.set_on(place, status)

    def _delete(self, source: Place, notes: Notes) -> str:
        status = source.look()
        if status is None:
            return GONE
        notes.removes(source.path)
        if self._deletes_all or not stat.S_ISDIR(status.st_mode):
            remove(source)
        else:
            _remove_empty(source)
        return "deleted"


def _remove_empty(place: Place) -> None:
    try:
        os.rmdir(place.name, dir_fd=place.directory)
    except OSError as exc:
        if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise RuleFailed(
            f"{place} is not empty; rec=True in the rule would delete all that is in it"
        ) from None


def _compiled(src_re: object) -> re.Pattern[str]:
    if isinstance(src_re, re.Pattern) and isinstance(src_re.pattern, str):
        return src_re
    if not isinstance(src_re, str):
        raise TypeError(f"src_re is {src_re!r}; it should be a regular expression, as text")
    try:
        return re.compile(src_re, re.DOTALL)
    except re.error as exc:
        raise ValueError(f"src_re is {src_re!r}, which is no regular expression: {exc}") from None


def _checked_template(pattern: re.Pattern[str], dst_re: object, action: str) -> str:
    if not isinstance(dst_re, str):
        raise TypeError(f"dst_re is {dst_re!r}; it should be a text")
    if action == "delete":
        if dst_re:
            raise ValueError(f"dst_re is {dst_re!r}, but what is deleted goes nowhere")
        return dst_re
    if not dst_re:
        raise ValueError(f"dst_re is empty; a rule to {action} has to say where to")
    try:
        pattern.sub(dst_re, "")  # the groups are looked up whether it matches or not
    except (re.error, IndexError) as exc:
        raise ValueError(f"dst_re is {dst_re!r}, which does not fit src_re: {exc}") from None
    return dst_re


def _flag(value: object, option: str) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{option} is {value!r}; it should be True or False")
    return value


def _absolute(path: object, option: str) -> str:
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{option} is {path!r}; it should be a path")
    found = Path(os.fsdecode(path)).expanduser()
    if not found.is_absolute():
        raise ValueError(f"{option} is {path!r}; it should be an absolute path")
    return str(found)


def _mode(value: object, option: str) -> int | None:
    if value is None:
        return None
    mode: Any = value
    if isinstance(value, str):
        try:
            mode = int(value, 8)
        except ValueError:
            mode = -1
    if isinstance(mode, bool) or not isinstance(mode, int):
        raise TypeError(f'{option} is {value!r}; write it as 0o644, or as text: "0644"')
    if not 0 <= mode <= 0o7777:
        raise ValueError(f'{option} is {value!r}; it should be like 0o644 or "0644"')
    if mode in _LOOKS_DECIMAL and value == mode and set(str(mode)) <= set("01234567"):
        raise ValueError(
            f'{option} is {value!r}, which is the mode {oct(mode)}; write 0o{mode} or "0{mode}"'
        )
    return mode
