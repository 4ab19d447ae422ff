"""What has been delivered of a place with a URL."""

from __future__ import annotations

import hashlib
import stat
import struct
from collections.abc import Hashable
from urllib.parse import quote, unquote

from inotifier.events import IN_CLOSE_WRITE, IN_DELETE, Event
from inotifier.state import AnyLedger, Seen
from inotifier.unsettled import Unsettled


class PlaceEvent(Event):
    """An event of a subject.

    Attributes:
        seen: how the subject was listed; None if it was not any more.
    """

    __slots__ = ("seen",)

    seen: Seen | None


class PlaceBooks:
    """Keeps the ledger of an entry with a URL, subject by subject.

    There, all subjects lie in one directory: its root. Their names are quoted, as what is special
    in a path has no meaning in a subject.

    Args:
        ledger: where it is kept.
        mask: the events that the entry asks for.
    """

    def __init__(self, ledger: AnyLedger, mask: int) -> None:
        self.ledger = ledger
        self.mask = mask
        self._held: dict[str, Seen | None] = {}
        self._unsettled = Unsettled()

    def known(self, subject: str) -> Seen | None:
        """Return what is recorded of a subject."""
        return self.ledger.get(self._path(subject))

    def expected(self, subject: str) -> Seen | None:
        """Return what is recorded of a subject, or will be once its events are done with."""
        try:
            return self._unsettled[subject]
        except KeyError:
            return self.known(subject)

    def everything(self) -> dict[str, Seen]:
        """Return what is written of all subjects."""
        written = self.ledger.directory(self.ledger.root)
        return {self._subject(name.decode("ascii")): seen for name, seen in written.items()}

    def record(self, subject: str, seen: Seen | None) -> None:
        """Record a subject as `seen`, None if it is gone; once its events are done with."""
        if not self._unsettled.put(subject, seen):
            self.ledger.record(self._path(subject), seen)

    def _path(self, subject: str) -> str:
        root = self.ledger.root
        if subject.startswith(root):  # the same in each: it need not be stored
            return f"{root}/.{_quoted(subject[len(root) :])}"
        return f"{root}/={_quoted(subject)}"

    def _subject(self, name: str) -> str:
        rest = unquote(name[1:], errors="surrogatepass")
        return f"{self.ledger.root}{rest}" if name[0] == "." else rest

    # What a handler asks and tells.

    def look(self, event: Event) -> Seen | None:
        """Return how the subject of `event` was listed."""
        return event.seen if isinstance(event, PlaceEvent) else None

    def is_news(self, event: Event, seen: Seen | None) -> bool:
        """Return False: what was listed is all there is to know."""
        return False

    def is_told(self, event: Event, seen: Seen) -> bool:
        """Return False: nothing is known to be renamed."""
        return False

    def put_off(self, event: Event) -> None:
        """Do nothing: nothing comes along with `event`, which comes again."""

    def give_up(self, event: Event) -> None:
        """Note that `event` is held: it does not come again before its subject changes."""
        self._held[event.pathname] = self.look(event)

    def holds(self, subject: str, seen: Seen | None) -> bool:
        """Tell whether an event of `subject` is held, which is still as it was."""
        if subject not in self._held:
            return False
        held = self._held[subject]
        if seen is held or (seen is not None and held is not None and seen.same(held)):
            return True
        del self._held[subject]
        return False

    def delivered(self, event: Event, seen: Seen | None, *, is_done: bool | None = None) -> None:
        """Record that `event` was delivered, or had not to be.

        Args:
            event: of a subject.
            seen: what `look` gave before.
            is_done: whether the processor waits for nothing more of it; None if it does not say.
        """
        if seen is None or event.mask & IN_DELETE:
            self.record(event.pathname, None)
            return
        is_end = bool(event.mask & IN_CLOSE_WRITE) or not self.mask & IN_CLOSE_WRITE
        complete = is_end and is_done is not False
        self.record(event.pathname, seen._replace(complete=complete))

    def defer(self, event: Event, seen: Seen | None, *, is_new: bool) -> None:
        """Record nothing of the subject of `event` until it is settled.

        Args:
            event: of a subject.
            seen: what `look` gave before.
            is_new: True if there will be a `settle` for it; False if it is one with another event
                for which there will be.
        """
        self._unsettled.begin(event.pathname, is_new=is_new)
        self.delivered(event, seen)

    def settle(self, path: str, *, is_told: bool, is_there: bool) -> None:
        """Note that what was deferred of a subject is done with.

        The last time, how it was listed is recorded, if all was told.

        Args:
            path: the subject.
            is_told: False if it is to be told again.
            is_there: not asked for; there is no such file.
        """

        def record(seen: Seen | None, all_told: bool) -> None:
            if all_told:
                self.ledger.record(self._path(path), seen)
            else:
                self._held[path] = seen

        self._unsettled.settle(path, is_told=is_told, record=record)

    def record_told(self, subject: str, seen: Seen) -> None:
        """Record what an event of another subject told of."""
        self.record(subject, seen)

    def close(self) -> None:
        """Do nothing: what was not delivered is found again."""


def _quoted(text: str) -> str:
    return quote(text, safe=":?&=", errors="surrogatepass")


def seen_as(state: Hashable) -> Seen:
    """Return what stands for the state of a subject; another one, for another `repr()` of it."""
    text = repr(state).encode("utf-8", "surrogatepass")
    first, second = struct.unpack("<Qq", hashlib.blake2b(text, digest_size=16).digest())
    return Seen(first, 0, second, stat.S_IFREG, complete=True)
