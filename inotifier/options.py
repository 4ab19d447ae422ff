"""Options: checked when they are given, so that no wrong one waits for an event."""

from __future__ import annotations

import math
import threading


def flag(option: str, value: object) -> bool:
    """Return `value`, which should be True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{option} is {value!r}; it should be True or False")
    return value


def seconds(option: str, value: object) -> float:
    """Return `value`, which should be a number of seconds, 0 or above."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{option} is {value!r}; it should be a number of seconds")
    if not 0 <= value < math.inf:
        raise ValueError(f"{option} is {value!r}; it should be a number of seconds, 0 or above")
    return value


def seconds_or_none(option: str, value: object) -> float | None:
    """Return `value`, which should be None or a number of seconds above 0."""
    if value is None:
        return None
    if not (number := seconds(option, value)):
        raise ValueError(f"{option} is {value!r}; it should be above 0, or None for no end")
    return number


def positive_seconds(option: str, value: object) -> float:
    """Return `value`, which should be a number of seconds above 0 that a thread can wait for."""
    number = seconds(option, value)
    if not 0 < number <= threading.TIMEOUT_MAX:
        raise ValueError(f"{option} is {value!r}; it should be a number of seconds above 0")
    return number


def number_or_none(option: str, value: object) -> int | None:
    """Return `value`, which should be None or a whole number above 0."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{option} is {value!r}; it should be a whole number, or None")
    if value < 1:
        raise ValueError(f"{option} is {value!r}; it should be 1 or above, or None for any number")
    return value


def one_of(option: str, value: object, *choices: object) -> None:
    """Check that `value` is one of `choices`."""
    if not any(value is choice or (type(value) is str and value == choice) for choice in choices):
        raise ValueError(f"{option} is {value!r}; it should be one of {_listed(choices)}")


def text(option: str, value: object) -> str:
    """Return `value`, which should be a text with something in it."""
    if not isinstance(value, str):
        raise TypeError(f"{option} is {value!r}; it should be a text")
    if not value:
        raise ValueError(f"{option} is an empty text")
    return value


def _listed(choices: tuple[object, ...]) -> str:
    return ", ".join(map(repr, choices))
