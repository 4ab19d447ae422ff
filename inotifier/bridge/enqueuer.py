"""What the processors have in common that hand events to a queue of tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from inotifier import json_form
from inotifier.bridge.outage import Outage, one_line
from inotifier.bridge.pipeline import Pipeline, Publication
from inotifier.events import Event
from inotifier.exceptions import ConfigurationError
from inotifier.later import Deferring

Batch = tuple[int, float]

_AWAY = {"ConnectionError", "TimeoutError", "OperationalError", "InterfaceError"}
"""Names of exceptions of Django, kombu, redis-py and others: which of them a queue uses is its own
business."""


class Enqueuer(Deferring):
    """A processor that makes a task of every event, or of some events at once.

    An event is done with when the queue has its task. While the queue is away events wait.

    Args:
        queue: its name for the log.
        batch: how many events a task gets at most, and for how many seconds one waits for others;
            None for a task of each event.

    Raises:
        ConfigurationError: `batch` cannot be used.
    """

    def __init__(self, queue: str, batch: Batch | None) -> None:
        most, within = (1, 0.0) if batch is None else _checked(batch)
        self._is_batch = batch is not None
        self._name = json_form.class_path(type(self))
        self._outage = Outage(lambda: queue, "events wait for their tasks", one_line)
        self._pipeline = Pipeline(
            self._send,
            self._outage,
            "inotifier-enqueuer",
            most=most,
            within=within,
            rest=self._disconnect,
        )

    def defer(self, event: Event) -> Publication:
        value = json_form.as_dict(event, None, self._name)
        return Publication(self._pipeline, json_form.quoted(value))

    def close(self) -> None:
        """Close the connection; the next event opens another one."""
        self._pipeline.close()

    def _send(self, events: Sequence[Mapping[str, Any]]) -> int:
        try:
            self._enqueue({"events": list(events)} if self._is_batch else {"event": events[0]})
        except Exception as exc:
            self._disconnect()
            if not _is_outage(exc):
                raise
            self._outage.note(exc)
            return 0
        return len(events)

    def _enqueue(self, arguments: dict[str, Any]) -> None:
        """Hand over one task with `arguments`; return when the queue has it."""
        raise NotImplementedError

    def _disconnect(self) -> None:
        """Close the connection of this thread."""
        raise NotImplementedError


def _checked(batch: object) -> Batch:
    match batch:
        case (int(most), int() | float() as within) if (
            most >= 1 and 0 <= within < math.inf and not isinstance(most, bool)
        ):
            return most, within
    raise ConfigurationError(
        f"batch is {batch!r}; it should be (N, seconds): a task gets N events at most, and none "
        "waits longer than that for others, (100, 2.0) for instance"
    )


def _is_outage(exc: BaseException) -> bool:
    """Tell whether an exception ends by itself, so that it is worth to wait."""
    return isinstance(exc, OSError) or any(kind.__name__ in _AWAY for kind in type(exc).__mro__)
