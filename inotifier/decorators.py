"""`on_file`: a function that handles files says itself which.

Nothing but a note is made when it is used, so that any module may use it, before apps are ready and
where pyinotify is not installed. What is wrong with the note is told when the daemon, or a check,
reads it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """What one `on_file` says.

    Attributes:
        function: what it stands above.
        pattern, events, settle, retries, fields: its arguments.
        module, line: where it stands.
        execution: what the module has anew each time it is executed.
    """

    function: Callable[..., Any]
    pattern: Any
    events: Any
    settle: Any
    retries: Any
    fields: dict[str, Any] = field(default_factory=dict)
    module: str
    line: int
    execution: object

    @property
    def name(self) -> str:
        """The dotted path of the function, or of its class."""
        named = self.function if hasattr(self.function, "__qualname__") else type(self.function)
        return f"{named.__module__}.{named.__qualname__}"

    @property
    def place(self) -> str:
        """Where it stands, in words."""
        return f"{self.module}, line {self.line}"


_declarations: list[Declaration] = []


def declarations() -> tuple[Declaration, ...]:
    """Return what the modules that have been imported say."""
    return tuple(_declarations)


def on_file(
    pattern: str,
    events: object = None,
    settle: float = 0,
    retries: int | None = None,
    **fields: Any,
) -> Callable[[Function], Function]:
    """Have the daemon call the decorated function, with the event, for files that match.

    It is found in the module `file_events` of each installed app, or in what that imports. The
    function stays what it is; it may be a coroutine function. What it raises is a failure, and
    `inotifier.exceptions.TryAgain` an outage elsewhere, as in a receiver.

    Args:
        pattern: a path of this machine. `*` stands for any characters but a slash, `**` for any
            number of directories, `?` and `[abc]` for one character; with a slash at its end, it
            stands for all files right in a directory. A relative one lies below BASE_DIR; `~` and
            $VARIABLES are replaced.
        events: which events, as in an entry; each gives a call, except those of directories. None
            for one call for each file that is complete, as `file_ready` tells.
        settle: seconds that a file must have stayed the same; then, several events are one call.
        retries: how often it is called again after a failure; INOTIFIER_RETRIES by default.
        fields: other fields of `inotifier.Watch`, `missing="create"` for instance.
    """
    frame = sys._getframe(1)
    module, line = frame.f_globals.get("__name__", "?"), frame.f_lineno
    execution = frame.f_globals.get("__spec__")

    def declare(function: Function) -> Function:
        new = Declaration(
            function=function,
            pattern=pattern,
            events=events,
            settle=settle,
            retries=retries,
            fields=fields,
            module=module,
            line=line,
            execution=execution,
        )
        # A module that is executed anew says anew what its functions are for.
        _declarations[:] = [
            one for one in _declarations if one.module != module or one.execution is execution
        ]
        _declarations.append(new)
        return function

    return declare
