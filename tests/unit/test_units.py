"""Service files: what they say, and that what they are for reads the same."""

import configparser
import os
import shlex
import shutil
import stat
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inotifier.exceptions import InotifierError, NotPermitted
from inotifier.lifecycle.units import SYSTEMS, Facts, install
from inotifier.lifecycle.units.places import Places, find_places, without_nested
from inotifier.lifecycle.units.systemd import command_line
from inotifier.scheduling import (
    Cancel,
    EventMap,
    FileManagerRule,
    FileManagerScheduler,
    ShellScheduler,
    TaskScheduler,
)
from inotifier.watches import load
from tests.unit_files import arguments, needs_systemd, verified

FACTS = Facts(
    name="inotifier-shop",
    title="File events of shop.settings",
    command=["/usr/bin/python3", "/srv/shop/manage.py"],
    options=[],
    directory="/srv/shop",
    environment={"DJANGO_SETTINGS_MODULE": "shop.settings"},
    user="www-data",
    group="www-data",
    changes_user=False,
    shutdown_timeout=7.5,
    places=Places(written=["/srv/in"], known=["/srv/in", "/srv/shop"], writes_anywhere=False),
)

# Bytes of names, whatever they are; no name has a NUL.
names = st.binary(min_size=1, max_size=12).filter(lambda raw: b"\0" not in raw).map(os.fsdecode)
nasty = st.text(
    st.sampled_from("ab \t\n%$\"'\\;#=üé{}~*?!&|<>()`\udcff\x7f"), min_size=1, max_size=8
)

EVIL = "a b%n$HOME\"'\\;#=ü `x`"


def rendered(system: str, **changes) -> str:
    return SYSTEMS[system].render(replace(FACTS, **changes))


def values(text: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


def places(written=(), known=(), writes_anywhere=False) -> Places:
    return Places(written=written, known=[*written, *known], writes_anywhere=writes_anywhere)


# systemd


def test_the_unit_says_what_the_daemon_needs():
    text = rendered("systemd")
    assert values(text, "Type") == ["notify"]
    assert values(text, "User") == ["www-data"]
    assert values(text, "ExecStart") == [
        "/usr/bin/python3 /srv/shop/manage.py inotifier_start --foreground"
    ]
    assert values(text, "ExecReload") == ["/usr/bin/python3 /srv/shop/manage.py inotifier_reload"]
    assert values(text, "TimeoutStopSec") == ["13"]
    assert values(text, "NoNewPrivileges") == ["yes"]
    assert values(text, "ProtectSystem") == ["strict"]
    assert values(text, "ReadWritePaths") == ["-/srv/in"]
    assert values(text, "ProtectHome") == ["yes"]
    assert values(text, "PrivateTmp") == ["yes"]


def test_nobody_is_killed_by_a_watchdog_that_was_not_asked_for():
    assert values(rendered("systemd"), "WatchdogSec") == []
    assert values(rendered("systemd", watchdog=90.0), "WatchdogSec") == ["90"]
    assert values(rendered("systemd", watchdog=1e6), "WatchdogSec") == ["1000000"]
    assert values(rendered("systemd", watchdog=0.25), "WatchdogSec") == ["0.25"]


def test_where_commands_may_write_anywhere_not_everything_is_read_only():
    text = rendered("systemd", places=places(["/srv/in"], writes_anywhere=True))
    assert values(text, "ProtectSystem") == ["full"]


@pytest.mark.parametrize("home", ["/home/me/project", "/root/.pyenv/bin/python", "/home"])
def test_homes_can_be_read_if_something_is_there(home):
    text = rendered("systemd", places=places(["/srv/in"], [home]))
    assert values(text, "ProtectHome") == ["read-only"]


def test_tmp_is_shared_if_something_is_there():
    text = rendered("systemd", places=places(["/tmp/inotifier-0/shop"]))
    assert values(text, "PrivateTmp") == ["no"]
    assert values(text, "ReadWritePaths") == ["-/tmp", "-/var/tmp"]


def test_of_a_path_that_no_unit_can_hold_the_one_above_is_let_through():
    text = rendered("systemd", places=places(["/srv/a\nb", "/srv/in/\udcff/x", "/\n"]))
    assert values(text, "ReadWritePaths") == ["-/srv"]


@pytest.mark.parametrize("directory", ["/srv/a\nb", "/srv/a ", "/srv/a\\", "/srv/\udcff"])
def test_a_directory_that_no_unit_can_hold_is_an_error(directory):
    with pytest.raises(InotifierError, match="systemd cannot use the directory"):
        rendered("systemd", directory=directory)


@needs_systemd
@pytest.mark.parametrize("watchdog", [None, 90.0])
def test_systemd_finds_no_fault_with_the_unit(tmp_path, watchdog):
    command = ["/bin/true", "/srv/shop/manage.py"]
    understood = verified(rendered("systemd", command=command, watchdog=watchdog), tmp_path)
    assert understood["Type"] == b"notify"
    assert understood["KillMode"] == b"mixed"
    assert understood["WatchdogSec"] == (b"1min 30s" if watchdog else b"0")
    assert understood["TimeoutStopSec"] == b"13s"
    assert understood["ProtectHome"] == b"yes"


@needs_systemd
def test_systemd_reads_the_same_paths(tmp_path):
    evil = f"/srv/{EVIL}"
    understood = verified(
        rendered(
            "systemd",
            command=["/bin/true", f"{evil}/manage.py"],
            directory=evil,
            environment={"PYTHONPATH": evil},
            title=EVIL,
            places=places([evil]),
        ),
        tmp_path,
    )
    assert arguments(understood["Command Line"])[1] == f"{evil}/manage.py"
    assert os.fsdecode(understood["WorkingDirectory"]) == evil
    assert os.fsdecode(understood["Environment"]) == f"PYTHONPATH={evil}"
    assert os.fsdecode(understood["ReadWritePaths"]) == f"-{evil}"
    assert os.fsdecode(understood["Description"]) == EVIL


@needs_systemd
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(names | nasty, min_size=1, max_size=60))
def test_systemd_reads_the_same_arguments(tmp_path, words):
    text = f"[Service]\nExecStart={command_line(['/bin/true', *words])}\n"
    assert arguments(verified(text, tmp_path)["Command Line"]) == ["/bin/true", *words]


