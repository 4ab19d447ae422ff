"""File rules for events."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable, Mapping
from typing import Any

from inotifier.events import Event
from inotifier.scheduling.file_rules import FileManagerRule
from inotifier.scheduling.own_files import OwnFiles
from inotifier.scheduling.scheduler import TaskScheduler
from inotifier.scheduling.workshop import is_in_workshop


class FileManagerScheduler(TaskScheduler):
    """Do what the first rule that matches a path says, `delay` seconds after its last event.

    Paths that no rule matches are left alone. A file whose rule fails stays where it is, and the
    rule is tried again as a processor would be called again.

    Args:
        rules: in their order, each a `FileManagerRule` or a dict of its arguments.
        ignore_self: False to let what the rules of this scheduler write start them again.
        options: those of `TaskScheduler`.

    Raises:
        TypeError, ValueError: a rule or an option is not what it should be; the message says
            which one.
    """

    def __init__(
        self,
        rules: Iterable[FileManagerRule | Mapping[str, Any]],
        *,
        ignore_self: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(self._apply, **options)
        self._rules = _made(rules)
        self._ignores_self = ignore_self
        self._own_files = OwnFiles()

    @property
    def writes_to(self) -> set[str] | None:
        """Directories that its rules write to; None if one of them may write anywhere."""
        found = {rule.target_directory for rule in self._rules if rule.action != "delete"}
        return None if None in found else {path for path in found if path is not None}

    def wants(self, event: Event) -> bool:
        """Tell whether a rule is to be applied for `event`."""
        if not super().wants(event) or is_in_workshop(event.pathname):
            return False
        if self._rule_for(event.pathname) is None:
            self.log.event(logging.DEBUG, event, "", "no rule matches")
            return False
        if self._ignores_self and self._own_files.made(event):
            self.log.event(logging.DEBUG, event, "", "skip event, a rule has caused it")
            return False
        return True

    def _rule_for(self, path: str) -> FileManagerRule | None:
        return next((rule for rule in self._rules if rule.matches(path)), None)

    def _apply(self, event: Event, task_id: str) -> None:
        path = event.pathname
        rule = self._rule_for(path)
        if rule is None:
            return
        if _has_other_kind(path, is_directory=event.dir):
            kind = "a directory" if event.dir else "a file"
            self.log.event(logging.WARNING, event, task_id, "is not %s any more, left alone", kind)
            return
        done = rule.apply(path, self._own_files)
        self.log.event(logging.INFO, event, task_id, "%s", done)


def _made(rules: object) -> list[FileManagerRule]:
    if isinstance(rules, (FileManagerRule, Mapping, str)) or not isinstance(rules, Iterable):
        raise TypeError(f"rules is {rules!r}; it should be a list of rules")
    made = [_rule(number, rule) for number, rule in enumerate(rules)]
    if not made:
        raise ValueError("rules is empty; there should be a rule at least")
    return made


def _rule(number: int, rule: object) -> FileManagerRule:
    if isinstance(rule, FileManagerRule):
        return rule
    if not isinstance(rule, Mapping):
        raise TypeError(f"rules[{number}] is {rule!r}; it should be a FileManagerRule or a dict")
    try:
        return FileManagerRule(**rule)
    except (TypeError, ValueError) as exc:
        raise type(exc)(f"rules[{number}]: {exc}") from exc


def _has_other_kind(path: str, *, is_directory: bool) -> bool:
    """Tell whether there is a directory for a file by now, or the other way round."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode) != is_directory
    except OSError:
        return False
