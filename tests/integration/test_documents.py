"""What the documents show is what works: each of their code blocks is run, or says why not.

* Python that sets settings, or is an entry of INOTIFIER_WATCH_PATHS, passes `manage.py check`.
* Other Python is executed in a project: definitions are made, and what is imported is there.
* Of commands in a terminal, those of `manage.py` have a parser that takes their options; extras of
  `pip install` and targets of `make` exist.
* What makes a project of its own, with blocks whose first line names a file, is followed step by
  step as one of SESSIONS, and what the terminal shows is compared.
* Anything else has the comment `.. not run: why` before it.
"""

import contextlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.core.management import load_command_class
from django.core.management.base import CommandError

from inotifier import decorators, event_processors, events, scheduling, signals
from inotifier.events import Event
from inotifier.testing import RunningNotifier
from tests.documents import PAGES, ROOT, Block, all_blocks, blocks, unmarked_literals
from tests.waiting import wait_for

DOCS = ROOT / "docs"

BLOCKS = all_blocks()
SESSIONS = {
    "quickstart": blocks(DOCS / "quickstart.rst"),
    "README": [
        block
        for block in blocks(ROOT / "README.rst")
        if block.section in ("Use it", "Functions for files")
    ],
}
"""What is followed from the first block to the last."""

FOLLOWED = [block for session in SESSIONS.values() for block in session]
RUN = [block for block in BLOCKS if not block.not_run and block not in FOLLOWED]
PYTHON = [block for block in RUN if block.language == "python"]
SETTINGS = [block for block in PYTHON if block.is_settings]
OTHER_PYTHON = [block for block in PYTHON if not block.is_settings]
CONSOLE = [block for block in RUN if block.language == "console"]

each = pytest.mark.parametrize

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]  # for a machine that is busy


# No block is left out


@each("page", PAGES, ids=lambda page: page.name)
def test_every_block_has_a_language(page):
    assert not unmarked_literals(page), "write '.. code-block:: LANGUAGE' instead of '::'"


@each("block", BLOCKS, ids=str)
def test_every_block_is_run_or_says_why_not(block):
    if block.not_run:
        assert len(block.not_run.split()) > 2, "the reason, in words"
    else:
        assert block.language in ("python", "console"), "nobody runs this: '.. not run: why'"
    if block.file:
        assert block in FOLLOWED, "a block with the name of a file belongs to a session"


def test_there_are_blocks_of_each_kind():
    assert len(SETTINGS) > 10
    assert len(OTHER_PYTHON) > 4
    assert len(CONSOLE) > 2


@each("block", [block for block in BLOCKS if block.language == "python"], ids=str)
def test_python_compiles(block):
    compile(block.text, str(block), "exec", dont_inherit=True)


# Python

BASE = """
from pathlib import Path
BASE_DIR = Path(__file__).parent
SECRET_KEY = "only-for-the-documents"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "inotifier"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
USE_TZ = True
INOTIFIER_REDIS_URL = "redis://localhost:6379/0"
"""

SHOP = {  # the reader's own code
    "__init__.py": "",
    "archive.py": "def store(pathname): ...\n",
    "jobs.py": "def import_file(pathname): ...\ndef index(event): ...\n",
    "receivers.py": "",
}