@needs_systemd
def test_an_interpreter_may_have_any_path(tmp_path):
    directory = tmp_path / EVIL
    directory.mkdir()
    program = directory / "print all"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$0" "$@"\n')
    program.chmod(0o755)
    text = f"[Service]\nExecStart={command_line([str(program), EVIL])}\n"
    understood = arguments(verified(text, tmp_path)["Command Line"])
    assert subprocess.check_output(understood, text=True).splitlines() == [str(program), EVIL]


# OpenRC

STUBS = 'ebegin() { echo "$@"; }\neend() { return "$1"; }\nRC_SVCNAME=shop\n'


def run_openrc(text: str, directory: Path, call: str) -> subprocess.CompletedProcess[str]:
    script = directory / "script"
    script.write_bytes(os.fsencode(text))
    source = f". {shlex.quote(str(script))}\n{STUBS}{call}"
    return subprocess.run(["sh", "-eu", "-c", source], capture_output=True, text=True, check=False)


@pytest.fixture
def program():
    """A program in a bad place that prints how it was called; everybody can run it."""
    with tempfile.TemporaryDirectory() as top:
        Path(top).chmod(0o755)
        directory = Path(top) / EVIL
        directory.mkdir()
        program = directory / "manage.py"
        program.write_text('#!/bin/sh\nid -un\npwd\nprintf "%s\\n" "$V" "$@"\n')
        program.chmod(0o755)
        yield program


def openrc_script(program: Path, **changes) -> str:
    return rendered(
        "openrc",
        **{
            "command": [str(program)],
            "options": [f"--pythonpath={EVIL}"],
            "directory": str(program.parent),
            "environment": {"V": EVIL},
            "user": "root",
            **changes,
        },
    )


