"""Command lines with the facts of an event in them, where no file name becomes a part of a program.

The text for a shell is read as far as needed to know where a quoted word stays one word. Where it
does not, or where that cannot be known, a placeholder is refused; the environment serves there.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from inotifier.events import IN_ISDIR, Event, mask_names

FACTS = ("maskname", "pathname", "src_pathname", "name", "path", "watch")
"""What placeholders stand for: attributes of an event, and the name of its entry."""

_PLACEHOLDER = re.compile(rf"\{{({'|'.join(FACTS)})\}}")

# Their arguments are programs, or expressions that may hold programs.
_INTERPRETERS = r"(?:eval|let|trap|unset|declare|typeset|\[\[)(?=\s)"

# bash takes an argument of theirs for the name of a variable, which may be a[$(command)].
_ARGUMENTS = r"""(?:\\. | '[^']*' | "(?:\\.|[^"\\])*" | [^;&|\n'"\\])*"""
_NAMERS = rf"(?:read|local|(?:printf|test|\[)(?={_ARGUMENTS}\s-v\s))(?=\s{_ARGUMENTS}\{{)"

# Such as can be read without a shell: nothing in them is quoted, or again an expansion.
_VARIABLE = r"""\$\{[^{}"'`\\$]*\}"""
_OUTPUT = r"""\$\([^()"'`\\$\#<]*\)"""

_LINE_END = "\\\n"

