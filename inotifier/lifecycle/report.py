"""What the daemon tells of itself to whoever asks, ready for JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

from inotifier import limits
from inotifier.dispatcher import BOUNDS, MOST_RECENT, Handler
from inotifier.events import mask_names, printable
from inotifier.lifecycle.history import History
from inotifier.lifecycle.status import describe
from inotifier.lifecycle.status_file import Status
from inotifier.service import Service

_KEEP_NUMBER_OF_WATCHES = 10.0
"""Seconds; counting them in a tree of 100,000 directories takes a tenth of one."""

_MOST_FAILURES = 20


class Report:
    """Tells of `service`, from any thread.

    Args:
        service: of whom.
        clock: seconds that only grow.
    """

    def __init__(self, service: Service, clock: Callable[[], float] = time.monotonic) -> None:
        self._service = service
        self._clock = clock
        self._history = History(service.handlers, clock)
        self._watches: dict[Handler, int | None] = {}
        self._counted = float("-inf")
        self._ticked = clock()

    def tick(self) -> None:
        """Note that the main thread goes round, and what it is time to note."""
        self._ticked = self._clock()
        self._history.sample()

    def figures(self) -> Status:
        """Return all that is counted or measured."""
        service = self._service
        described = describe(service)
        watches = self._watches_of_entries()
        for index, (handler, entry) in enumerate(
            zip(service.handlers, described["entries"], strict=True)
        ):
            entry.update(
                pending=handler.pending,
                ignored=handler.ignored,
                backend=_backend(handler),
                watches=watches[handler],
                rate=self._history.rate(index),
                counts=self._history.counts(index),
                masks=_by_name(dict(handler.figures.masks)),
                durations=list(handler.figures.durations),
                seconds=handler.figures.seconds,
            )
        return {
            **described,
            "time": time.time(),
            "since_tick": self._clock() - self._ticked,
            "lag": service.lag,
            "watches": service.watches,
            "watches_limit": limits.limit("max_user_watches"),
            "bounds": BOUNDS,
        }

    def page(self, question: Mapping[str, Any]) -> Status:
        """Return the figures, the last events and the last failures.

        Args:
            question: `entry`, the number of the entry whose events are wanted, None for all; and
                `text`, which they must hold.
        """
        entry, text = question.get("entry"), str(question.get("text") or "")
        return {
            **self.figures(),
            "events": self._events(entry if isinstance(entry, int) else None, text.casefold()),
            "failures": self._failures(),
        }

    def _events(self, entry: int | None, text: str) -> list[Status]:
        found = [
            (handed[2], index, handed, outcome, seconds)
            for index, handler in enumerate(self._service.handlers)
            if entry is None or entry == index
            for handed, outcome, seconds in reversed(list(handler.figures.recent))
            if not text or text in _searched(handed)
        ]
        found.sort(key=itemgetter(0), reverse=True)
        return [
            {
                "entry": index,
                "timestamp": timestamp,
                "maskname": mask_names(handed[0]),
                "pathname": handed[1],
                "outcome": outcome,
                "seconds": seconds,
            }
            for timestamp, index, handed, outcome, seconds in found[:MOST_RECENT]
        ]

    def _failures(self) -> list[Status]:
        found: list[Status] = [
            {
                "entry": index,
                "timestamp": failure.timestamp,
                "maskname": mask_names(failure.mask),
                "pathname": failure.pathname,
                "who": failure.who,
                "then": failure.then,
                "traceback": failure.traceback,
            }
            for index, handler in enumerate(self._service.handlers)
            for failure in list(handler.figures.failures)
        ]
        found.sort(key=itemgetter("timestamp"), reverse=True)
        return found[:_MOST_FAILURES]

    def _watches_of_entries(self) -> dict[Handler, int | None]:
        now = self._clock()
        if now - self._counted > _KEEP_NUMBER_OF_WATCHES:
            service = self._service
            self._watches = {one: service.watches_of(one) for one in service.handlers}
            self._counted = now
        return self._watches


def _backend(handler: Handler) -> str:
    entry = handler.entry
    if entry.url is not None:
        return entry.url.partition("://")[0]
    return "polling" if entry.polls else "inotify"


def _by_name(masks: Mapping[int, int]) -> dict[str, int]:
    return {mask_names(mask): number for mask, number in masks.items()}


def _searched(handed: tuple[int, str, float]) -> str:
    return f"{mask_names(handed[0])} {printable(handed[1])}".casefold()
