import grp
import os
import pwd
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from inotifier.conf import absolute, conf
from inotifier.exceptions import ConfigurationError

NO_ID = 2_000_000_011  # of no user and of no group


def test_nothing_is_required_but_the_entries():
    assert conf.project_path is None
    assert conf.daemon_stdout == conf.daemon_stderr == Path("/dev/null")
    assert conf.working_directory == Path("/")
    assert conf.umask == 0o022
    assert conf.owner is None
    assert conf.shutdown_timeout == 30.0
    assert conf.log_files == []
    assert conf.watch_paths is None


def test_settings_are_read_when_they_are_used(settings):
    settings.INOTIFIER_SHUTDOWN_TIMEOUT = 5
    assert conf.shutdown_timeout == 5.0
    settings.INOTIFIER_SHUTDOWN_TIMEOUT = 0.5
    assert conf.shutdown_timeout == 0.5


PATHS = {
    "PROJECT_PATH": "project_path",
    "INOTIFIER_PID_FILE": "pid_file",
    "INOTIFIER_STATE_DIR": "state_dir",
    "INOTIFIER_DAEMON_STDOUT": "daemon_stdout",
    "INOTIFIER_DAEMON_STDERR": "daemon_stderr",
    "INOTIFIER_WORKING_DIRECTORY": "working_directory",
}


@pytest.mark.parametrize(("setting", "attribute"), PATHS.items())
@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("/srv/var", "/srv/var"),
        (Path("/srv/var"), "/srv/var"),
        ("var", "/srv/project/var"),
        (Path("var"), "/srv/project/var"),
        ("../var", "/srv/var"),
        ("~/var", "/home/of/user/var"),
        ("$PLACE/var", "/srv/place/var"),
        ("${PLACE}/var", "/srv/place/var"),
    ],
)
def test_paths_are_absolute(settings, monkeypatch, setting, attribute, value, path):
    monkeypatch.setenv("HOME", "/home/of/user")
    monkeypatch.setenv("PLACE", "/srv/place")
    settings.BASE_DIR = Path("/srv/project")
    setattr(settings, setting, value)
    assert getattr(conf, attribute) == Path(path)


@pytest.mark.parametrize(("setting", "attribute"), PATHS.items())
@pytest.mark.parametrize("value", [5, ["/srv"], True, b"/srv"], ids=repr)
def test_a_path_of_another_type_is_refused(settings, setting, attribute, value):
    setattr(settings, setting, value)
    with pytest.raises(ConfigurationError) as error:
        getattr(conf, attribute)
    assert str(error.value) == f"setting {setting} is {value!r}; it should be a path"


@pytest.mark.parametrize(("setting", "attribute"), PATHS.items())
@pytest.mark.parametrize("nothing", [None, ""])
def test_an_empty_path_is_none(settings, setting, attribute, nothing):
    usual = getattr(conf, attribute)
    setattr(settings, setting, nothing)
    assert getattr(conf, attribute) == usual


def test_relative_paths_without_base_dir_lie_below_the_directory_of_the_start(
    settings, monkeypatch, tmp_path
):
    start = Path.cwd()
    settings.INOTIFIER_DAEMON_STDOUT = "out"
    monkeypatch.chdir(tmp_path)  # as the daemon does
    assert conf.daemon_stdout == start / "out"


@pytest.mark.parametrize(
    ("path", "result"),
    [
        ("~nobody-of-this-name/x", "/base/~nobody-of-this-name/x"),
        ("$NO_SUCH_VARIABLE/x", "/base/$NO_SUCH_VARIABLE/x"),
        ("a/./b//c/", "/base/a/b/c"),
        ("/", "/"),
        ("caf\udce9", "/base/caf\udce9"),
    ],
)
def test_what_cannot_be_expanded_stays(path, result):
    assert str(absolute(path, Path("/base"))) == result


def test_the_pid_file_lies_in_the_project_path(settings):
    settings.PROJECT_PATH = "/srv/var"
    assert conf.pid_file == Path("/srv/var/inotifier.pid")


