"""From an event to a line: columns for people, and inotifywait's format."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from django.utils.termcolors import make_style

from inotifier.events import EVENT_BITS, IN_ISDIR, Event, mask_names, printable

_WIDTH = max(map(len, EVENT_BITS))
_COLOURS = {
    "IN_CREATE": "green",
    "IN_MOVED_TO": "green",
    "IN_CLOSE_WRITE": "cyan",
    "IN_MODIFY": "yellow",
    "IN_MOVED_FROM": "magenta",
    "IN_DELETE": "red",
    "IN_DELETE_SELF": "red",
    "IN_UNMOUNT": "red",
    "IN_Q_OVERFLOW": "red",
}


class Columns:
    """Time, event and path. Whatever a file is called, its name stays in its line.

    Args:
        colours: True to colour the event.
    """

    def __init__(self, *, colours: bool) -> None:
        self._styles: dict[str, Callable[[str], str]] = {}
        if colours:
            self._styles = {
                name: make_style(fg=colour, opts=("bold",) if colour == "red" else ())
                for name, colour in _COLOURS.items()
            }

    def __call__(self, event: Event) -> str:
        """Return the line of `event`."""
        name = mask_names(event.mask & ~IN_ISDIR)
        shown = f"{name:{_WIDTH}}"
        if style := self._styles.get(name):
            shown = style(shown)
        when = datetime.fromtimestamp(event.timestamp).astimezone()
        return f"{when:%H:%M:%S}.{when.microsecond // 1000:03}  {shown}  {_path(event)}"


def _path(event: Event) -> str:
    path = printable(event.pathname)
    if event.dir and not path.endswith("/"):
        path += "/"
    if event.src_pathname is not None:
        path = f"{printable(event.src_pathname)} -> {path}"
    return f"{path} ({event.synthetic})" if event.synthetic else path


class Format:
    """The format of inotifywait(1).

    `%w` is the watched path, with a slash behind a directory, `%f` the name in it, `%e` the events
    with commas, `%Xe` with X between them, `%T` the time, `%c` the cookie, `%0` a NUL, `%n` a line
    break, `%%` a percent sign.

    Args:
        text: the format.
        timefmt: the form of `%T`, for strftime(3).
        plain: True to write names as they are, for programs; False to escape what could change
            a terminal.

    Raises:
        ValueError: there is another letter behind a percent sign.
    """

    def __init__(self, text: str, timefmt: str = "%H:%M:%S", *, plain: bool) -> None:
        self._timefmt = timefmt
        self._name: Callable[[str], str] = str if plain else printable
        self._parts = [*self._read(text)]

    def __call__(self, event: Event) -> str:
        """Return what stands for `event`."""
        return "".join(part(event) for part in self._parts)

    def _read(self, text: str) -> list[Callable[[Event], str]]:
        letters: dict[str, Callable[[Event], str]] = {
            "w": lambda event: self._name(_watched(event)),
            "f": lambda event: self._name(event.name),
            "e": lambda event: ",".join(_events(event)),
            "T": self._time,
            "c": lambda event: f"{event.cookie:x}",
            "0": lambda event: "\0",
            "n": lambda event: "\n",
            "%": lambda event: "%",
        }
        parts = []
        rest = text
        while rest:
            before, percent, rest = rest.partition("%")
            parts.append(_literally(before))
            if not percent:
                break
            if rest[:1] in letters:
                parts.append(letters[rest[0]])
                rest = rest[1:]
            elif rest[1:2] == "e":
                parts.append(_joined(rest[0]))
                rest = rest[2:]
            else:
                raise ValueError(
                    f"{text!r} has a % before {rest[:1]!r}; known are %w %f %e %Xe %T %c %0 %n %%"
                )
        return parts

    def _time(self, event: Event) -> str:
        return time.strftime(self._timefmt, time.localtime(event.timestamp))


def _literally(text: str) -> Callable[[Event], str]:
    return lambda event: text


def _joined(separator: str) -> Callable[[Event], str]:
    return lambda event: separator.join(_events(event))


def _watched(event: Event) -> str:
    is_directory = event.name or event.dir
    return f"{event.path}/" if is_directory and not event.path.endswith("/") else str(event.path)


def _events(event: Event) -> list[str]:
    """Return the names that inotifywait(1) has for `event`."""
    name = mask_names(event.mask & ~IN_ISDIR).removeprefix("IN_")
    names = [name, "CLOSE"] if name.startswith("CLOSE_") else [name]
    return [*names, "ISDIR"] if event.mask & IN_ISDIR else names
