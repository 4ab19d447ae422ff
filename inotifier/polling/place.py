"""A place with a URL: what its listing shows, compared with what was delivered."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from inotifier.dispatcher import Handler, Question
from inotifier.events import IN_CLOSE_WRITE, IN_CREATE, IN_DELETE, IN_MODIFY, Event
from inotifier.locations import without_user
from inotifier.notifier import Batch
from inotifier.polling.place_books import PlaceBooks, PlaceEvent, seen_as
from inotifier.recovery import subscribed
from inotifier.sources import Poller, SourceError, make_poller
from inotifier.state import Seen

_PORTION = 1000
"""Subjects that are asked about at once."""


class PlaceDifference(NamedTuple):
    """A subject that is not as it was recorded.

    Attributes:
        kind: "new", "changed" or "gone".
        path: the subject.
        seen: how it was listed, None if it was not.
    """

    kind: str
    path: str
    seen: Seen | None

    @property
    def source(self) -> None:
        """Where it was before: nothing is known to be moved."""


class Place:
    """The place of an entry with a URL.

    Args:
        handler: whose entry.
        books: what was delivered of it.
    """

    def __init__(self, handler: Handler, books: PlaceBooks) -> None:
        self._handler = handler
        self._entry = handler.entry
        self._books = books
        self._poller: Poller | None = None

    def differences(self, *, dry: bool = False) -> Iterator[list[PlaceDifference] | None]:
        """Yield what differs in portions; None asks for what is recorded to be written before.

        Args:
            dry: True to leave the record as it is.

        Raises:
            SourceError: the place cannot be listed, or compared.
        """
        try:
            yield from self._differences(dry=dry)
        except SourceError:
            raise
        except Exception as exc:  # a poller of somebody else's raises what it likes
            reason = without_user(f"{type(exc).__name__}: {exc}")
            raise SourceError(f"{self._entry.path} cannot be listed: {reason}") from None

    def _differences(self, *, dry: bool) -> Iterator[list[PlaceDifference] | None]:
        poller, ledger = self._open(), self._books.ledger
        listing = poller.listing()
        if not ledger.is_kept:
            raise SourceError(
                f"{self._entry.path} is not compared, because what was delivered cannot be kept"
            )
        yield None
        known = self._books.everything()
        found = [
            *self._gone(poller, known.keys() - listing.keys(), dry=dry),
            *self._others(poller, known, listing, dry=dry),
        ]
        for start in range(0, len(found), _PORTION):
            yield found[start : start + _PORTION]
        if not dry:
            ledger.settle(deep=self._entry.is_deep)

    def _open(self) -> Poller:
        if self._poller is None:
            watch, url = self._entry.watch, self._entry.url or self._entry.path
            options = {**watch.source_options, "initial": "created"}
            self._poller = make_poller(url, recurse=watch.recursive, **options)
        return self._poller

    def _gone(
        self, poller: Poller, subjects: Iterable[str], *, dry: bool
    ) -> Iterator[PlaceDifference]:
        for subject in sorted(subjects):
            name = poller.name_of(subject)
            if poller.recurses and not self._entry.is_deep and "/" in name:
                continue  # it is not listed any more
            if self._shows(name):
                yield PlaceDifference("gone", subject, None)
            elif not dry:
                self._books.record(subject, None)

    def _others(
        self,
        poller: Poller,
        known: Mapping[str, Seen],
        listing: Mapping[str, Hashable],
        *,
        dry: bool,
    ) -> Iterator[PlaceDifference]:
        at_first = [self._is_first(below=below) for below in (False, True)]
        for subject, state in listing.items():
            name, seen, before = poller.name_of(subject), seen_as(state), known.get(subject)
            if before is not None and before.complete and before.same(seen):
                continue
            is_below = self._entry.is_deep and "/" in name
            if not self._shows(name) or (before is None and at_first[is_below]):
                if not dry:
                    self._books.record(subject, seen)
            else:
                yield PlaceDifference("changed" if before else "new", subject, seen)

    def _is_first(self, *, below: bool) -> bool:
        """Tell whether what is not recorded was there at the first start, and is to be ignored."""
        ledger, initial = self._books.ledger, self._entry.watch.initial
        return initial == "ignore" and ledger.first_seen(1.0, below=below) > 0

    def _shows(self, name: str) -> bool:
        found = self._entry.filter
        return found is None or found.passes(f"{self._entry.path.rstrip('/')}/{name}", is_dir=False)

    def flush(self) -> None:
        """Return when what is recorded is written, or cannot be."""
        self._books.ledger.flush()

    def questions(self, differences: Sequence[PlaceDifference], reason: str) -> Batch:
        """Return what asks about `differences`; `reason` says why the events are made."""
        poller = self._open()
        subscription, watch = subscribed(self._handler), self._entry.watch
        batch: Batch = []
        for one in differences:
            name = poller.name_of(one.path).rpartition("/")[2]
            directory, slash, last = one.path.rpartition("/")
            path = directory if slash and last == name else self._entry.path
            question = _Listed(mask=0, path=path, name=name, synthetic=reason, watch=watch)
            question.pathname, question.seen = one.path, one.seen
            question.books, question.whole = self._books, poller.whole
            batch.append((subscription, question))
        return batch

    @staticmethod
    def is_same(question: Event, other: Event) -> bool:
        """Tell whether both questions are about a subject that was listed in the same state."""
        return (
            isinstance(question, _Listed)
            and isinstance(other, _Listed)
            and question.seen == other.seen
        )

    def close(self) -> None:
        """Give back what is open."""
        if self._poller is not None:
            self._poller.close()
            self._poller = None


class _Listed(Question):
    """Asks what has become of a subject, by how it was listed."""

    __slots__ = ("books", "seen", "whole")

    books: PlaceBooks
    seen: Seen | None
    whole: bool

    def answer(self) -> list[Event]:
        """Return the events to deliver; record what nobody asked for."""
        if self.books.holds(self.pathname, self.seen):
            return []
        known, seen = self.books.expected(self.pathname), self.seen
        masks = [mask for mask in self._masks(known) if mask & self.books.mask]
        if not masks and seen is not None:
            # Who asks for ends is told of this one when it is listed again as it is now.
            ends = bool(self.books.mask & IN_CLOSE_WRITE)
            is_same = known is not None and known.same(seen)
            self.books.record(self.pathname, seen._replace(complete=not ends or is_same))
        elif not masks:
            self.books.record(self.pathname, None)
        return [self._event(mask) for mask in masks]

    def _masks(self, known: Seen | None) -> list[int]:
        if self.seen is None:
            return [IN_DELETE] if known is not None else []
        if known is None or not known.same(self.seen):
            mask = IN_CREATE if known is None else IN_MODIFY
            return [mask, IN_CLOSE_WRITE] if self.whole else [mask]
        return [] if known.complete else [IN_CLOSE_WRITE]

    def _event(self, mask: int) -> Event:
        event = PlaceEvent(
            mask=mask,
            path=self.path,
            name=self.name,
            synthetic=self.synthetic,
            watch=self.watch,
            timestamp=self.timestamp,
        )
        event.pathname, event.seen = self.pathname, self.seen
        return event