def test_without_a_project_path_the_pid_file_lies_in_a_directory_of_user_and_project():
    directory = Path(f"/tmp/inotifier-{os.geteuid()}")
    assert conf.pid_file == directory / conf.project_name / "inotifier.pid"


def test_the_private_directory_does_not_depend_on_tmpdir(monkeypatch, tmp_path):
    before = conf.pid_file
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert conf.pid_file == before


def test_state_lies_in_the_project_path(settings):
    settings.PROJECT_PATH = "/srv/var"
    assert conf.state_dir == Path("/srv/var")
    assert conf.status_file == Path("/srv/var/inotifier.status.json")


@pytest.mark.parametrize(
    ("xdg", "home"),
    [
        ("/srv/xdg", "/srv/xdg"),
        ("", "/home/of/user/.local/state"),
        ("relative", "/home/of/user/.local/state"),  # to be ignored, says the XDG specification
    ],
)
def test_state_without_a_project_path_lies_in_the_home(monkeypatch, xdg, home):
    monkeypatch.setenv("HOME", "/home/of/user")
    monkeypatch.setenv("XDG_STATE_HOME", xdg)
    assert conf.state_dir == Path(home) / "inotifier" / conf.project_name


def test_state_of_a_user_without_a_home_lies_with_the_pid_file(monkeypatch):
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home")

    def no_home(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    # A process cannot lose its own line in /etc/passwd.
    monkeypatch.setattr(Path, "expanduser", no_home)
    assert conf.state_dir == conf.runtime_dir


def names_of_checkouts(settings, *places: object) -> set[str]:
    names = set()
    for place in places:
        settings.BASE_DIR = place
        names.add(conf.project_name)
    return names


def test_two_checkouts_have_two_names(settings):
    assert len(names_of_checkouts(settings, Path("/srv/a"), Path("/srv/b"))) == 2


def test_a_checkout_has_one_name_however_it_is_written(settings):
    assert len(names_of_checkouts(settings, "/srv/a", "/srv/a/", Path("/srv/a"))) == 1


def test_two_checkouts_with_a_relative_base_dir_have_two_names(tmp_path):
    program = (
        "from django.conf import settings; settings.configure(BASE_DIR='.')\n"
        "from inotifier.conf import conf; print(conf.project_name)\n"
    )
    names = set()
    for name in ("a", "b"):
        checkout = tmp_path / name
        checkout.mkdir()
        command = [sys.executable, "-c", program]
        names.add(subprocess.check_output(command, cwd=checkout, timeout=60))
    assert len(names) == 2


def test_two_checkouts_without_base_dir_have_two_names(monkeypatch):
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "site_settings")
    names = set()
    for place in ("/srv/a", "/srv/b"):
        module = ModuleType("site_settings")
        module.__file__ = f"{place}/site_settings.py"
        monkeypatch.setitem(sys.modules, "site_settings", module)
        names.add(conf.project_name)
    assert len(names) == 2


def test_the_name_of_a_project_does_not_depend_on_the_current_directory(monkeypatch, tmp_path):
    before = conf.project_name
    monkeypatch.chdir(tmp_path)
    assert conf.project_name == before


def test_the_working_directory_is_base_dir(settings):
    settings.BASE_DIR = "/srv/project"
    assert conf.working_directory == Path("/srv/project")


@pytest.mark.parametrize("value", ["022", -1, 0o1000, 1.5, None], ids=repr)
def test_a_umask_is_an_int_of_nine_bits(settings, value):
    settings.INOTIFIER_UMASK = value
    with pytest.raises(ConfigurationError, match=r"INOTIFIER_UMASK is .*; it should be an int"):
        _ = conf.umask


def test_a_umask_can_be_chosen(settings):
    settings.INOTIFIER_UMASK = 0o077
    assert conf.umask == 0o077


