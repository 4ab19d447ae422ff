"""From a function that `on_file` decorates to the processor that calls it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from asgiref.sync import async_to_sync

from inotifier import options
from inotifier.event_processors import FileReadySignaler
from inotifier.events import Event
from inotifier.exceptions import ReceiversFailed, TryAgain
from inotifier.scheduling.jobs import checked, is_coroutine_function
from inotifier.scheduling.scheduler import TaskScheduler

Function = Callable[[Event], Any]


def make_processor(function: Function, settle: float, *, each_event: bool) -> object:
    """Return what calls `function`.

    Args:
        function: takes an event; may be a coroutine function.
        settle: seconds that a file must have stayed the same.
        each_event: True for all events that come, False for files that are complete.

    Raises:
        TypeError, ValueError: one of these is not what it should be.
    """
    _check(function)
    if not each_event:
        return CompleteFiles(function, settle)
    if options.seconds("settle", settle):
        return TaskScheduler(function, delay=settle, settle=True)
    return EachEvent(function)


def _check(function: Function) -> None:
    checked(function)
    try:
        signature = inspect.signature(function)
    except ValueError:  # of some that are written in C, nothing is known
        return
    try:
        signature.bind(None)
    except TypeError:
        raise TypeError(f"it takes {signature}, but it is called with an event alone") from None


class CompleteFiles(FileReadySignaler):
    """Calls a function once for each complete file, where `FileReadySignaler` sends a signal."""

    def __init__(self, function: Function, settle: float = 0) -> None:
        super().__init__(settle=settle)
        self._function = function
        self._call = _in_this_thread(function)

    def tell(self, ready: Event) -> None:
        """Call the function for the complete file of `ready`."""
        try:
            self._call(ready)
        except TryAgain:
            raise
        except BaseException as exc:  # sys.exit() too, as from a receiver
            raise ReceiversFailed([(self._function, exc)]) from exc


class EachEvent:
    """Calls a function for each event of a file."""

    def __init__(self, function: Function) -> None:
        self._call = _in_this_thread(function)

    def __call__(self, event: Event) -> None:
        """Take `event`."""
        if not event.dir:
            self._call(event)


def _in_this_thread(function: Function) -> Function:
    return async_to_sync(function) if is_coroutine_function(function) else function
