"""What every poller has in common: a listing now, compared with the listing before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from types import TracebackType
from typing import Self

from inotifier.exceptions import InotifierError
from inotifier.locations import public, scheme_of

INITIAL = ("ignore", "created")

Change = tuple[str, str]
"""A subject, and "created", "modified" or "deleted"."""


class SourceError(InotifierError):
    """A place cannot be listed; the message says which one and why, without any password."""


class Poller(ABC):
    """Tells what has changed in one place since the last time that it was asked.

    A sub-class says what is there; what is new, changed or gone follows from that. What was
    there when the poller was made is known.

    As the path of an entry, its URL is listed by the daemon, which keeps the listing over a
    restart: a state must have the same `repr()` then.

    It is a context manager that closes itself at the end, and it may be used by one thread at a
    time.

    Args:
        url: the place.
        recurse: True for what is in directories below as well, where there are such.
        initial: "ignore" what is there when the poller is made, or tell at the first call that it
            was "created"; the place is not asked for anything before.

    Attributes:
        url: the place, without any password.
        whole: True if what is listed is complete, False if it may still be growing.
        recurses: True if what is below is listed with `recurse` only.

    Raises:
        SourceError: the place cannot be listed.
        ValueError: `initial` is something else.
    """

    whole = False
    recurses = False

    def __init__(self, url: str, recurse: bool = False, *, initial: str = "ignore") -> None:
        if initial not in INITIAL:
            raise ValueError(f"initial is {initial!r}; it should be one of {INITIAL}")
        self.url = self._public(url)
        self.recurse = recurse
        self._closed = False
        self._known: Mapping[str, Hashable] = {}
        if initial == "ignore":
            self._known = self.listing()

    def _public(self, url: str) -> str:
        """Return `url` as it may be shown."""
        return url if scheme_of(url) == "file" else public(url)

    @abstractmethod
    def listing(self) -> Mapping[str, Hashable]:
        """Return what is there now: by subject, what is another if the subject has changed.

        Raises:
            SourceError: it cannot be told, which changes nothing.
        """

    def name_of(self, subject: str) -> str:
        """Return what a subject is called in its place, with a slash between directories.

        Filters are held against it. This is the rest of the URL, or its last part if it is the
        place itself.
        """
        place = self.url.rstrip("/")
        return subject.removeprefix(place).lstrip("/") or place.rpartition("/")[2]

    def get_new_events(self) -> list[Change]:
        """Return (subject, "created", "modified" or "deleted") for what has changed since.

        Each subject comes once: what is gone comes first, then the others, both in order.

        Raises:
            SourceError: it cannot be told; the next call tells all that has changed since then.
            ValueError: the poller is closed.
        """
        self._check_open()
        before, now = self._known, self.listing()
        self._known = now
        return changes(before, now)

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("the poller is closed; make another one")

    def close(self) -> None:
        """Give back what is open; a second call does nothing."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def changes(before: Mapping[str, Hashable], now: Mapping[str, Hashable]) -> list[Change]:
    """Return what has changed from the listing `before` to the listing `now`."""
    gone = [(subject, "deleted") for subject in before if subject not in now]
    others = []
    for subject, state in now.items():
        if subject not in before:
            others.append((subject, "created"))
        elif before[subject] != state:
            others.append((subject, "modified"))
    return [*sorted(gone), *sorted(others)]