DRIVER = """
import os, sys, traceback
import django.core.management, inotifier.event_processors, inotifier.scheduling, inotifier.sources

def run(directory, kind):
    os.chdir(directory)
    sys.path.insert(0, directory)
    for fd in (1, 2):
        os.dup2(os.open("output", os.O_WRONLY | os.O_CREAT | os.O_APPEND), fd)
    if kind == "settings":
        command = ["manage.py", "check", "--fail-level", "WARNING"]
        django.core.management.execute_from_command_line(command)
    else:
        django.setup()
        import block

for case in sys.argv[1:]:
    child = os.fork()
    if not child:
        try:
            run(*case.rsplit("=", 1))
        except SystemExit as exc:
            os._exit(exc.code or 0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
"""Django and the package are imported once, and each block has a process of its own."""

# Directories of the documents that are made in the project instead.
_ELSEWHERE = re.compile(r"(?<![\w./*])/(?=(?:srv|mnt|var|src_path|dst_path|usr/local)\b)")


class Reader:
    """Somebody who puts a block into a project of his own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "shop").mkdir(parents=True)
        for name, text in SHOP.items():
            (directory / "shop" / name).write_text(text)
        (directory / "settings.py").write_text(BASE)

    def placed(self, text: str) -> str:
        """Return `text` with the directories that it names made in the project."""
        text = _ELSEWHERE.sub(f"{self.directory}/", text).replace("/dev/log", self.syslog)
        for path in re.findall(rf"{self.directory}/[\w/-]+", text):
            if path != self.syslog:
                Path(path).mkdir(parents=True, exist_ok=True)
        return text

    @property
    def syslog(self) -> str:
        return f"{self.directory}/log"

    def write(self, block: Block) -> None:
        """Write a block where it belongs: into the settings, or a module of its own."""
        text = block.text
        if not block.is_settings:
            (self.directory / "block.py").write_text(self.placed(text))
            return
        if text.startswith("{"):
            text = f"INOTIFIER_WATCH_PATHS = [\n{text}]\n"
        if "INOTIFIER_WATCH_PATHS" not in text:
            text = f'INOTIFIER_WATCH_PATHS = ["/srv/incoming"]\n{text}'
        (self.directory / "settings.py").write_text(BASE + self.placed(text))


Outcomes = dict[Block, tuple[int, str]]


@pytest.fixture(scope="module")
def outcomes() -> Outcomes:
    """Run all blocks of Python, and return exit code and output of each."""
    # Not tmp_path: the path of a socket is short.
    with tempfile.TemporaryDirectory(prefix="docs-") as home, contextlib.ExitStack() as stack:
        cases = []
        for number, block in enumerate(PYTHON):
            reader = Reader(Path(home, str(number)))
            syslog = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            syslog.bind(reader.syslog)
            reader.write(block)
            cases.append(f"{reader.directory}={'settings' if block.is_settings else 'module'}")
        codes = subprocess.run(
            [sys.executable, "-c", DRIVER, *cases],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "settings"},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            timeout=250,
            check=True,
        ).stdout.split()
        outputs = [Path(home, str(number), "output").read_text() for number in range(len(PYTHON))]
        return dict(zip(PYTHON, zip(map(int, codes), outputs, strict=True), strict=True))


@each("block", SETTINGS, ids=str)
def test_settings_pass_the_checks(outcomes, block):
    code, output = outcomes[block]
    if missing := re.search(r".* (?:pip install|requires \S+ to be installed).*", output):
        pytest.skip(missing[0].strip())
    assert code == 0, output
    assert "no issues" in output


@each("block", OTHER_PYTHON, ids=str)
def test_python_runs(outcomes, block):
    code, output = outcomes[block]
    assert code == 0, output


# Commands


def commands_of(block: Block) -> list[str]:
    text = block.text.replace("\\\n", "")
    return [line[2:] for line in text.splitlines() if line.startswith("$ ")]


@each("block", CONSOLE, ids=str)
def test_commands_exist(block):
    assert commands_of(block), "each command begins with '$ '"
    for command in commands_of(block):
        program, *words = shlex.split(command, comments=True)
        if words[:1] == ["manage.py"] or program == "manage.py":
            check_management(words[1:] if words[:1] == ["manage.py"] else words)
        elif words[:2] == ["-m", "pytest"]:
            assert all((ROOT / word).exists() for word in words[2:]), command
        elif program == "pip":
            check_extras(words)
        elif program == "make":
            check_targets(words)
        else:
            pytest.fail(f"nobody runs {command!r}: '.. not run: why' before the block")


def check_management(words: list[str]) -> None:
    name, *options = words
    if not name.startswith("inotifier_"):
        assert name in ("check", "migrate", "createsuperuser", "runserver"), name
        return
    parser = load_command_class("inotifier", name).create_parser("manage.py", name)
    try:
        parser.parse_args(options)
    except (CommandError, SystemExit) as exc:
        pytest.fail(f"{name} does not take {options}: {exc}")


