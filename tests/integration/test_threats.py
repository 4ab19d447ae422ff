"""What docs/threat-model.rst says is held, and that each of its lines has a test."""

import ast
import json
import logging
import os
import re
import socket
import stat
from pathlib import Path

import pytest

from inotifier.lifecycle.status_file import StatusFile, read_status
from inotifier.writers import Writers, writers_of
from tests.in_process import Receiver, Recorder
from tests.process.project import Project, succeeded
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "threat-model.rst"
SIGNALER = "inotifier.event_processors.FileReadySignaler"

FORGED = "x\n2026-01-01 CRITICAL inotifier: all is lost\r\x1b[2J\u2028y"


# The page


def rows() -> list[list[str]]:
    """Return the cells of each line of the page's tables, without the headings."""
    rows: list[list[str]] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("   * - "):
            rows.append([line[7:]])
        elif line.startswith("     - "):
            rows[-1].append(line[7:])
        elif line.startswith("       ") and rows:
            rows[-1][-1] += f" {line.strip()}"
    return [row for row in rows if row[0] != "Threat"]


def named_in(row: list[str]) -> list[str]:
    return re.findall(r"``(tests/[\w/]+\.py::\w+)``", row[-1])


def test_the_page_has_lines():
    assert len(rows()) > 30
    assert all(len(row) == 3 for row in rows())


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:50])
def test_each_line_of_the_page_has_tests_that_exist(row):
    assert named_in(row), "a threat without a test"
    for named in named_in(row):
        file, name = named.split("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        functions = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        assert name in functions, named


# Who writes into a watched directory


class Opening(Recorder):
    """Fails as handlers do: what it was to open is gone."""

    def __call__(self, event):
        super().__call__(event)
        Path(event.pathname, "gone").read_bytes()


def test_no_name_forges_a_line_of_the_log(watching, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    root = tmp_path / FORGED
    root.mkdir()
    opening = Opening()
    service = watching((root, "IN_CREATE|IN_DELETE_SELF", opening, {"recursive": True}))
    (root / FORGED).mkdir()
    (root / FORGED / FORGED).touch()
    (root / FORGED / FORGED).unlink()
    (root / FORGED).rmdir()
    service.sync()
    root.rmdir()
    service.sync()

    assert opening.events
    assert caplog.records
    for record in caplog.records:
        assert record.getMessage().isprintable(), record.getMessage()
        traceback = logging.Formatter("%(name)s: %(message)s").format(record)
        assert "\n2026-01-01" not in traceback
    assert all(line.isprintable() for line in service.lines)


@pytest.fixture
def odd_files(tmp_path):
    """Make everything that is no file, and may look like one, below a new directory."""

    def make(directory: Path) -> socket.socket:
        directory.mkdir()
        os.mkfifo(directory / "fifo")
        (directory / "link").symlink_to("fifo")
        (directory / "loop").symlink_to("loop")
        (directory / "nothing").symlink_to("not there")
        (directory / "tty").symlink_to("/dev/tty")
        if os.geteuid() == 0:
            os.mknod(directory / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        listening = socket.socket(socket.AF_UNIX)
        here = os.open(directory, os.O_RDONLY)  # a socket's path may be short only
        try:
            listening.bind(f"/proc/self/fd/{here}/socket")
        finally:
            os.close(here)
        return listening

    return make


@pytest.mark.parametrize("backend", ["inotify", "polling"])
def test_what_is_no_file_holds_nothing_up(watching, tmp_path, odd_files, backend):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    fields = {"recursive": True, "backend": backend, "poll_interval": 0.05}
    with Receiver("file_ready") as ready:
        watching((tmp_path / "in", None, SIGNALER, fields), state=tmp_path / "state").catch_up()
        with odd_files(tmp_path / "out" / "odd"):
            (tmp_path / "out" / "odd").rename(tmp_path / "in" / "moved")
        with odd_files(tmp_path / "in" / "made"):
            (tmp_path / "in" / "made" / "file").write_text("complete")
        wait_for(lambda: ready.pathnames == [f"{tmp_path}/in/made/file"])


@pytest.mark.parametrize("name", ["fifo", "link", "loop", "nothing", "tty", "device", "socket"])
def test_who_writes_to_what_is_no_file_is_asked_without_waiting(tmp_path, odd_files, name):
    with odd_files(tmp_path / "odd"):
        writers = writers_of(os.fsencode(tmp_path / "odd" / name))
    assert writers in (Writers.UNKNOWN, Writers.GONE)


def test_a_name_that_is_sql_is_a_name(watching, tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    names = ["'); DROP TABLE files; --", '" OR 1=1 --', "x' || 'y", "?", ":name", "%s"]
    for _ in range(2):  # the second time, everything is known
        recorder = Recorder()
        service = watching((root, "IN_CLOSE_WRITE", recorder), state=tmp_path / "state")
        service.catch_up()
        for name in names:
            if not (root / name).exists():
                (root / name).write_text(name)
        service.sync()
        service.stop()
        assert [Path(path).name for path in recorder.pathnames] == names
        names = [f"{name}2" for name in names]


# Other users of the machine


def test_the_status_is_for_its_owner_alone(tmp_path):
    before = os.umask(0)
    try:
        StatusFile(tmp_path / "status").write({"entries": []})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "status").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[1]",
        "{",
        "cos\nsystem\n(S'touch forged'\ntR.",
        '{"__class__": "os.system"}',
        "\xff",
        "9" * 5000,
    ],
)
def test_a_forged_status_is_only_a_wrong_status(tmp_path, text, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "status").write_bytes(text.encode("latin-1"))
    assert read_status(tmp_path / "status") in ({}, {"__class__": "os.system"})
    assert [path.name for path in tmp_path.iterdir()] == ["status"]


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "project")
    yield project
    project.end()


