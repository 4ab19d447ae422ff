"""Something wrong with the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inotifier.exceptions import InotifierError
from inotifier.locations import without_user

SHAPE = (
    "setting INOTIFIER_WATCH_PATHS should be an iterable of 3-tuples of the form\n"
    '[ ("/path1/", <pyinotify event mask>, <processor cls>), ]'
)

FORMS = (
    "An entry is (path, mask, processor), (path, mask, processor, fields), "
    "a dict of fields, a path, or an inotifier.Watch."
)


Number = int | str
"""How a message calls an entry: its number in the setting, or in words."""


def whole(number: Number) -> str:
    """Return how a message calls the entry `number` that names no setting otherwise."""
    return f"entry {number}{' of INOTIFIER_WATCH_PATHS' if isinstance(number, int) else ''}"


def shown(value: object) -> str:
    """Return `value` of a setting as it may be shown: without what may be a secret."""
    if isinstance(value, Mapping):
        return f"a dict with {', '.join(repr(key) for key in value) or 'nothing'}"
    if isinstance(value, (list, tuple)):
        parts = ", ".join(map(shown, value))
        return f"[{parts}]" if isinstance(value, list) else f"({parts})"
    return without_user(repr(value))


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something wrong with the settings.

    Attributes:
        id: unique and never used for anything else, "inotifier.E004".
        message: what is wrong, and where.
        hint: what to do.
        fatal: True if the daemon cannot start with it.
    """

    id: str
    message: str
    hint: str
    fatal: bool = True


class Unusable(InotifierError):
    """An entry cannot be used, for the reason `problem`."""

    def __init__(self, id: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.problem = Problem(id=f"inotifier.{id}", message=message, hint=hint)
