"""`on_file`: what it declares, where that is found, and what is wrong with it."""

import functools
import importlib
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command

from inotifier import decorators, on_file, watches
from inotifier.events import ALL_EVENTS, IN_CREATE, IN_DELETE
from inotifier.exceptions import ConfigurationError
from inotifier.scheduling import TaskScheduler
from inotifier.scheduling.on_file import CompleteFiles, EachEvent
from inotifier.watches import inspect_settings, load

NOTES = "inotifier.decorators._declarations"


@pytest.fixture(autouse=True)
def base(monkeypatch, settings, tmp_path):
    """BASE_DIR of a project where nothing is declared yet."""
    monkeypatch.setattr(decorators, "_declarations", [])
    settings.BASE_DIR = tmp_path
    settings.INOTIFIER_STATE_DIR = tmp_path.with_name(f"{tmp_path.name}-state")
    settings.INOTIFIER_PID_FILE = settings.INOTIFIER_STATE_DIR / "pid"
    (tmp_path / "incoming").mkdir()
    return tmp_path


@pytest.fixture
def app(base, monkeypatch, settings):
    """Return a function that installs an app whose `file_events` has this source."""
    monkeypatch.syspath_prepend(str(base))
    names = iter(["shop", "store"])

    def install(source: str) -> Path:
        name = next(names)
        (base / name).mkdir()
        (base / name / "__init__.py").touch()
        module = base / name / "file_events.py"
        module.write_text(textwrap.dedent(source))
        importlib.invalidate_caches()
        settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, name]
        return module

    yield install
    for name in [one for one in sys.modules if one.partition(".")[0] in ("shop", "store")]:
        del sys.modules[name]


def handle(event):
    pass


def one_entry(pattern, *args, **kwargs):
    on_file(pattern, *args, **kwargs)(handle)
    [found] = load()
    return found


def one_problem(pattern, *args, function=handle, **kwargs):
    on_file(pattern, *args, **kwargs)(function)
    _, [problem] = inspect_settings()
    return problem


# What it stands for.


@pytest.mark.parametrize(
    ("pattern", "root", "patterns", "recursive"),
    [
        ("incoming/*.csv", "incoming", ["*.csv"], False),
        ("incoming/**/*.csv", "incoming", ["**/*.csv"], True),
        ("incoming/*/new/*.csv", "incoming", ["*/new/*.csv"], True),
        ("incoming/[ab]/x", "incoming", ["[ab]/x"], True),
        ("incoming/", "incoming", None, False),
        ("incoming/*", "incoming", None, False),
        ("incoming/**", "incoming", None, True),
        ("incoming/**/*", "incoming", None, True),
        ("incoming/order.csv", "incoming", ["order.csv"], False),
        ("order?.csv", ".", ["order?.csv"], False),
        ("order.csv", ".", ["order.csv"], False),
        ("./*.csv", ".", ["*.csv"], False),
        ("in*/", ".", ["in*/*"], True),
    ],
)
def test_a_glob_is_a_directory_and_patterns(base, pattern, root, patterns, recursive):
    found = one_entry(pattern)
    assert found.path == str(base / root)
    assert (found.watch.patterns, found.watch.recursive) == (patterns, recursive)
    assert found.name == pattern


@pytest.mark.parametrize("pattern", ["/*.conf", "/etc*"])
def test_a_glob_may_begin_at_the_top(pattern):
    assert one_entry(pattern).path == "/"