def test_a_daemon_listens_at_a_socket_of_its_own_alone(project):
    pid = project.start()
    (own,) = project.directory.rglob("inotifier.sock")
    assert stat.S_IMODE(own.stat().st_mode) == 0o600
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        target = str(descriptor.readlink())
        if target.startswith("socket:"):
            inodes.add(target[len("socket:[") : -1])
    listening = []
    for table in ("tcp", "tcp6", "udp", "udp6", "unix", "raw", "raw6"):
        file = Path(f"/proc/{pid}/net/{table}")
        for line in file.read_text().splitlines()[1:] if file.exists() else ():
            if inodes & set(line.split()):
                listening.append(Path(line.split()[-1]).name)
    assert listening == [own.name]
    succeeded(project.run("inotifier_stop"))


# Code

MAKERS_OF_CODE = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "yaml", "code"}
CALLS = {"eval", "exec", "compile", "__import__"}


def test_nothing_in_the_package_makes_code_of_data():
    wrong = []
    for path in sorted((ROOT / "inotifier").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                wrong += [where for name in node.names if name.name in MAKERS_OF_CODE]
            elif isinstance(node, ast.ImportFrom):
                wrong += [where] if node.module in MAKERS_OF_CODE else []
            elif isinstance(node, ast.Call):
                called = node.func
                if isinstance(called, ast.Name) and called.id in CALLS:
                    wrong.append(where)
                if isinstance(called, ast.Attribute) and called.attr in {"system", "popen"}:
                    wrong.append(where)
                wrong += [where for keyword in node.keywords if keyword.arg == "shell"]
    assert not wrong


def test_what_is_read_from_outside_is_json(tmp_path):
    """A status holds what JSON can hold, and nothing else can be written into it."""
    StatusFile(tmp_path / "status").write({"entries": [{"name": "x\udce9"}]})
    assert json.loads((tmp_path / "status").read_text()) == {"entries": [{"name": "x\udce9"}]}
