"""The JSON form of an event, version 1; `event.schema.json` beside this module describes it.

ASCII alone: a byte of a file name that is not UTF-8 stands there as `os.fsdecode` gives it, a
lone surrogate such as \\udce9 for the byte e9.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import socket
import uuid
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from urllib.parse import quote, unquote_to_bytes

from inotifier.exceptions import UnreadableMessage
from inotifier.masks import EVENT_NAMES, IN_ISDIR, bits_name, event_name

if TYPE_CHECKING:
    from inotifier.events import Event

VERSION = 1

_NAMES = ("path", "name", "src_pathname", "watch")
_LONGEST_PATH = 65536
_LARGEST = 2**63 - 1
_encode = json.JSONEncoder(separators=(",", ":")).encode
_id_form = re.compile(r"[!-~]{1,128}", re.ASCII)
_name_form = re.compile(r"[a-z_][a-z0-9_]{0,127}", re.ASCII)


class Message(NamedTuple):
    """What a message says.

    Attributes:
        fields: what `Event` is made of: arguments of its constructor, by name.
        id: the same if the same event is sent again.
        host: where the event was read.
        watch: name of the entry, None if there was none.
        signal: name of the signal that stands for the event, "in_create".
        processor: dotted path of the class that published it, None if that is not told.
    """

    fields: dict[str, Any]
    id: str
    host: str
    watch: str | None
    signal: str
    processor: str | None


class _Ids:
    """Makes ids: what no other process has, and a number."""

    def __init__(self) -> None:
        self.renew()
        os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self._process = uuid.uuid4().hex[:20]
        self._numbers = itertools.count()

    def __call__(self) -> str:
        return f"{self._process}{next(self._numbers):012x}"


new_id: Callable[[], str] = _Ids()
"""Return an id that no other event has, on any machine: 32 hexadecimal digits."""


def id_that_follows(id: str, pathname: str) -> str:
    """Return an id for what an event has caused, the same each time: 32 hexadecimal digits."""
    text = f"{id} {pathname}".encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:32]


@lru_cache(maxsize=1)
def this_host() -> str:
    """Return the name of this machine."""
    return socket.gethostname()


def signal_name(mask: int) -> str:
    """Return the name of the signal that stands for an event with `mask`: "in_create"."""
    return event_name(mask & ~IN_ISDIR).lower()


def class_path(cls: type) -> str:
    """Return what a message calls the class that publishes it: its dotted path."""
    return f"{cls.__module__}.{cls.__qualname__}"


def write(event: Event, signal: str | None, processor: str | None) -> str:
    """Return `event` as JSON; see `Event.to_json`."""
    return _encode(as_dict(event, signal, processor))


def as_dict(event: Event, signal: str | None, processor: str | None) -> dict[str, Any]:
    """Return what the JSON form of `event` stands for; see `Event.to_json`."""
    return {
        "v": VERSION,
        "id": event.id,
        "signal": signal or signal_name(event.mask),
        "mask": event.mask,
        "maskname": event.maskname,
        "path": event.path,
        "name": event.name,
        "dir": event.dir,
        "src_pathname": event.src_pathname,
        "cookie": event.cookie,
        "wd": event.wd,
        "synthetic": event.synthetic,
        "timestamp": event.timestamp,
        "host": event.host,
        "watch": event.watch_name,
        "processor": processor,
    }


def quoted(value: dict[str, Any]) -> dict[str, Any]:
    """Return `value`, what the JSON form stands for, fit for databases: no lone surrogates.

    PostgreSQL and MySQL refuse these in JSON. If there are any, the names are quoted as in a URL.
    """
    texts = {name: found for name in _NAMES if (found := value[name]) is not None}
    try:
        for text in texts.values():
            text.encode()
    except UnicodeEncodeError:
        return {**value, "quoted": True} | {k: quote(os.fsencode(v)) for k, v in texts.items()}
    return value


# Reading. Nothing that a stranger may write gets further than here.


def parse(text: str | bytes) -> Any:
    """Return what the JSON `text` stands for.

    Raises:
        UnreadableMessage: it is no JSON, or nested too deep.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise UnreadableMessage("it is nested too deep") from None
    except ValueError as exc:  # UnicodeDecodeError is one as well
        raise UnreadableMessage(f"it is no JSON: {exc}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def is_event(value: object) -> bool:
    """Tell whether `value`, parsed JSON, is meant to be an event, of whatever version."""
    return isinstance(value, dict) and {"v", "id", "mask"} <= value.keys()


def read(value: object) -> Message:
    """Return what `value`, parsed JSON, says of an event.

    Raises:
        UnreadableMessage: it is not in the form of version 1; the message tells what is wrong.
    """
    if not isinstance(value, dict):
        raise UnreadableMessage(f"it is a {type(value).__name__} and not an object")
    version = value.get("v")
    if type(version) is not int or version != VERSION:
        raise UnreadableMessage(
            f"its version is {_shown(version)}, and this django-inotifier reads {VERSION}; update "
            "whichever is older"
        )
    value = _unquoted(value)
    mask = _mask(value)
    path, name = _text(value, "path"), _text(value, "name", "")
    if "/" in name or name in (".", ".."):
        _wrong("name", name, "a base name")
    return Message(
        {
            "mask": mask,
            "path": path,
            "name": name,
            "wd": _number(value, "wd", -1, least=-1),
            "cookie": _number(value, "cookie", 0),
            "dir": _dir(value, mask),
            "src_pathname": _text_or_none(value, "src_pathname"),
            "synthetic": _synthetic(value),
            "timestamp": _seconds(value),
        },
        _matching(value, "id", _id_form, "1 to 128 printable characters of ASCII"),
        _text(value, "host", ""),
        _text_or_none(value, "watch"),
        _matching(value, "signal", _name_form, "the name of a signal", signal_name(mask)),
        _text_or_none(value, "processor"),
    )


def _unquoted(value: Mapping[str, Any]) -> Mapping[str, Any]:
    is_quoted = value.get("quoted", False)
    if not isinstance(is_quoted, bool):
        _wrong("quoted", is_quoted, "true or false")
    if not is_quoted:
        return value
    texts = {name: found for name in _NAMES if isinstance(found := value.get(name), str)}
    for name, text in texts.items():
        if not text.isascii():
            _wrong(name, text, "quoted as in a URL")
    return {**value} | {k: os.fsdecode(unquote_to_bytes(v)) for k, v in texts.items()}


def _wrong(field: str, value: object, expected: str) -> NoReturn:
    raise UnreadableMessage(f"its field {field} is {_shown(value)}; it should be {expected}")


def _shown(value: object) -> str:
    if isinstance(value, (dict, list)):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
        return "a huge number"
    text = repr(value) if not isinstance(value, str) else ascii(value[:80])
    return text if len(text) <= 80 else f"{text[:80]}..."


def _mask(value: Mapping[str, Any]) -> int:
    mask = _number(value, "mask", None)
    if not mask or bits_name(mask) not in EVENT_NAMES:
        _wrong("mask", mask, "the bit of one event, with or without that of IN_ISDIR")
    return mask


def _number(value: Mapping[str, Any], field: str, default: int | None, least: int = 0) -> int:
    found = value.get(field, default)
    if type(found) is not int or not least <= found <= _LARGEST:
        _wrong(field, found, f"a whole number, {least} or more")
    return found


def _seconds(value: Mapping[str, Any]) -> float | None:
    found = value.get("timestamp")
    if found is None:
        return None
    if (type(found) is not int and type(found) is not float) or not -_LARGEST <= found <= _LARGEST:
        _wrong("timestamp", found, "a number of seconds")
    return float(found)


def _dir(value: Mapping[str, Any], mask: int) -> bool:
    found = value.get("dir", bool(mask & IN_ISDIR))
    if not isinstance(found, bool):
        _wrong("dir", found, "true or false")
    return found


def _synthetic(value: Mapping[str, Any]) -> str | bool:
    found = value.get("synthetic", False)
    if found is False:
        return False
    return _text(value, "synthetic")


def _text(value: Mapping[str, Any], field: str, default: str | None = None) -> str:
    found = value.get(field, default)
    if not isinstance(found, str) or len(found) > _LONGEST_PATH or "\0" in found:
        _wrong(field, found, "a string without the character 0")
    try:
        os.fsencode(found)
    except UnicodeEncodeError:
        _wrong(field, found, "a string that stands for bytes, as os.fsdecode gives it")
    return found


def _text_or_none(value: Mapping[str, Any], field: str) -> str | None:
    return None if value.get(field) is None else _text(value, field)


def _matching(
    value: Mapping[str, Any], field: str, form: re.Pattern[str], expected: str, default: str = ""
) -> str:
    found = value.get(field, default)
    if not isinstance(found, str) or not form.fullmatch(found):
        _wrong(field, found, expected)
    return found