def check_extras(words: list[str]) -> None:
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for word in words[1:]:
        found = re.fullmatch(r"([\w-]+)(?:\[([\w,-]+)\])?", word)
        assert found, word
        if found[1] == metadata["name"]:
            extras = set(filter(None, (found[2] or "").split(",")))
            assert extras <= metadata["optional-dependencies"].keys()


def check_targets(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in words:
        name, is_variable, _ = word.partition("=")
        assert re.search(rf"^{name} \?=" if is_variable else rf"^{name}:", makefile, re.M), word


# From the first step to the last


@each("session", SESSIONS.values(), ids=SESSIONS.keys())
def test_the_steps_can_be_followed(session, tmp_path):
    with Follower(tmp_path) as follower:
        for block in session:
            if block.language == "python":
                follower.write(block)
            else:
                follower.type(block)
        follower.check()


class Follower:
    """Somebody who does what a page says, in an empty directory."""

    def __init__(self, home: Path) -> None:
        self._here = home
        # "python" and "django-admin" are those of the tests.
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        kept = {name: value for name, value in os.environ.items() if "DJANGO" not in name}
        self._env = {**kept, "PATH": path, "HOME": str(home), "XDG_STATE_HOME": f"{home}/.state"}

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *exc: object) -> None:
        if (self._here / "manage.py").exists():
            self._run("python manage.py inotifier_stop")

    def write(self, block: Block) -> None:
        """Write a block into the file that it names, at its end if that is there."""
        assert block.file, f"{block}: into which file?"
        path = self._here / block.file
        old = path.read_text() if path.name == "settings.py" else ""
        path.write_text(old + block.text)

    def type(self, block: Block) -> None:
        """Type the commands of a block; what they print is what the block shows."""
        lines = block.text.splitlines()
        starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            command, shown = lines[start][2:], "\n".join(lines[start + 1 : end]).strip()
            if command.startswith("cd "):
                self._here /= command[3:]
            elif not command.startswith("pip install "):  # it is installed
                self._compare(command, shown, f"{block.page.name}:{block.line + start}")

    def check(self) -> None:
        """See that Django takes what was written."""
        result = self._run("python manage.py check --fail-level WARNING")
        assert result.returncode == 0, result.stdout

    def _compare(self, command: str, shown: str, where: str) -> None:
        result = self._run(command)
        if command.startswith("cat "):  # what a daemon writes may take a moment
            assert shown
            wait_for(lambda: _is_like(self._run(command).stdout, shown), 60, f"{where}: {shown}")
            return
        assert result.returncode == 0, f"{where}: {command}: {result.stdout}"
        assert not shown or _is_like(result.stdout, shown), f"{where}: {result.stdout}"

    def _run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self._here,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )


def _is_like(text: str, shown: str) -> bool:
    """Tell whether `text` begins with the lines `shown`, where "..." stands for anything."""
    pattern = re.escape(shown).replace(re.escape("..."), ".*")
    return re.match(pattern, text.strip()) is not None


# The reference


def test_every_signal_is_in_the_reference():
    page = (DOCS / "signals.rst").read_text(encoding="utf-8")
    public = [name for name in vars(signals) if name.startswith("in_") or "_" in name[1:]]
    names = [name for name in public if isinstance(getattr(signals, name), signals.Signal)]
    assert len(names) >= 18
    assert [name for name in names if f"* - ``{name}``" not in page] == []


@each("module", [event_processors, scheduling], ids=lambda module: module.__name__)
def test_every_processor_is_in_the_reference(module):
    page = (DOCS / "processors.rst").read_text(encoding="utf-8")
    classes = [
        name
        for name in module.__all__
        if isinstance(getattr(module, name), type) and name != "PartialFiles"
    ]
    assert [name for name in classes if f".. autoclass:: {name}\n" not in page] == []


# What takes the place of pyinotifyd


