"""One event, made and sent as the daemon does."""

from __future__ import annotations

import os
from typing import Any

from inotifier import signals
from inotifier.event_processors import AllEventsSignaler, FileReadySignaler, send
from inotifier.events import EVENT_BITS, IN_CLOSE_WRITE, IN_DELETE_SELF, IN_ISDIR, Event
from inotifier.exceptions import ReceiversFailed
from inotifier.signals import EventSignal
from inotifier.watches import Watch

_MASKS: dict[EventSignal, int] = {
    **{getattr(signals, name.lower()): bit for name, bit in EVENT_BITS.items()},
    signals.file_ready: IN_CLOSE_WRITE,
    signals.path_lost: IN_DELETE_SELF,
}
_OF_THE_ENTRY = {
    signals.in_delete_self,
    signals.in_ignored,
    signals.in_move_self,
    signals.in_unmount,
    signals.path_lost,
}
"""Signals of events that are about the path of an entry itself."""


def emit(
    signal: EventSignal,
    path: str | os.PathLike[str] = "",
    *,
    processor: object = None,
    dir: bool = False,
    **fields: Any,
) -> Event:
    """Send `signal` for an event of `path`, in this thread, and return the event.

    Args:
        signal: one of `inotifier.signals`, except `delivery_failed`.
        path: what the event is about, which need not exist; made absolute. An overflow of the
            kernel's queue is about none.
        processor: whose signal it is, an instance or a class; the sender is the class.
            `FileReadySignaler` for `file_ready`, `AllEventsSignaler` otherwise.
        dir: True if it is about a directory.
        fields: other arguments of `inotifier.events.Event`: `src_pathname`, `synthetic`, `mask` ...

    Raises:
        ReceiversFailed: receivers raised. Its cause is what the first of them raised.
        TryAgain: those that raised all asked for it.
        TypeError: `signal` is none that an event is sent by.
    """
    if signal not in _MASKS:
        raise TypeError(f"{signal!r} is no signal of an event; inotifier.signals has them")
    if processor is None:
        processor = FileReadySignaler if signal is signals.file_ready else AllEventsSignaler
    if isinstance(processor, type):
        processor = processor()
    event = _event(signal, path, processor, dir, fields)
    try:
        send(signal, processor, event)
    except ReceiversFailed as exc:
        raise exc from exc.failures[0][1]
    return event


def _event(
    signal: EventSignal,
    path: str | os.PathLike[str],
    processor: object,
    dir: bool,
    fields: dict[str, Any],
) -> Event:
    if signal is signals.in_q_overflow:
        directory = name = ""
    elif not (given := os.fspath(path)):
        raise TypeError("emit() needs the path that the event is about")
    else:
        directory, name = os.path.abspath(given), ""  # noqa: PTH100 - links stay
        if signal not in _OF_THE_ENTRY:
            directory, name = os.path.split(directory)
    arguments = {
        "mask": _MASKS[signal] | (IN_ISDIR if dir else 0),
        "path": directory,
        "name": name,
        "wd": 1 if directory else -1,
        "dir": dir or None,
        "synthetic": "path-lost" if signal is signals.path_lost else False,
        "watch": Watch(directory, processor=processor),
        **fields,
    }
    if arguments.get("src_pathname") is not None:
        arguments["src_pathname"] = os.path.abspath(arguments["src_pathname"])  # noqa: PTH100
        arguments.setdefault("cookie", 1)
    return Event(**arguments)
