"""Showing events until there were enough, none came for long, or nobody looks any more."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from inotifier.events import Event
from inotifier.exceptions import InotifierError
from inotifier.tail.live import Live

TIMED_OUT = 2  # as inotifywait(1)
_TICK = 0.25
"""Seconds between two looks whether anybody reads."""


class Shower:
    """Writes lines to a stream whose reader may go at any time.

    Args:
        stream: the stream.
        line: makes the line of an event.
        end: what ends a line.
    """

    def __init__(self, stream: TextIO, line: Callable[[Event], str], end: str = "\n") -> None:
        self._stream = stream
        self._line = line
        self._end = end
        self._buffer: Any = getattr(stream, "buffer", None)
        self._poll = select.poll()
        try:
            self._poll.register(stream.fileno(), 0)
        except (AttributeError, OSError, ValueError):  # nothing that the kernel knows
            self._poll = select.poll()

    def __call__(self, event: Event) -> None:
        """Write the line of `event`.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        text = self._line(event) + self._end
        if self._buffer is None:
            self._stream.write(text)
        else:  # names of files are bytes
            self._buffer.write(os.fsencode(text))

    def flush(self) -> None:
        """Let what was written be seen.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        if any(state & select.POLLERR for _, state in self._poll.poll(0)):
            raise BrokenPipeError
        self._stream.flush()


def follow(
    live: Live,
    show: Callable[[Event], object],
    flush: Callable[[], object] = lambda: None,
    *,
    timeout: float | None = None,
    total: float | None = None,
    count: int | None = None,
) -> int:
    """Show the events of `live`; return the exit code.

    Args:
        live: where they come from.
        show: takes each.
        flush: called when no other is there at once, and now and then.
        timeout: seconds without an event after which to end.
        total: seconds after which to end in any case.
        count: number of events after which to end.

    Returns:
        0 once there were `count`, or if nobody reads any more; 2 after the timeout, with `total`
        only if there was no event.

    Raises:
        InotifierError: it cannot be written, because the disk is full for instance.
    """
    seen = 0
    begun = last = time.monotonic()
    try:
        while count is None or seen < count:
            event = live.get(0.0) if seen else None
            if event is None:
                flush()
                event = live.get(_until(begun, total, last, timeout))
            now = time.monotonic()
            if event is not None:
                seen += 1
                last = now
                show(event)
            elif timeout is not None and now - last >= timeout:
                return TIMED_OUT
            if total is not None and now - begun >= total:
                return 0 if seen else TIMED_OUT
        flush()
    except BrokenPipeError:
        _write_to_nowhere()
    except OSError as exc:
        _write_to_nowhere()
        raise InotifierError(f"cannot write what happens: {exc.strerror}") from exc
    return 0


def _until(begun: float, total: float | None, last: float, timeout: float | None) -> float:
    """Return how many seconds to wait now."""
    now = time.monotonic()
    ends = [now + _TICK]
    if total is not None:
        ends.append(begun + total)
    if timeout is not None:
        ends.append(last + timeout)
    return max(0.0, min(ends) - now)


def _write_to_nowhere() -> None:
    """Let the interpreter flush what is left at its end."""
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
