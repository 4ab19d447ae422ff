"""Jobs: what they may be, and how they are called."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

Job = Callable[..., Any]


def is_coroutine_function(job: Job) -> bool:
    """Tell whether calling `job` gives a coroutine."""
    return _is(inspect.iscoroutinefunction, job)


def _is(kind: Callable[[object], bool], job: Job) -> bool:
    return kind(job) or kind(
        getattr(job, "__call__", None)  # noqa: B004 - of an object, it is the method that tells
    )


def imported(dotted: str) -> Any:
    """Return what the dotted path names.

    Raises:
        ImportError: it is not there; the message says what is missing.
    """
    module_name, _, attribute = dotted.rpartition(".")
    if not module_name:
        raise ImportError(f"{dotted!r} is not a dotted path; write it as 'package.module.name'")
    module = importlib.import_module(module_name)
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise ImportError(f"{attribute} does not exist in {module_name}") from None


def checked(job: object) -> Job:
    """Return `job`, if it can be called, and does something then.

    Raises:
        TypeError: it cannot, or does not.
    """
    if inspect.isclass(job) or not callable(job):
        raise TypeError(
            f"job is {job!r}; it should be a function, a coroutine function, or the dotted path "
            "of one"
        )
    if _is(inspect.isgeneratorfunction, job) or _is(inspect.isasyncgenfunction, job):
        raise TypeError(f"job is {job!r}, a generator, which nobody would run; it has a `yield`")
    return job


def takes_id(job: Job) -> bool:
    """Tell whether `job` is called with (event, task_id), or with (event) alone.

    Raises:
        TypeError: neither will do.
    """
    try:
        signature = inspect.signature(job)
    except ValueError:  # of some that are written in C, nothing is known
        return False
    if not _fits(signature, 2):
        if not _fits(signature, 1):
            raise TypeError(f"{job!r} takes {signature}; a job takes (event, task_id) or (event)")
        return False
    if not _fits(signature, 1):
        return True
    second = [*signature.parameters.values()][1:2]
    return not second or second[0].name == "task_id" or second[0].kind is second[0].VAR_POSITIONAL


def _fits(signature: inspect.Signature, number: int) -> bool:
    try:
        signature.bind(*[None] * number)
    except TypeError:
        return False
    return True
