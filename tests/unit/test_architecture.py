"""The order of the rooms, and who may import which library from outside."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[2] / "inotifier"

# A room imports from its own layer or from one above it in this table. The package itself, "",
# names things of its rooms and stands with the highest of them.
LAYERS = (
    (
        "plain",
        (
            "exceptions",
            "masks",
            "json_form",
            "events",
            "filters",
            "options",
            "locations",
            "writers",
            "later",
            "connections",
            "forks",
        ),
    ),
    (
        "configuration",
        (
            "",
            "watches",
            "conf",
            "redis_url",
            "limits",
            "mounts",
            "checks",
            "apps",
            "models",
            "signals",
            "decorators",
        ),
    ),
    ("what happens with an event", ("event_processors", "scheduling", "bridge")),
    ("where events come from", ("notifier", "sources")),
    (
        "engine",
        ("state", "unsettled", "books", "recovery", "polling", "dispatcher", "service", "scan"),
    ),
    ("process", ("lifecycle", "progress")),
    ("edges", ("management", "monitoring", "urls", "admin", "tail", "testing", "pytest_plugin")),
)
LAYER_OF = {room: layer for layer, (_, rooms) in enumerate(LAYERS) for room in rooms}

# Libraries from outside, and the rooms that may import them. Django may be imported anywhere.
OUTSIDE = {
    "pyinotify": {"events", "event_processors", "notifier"},
    "daemon": {"lifecycle"},
    "redis": {"bridge"},
    "celery": {"bridge"},
    "fsspec": {"sources"},
    "keystoneauth1": {"sources"},
    "prometheus_client": {"monitoring"},
    "swiftclient": {"sources"},
    "pytest": {"pytest_plugin"},
    "rich": {"tail", "management", "progress"},
}
DJANGO = {"django", "asgiref"}  # asgiref is a part of Django under a name of its own

MODULES = sorted(PACKAGE.rglob("*.py"))


class Import(NamedTuple):
    line: int
    name: str  # in full: "inotifier.events.Event", "os.path"

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]


def imports_of(source: str, package: str) -> list[Import]:
    """Return every import in `source`, those in functions and for type checkers too.

    `package` is the one that relative imports start from.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [Import(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                parents = parents[: len(parents) - node.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            found += [Import(node.lineno, f"{base}.{alias.name}") for alias in node.names]
    return found


def room_of(name: str) -> str:
    """Return the room that the dotted `name` below `inotifier` belongs to."""
    room = [*name.split("."), ""][1]
    is_module = room in LAYER_OF or any((PACKAGE / f).exists() for f in (room, f"{room}.py"))
    return room if is_module else ""  # a name that the package itself defines: Watch


def layer_of(room: str) -> int:
    assert room in LAYER_OF, f"inotifier/{room} has no layer; give it one in LAYERS"
    return LAYER_OF[room]


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def module_imports(path: Path) -> list[Import]:
    package = ".".join(path.relative_to(PACKAGE.parent).parent.parts)
    return imports_of(path.read_text(encoding="utf-8"), package)


def each_module(test):
    return pytest.mark.parametrize("path", MODULES, ids=module_name)(test)


def test_there_are_modules():
    assert MODULES


@each_module
def test_module_has_a_place_in_the_table(path):
    layer_of(room_of(module_name(path)))


@each_module
def test_module_imports_from_its_own_layer_or_above(path):
    own = layer_of(room_of(module_name(path)))
    wrong = [
        f"{path.name}:{found.line} imports {found.name} of the layer "
        f"{LAYERS[layer_of(room_of(found.name))][0]!r}, which lies below {LAYERS[own][0]!r}"
        for found in module_imports(path)
        if found.top == "inotifier"
        and found.name != "inotifier.__version__"
        and layer_of(room_of(found.name)) > own
    ]
    assert not wrong, "\n".join(wrong)


@each_module
def test_module_imports_only_the_libraries_of_its_room(path):
    room = room_of(module_name(path))
    wrong = {
        f"{path.name}:{found.line} imports {found.top}; OUTSIDE says who may"
        for found in module_imports(path)
        if found.top not in {"inotifier", *DJANGO, *sys.stdlib_module_names}
        and room not in OUTSIDE.get(found.top, set())
    }
    assert not wrong, "\n".join(wrong)


def test_the_page_on_architecture_names_each_room_in_its_layer():
    page = (PACKAGE.parent / "docs" / "architecture.rst").read_text(encoding="utf-8")
    for layer, rooms in LAYERS:
        _, _, rest = page.partition(f"   * - {layer}\n")
        row, _, _ = rest.partition("   * - ")
        assert set(re.findall(r"``(\w+)``", row)) == set(rooms) - {""}, layer


def test_signals_imports_django_dispatch_only():
    outside = {
        found.name
        for found in module_imports(PACKAGE / "signals.py")
        if found.top not in sys.stdlib_module_names
        and not found.name.startswith(("django.dispatch.", "asgiref."))
    }
    assert not outside


def run_without(blocked: list[str], statement: str) -> subprocess.CompletedProcess[str]:
    """Run `statement` in a fresh interpreter where the modules `blocked` cannot be imported."""
    program = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
{statement}
"""
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_block_blocks():
    result = run_without(["pyinotify"], "import pyinotify")
    assert "No module named 'pyinotify'" in result.stderr


@pytest.mark.parametrize(
    "module",
    [
        "inotifier",
        "inotifier.signals",
        "inotifier.apps",
        "inotifier.decorators",
        "inotifier.events",
        "inotifier.bridge",
    ],
)
def test_imports_where_pyinotify_is_missing(module):
    result = run_without(
        ["pyinotify", "daemon", "redis", "celery", "kombu", "django_tasks"], f"import {module}"
    )
    assert result.returncode == 0, result.stderr


def test_the_version_can_be_read_where_django_is_missing():
    result = run_without(["django", "pyinotify"], "import inotifier; print(inotifier.__version__)")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import os.path, inotifier.service", ["os.path", "inotifier.service"]),
        ("from inotifier import service", ["inotifier.service"]),
        ("from . import a, b", ["inotifier.notifier.a", "inotifier.notifier.b"]),
        ("from .a import b", ["inotifier.notifier.a.b"]),
        ("from .. import service", ["inotifier.service"]),
        ("from ..service import run", ["inotifier.service.run"]),
        ("def f():\n    import pyinotify", ["pyinotify"]),
        ("if TYPE_CHECKING:\n    from inotifier.service import S", ["inotifier.service.S"]),
        ("try:\n    import redis\nexcept ImportError:\n    redis = None", ["redis"]),
    ],
)
def test_every_kind_of_import_is_found(source, names):
    assert [found.name for found in imports_of(source, "inotifier.notifier")] == names


@pytest.mark.parametrize(
    ("name", "room"),
    [
        ("inotifier", ""),
        ("inotifier.Watch", ""),
        ("inotifier.__version__", ""),
        ("inotifier.watches.Watch", "watches"),
        ("inotifier.management.commands.inotifier_start", "management"),
    ],
)
def test_names_have_rooms(name, room):
    assert room_of(name) == room