def test_the_settings_that_take_the_place_of_pyinotifyd(watching, tmp_path, caplog):
    (tmp_path / "src" / "tmp").mkdir(parents=True)
    (tmp_path / "dst").mkdir()
    index = tmp_path / "index.sh"
    index.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/index\n')
    index.chmod(0o755)
    _, shown = blocks(DOCS / "migrating-from-pyinotifyd.rst")
    block = shown.text
    for theirs, ours in {
        "/src_path": f"{tmp_path}/src",
        "/dst_path": f"{tmp_path}/dst",
        "/usr/local/bin/index.sh": str(index),
        "delay=5": "delay=0.2",
        "delay=20": "delay=0.2",
    }.items():
        assert theirs in block
        block = block.replace(theirs, ours)
    settings: dict[str, object] = {}
    exec(block, settings)

    caplog.set_level("INFO")
    watching(*settings["INOTIFIER_WATCH_PATHS"])
    for name in ("a.to_move", "b.to_delete", "c", "tmp/d"):
        (tmp_path / "src" / name).write_text(name)
    wait_for(lambda: (tmp_path / "dst" / "a").exists())
    wait_for(lambda: not (tmp_path / "src" / "b.to_delete").exists())
    wait_for(lambda: f"{tmp_path}/src/c has settled" in caplog.text)
    wait_for(lambda: len((tmp_path / "index").read_text().splitlines()) == 3)
    assert (tmp_path / "src" / "tmp" / "d").exists()
    assert "tmp/d" not in caplog.text


# The form of an event


def test_the_form_of_an_event():
    [block] = [one for one in blocks(DOCS / "other-processes.rst") if one.language == "json"]
    event = Event.from_json(block.text)
    assert os.fsencode(event.name) == b"caf\xe9.csv"
    written = json.loads(event.to_json(processor="inotifier.bridge.RedisPublisher"))
    assert written == json.loads(block.text)
    schema = json.loads(Path(events.__file__).with_name("event.schema.json").read_bytes())
    jsonschema.validate(written, schema)
    assert written.keys() | {"quoted"} == schema["properties"].keys()


# Tests of receivers


def python_of(page: str) -> list[str]:
    return [block.text for block in blocks(DOCS / page) if block.language == "python"]


def run_tests(directory: Path, **modules: str) -> str:
    """Run pytest as the page on testing says, in a project with nothing but inotifier.

    Args:
        directory: where to make the project.
        modules: the tests, by the name of their file.

    Returns:
        What pytest printed.
    """
    [configuration] = (one for one in blocks(DOCS / "testing.rst") if one.language == "toml")
    (directory / "pyproject.toml").write_text(configuration.text.replace("mysite.", ""))
    (directory / "settings.py").write_text(
        'SECRET_KEY = "test"\nINSTALLED_APPS = ["inotifier"]\nUSE_TZ = True\n'
        'DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}\n'
    )
    for name, text in modules.items():
        (directory / f"{name}.py").write_text(text)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-pno:cacheprovider"],
        cwd=directory,
        env={name: value for name, value in os.environ.items() if "DJANGO" not in name},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return result.stdout + result.stderr


def test_the_page_on_testing_holds(tmp_path):
    emitted, captured, fixture, marked, case = python_of("testing.rst")
    compile(emitted, "testing.rst", "exec")
    printed = run_tests(
        tmp_path,
        test_page="\n".join([fixture, marked, case]),
        test_captured=f"def test_it():\n{textwrap.indent(captured, '    ')}",
    )
    assert "4 passed" in printed, printed


def test_the_page_on_on_file_holds(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(decorators, "_declarations", [])
    complete, gone, tested = python_of("on-file.rst")
    names: dict[str, Any] = {}
    exec(complete.replace("settle=2", "settle=0.05") + gone, names)
    with RunningNotifier(names["import_orders"], names["forget_order"], path=tmp_path) as running:
        (tmp_path / "incoming" / "a.csv").write_text("1\n2\n")
        running.sync()
        (tmp_path / "incoming" / "a.csv").unlink()
        running.sync()
    assert capsys.readouterr().out == "orders: 2\ngone: a.csv\n"
    printed = run_tests(tmp_path, test_page=tested)
    assert "1 passed" in printed, printed
