"""From the mask of an event to the method that handles it, found once for each mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyinotify import IN_ISDIR, EventsCodes, ProcessEvent

from inotifier.events import Event

Method = Callable[[Event], Any]


class Methods(dict[int, Method]):
    """The methods of a processor by the mask of the event.

    A `pyinotify.ProcessEvent` is asked by its own rules: `process_IN_CREATE`, then the family
    (`process_IN_CLOSE`), then `process_default`. One that is chained to another, or that defines
    how it is called, and every other callable is called itself.

    Args:
        processor: takes an event.
    """

    def __init__(self, processor: Method) -> None:
        super().__init__()
        self.processor = processor
        self._plain = (
            isinstance(processor, ProcessEvent)
            and type(processor).__call__ is ProcessEvent.__call__
            and processor.pevent is None
        )

    def __missing__(self, mask: int) -> Method:
        method = self[mask] = self._find(mask) if self._plain else self.processor
        return method

    def _find(self, mask: int) -> Method:
        name = EventsCodes.ALL_VALUES.get(mask & ~IN_ISDIR)
        if name is None:
            return self.processor  # raises what pyinotify raises
        family = name.split("_")[1]
        for candidate in (f"process_{name}", f"process_IN_{family}", "process_default"):
            method: Method | None = getattr(self.processor, candidate, None)
            if method is not None:
                return method
        return self.processor