def test_the_script_calls_the_command_as_it_is(tmp_path, program):
    result = run_openrc(openrc_script(program), tmp_path, "start")
    assert result.returncode == 0, result.stderr
    started, _, *lines = result.stdout.splitlines()
    assert started == "Starting shop"
    assert lines == [str(program.parent), EVIL, "inotifier_start", f"--pythonpath={EVIL}"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_script_becomes_the_user(tmp_path, program):
    result = run_openrc(openrc_script(program, user="daemon"), tmp_path, "status")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "daemon",
        str(program.parent),
        EVIL,
        "inotifier_status",
        f"--pythonpath={EVIL}",
    ]


def test_the_script_is_a_script_of_any_shell(tmp_path):
    script = tmp_path / "script"
    script.write_text(rendered("openrc"))
    subprocess.run(["sh", "-n", script], check=True)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("changes", [{}, {"user": "root"}, {"options": ["--pythonpath=/a b"]}])
def test_shellcheck_finds_no_fault_with_the_script(tmp_path, changes):
    script = tmp_path / "script"
    script.write_text(rendered("openrc", **changes))
    result = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


# supervisor


def test_the_section_says_what_the_daemon_needs():
    parser = configparser.RawConfigParser()
    parser.read_string(rendered("supervisor"))
    section = parser["program:inotifier-shop"]
    assert section["command"] == "/usr/bin/python3 /srv/shop/manage.py inotifier_start --foreground"
    assert section["user"] == "www-data"
    assert section["stopwaitsecs"] == "13"


def test_where_the_daemon_changes_its_user_itself_supervisor_does_not():
    assert "user=" not in rendered("supervisor", changes_user=True)


@given(words=st.lists(nasty, min_size=1, max_size=5))
def test_supervisor_reads_the_same_arguments(words):
    command = [f"/srv/{word}" for word in words]
    try:
        text = rendered("supervisor", command=command)
    except InotifierError:
        assert any(not word.isprintable() for word in words)
        return
    # As supervisor.options.UnhosedConfigParser is made, and as it then splits the command.
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    parser.read_string(text)
    value = parser["program:inotifier-shop"]["command"].replace("%%", "%")
    assert shlex.split(value) == [*command, "inotifier_start", "--foreground"]


@pytest.mark.parametrize("directory", ["/srv/a ;b", "/srv/a #b", "/srv/a\n", "/srv/a "])
def test_a_directory_that_supervisor_cannot_hold_is_an_error(directory):
    with pytest.raises(InotifierError, match="cannot hold"):
        rendered("supervisor", directory=directory)


@pytest.mark.parametrize("value", ['a"b', "a\\b", "a ;b"])
def test_a_variable_that_supervisor_cannot_hold_is_an_error(value):
    with pytest.raises(InotifierError, match="cannot hold"):
        rendered("supervisor", environment={"PYTHONPATH": value})


# What the daemon writes to


@pytest.fixture
def found(settings, tmp_path):
    """Return the places of a daemon with some entries."""
    settings.PROJECT_PATH = tmp_path / "run"
    for name in ("run", "in", "out"):
        (tmp_path / name).mkdir()

    def find(*entries) -> Places:
        settings.INOTIFIER_WATCH_PATHS = entries
        return find_places(load(), [])

    return find


def test_entries_and_own_files_are_written(found, tmp_path):
    (tmp_path / "in" / "file").touch()
    one = found(str(tmp_path / "in" / "file"), str(tmp_path / "out"))
    assert one.written == [str(tmp_path / name) for name in ("in", "out", "run")]
    assert not one.writes_anywhere


def test_logs_databases_media_and_caches_are_written(found, settings, tmp_path, monkeypatch):
    for name in ("log", "db", "media", "cache"):
        (tmp_path / name).mkdir()
    file = {"class": "logging.FileHandler", "filename": tmp_path / "log" / "x", "delay": True}
    settings.LOGGING = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"file": file},
    }
    settings.MEDIA_ROOT = str(tmp_path / "media")
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": str(tmp_path / "cache"),
        }
    }
    databases = [("sqlite3", tmp_path / "db" / "x"), ("sqlite3", ":memory:"), ("oracle", "shop")]
    for number, (engine, name) in enumerate(databases):
        database = {"ENGINE": f"django.db.backends.{engine}", "NAME": name}
        monkeypatch.setitem(settings.DATABASES, str(number), database)
    written = {Path(path).name for path in found(str(tmp_path / "in")).written}
    assert written == {"in", "run", "log", "db", "media", "cache"}


