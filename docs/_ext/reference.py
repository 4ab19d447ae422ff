"""Directives that read the reference from the code: settings, commands, fields, checks."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management import load_command_class
from django.core.management.base import BaseCommand
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import inotifier
from inotifier.watches import Watch

PACKAGE = Path(inotifier.__file__).parent
_SETTING = re.compile(r"INOTIFIER_[A-Z_]+|PROJECT_PATH")
_CHECK_ID = r"(?:inotifier\.)?([A-Z]\d{3})"


class Generated(SphinxDirective):
    """A directive that stands for reStructuredText that is made from the code."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(self.lines()))

    def lines(self) -> Iterator[str]:
        raise NotImplementedError


# Settings


class Settings(Generated):
    """Every setting, with the docstring of its property in `inotifier.conf`."""

    def lines(self) -> Iterator[str]:
        for names, text in settings():
            yield from [f".. setting:: {names[0]}"]
            yield from [f"             {name}" for name in names[1:]]
            yield ""
            yield textwrap.indent(text, "   ")
            yield ""


def settings() -> Iterator[tuple[list[str], str]]:
    """Return the names of settings that each property reads, and what its docstring says."""
    tree = ast.parse((PACKAGE / "conf.py").read_text(encoding="utf-8"))
    [conf] = (node for node in tree.body if isinstance(node, ast.ClassDef))
    for node in conf.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            docstring = ast.get_docstring(node) or ""
            if names := list(_settings_in(node)):
                start = re.match(rf"{' and '.join(names)}(: |, )?", docstring)
                text = docstring[start.end() if start else 0 :]
                yield names, text[:1].upper() + text[1:]


def _settings_in(function: ast.FunctionDef) -> Iterator[str]:
    for node in ast.walk(function):
        value = node.value if isinstance(node, ast.Constant) else None
        if isinstance(value, str) and _SETTING.fullmatch(value):
            yield value


# Commands


class CommandLine(Generated):
    """What a management command is for, and its options, as its parser knows them."""

    required_arguments = 1

    def lines(self) -> Iterator[str]:
        self.env.temp_data.setdefault("commands", set()).add(self.arguments[0])
        yield from command_lines(self.arguments[0])


class OtherCommands(Generated):
    """The commands that the page has not told of."""

    def lines(self) -> Iterator[str]:
        told = self.env.temp_data.get("commands", set())
        for name in command_names():
            if name not in told:
                yield from ["", f".. rubric:: {name}", "", *command_lines(name)]


def command_names() -> list[str]:
    """Return the names of the management commands."""
    modules = (PACKAGE / "management" / "commands").glob("*.py")
    return sorted(path.stem for path in modules if not path.stem.startswith("_"))


def command_lines(name: str) -> Iterator[str]:
    """Return what the parser of a command tells."""
    command = load_command_class("inotifier", name)
    parser = command.create_parser("manage.py", name)
    ours = BaseCommand().create_parser("manage.py", name)
    known = {option for action in ours._actions for option in action.option_strings}
    yield from ["", command.help, ""]
    for action in parser._actions:
        if known.isdisjoint(action.option_strings):
            called = ", ".join(action.option_strings) or action.dest
            value = action.metavar or action.dest.upper()
            takes = f" {value}" if action.option_strings and action.nargs != 0 else ""
            text = (action.help or "").replace("%(default)s", str(action.default))
            yield from [f"``{called}{takes}``", f"   {text or '-'}", ""]


# Fields of an entry


class WatchFields(Generated):
    """The fields of `Watch` with their defaults, from its docstring."""

    def lines(self) -> Iterator[str]:
        defaults = {field.name: _default(field) for field in dataclasses.fields(Watch)}
        yield from [".. list-table::", "   :header-rows: 1", "   :widths: 22 18 60", ""]
        yield from ["   * - Field", "     - Default", "     - Meaning"]
        told = set()
        for names, text in attributes(Watch):
            told.update(names)
            yield "   * - " + ", ".join(f"``{name}``" for name in names)
            yield "     - " + (defaults[names[0]] or "required")
            yield f"     - {text}"
        if missing := defaults.keys() - told:
            raise self.error(f"the docstring of Watch does not tell of {', '.join(missing)}")


def attributes(cls: type) -> Iterator[tuple[list[str], str]]:
    """Return what the section Attributes of a class tells, each with its names."""
    section = inspect.getdoc(cls).partition("Attributes:\n")[2]
    section = re.split(r"\n(?=\S)", section)[0]
    for item in re.split(r"\n(?=    \w)", f"\n{section.rstrip()}")[1:]:
        names, _, text = item.partition(": ")
        yield names.strip().split(", "), " ".join(text.split())


def _default(field: dataclasses.Field) -> str:
    if field.default is not dataclasses.MISSING:
        return f"``{field.default!r}``"
    if field.default_factory is not dataclasses.MISSING:
        return f"``{field.default_factory()!r}``"
    return ""


