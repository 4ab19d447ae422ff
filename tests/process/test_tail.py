"""`inotifier_tail` as a process: lines, exit codes, terminals and closed pipes."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from tests.process.project import Project, failed
from tests.process.terminal import Terminal, environment
from tests.waiting import wait_for

pytestmark = pytest.mark.long

RECEIVER = """
from pathlib import Path
from inotifier import signals

def touch(**kwargs):
    (Path(__file__).parent / "called").touch()

for name in ("in_create", "in_delete_self", "path_lost", "file_ready"):
    getattr(signals, name).connect(touch)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project without a daemon."""
    project = Project(
        tmp_path_factory.mktemp("tail"),
        receivers=RECEIVER,
        INOTIFIER_WATCH_PATHS=[
            {
                "path": "incoming",
                "events": "IN_CREATE|IN_DELETE_SELF",
                "recursive": True,
                "patterns": ["*.csv"],
                "missing": "wait",
            }
        ],
    )
    try:
        yield project
    finally:
        project.end()


class Tail:
    """A command that has begun to watch."""

    def __init__(self, project, *args, **options):
        self.process = project.begin(
            "inotifier_tail", *args, **{"errors": "surrogateescape", **options}
        )
        self.notes = [self.process.stderr.readline()]
        assert "watching" in self.notes[0], self.notes + self.process.stderr.readlines()

    def end(self, timeout=60):
        """Return the exit code, what is left of the output, and what was told."""
        out, err = self.process.communicate(timeout=timeout)
        assert "Traceback" not in err, err
        return self.process.returncode, out, err

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        return self.end()


@pytest.fixture
def tail(project):
    """Begin the command; return when its watches stand."""
    begun = []

    def begin(*args, **options):
        begun.append(Tail(project, *map(str, args), **options))
        return begun[-1]

    yield begin
    for one in begun:
        one.process.kill()
        with one.process:  # closes its streams
            pass


def test_the_entries_are_shown_and_no_receiver_is_called(tail, project):
    called = project.directory / "app" / "called"
    called.unlink(missing_ok=True)  # a daemon may have run before
    process = tail("--count", 1)
    (project.incoming / "a.txt").touch()
    (project.incoming / "a.csv").touch()
    code, out, _ = process.end()
    assert code == 0
    assert re.fullmatch(rf"[\d:.]+  IN_CREATE +  {project.incoming}/a\.csv\n", out)
    assert not called.exists()
    assert not project.pid_file.exists()
    assert not project.status_file.exists()


def test_given_paths_are_shown_with_all_events(tail, tmp_path):
    process = tail(tmp_path, "--format", "%e %w%f", "-c", 3)
    (tmp_path / "a").touch()
    code, out, _ = process.end()
    assert code == 0
    assert out.splitlines() == [
        f"CREATE {tmp_path}/a",
        f"OPEN {tmp_path}/a",
        f"CLOSE_WRITE,CLOSE {tmp_path}/a",
    ]


def test_a_relative_path_lies_below_the_current_directory(tail, tmp_path):
    process = tail(".", "-e", "IN_CREATE", "--format", "%w%f", "-c1", cwd=tmp_path)
    (tmp_path / "a").touch()
    assert process.end()[1] == f"{tmp_path}/a\n"


def test_recursion_takes_new_directories(tail, tmp_path):
    process = tail("-r", tmp_path, "-e", "IN_CREATE", "--format", "%w%f", "-c", 3)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").touch()
    assert process.end()[1].splitlines() == [f"{tmp_path}/{one}" for one in ("a", "a/b", "a/b/c")]


def test_json_is_one_object_a_line(tail, tmp_path):
    process = tail(tmp_path, "--json", "-e", "IN_CREATE", "-c", 2)
    (tmp_path / "new\nline").touch()
    (tmp_path / os.fsdecode(b"caf\xe9")).touch()
    first, second = map(json.loads, process.end()[1].splitlines())
    assert (first["maskname"], first["name"]) == ("IN_CREATE", "new\nline")
    assert os.fsencode(second["name"]) == b"caf\xe9"


def test_names_for_programs_end_in_nul(tail, tmp_path):
    process = tail(tmp_path, "--format", "%f%0", "--no-newline", "-e", "IN_CREATE", "-c", 2)
    for name in (b"new\nline", b"caf\xe9"):
        (tmp_path / os.fsdecode(name)).touch()
    assert os.fsencode(process.end()[1]) == b"new\nline\0caf\xe9\0"


def test_the_timeout_ends_it_with_2(tail, tmp_path):
    code, out, _ = tail(tmp_path, "--timeout", 0.05).end()
    assert (code, out) == (2, "")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["/no/such/path"], "/no/such/path does not exist"),
        (["--recursive"], "-r and -e are for paths"),
        (["/", "--format", "%q"], "known are %w %f"),
        (["/", "-e", "NONSENSE"], "unknown name 'NONSENSE'"),
        (["/", "-c", "0"], "'0' is not a whole number above 0"),
        (["/", "-t", "-1"], "'-1' is not a number of seconds"),
    ],
)
def test_what_is_wrong_ends_it_with_1(project, args, message):
    result = project.run("inotifier_tail", *args)
    assert message in failed(result, 2 if "usage:" in result.stderr else 1)


def test_ctrl_c_ends_it_in_peace(tail, tmp_path):
    process = tail(tmp_path, "-e", "IN_CREATE", "--format", "%f")
    (tmp_path / "a").touch()
    assert process.process.stdout.readline() == "a\n"
    code, _, err = process.interrupt()
    assert (code, err) == (0, "")


@pytest.mark.parametrize("is_busy", [True, False])
def test_a_closed_pipe_ends_it_in_peace(tail, tmp_path, is_busy):
    process = tail(tmp_path, "-e", "IN_CREATE", "--format", "%f")
    (tmp_path / "a").touch()
    assert process.process.stdout.readline() == "a\n"
    process.process.stdout.close()
    if is_busy:
        (tmp_path / "b").touch()
    assert (process.process.wait(60), process.process.stderr.read()) == (0, "")


def test_a_full_disk_is_told_of(tail, tmp_path):
    with Path("/dev/full").open("w") as full:
        process = tail(tmp_path, stdout=full)
        (tmp_path / "a").touch()
        code, _, err = process.end()
    assert code == 1
    assert "cannot write what happens: No space left on device" in err


def test_a_root_that_goes_and_comes_back_is_shown(tail, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    process = tail(root, "-e", "IN_CREATE", "--json", "-c", 3)
    root.rmdir()
    gone = [json.loads(process.process.stdout.readline()) for _ in range(2)]
    assert {(one["maskname"], one["synthetic"]) for one in gone} == {
        ("IN_IGNORED", False),
        ("IN_DELETE_SELF", "path-lost"),
    }
    root.mkdir()
    (root / "a").touch()
    last = json.loads(process.end()[1])
    assert (last["path"], last["name"]) == (str(root), "a")


def test_counts_come_at_the_end(tail, tmp_path):
    process = tail(tmp_path, "--stats", "-e", "IN_CREATE|IN_DELETE", "-c", 3)
    for name in ("a", "b"):
        (tmp_path / name).touch()
    (tmp_path / "a").unlink()
    code, out, _ = process.end()
    assert code == 0
    assert out.splitlines() == ["total  create  delete  path", f"    3       2       1  {tmp_path}"]


def test_counts_of_a_time_are_there_after_ctrl_c_and_after_the_timeout(tail, tmp_path):
    process = tail(tmp_path, "--stats", "-e", "IN_CREATE")
    code, out, _ = process.interrupt()
    assert (code, out) == (0, "total  path\n")
    code, out, _ = tail(tmp_path, "--stats", "--timeout", 0.05).end()
    assert (code, out) == (2, "total  path\n")


# At a terminal.


@pytest.fixture
def terminal():
    terminal = Terminal()
    yield terminal
    terminal.close()


@pytest.mark.parametrize(
    ("variables", "args", "coloured"),
    [({}, [], True), ({"NO_COLOR": "1"}, [], False), ({}, ["--no-color"], False)],
)
def test_colours_are_for_terminals(tail, project, tmp_path, terminal, variables, args, coloured):
    env = environment(project.env, **variables)
    process = tail(tmp_path, "-e", "IN_CREATE", "-c1", *args, stdout=terminal.there, env=env)
    (tmp_path / "a").touch()
    assert process.end()[0] == 0
    assert ("\x1b[" in terminal.read()) is coloured
    assert f"{tmp_path}/a" in terminal.read()


@pytest.mark.parametrize("args", [[], ["--format", "%f"], ["--json"]])
def test_a_name_cannot_harm_a_terminal(tail, project, tmp_path, terminal, args):
    env = environment(project.env, NO_COLOR="1")
    process = tail(tmp_path, "-e", "IN_CREATE", "-c1", *args, stdout=terminal.there, env=env)
    (tmp_path / "x\x1b]0;title\x07\r\x9b2J").touch()
    assert process.end()[0] == 0
    assert terminal.read().removesuffix("\r\n").isprintable()


def test_the_counts_move_on_a_terminal(tail, project, tmp_path, terminal):
    process = tail(
        tmp_path, "--stats", "-e", "IN_CREATE", stdout=terminal.there, env=environment(project.env)
    )
    (tmp_path / "a").touch()
    wait_for(lambda: str(tmp_path)[:40] in terminal.read(), 30, "the table")
    process.interrupt()
    assert "\x1b[?25h" in terminal.read()  # the cursor is there again


def test_a_daemon_is_not_disturbed(tail, project):
    project.start()
    try:
        process = tail("-c", 1)
        (project.incoming / "both.csv").touch()
        assert process.end()[0] == 0
        wait_for(lambda: project.entry["delivered"] == 1)
    finally:
        project.stop()