def test_an_absolute_path_and_a_home_are_what_they_say(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    on_file("~/incoming/*.csv")(handle)
    on_file(f"{tmp_path}/incoming/*.txt")(handle)
    assert [one.path for one in load()] == [f"{tmp_path}/incoming"] * 2


def test_without_events_it_is_for_complete_files():
    found = one_entry("incoming/", settle=2)
    assert type(found.processor) is CompleteFiles
    assert found.mask == CompleteFiles.mask


def test_with_events_each_is_a_call():
    found = one_entry("incoming/", ["IN_CREATE", "IN_DELETE"])
    assert type(found.processor) is EachEvent
    assert found.mask == IN_CREATE | IN_DELETE
    assert one_entry_mask("ALL_EVENTS") == ALL_EVENTS


def one_entry_mask(events):
    on_file("incoming/*.x", events)(handle)
    return load()[-1].mask


def test_with_events_that_have_to_settle_it_is_a_task():
    assert type(one_entry("incoming/", "IN_CLOSE_WRITE", 2).processor) is TaskScheduler


def test_its_processor_is_known_as_the_function():
    found = one_entry("incoming/")
    assert found.processor_name == f"{__name__}.handle"
    assert found.declared.startswith(f"{__name__}, line ")


def test_further_fields_are_those_of_an_entry():
    found = one_entry("later/*.csv", retries=7, missing="create", catch_up=False, name="orders")
    watch = found.watch
    assert (watch.retries, watch.missing, watch.catch_up) == (7, "create", False)
    assert found.name == "orders"


def test_the_function_stays_what_it_is():
    assert on_file("incoming/")(handle) is handle


def test_the_line_is_that_of_the_decorator():
    line = sys._getframe().f_lineno + 1
    on_file("incoming/")(handle)
    [declared] = decorators.declarations()
    assert (declared.module, declared.line) == (__name__, line)


def test_a_function_may_be_declared_for_several_places():
    on_file("incoming/*.csv")(on_file("incoming/*.txt")(handle))
    assert [one.name for one in load()] == ["incoming/*.txt", "incoming/*.csv"]


def test_functions_of_one_name_are_all_declared():
    def taking(kind):
        def take(event):
            return kind

        return take

    for kind in ("csv", "xml"):
        on_file(f"incoming/*.{kind}")(taking(kind))
        on_file(f"incoming/new.{kind}")(lambda event: None)
        on_file(f"incoming/old.{kind}")(functools.partial(takes_two, None))
    names = [f"incoming/{name}" for name in ("*.csv", "new.csv", "old.csv")]
    names += [f"incoming/{name}" for name in ("*.xml", "new.xml", "old.xml")]
    assert [one.name for one in load()] == names


def test_an_object_that_can_be_called_will_do():
    class Importer:
        def __call__(self, event):
            pass

    on_file("incoming/")(Importer())
    [found] = load()
    assert found.processor_name.endswith("Importer")


def test_entries_of_the_setting_come_first(settings, base):
    settings.INOTIFIER_WATCH_PATHS = [(base / "incoming", "IN_CREATE", print)]
    on_file("incoming/")(handle)
    declared = [one.declared for one in load()]
    assert len(declared) == 2
    assert declared[0] == "INOTIFIER_WATCH_PATHS"


# Where it is found.

SOURCE = """
    from inotifier import on_file

    @on_file("incoming/*.csv")
    def import_order(event):
        pass
"""


def test_it_is_found_in_the_module_file_events_of_an_app(app):
    app(SOURCE)
    [found] = load()
    assert found.processor_name == "shop.file_events.import_order"
    assert found.declared == "shop.file_events, line 4"


def test_an_app_without_that_module_is_left_alone(app):
    app(SOURCE).unlink()
    _, [problem] = inspect_settings()
    assert problem.id == "inotifier.E001"


@pytest.mark.django_db  # the checks of models ask what it can
@pytest.mark.parametrize("setting", [None, [], ()])
def test_the_setting_may_be_empty_then(app, settings, setting):
    settings.INOTIFIER_WATCH_PATHS = setting
    app(SOURCE)
    call_command("inotifier_start", "--check")


def test_a_module_that_is_executed_again_replaces_what_it_declared(app):
    module = app(SOURCE)
    load()
    changed = textwrap.dedent(SOURCE).replace("import_order", "import_longer_names")
    module.write_text("\n\n" + changed)
    importlib.reload(sys.modules["shop.file_events"])
    [found] = load()
    assert found.processor_name == "shop.file_events.import_longer_names"
    assert found.declared == "shop.file_events, line 6"


def test_manage_py_check_tells_where_it_stands(app, monkeypatch):
    app(SOURCE)
    monkeypatch.setattr(sys, "argv", ["manage.py", "check"])
    [shown] = run_checks(tags=["inotifier"])
    assert shown.id == "inotifier.I001"
    assert shown.msg == (
        "incoming/*.csv is handled by shop.file_events.import_order, "
        "declared in shop.file_events, line 4"
    )
    assert not shown.is_serious()


def test_other_commands_do_not_tell(app, monkeypatch):
    app(SOURCE)
    monkeypatch.setattr(sys, "argv", ["manage.py", "migrate"])
    assert run_checks(tags=["inotifier"]) == []


def test_it_can_be_imported_before_there_are_settings_or_pyinotify():
    program = (
        "import sys; sys.modules['pyinotify'] = None\n"
        "from inotifier import on_file\n"
        "@on_file('x/*')\ndef f(event): pass\n"
        "assert 'django' not in sys.modules\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0, result.stderr


# What is wrong with it.


def test_e018_a_module_that_cannot_be_imported(app):
    app("raise LookupError('no such table')")
    app(SOURCE)
    entries, [problem] = inspect_settings()
    assert problem.id == "inotifier.E018"
    assert problem.message == "cannot import shop.file_events: LookupError('no such table')"
    assert "import shop.file_events" in problem.hint
    assert [one.processor_name for one in entries] == ["store.file_events.import_order"]
    with pytest.raises(CommandError, match="no such table"):
        call_command("inotifier_start", "--check")


def test_e018_an_import_in_it_that_fails(app):
    app("import no_such_module")
    _, [problem] = inspect_settings()
    assert problem.id == "inotifier.E018"
    assert "No module named 'no_such_module'" in problem.message


def takes_two(sender, event):
    pass


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: one_problem(5), "the pattern is 5; it should be a text"),
        (lambda: one_problem(""), "the pattern is ''; it should be a text"),
        (lambda: one_problem(b"incoming/"), "the pattern is b'incoming/'"),
        (lambda: one_problem("a\0"), "it should be a text"),
        (lambda: one_problem("s3://bucket/*"), "a URL has to stand in INOTIFIER_WATCH_PATHS"),
        (lambda: one_problem("incoming"), "incoming is a directory; with a slash at its end"),
        (lambda: one_problem("incoming/.."), "incoming/.. is a directory"),
        (lambda: one_problem("incoming/", settle="2"), "settle is '2'; it should be a number"),
        (lambda: one_problem("incoming/", settle=-1), "settle is -1; it should be a number"),
        (lambda: one_problem("incoming/", "IN_CREATE", -1), "settle is -1; it should be"),
        (lambda: one_problem("incoming/", setle=1), "it has the argument 'setle'; further"),
        (lambda: one_problem("incoming/", recursive=True), "it has the argument 'recursive'"),
        (lambda: one_problem("incoming/", function=takes_two), "it takes (sender, event), but"),
        (lambda: one_problem("incoming/", function=5), "job is 5; it should be a function"),
    ],
)
def test_e019_arguments_that_cannot_be_used_name_function_and_line(make, message):
    problem = make()
    assert problem.id == "inotifier.E019"
    assert message in problem.message
    assert f"({__name__}, line " in problem.message
    assert problem.hint