def rule(tmp_path, **options) -> FileManagerScheduler:
    options = {
        "action": "move",
        "src_re": rf"^{tmp_path}/in/(?P<path>.*)",
        "dst_re": rf"{tmp_path}/out/new/\g<path>",
        **options,
    }
    return FileManagerScheduler([options])


def test_what_rules_move_can_be_renamed(found, tmp_path):
    # Let through one by one, they would be two mounts, and a rename between them a copy.
    one = found((str(tmp_path / "in"), "IN_CLOSE_WRITE", rule(tmp_path)))
    assert one.written == [str(tmp_path)]
    assert not one.writes_anywhere


def test_the_targets_of_rules_on_another_disk_are_let_through(found, tmp_path):
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    scheduler = rule(tmp_path, dst_re=r"/dev/shm/\g<path>")
    one = found((str(tmp_path / "in"), "IN_CLOSE_WRITE", scheduler))
    assert one.written == ["/dev/shm", str(tmp_path / "in"), str(tmp_path / "run")]


@pytest.mark.parametrize(
    "make",
    [
        lambda top: ShellScheduler(["true"]),
        lambda top: EventMap({"IN_CLOSE_WRITE": [TaskScheduler(print), ShellScheduler(["true"])]}),
        lambda top: rule(top, src_re="^(/srv)/x", dst_re=r"\1/out"),
        lambda top: EventMap({"IN_CLOSE_WRITE": rule(top, src_re="^(/srv)/x", dst_re=r"\1/out")}),
    ],
)
def test_what_may_write_anywhere_is_known(found, tmp_path, make):
    assert found((str(tmp_path / "in"), "IN_CLOSE_WRITE", make(tmp_path))).writes_anywhere


def test_what_writes_to_places_that_are_known_is_known(found, tmp_path):
    tasks = TaskScheduler(print)
    delete = FileManagerScheduler([FileManagerRule("delete", "^/srv/x")])
    inside = rule(tmp_path, dst_re=r"\g<path>", root=tmp_path / "in")
    processor = EventMap(
        {"IN_CLOSE_WRITE": [tasks, delete, inside], "IN_DELETE": Cancel(tasks), "IN_OPEN": print}
    )
    one = found((str(tmp_path / "in"), None, processor))
    assert one.written == [str(tmp_path / "in"), str(tmp_path / "run")]
    assert not one.writes_anywhere


def test_an_entry_for_everything_may_write_anywhere(found):
    one = found(("/", "IN_CLOSE_WRITE", print))
    assert one.writes_anywhere
    assert "/" not in one.written


@given(paths=st.lists(st.text("ab/ ", max_size=6).map(lambda text: os.path.normpath(f"/x{text}"))))
def test_of_nested_paths_the_outer_ones_are_left(paths):
    left = without_nested(paths)
    assert set(left) <= set(paths)
    for path in paths:
        assert len([one for one in left if Path(path).is_relative_to(one)]) == 1


# Installing


def test_a_file_is_installed_with_its_permissions(tmp_path):
    path = tmp_path / "unit"
    install("text", path, 0o755, force=False)
    assert path.read_text() == "text"
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert [one.name for one in tmp_path.iterdir()] == ["unit"]


def test_the_same_file_may_be_there(tmp_path):
    path = tmp_path / "unit"
    for _ in range(2):
        install("text", path, 0o644, force=False)


def test_another_file_is_replaced_by_force_only(tmp_path):
    path = tmp_path / "unit"
    path.write_text("by hand")
    with pytest.raises(InotifierError, match=r"says something else.*--force"):
        install("text", path, 0o644, force=False)
    assert path.read_text() == "by hand"
    install("text", path, 0o644, force=True)
    assert path.read_text() == "text"


def test_a_system_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(InotifierError, match="there is no directory"):
        install("text", tmp_path / "absent" / "unit", 0o644, force=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_who_may_not_write_there_is_told_so(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(NotPermitted, match="only root may write"):
        install("text", tmp_path / "unit", 0o644, force=False)