# Fields of an event


class EventFields(Generated):
    """The fields of an event's JSON, from its schema."""

    def lines(self) -> Iterator[str]:
        schema = json.loads((PACKAGE / "event.schema.json").read_bytes())
        yield from [".. list-table::", "   :header-rows: 1", "   :widths: 18 18 64", ""]
        yield from ["   * - Field", "     - Type", "     - Meaning"]
        for name, field in schema["properties"].items():
            yield f"   * - ``{name}``"
            yield f"     - {_json_type(field)}"
            yield f"     - {_escaped(field['description'])}"


def _json_type(field: dict[str, Any]) -> str:
    """Return the words for what a part of a schema allows."""
    if "oneOf" in field:
        return " or ".join(map(_json_type, field["oneOf"]))
    if "const" in field:
        return f"``{json.dumps(field['const'])}``"
    allowed = field.get("type", "integer" if "enum" in field else "string")
    return allowed if isinstance(allowed, str) else " or ".join(allowed)


# Checks


class Checks(Generated):
    """Every message that `manage.py check` may have, with its hint."""

    def lines(self) -> Iterator[str]:
        yield from [".. list-table::", "   :header-rows: 1", "   :widths: 20 80", ""]
        yield from ["   * - Id", "     - Messages, each with its hints"]
        told = checks()
        if missing := check_ids() - told.keys():
            raise self.error(f"it cannot be read what {', '.join(sorted(missing))} says")
        for id, messages in sorted(told.items()):
            start = f"   * - ``{id}``\n     - "
            for message, hints in messages.items():
                yield f"{start}``{message}``"
                start = "       "
                yield from (part for hint in hints for part in ("", f"       *{_escaped(hint)}*"))
                yield ""


def check_ids() -> set[str]:
    """Return the ids of all checks, wherever in the code they stand."""
    texts = (path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    return {f"inotifier.{id}" for text in texts for id in re.findall(f'"{_CHECK_ID}"', text)}


def checks() -> dict[str, dict[str, list[str]]]:
    """Return the messages of each check, each with its hints."""
    found: dict[str, dict[str, list[str]]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (parts := _check_parts(node)):
                id, message, hint = parts
                for text in _texts(message):
                    hints = found.setdefault(id, {}).setdefault(_one_line(text), [])
                    hints += [one for one in map(_one_line, _texts(hint)) if one not in hints]
    return found


def _check_parts(call: ast.Call) -> tuple[str, ast.expr, ast.expr] | None:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    places = dict(zip(("id", "message", "hint"), call.args, strict=False))
    if "id" in given and call.args:  # django.core.checks: the message comes first
        places = {"message": call.args[0]}
    parts = {**places, **given}
    id = parts.get("id")
    if not isinstance(id, ast.Constant) or not isinstance(id.value, str):
        return None
    number = re.fullmatch(_CHECK_ID, id.value)
    if number is None or "message" not in parts:
        return None
    return f"inotifier.{number[1]}", parts["message"], parts.get("hint", ast.Constant(""))


def _texts(node: ast.expr) -> list[str]:
    """Return the texts that an expression may be; what is known only later is "…"."""
    if isinstance(node, ast.Constant):
        return [str(node.value)] if node.value else []
    if isinstance(node, ast.IfExp):
        return [*dict.fromkeys(_texts(node.body) + _texts(node.orelse))]
    if isinstance(node, ast.JoinedStr):
        return ["".join(_part(part) for part in node.values)]
    if isinstance(node, ast.Name) and node.id.isupper():
        from inotifier.watches import problems

        return [getattr(problems, node.id)]
    return ["…"]


def _part(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    inside = part.value if isinstance(part, ast.FormattedValue) else part
    if isinstance(inside, ast.Name) and inside.id == "number":
        return "N"
    return _texts(inside)[0] if isinstance(inside, ast.Name) else "…"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _escaped(text: str) -> str:
    return re.sub(r"([*`|_\\])", r"\\\1", text)


# Processors


def show_options(app: Sphinx, what: str, name: str, target: object, *rest: object) -> object:
    """Show what `my_init` takes as the arguments of a processor derived from pyinotify."""
    takes = getattr(target, "my_init", None)
    if what != "class" or takes is None:
        return None
    options = list(inspect.signature(takes).parameters.values())[1:]
    shown = [one.replace(annotation=one.empty) for one in options if one.name != "clock"]
    known = [one for one in shown if one.kind is not one.VAR_KEYWORD]
    return str(inspect.Signature(known)), ""


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-signature", show_options)
    app.add_object_type("setting", "setting", indextemplate="pair: %s; setting")
    app.add_directive("settings", Settings)
    app.add_directive("command-line", CommandLine)
    app.add_directive("other-commands", OtherCommands)
    app.add_directive("watch-fields", WatchFields)
    app.add_directive("event-fields", EventFields)
    app.add_directive("checks", Checks)
    return {"parallel_read_safe": True}
