"""Children that the user's code forks: they must not go on as the process that delivers."""

from __future__ import annotations

import logging
import os

logger = logging.getLogger(__name__)


_is_child = False


def _note_fork() -> None:
    global _is_child
    _is_child = True


os.register_at_fork(after_in_child=_note_fork)


def this_one_delivers() -> None:
    """Note that it is this process that delivers."""
    global _is_child
    _is_child = False


def is_child() -> bool:
    """Tell whether this is a process that a handler has forked."""
    return _is_child


def end_child(exc: BaseException | None = None) -> None:
    """End a child of a handler's that came back: the threads that deliver are not its own."""
    os._exit(_exit_code(exc))


def _exit_code(exc: BaseException | None) -> int:
    if exc is None:
        return 0
    if isinstance(exc, SystemExit):
        return exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    logger.error("a forked child ended: %r", exc, exc_info=exc)
    return 1
