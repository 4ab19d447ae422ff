"""The code blocks of README and docs, each with what is said about it."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.rst",
    ROOT / "CONTRIBUTING.rst",
    *sorted((ROOT / "docs").glob("*.rst")),
]

_BLOCK = re.compile(r"( *)\.\. code-block::(.*)")
_NOT_RUN = re.compile(r" *\.\. not run: *(.*)")
_FILE = re.compile(r"# ([\w/]+\.py)\n")


@dataclass(frozen=True)
class Block:
    """A code block.

    Attributes:
        page: the file that it is in.
        line: number of its first line there.
        language: what it says that it is.
        text: its lines, without their indentation.
        section: the title above it.
        not_run: why it is not run, "" if it is: the comment `.. not run: why` before it.
    """

    page: Path
    line: int
    language: str
    text: str
    section: str
    not_run: str = ""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str:
        """The path of the file that it is to be written into, if its first line names one."""
        found = _FILE.match(self.text)
        return found[1] if found else ""

    @property
    def is_settings(self) -> bool:
        """Whether it is a part of Django's settings, or an entry of INOTIFIER_WATCH_PATHS."""
        body = ast.parse(self.text).body
        if len(body) == 1 and isinstance(body[0], ast.Expr):
            return isinstance(body[0].value, ast.Dict)
        targets = [
            target
            for node in body
            if isinstance(node, (ast.Assign, ast.AugAssign))
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        ]
        return any(isinstance(target, ast.Name) and target.id.isupper() for target in targets)


def blocks(page: Path) -> list[Block]:
    """Return the code blocks of a page, in their order."""
    return list(_blocks(page, page.read_text(encoding="utf-8").splitlines()))


def all_blocks() -> list[Block]:
    """Return the code blocks of all pages."""
    return [block for page in PAGES for block in blocks(page)]


def _blocks(page: Path, lines: list[str]) -> Iterator[Block]:
    section = ""
    for number, line in enumerate(lines):
        if number and re.fullmatch(r"(=|-){4,}", line):
            section = lines[number - 1]
        if found := _BLOCK.fullmatch(line):
            indent = len(found[1])
            inside = []
            for following in lines[number + 1 :]:
                if following.strip() and len(following) - len(following.lstrip()) <= indent:
                    break
                inside.append(following)
            text = textwrap.dedent("\n".join(inside)).strip("\n") + "\n"
            yield Block(page, number + 1, found[2].strip(), text, section, _reason(lines, number))


def _reason(lines: list[str], number: int) -> str:
    """Return what the comment before line `number` says, if it is one of ours."""
    before = [line for line in lines[max(0, number - 6) : number] if line.strip()]
    for back, line in enumerate(reversed(before)):
        if found := _NOT_RUN.match(line):
            rest = before[len(before) - back :]
            return " ".join([found[1], *map(str.strip, rest)]).strip()
        if not line.startswith("   "):
            break
    return ""


def unmarked_literals(page: Path) -> list[int]:
    """Return the numbers of lines that begin a literal block without a language."""
    lines = page.read_text(encoding="utf-8").splitlines()
    return [
        number
        for number, line in enumerate(lines, 1)
        if line.rstrip().endswith("::") and not re.match(r" *\.\. [\w:-]+::$", line.rstrip())
    ]