@pytest.mark.parametrize("value", ["30", -1, True, None, float("nan"), float("inf")], ids=repr)
def test_a_shutdown_timeout_is_a_number_of_seconds(settings, value):
    settings.INOTIFIER_SHUTDOWN_TIMEOUT = value
    with pytest.raises(ConfigurationError, match=r"it should be a number of seconds, 0 or more"):
        _ = conf.shutdown_timeout


ROOT, DAEMONS = pwd.getpwuid(0), grp.getgrgid(1)


@pytest.mark.parametrize(
    ("user", "group", "owner"),
    [
        (ROOT.pw_name, None, (0, ROOT.pw_gid)),
        (0, None, (0, ROOT.pw_gid)),
        (0, DAEMONS.gr_name, (0, 1)),
        (0, 1, (0, 1)),
        (None, 1, (os.geteuid(), 1)),
    ],
)
def test_owner_by_name_or_number(settings, user, group, owner):
    settings.INOTIFIER_USER, settings.INOTIFIER_GROUP = user, group
    assert conf.owner == owner


@pytest.mark.parametrize(
    ("user", "group"),
    [("no-such-user", None), (NO_ID, None), (None, "no-such-group"), (None, NO_ID)],
)
def test_an_unknown_owner_is_refused(settings, user, group):
    settings.INOTIFIER_USER, settings.INOTIFIER_GROUP = user, group
    with pytest.raises(ConfigurationError, match="is not known here"):
        _ = conf.owner


@pytest.mark.parametrize("setting", ["INOTIFIER_USER", "INOTIFIER_GROUP"])
@pytest.mark.parametrize("value", [True, 1.5, ["root"]], ids=repr)
def test_an_owner_is_a_name_or_a_number(settings, setting, value):
    setattr(settings, setting, value)
    with pytest.raises(ConfigurationError, match=f"{setting} is .*; it should be a name or a"):
        _ = conf.owner


def test_log_files_are_those_of_the_handlers(settings):
    settings.LOGGING = {
        "version": 1,
        "handlers": {
            "console": {"class": "logging.StreamHandler"},
            "file": {"class": "logging.FileHandler", "filename": "/srv/log/a", "delay": True},
            "path": {"class": "logging.FileHandler", "filename": Path("/srv/log/b"), "delay": True},
        },
    }
    assert conf.log_files == [Path("/srv/log/a"), Path("/srv/log/b")]


@pytest.mark.parametrize("logging", [None, {}, {"version": 1}])
def test_there_may_be_no_log_files(settings, logging):
    settings.LOGGING = logging
    assert conf.log_files == []


def test_a_generator_of_entries_can_be_read_twice(settings):
    settings.INOTIFIER_WATCH_PATHS = (path for path in ["/a", "/b"])
    assert conf.watch_paths == ["/a", "/b"]
    assert conf.watch_paths == ["/a", "/b"]


def test_what_is_missed_is_delivered_by_default(settings):
    assert conf.catch_up is True
    settings.INOTIFIER_CATCH_UP = False
    assert conf.catch_up is False


def test_delivery_has_defaults(settings):
    del settings.INOTIFIER_RETRIES
    assert (conf.workers, conf.queue_size, conf.retries) == (1, 1_000_000, 3)
    assert conf.retry_delay == 1.0


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("INOTIFIER_WORKERS", [0, -1, True, "2", 1.0]),
        ("INOTIFIER_QUEUE_SIZE", [0, None, "many"]),
        ("INOTIFIER_RETRIES", [-1, False, 0.5]),
    ],
)
def test_a_count_is_a_whole_number(settings, name, values):
    for value in values:
        setattr(settings, name, value)
        with pytest.raises(ConfigurationError, match=f"setting {name} is .* a whole number, "):
            getattr(conf, name.removeprefix("INOTIFIER_").lower())


def test_the_state_lies_beside_the_status(settings, tmp_path):
    settings.INOTIFIER_STATE_DIR = tmp_path
    assert conf.state_file == tmp_path / "inotifier.state.sqlite3"