def test_the_same_twice_is_e019():
    twice = on_file("incoming/*.csv")
    twice(handle)
    twice(handle)
    _, [problem] = inspect_settings()
    assert problem.id == "inotifier.E019"
    assert f"of {__name__}.handle ({__name__}, line " in problem.message
    assert "the same stands in line" in problem.message


@pytest.mark.parametrize(
    ("id", "make", "message"),
    [
        (
            "E004",
            lambda: one_problem("absent/*.csv"),
            "absent does not exist or you have insufficient",
        ),
        (
            "E004",
            lambda: one_problem(f"{'x' * 300}/order.csv"),  # no system takes such a name
            "xxx does not exist or you have insufficient",
        ),
        ("E005", lambda: one_problem("incoming/", "IN_NONSENSE"), "IN_NONSENSE"),
        ("E014", lambda: one_problem("incoming/", retries=-1), "the field retries of entry"),
        ("E014", lambda: one_problem("incoming/", missing="no"), "the field missing of entry"),
        ("E015", lambda: one_problem("incoming/*/../x"), "cannot be filtered"),
        ("E015", lambda: one_problem("incoming/*", ignore_patterns="x"), "ignore_patterns is 'x'"),
    ],
)
def test_what_is_wrong_with_an_entry_names_function_and_line(id, make, message):
    problem = make()
    assert problem.id == f"inotifier.{id}"
    assert message in problem.message
    assert f"of {__name__}.handle ({__name__}, line " in problem.message + problem.hint
    assert "INOTIFIER_WATCH_PATHS" not in problem.message


def test_a_base_dir_that_is_none_is_one_problem_only(settings):
    settings.BASE_DIR = 5
    on_file("incoming/order.csv")(handle)
    with pytest.raises(ConfigurationError, match="BASE_DIR is 5"):
        load()


def test_a_partial_is_called_by_its_own_name():
    on_file("incoming/")(functools.partial(takes_two, None))
    [found] = watches.load()
    assert found.processor_name == "functools.partial"
