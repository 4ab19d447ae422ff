"""Something wrong with the settings."""

from __future__ import annotations

from dataclasses import dataclass

from inotifier.exceptions import InotifierError

SHAPE = (
    "setting INOTIFIER_WATCH_PATHS should be an iterable of 3-tuples of the form\n"
    '[ ("/path1/", <pyinotify event mask>, <processor cls>), ]'
)

FORMS = (
    "An entry is (path, mask, processor), (path, mask, processor, fields), "
    "a dict of fields, a path, or an inotifier.Watch."
)


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