_TOKEN = re.compile(
    rf"""
    (?P<word>\{{[A-Za-z_]\w*\}})
  | (?P<escape>\\(?!{_INTERPRETERS}|{_NAMERS}).)
  | (?P<single>'[^']*')
  | (?P<double>"(?:[^"\\$`] | \\. | {_VARIABLE} | {_OUTPUT} | \$(?![({{\\]))*")
  | (?P<expansion>{_VARIABLE} | {_OUTPUT} | `[^`\\$"'\#<]*`)
  | (?P<parameter>\$[$!?\#@*0-9-])
  | (?P<comment>\#[^\n]*)
  | (?P<subscript>[A-Za-z_]\w*\[[^]'"\\$`{{}}\s]*\])
  | (?P<opaque>\$['"({{\\[] | ` | << | \(\( | ['"\\]
      | {_INTERPRETERS} | {_NAMERS} | [A-Za-z_]\w*\[)
  | (?P<other>[A-Za-z_]\w* | .)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)

_BLANKS = frozenset(" \t\n")
_WORD_ENDS = _BLANKS | frozenset(";&|()<>")

_INSIDE = {
    "escape": "after a backslash",
    "single": "inside single quotes",
    "double": "inside double quotes",
    "expansion": "inside a $(...), ${...} or `...`",
    "comment": "inside a comment",
}


class _Fact(NamedTuple):
    name: str


def facts_of(event: Event) -> dict[str, str]:
    """Return what is told of `event`; what it does not have is an empty text."""
    watch = event.watch
    return {
        "maskname": mask_names(event.mask & ~IN_ISDIR),
        "pathname": event.pathname,
        "src_pathname": event.src_pathname or "",
        "name": event.name,
        "path": event.path,
        "watch": os.fspath(watch.name or watch.path) if watch is not None else "",
    }


def environment_of(facts: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that tell a command of `facts`: INOTIFIER_PATHNAME and its like."""
    return {f"INOTIFIER_{name.upper()}": value for name, value in facts.items()}


class ProgramLine:
    """A program and its arguments; placeholders in them are replaced by what they stand for.

    Args:
        arguments: texts. Braces around anything else stay as they are.

    Raises:
        TypeError, ValueError: `arguments` is not that.
    """

    def __init__(self, arguments: Sequence[object]) -> None:
        if not arguments:
            raise ValueError("cmd is empty; it should name a program and its arguments")
        for number, argument in enumerate(arguments):
            if not isinstance(argument, (str, os.PathLike)):
                raise TypeError(
                    f"cmd[{number}] is {argument!r}; write each argument as a text, in quotes"
                )
        self._arguments = [os.fsdecode(argument) for argument in arguments]  # type: ignore[arg-type]

    def filled(self, facts: Mapping[str, str]) -> list[str]:
        """Return the arguments to execute."""
        return [
            _PLACEHOLDER.sub(lambda match: facts[match[1]], argument)
            for argument in self._arguments
        ]


class ShellLine:
    """A command for /bin/sh; each placeholder in it becomes one quoted word, or a part of one.

    Args:
        text: the command. Braces that a shell reads ({ ...; }, {a,b}, ${VARIABLE}) and those
            inside quotes stay as they are.

    Raises:
        ValueError: a placeholder stands where quoting would not protect, or is not known.
    """

    def __init__(self, text: str) -> None:
        if not text.strip():
            raise ValueError("cmd is empty; it should be a shell command")
        self._parts = list(_parts(text))

    def filled(self, facts: Mapping[str, str]) -> list[str]:
        """Return the arguments to execute: a shell with the command."""
        command = "".join(
            _quoted(facts[part.name]) if isinstance(part, _Fact) else part for part in self._parts
        )
        return ["/bin/sh", "-c", command]


def _quoted(value: str) -> str:
    # Even what needs no quotes elsewhere: 2>file is a redirection, ~root is a directory.
    quoted = shlex.quote(value)
    return quoted if quoted.startswith("'") else f"'{quoted}'"


def _parts(text: str) -> Iterator[str | _Fact]:
    position, before = 0, " "
    while position < len(text):
        kind, part = _next_part(text, position, before)
        if kind == "word":
            yield _known(part, text)
        elif kind == "opaque":
            rest = text[position:]
            _refuse_placeholder(rest, f"behind {part.strip()!r}, where it may be code", text)
            yield rest
            return
        else:
            if part == _LINE_END:
                _refuse_joining(before, text, position)
            elif kind == "escape":
                _refuse_placeholder(text[position + 1 :], _INSIDE[kind], text, at_start=True)
            elif kind in _INSIDE:
                _refuse_placeholder(part, _INSIDE[kind], text)
            yield part
        position += len(part)
        if part != _LINE_END:
            before = part if kind == "other" else ""


def _next_part(text: str, position: int, before: str) -> tuple[str, str]:
    """Return the kind of what stands at `position`, and its text.

    Args:
        text: the command.
        position: in it.
        before: what stands there before, "" if it is quoted or expanded.
    """
    match = _TOKEN.match(text, position)
    assert match is not None  # noqa: S101  # the last alternative takes anything
    kind, part = str(match.lastgroup), match[0]
    if kind == "comment" and before not in _WORD_ENDS:
        return "other", "#"
    # Of what is quoted, or expanded, nothing may be left.
    if kind == "opaque" and part[0].isalpha() and before and before not in _WORD_ENDS:
        return "other", part
    return kind, part


def _known(part: str, text: str) -> _Fact:
    if found := _PLACEHOLDER.fullmatch(part):
        return _Fact(found[1])
    known = ", ".join(f"{{{name}}}" for name in FACTS)
    raise ValueError(
        f"the placeholder {part} in the command {text!r} is not known; there are {known}. "
        f"If it is for the shell, put it in quotes: '{part}'"
    )


def _refuse_joining(before: str, text: str, position: int) -> None:
    """Refuse a line's end that joins two words: what looks like two things may be one."""
    if before not in _BLANKS and _PLACEHOLDER.search(text, position):
        raise ValueError(
            f"a backslash at a line's end joins two words of the command {text!r}; "
            "put a blank before it"
        )


def _refuse_placeholder(part: str, where: str, text: str, *, at_start: bool = False) -> None:
    found = _PLACEHOLDER.match(part) if at_start else _PLACEHOLDER.search(part)
    if found is None:
        return
    variable = f'"$INOTIFIER_{found[1].upper()}"'
    raise ValueError(
        f"the placeholder {found[0]} stands {where} in the command {text!r}, where quoting does "
        f"not protect from what a file may be called. It is quoted by itself: leave it outside "
        f"of quotes, as a word of its own, or use {variable} from the environment"
    )
