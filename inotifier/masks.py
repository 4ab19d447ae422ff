"""Masks: the kernel's bits and their names (inotify(7)), also where pyinotify is not installed."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from inotifier.exceptions import ConfigurationError

IN_ACCESS = 0x1
IN_MODIFY = 0x2
IN_ATTRIB = 0x4
IN_CLOSE_WRITE = 0x8
IN_CLOSE_NOWRITE = 0x10
IN_OPEN = 0x20
IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
ALL_EVENTS = 0xFFF

IN_UNMOUNT = 0x2000
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000

IN_ONLYDIR = 0x1000000
IN_DONT_FOLLOW = 0x2000000
IN_EXCL_UNLINK = 0x4000000
IN_MASK_ADD = 0x20000000
IN_ISDIR = 0x40000000
IN_ONESHOT = 0x80000000

UNASKED = IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED
"""Bits that the kernel sends whether a mask holds them or not."""

_FLAGS = IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK
_REFUSED = IN_ONESHOT | IN_MASK_ADD
_MASK_BITS = ALL_EVENTS | UNASKED | IN_ISDIR | _FLAGS

EVENT_BITS: dict[str, int] = {
    "IN_ACCESS": IN_ACCESS,
    "IN_MODIFY": IN_MODIFY,
    "IN_ATTRIB": IN_ATTRIB,
    "IN_CLOSE_WRITE": IN_CLOSE_WRITE,
    "IN_CLOSE_NOWRITE": IN_CLOSE_NOWRITE,
    "IN_OPEN": IN_OPEN,
    "IN_MOVED_FROM": IN_MOVED_FROM,
    "IN_MOVED_TO": IN_MOVED_TO,
    "IN_CREATE": IN_CREATE,
    "IN_DELETE": IN_DELETE,
    "IN_DELETE_SELF": IN_DELETE_SELF,
    "IN_MOVE_SELF": IN_MOVE_SELF,
    "IN_UNMOUNT": IN_UNMOUNT,
    "IN_Q_OVERFLOW": IN_Q_OVERFLOW,
    "IN_IGNORED": IN_IGNORED,
}
"""The fifteen events, IN_ACCESS to IN_IGNORED."""

_SINGLE = {
    **EVENT_BITS,
    "IN_ONLYDIR": IN_ONLYDIR,
    "IN_DONT_FOLLOW": IN_DONT_FOLLOW,
    "IN_EXCL_UNLINK": IN_EXCL_UNLINK,
    "IN_MASK_ADD": IN_MASK_ADD,
    "IN_ISDIR": IN_ISDIR,
    "IN_ONESHOT": IN_ONESHOT,
    "ALL_EVENTS": ALL_EVENTS,
}
_NAMES = {bit: name for name, bit in _SINGLE.items()}

_BITS: dict[str, int] = {
    **_SINGLE,
    "ALL": ALL_EVENTS,
    "IN_CLOSE": IN_CLOSE_WRITE | IN_CLOSE_NOWRITE,
    "IN_MOVE": IN_MOVED_FROM | IN_MOVED_TO,
}

EVENT_NAMES: tuple[str, ...] = tuple(EVENT_BITS)
"""Their names."""


def parse_mask(value: object) -> int:
    """Return the mask that `value` means, as an int.

    Args:
        value: an int; a name ("IN_CREATE", "ALL_EVENTS"); names joined by "|"; or a
            list, tuple or set of any of these. IN_CLOSE and IN_MOVE are the pairs of inotify(7).

    Raises:
        ConfigurationError: an unknown bit or name, a flag that belongs to the engine
            (IN_ONESHOT, IN_MASK_ADD), or a mask without any event.
    """
    mask = _bits(value)
    if mask & _REFUSED:
        names = mask_names(mask & _REFUSED)
        raise ConfigurationError(f"the mask {value!r} holds {names}, which no entry can use")
    if unknown := mask & ~_MASK_BITS:
        raise ConfigurationError(f"the mask {value!r} holds unknown bits: 0x{unknown:x}")
    if not mask & ALL_EVENTS:
        raise ConfigurationError(f"the mask {value!r} holds no event to wait for")
    return mask


def _bits(value: object) -> int:
    if isinstance(value, bool):
        raise ConfigurationError(f"the mask {value!r} is neither an int nor names of events")
    if isinstance(value, int):
        if value < 0:
            raise ConfigurationError(f"the mask {value!r} is negative")
        return value
    if isinstance(value, str):
        return _or(_bit(name.strip(), value) for name in value.split("|"))
    # No generator: settings are read more than once, and the second time it would be empty.
    if isinstance(value, Collection) and not isinstance(value, (bytes, bytearray)):
        return _or(_bits(part) for part in value)
    raise ConfigurationError(f"the mask {value!r} is neither an int nor names of events")


def _bit(name: str, whole: str) -> int:
    try:
        return _BITS[name]
    except KeyError:
        known = ", ".join(sorted(_BITS))
        raise ConfigurationError(
            f"the mask {whole!r} holds the unknown name {name!r}; known are {known}"
        ) from None


def _or(masks: Iterable[int]) -> int:
    result = 0
    for mask in masks:
        result |= mask
    return result


def mask_names(mask: int) -> str:
    """Return the names of the bits of `mask`, joined by "|"; "ALL_EVENTS" stands for its twelve."""
    names = []
    if mask & ALL_EVENTS == ALL_EVENTS:
        names.append("ALL_EVENTS")
        mask &= ~ALL_EVENTS
    while mask:
        bit = mask & -mask
        names.append(_NAMES.get(bit, hex(bit)))
        mask &= ~bit
    return "|".join(names)


def event_name(mask: int) -> str:
    """Return the name of one event, "IN_CREATE" or "IN_CREATE|IN_ISDIR".

    Raises:
        KeyError: `mask` is not the one of an event.
    """
    name = _NAMES[mask & ~IN_ISDIR]
    return f"{name}|IN_ISDIR" if mask & IN_ISDIR else name


def bits_name(mask: int) -> str | None:
    """Return the name of the bits of `mask` without that of IN_ISDIR, None if they have none."""
    return _NAMES.get(mask & ~IN_ISDIR)
