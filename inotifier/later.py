"""What a processor returns that is done with its event at another time."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import NamedTuple, Protocol

from inotifier.events import Event

_lock = threading.Lock()
"""For the owners of all: it is held for moments only."""


class Wait(NamedTuple):
    """Something is to be tried again.

    Attributes:
        seconds: not before they have passed.
        failed: True if it failed, False if it asked for the wait.
    """

    seconds: float
    failed: bool


class Owner(Protocol):
    """Who has an event that is done with later: the engine."""

    def guard(self, later: Later) -> AbstractContextManager[object]:
        """Return what surrounds the work for the event."""

    def done(self, later: Later) -> None:
        """Take the event as done with."""

    def failed(self, later: Later, exc: BaseException) -> Wait | None:
        """Return when to try again; None if the event is given up."""


class Later:
    """Returned by a processor: its event is done with when this is.

    Until then the event is pending, and nothing is recorded of its path; what comes later for that
    path is delivered meanwhile. The same one may stand for several events of one path. It ends
    with `done`, or with a `failed` that returns None; nobody calls anything after that.

    Attributes:
        tried: how often it has failed since the last event came.
    """

    # A hundred thousand may be open: the first owner stands alone, without a tuple around it.
    __slots__ = ("_ended", "_failure", "_owner", "_owners_beside", "tried")

    def __init__(self) -> None:
        self.tried = 0
        self._owner: Owner | None = None
        self._owners_beside: tuple[Owner, ...] = ()
        self._ended = False
        self._failure: BaseException | None = None

    # For the processor

    @property
    def is_owned(self) -> bool:
        """True if somebody has its event, and hears of failures."""
        return self._owner is not None

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Surround the work for the event: what it writes is noted, a child that it forks ends."""
        with ExitStack() as stack:
            for owner in self.owners:
                stack.enter_context(owner.guard(self))
            yield

    def done(self) -> None:
        """Say that the event is done with."""
        for owner in self._end():
            owner.done(self)

    def failed(self, exc: BaseException) -> Wait | None:
        """Say that it failed with `exc`; return when to try again, None if it is given up."""
        with _lock:
            owners = self.owners
            if not owners:
                self._ended, self._failure = True, exc
        waits = [wait for owner in owners if (wait := owner.failed(self, exc)) is not None]
        if not waits:
            self._end()
            return None
        wait = min(waits)
        self.tried += wait.failed
        return wait

    def _end(self) -> tuple[Owner, ...]:
        with _lock:
            owners = self.owners
            self._owner, self._owners_beside, self._ended = None, (), True
        return owners

    # For the engine

    @property
    def parts(self) -> tuple[Later, ...]:
        """What must end for this to end: itself, unless it stands for several."""
        return (self,)

    @property
    def due(self) -> float | None:
        """The time.monotonic() before which nothing happens, None if it may be under way."""
        return None

    @property
    def has_ended(self) -> bool:
        """True once it is done, or given up."""
        return self._ended

    @property
    def owners(self) -> tuple[Owner, ...]:
        """Who has its event."""
        return () if self._owner is None else (self._owner, *self._owners_beside)

    def join(self, owner: Owner) -> bool:
        """Add `owner`; tell whether it is still open.

        Raises:
            BaseException: what it has failed with, before anybody heard of that.
        """
        with _lock:
            if not self._ended:
                if self._owner is None:
                    self._owner = owner
                else:
                    self._owners_beside += (owner,)
                return True
        if self._failure is not None:
            raise self._failure
        return False

    def start(self) -> None:
        """Begin: the event has an owner by now. A processor's `defer` leaves that to its caller."""

    def hurry(self) -> None:
        """Wait for no others: the process ends soon, and none come."""

    def abandon(self) -> None:
        """Begin no more: the process ends."""


class Deferring:
    """A processor that begins with an event when that has an owner.

    Others begin before they return; what they do until then is not guarded.
    """

    def defer(self, event: Event) -> Later | None:
        """Return what is to be started for `event`, None if nothing is."""
        raise NotImplementedError

    def __call__(self, event: Event) -> Later | None:
        """Take `event`."""
        later = self.defer(event)
        if later is not None:
            later.start()
        return later


class _Several(Later):
    __slots__ = ("_parts",)

    def __init__(self, parts: tuple[Later, ...]) -> None:
        super().__init__()
        self._parts = parts

    @property
    def parts(self) -> tuple[Later, ...]:
        return self._parts

    def start(self) -> None:
        for part in self._parts:
            part.start()


def together(laters: Iterable[Later | None]) -> Later | None:
    """Return one that ends when all of `laters` have ended; None if there is none."""
    parts = tuple(dict.fromkeys(part for later in laters if later for part in later.parts))
    if len(parts) > 1:
        return _Several(parts)
    return parts[0] if parts else None
