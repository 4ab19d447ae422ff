"""What a consumer is busy with, as other threads see it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

from inotifier.bridge.delivery import Incoming

Read = Callable[[bytes | None], Incoming]


class UnderWay:
    """The call of receivers that runs now.

    Attributes:
        call: what the message is, and since when in seconds, `time.time()`; None between two.
    """

    def __init__(self) -> None:
        self.call: tuple[str, float] | None = None

    def noting(self, read: Read) -> Read:
        """Return `read`, with each delivery of what it returns noted."""

        def noted(data: bytes | None) -> Incoming:
            incoming = read(data)
            incoming.deliver = functools.partial(self._run, incoming.title, incoming.deliver)
            return incoming

        return noted

    def _run(self, title: str, deliver: Callable[[], None]) -> None:
        self.call = title, time.time()
        try:
            deliver()
        finally:
            self.call = None
