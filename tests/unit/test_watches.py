"""Each problem is tested three times: as found, by `manage.py check`, by `inotifier_start`."""

import functools
import os
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import NamedTuple

import pyinotify
import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command

import inotifier
from inotifier import watches
from inotifier.event_processors import AllEventsPrinter, AllEventsSignaler, CreateViaChunksSignaler
from inotifier.exceptions import ConfigurationError
from inotifier.watches import Watch, inspect_settings, load
from tests.unit.test_architecture import run_without

CREATE, DELETE = pyinotify.IN_CREATE, pyinotify.IN_DELETE
PRINTER = "inotifier.event_processors.AllEventsPrinter"
SIGNALER = "inotifier.event_processors.AllEventsSignaler"
CHUNKS = "inotifier.event_processors.CreateViaChunksSignaler"
HERE = "unit_processors"

SHAPE = (
    "setting INOTIFIER_WATCH_PATHS should be an iterable of 3-tuples of the form\n"
    '[ ("/path1/", <pyinotify event mask>, <processor cls>), ]'
)


class Plain:
    """A class that takes options and an event, and knows nothing of pyinotify."""

    def __init__(self, size=1, name="x"):
        self.options = {"size": size, "name": name}

    def __call__(self, event):
        pass


class Masked(pyinotify.ProcessEvent):
    mask = CREATE | DELETE


class MaskedByName(pyinotify.ProcessEvent):
    mask = "IN_CREATE|IN_DELETE"


class NotCallable:
    pass


class Demanding:
    def __init__(self, *, needed):
        pass


class Raising:
    def __init__(self):
        raise OSError("the disk is gone")


def function(event):
    pass


not_callable = 5


@pytest.fixture(autouse=True)
def processors(monkeypatch):
    """This module under a name that a dotted path can hold."""
    module = types.ModuleType(HERE)
    vars(module).update(
        {name: value for name, value in globals().items() if not name.startswith("__")}
    )
    monkeypatch.setitem(sys.modules, HERE, module)


@pytest.fixture
def one(settings):
    """Return the one entry that a raw entry makes."""

    def read(raw):
        settings.INOTIFIER_WATCH_PATHS = [raw]
        [entry] = load()
        return entry

    return read


# Entries, in every form.


class Form(NamedTuple):
    raw: object
    mask: int = pyinotify.ALL_EVENTS
    processor: type = AllEventsSignaler


FORMS = {
    "tuple": Form(("here", CREATE, PRINTER), CREATE, AllEventsPrinter),
    "list": Form(["here", CREATE, PRINTER], CREATE, AllEventsPrinter),
    "tuple of four": Form(
        ("here", CREATE, f"{HERE}.Plain", {"options": {"size": 2}}), CREATE, Plain
    ),
    "tuple of four, nothing more": Form(("here", CREATE, PRINTER, {}), CREATE, AllEventsPrinter),
    "dict": Form(
        {"path": "here", "events": CREATE, "processor": PRINTER}, CREATE, AllEventsPrinter
    ),
    "dict of a path": Form({"path": "here"}),
    "mapping": Form(types.MappingProxyType({"path": "here"})),
    "path as str": Form("here"),
    "path as Path": Form(Path("here")),
    "Watch": Form(Watch("here", CREATE, PRINTER), CREATE, AllEventsPrinter),
    "Watch of a path": Form(Watch("here")),
    "Watch by its public name": Form(inotifier.Watch(Path("here"))),
    "path as Path in a tuple": Form((Path("here"), CREATE, PRINTER), CREATE, AllEventsPrinter),
    "mask None": Form(("here", None, PRINTER), processor=AllEventsPrinter),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_an_entry_has_many_forms(settings, one, tmp_path, form):
    settings.BASE_DIR = tmp_path
    (tmp_path / "here").mkdir()
    entry = one(form.raw)
    assert entry.path == entry.name == str(tmp_path / "here")
    assert entry.mask == form.mask
    assert type(entry.processor) is form.processor


@pytest.mark.parametrize(
    "container",
    [
        list,
        tuple,
        iter,
        lambda raw: (entry for entry in raw),
        lambda raw: dict.fromkeys(raw).keys(),
    ],
    ids=["list", "tuple", "iterator", "generator", "view"],
)
def test_the_setting_may_be_any_iterable_and_is_read_twice(settings, tmp_path, container):
    settings.INOTIFIER_WATCH_PATHS = container([str(tmp_path), (str(tmp_path), CREATE, PRINTER)])
    assert [entry.mask for entry in load()] == [pyinotify.ALL_EVENTS, CREATE]
    assert [entry.mask for entry in load()] == [pyinotify.ALL_EVENTS, CREATE]


@pytest.mark.parametrize(
    "written",
    ["BASE/here", "here", "./here/", "sub/../here", "~/here", "$PLACE/here", "${PLACE}/here"],
)
@pytest.mark.parametrize("kind", [str, Path])
def test_paths_are_made_absolute(settings, one, tmp_path, monkeypatch, kind, written):
    settings.BASE_DIR = tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PLACE", str(tmp_path))
    (tmp_path / "here").mkdir()
    assert one(kind(written.replace("BASE", str(tmp_path)))).path == str(tmp_path / "here")


def test_relative_paths_do_not_move_with_the_current_directory(
    settings, one, tmp_path, monkeypatch
):
    settings.BASE_DIR = tmp_path
    (tmp_path / "here").mkdir()
    monkeypatch.chdir("/")  # as the daemon does
    assert one("here").path == str(tmp_path / "here")


def test_a_path_may_hold_bytes_that_are_not_utf_8(one, tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9"
    Path(os.fsdecode(path)).mkdir()
    assert os.fsencode(one(os.fsdecode(path)).path) == path


def test_a_path_may_be_a_file(one, tmp_path):
    (tmp_path / "file").touch()
    assert one(tmp_path / "file").path == str(tmp_path / "file")


PROCESSORS = {
    "dotted path of a class": (f"{HERE}.Plain", Plain, f"{HERE}.Plain"),
    "class": (Plain, Plain, f"{__name__}.Plain"),
    "instance": (Plain(), Plain, f"{__name__}.Plain"),
    "dotted path of a function": (f"{HERE}.function", types.FunctionType, f"{HERE}.function"),
    "function": (function, types.FunctionType, f"{__name__}.function"),
    "bound method": (Plain().__call__, types.MethodType, f"{__name__}.Plain.__call__"),
    "partial": (functools.partial(function), functools.partial, "functools.partial"),
    "builtin": (print, types.BuiltinFunctionType, "builtins.print"),
}


@pytest.mark.parametrize(("given", "type_", "name"), PROCESSORS.values(), ids=PROCESSORS)
def test_a_processor_is_whatever_takes_an_event(one, tmp_path, given, type_, name):
    entry = one((tmp_path, CREATE, given))
    assert type(entry.processor) is type_
    assert entry.processor_name == name


def test_options_go_to_the_constructor(one, tmp_path):
    entry = one(Watch(tmp_path, processor=Plain, options={"size": 5, "name": "y"}))
    assert entry.processor.options == {"size": 5, "name": "y"}


def test_options_go_to_my_init(one, tmp_path):
    entry = one({"path": tmp_path, "processor": CHUNKS, "options": {"suffixes": [".tmp"]}})
    assert isinstance(entry.processor, CreateViaChunksSignaler)
    assert entry.processor._suffixes == (".tmp",)


def test_each_entry_has_a_processor_of_its_own(settings, tmp_path):
    (tmp_path / "a").mkdir()
    settings.INOTIFIER_WATCH_PATHS = [(tmp_path, CREATE, Plain), (tmp_path / "a", CREATE, Plain)]
    first, second = load()
    assert first.processor is not second.processor


@pytest.mark.parametrize("processor", [Masked, MaskedByName, Masked(), f"{HERE}.Masked"])
def test_without_a_mask_the_processor_says_it(one, tmp_path, processor):
    assert one(Watch(tmp_path, processor=processor)).mask == CREATE | DELETE


def test_the_mask_of_the_entry_goes_before_that_of_the_processor(one, tmp_path):
    assert one(Watch(tmp_path, "IN_OPEN", Masked)).mask == pyinotify.IN_OPEN


def test_the_chunk_aggregator_always_hears_of_deletions(one, tmp_path):
    # Otherwise a new file that gets the inode of a deleted upload would pass for it.
    assert one((tmp_path, "IN_CREATE|IN_MOVE", CHUNKS)).mask & DELETE


def test_the_name_of_an_entry_can_be_chosen(one, tmp_path):
    assert one(Watch(tmp_path, name="uploads")).name == "uploads"


@pytest.mark.parametrize("name", [Path("/some/where"), 5])
def test_a_name_that_is_not_a_text_becomes_one(one, tmp_path, name):
    assert one(Watch(tmp_path, name=name)).name == str(name)


# Problems, by id.


class Case(NamedTuple):
    entries: object  # {tmp} stands for the directory
    message: str
    hint: str = ""


def entry(*, processor: object = PRINTER, mask: object = CREATE, **fields: object):
    """Return a setting of one entry of the test's directory."""
    return lambda tmp: [{"path": tmp, "events": mask, "processor": processor, **fields}]


PROBLEMS = {
    "E001 missing": Case(lambda tmp: None, "Missing/empty setting INOTIFIER_WATCH_PATHS"),
    "E001 empty list": Case(lambda tmp: [], "Missing/empty setting INOTIFIER_WATCH_PATHS"),
    "E001 empty tuple": Case(lambda tmp: (), "Missing/empty setting INOTIFIER_WATCH_PATHS"),
    "E001 empty generator": Case(lambda tmp: iter([]), "Missing/empty setting INOTIFIER_WATCH_P"),
    "E002 int": Case(lambda tmp: 5, SHAPE, "It is 5, which is not"),
    "E002 str": Case(lambda tmp: str(tmp), SHAPE, "which is not an iterable of entries"),
    "E002 bytes": Case(lambda tmp: b"/tmp", SHAPE, "which is not an iterable of entries"),
    "E002 Path": Case(lambda tmp: tmp, SHAPE, "which is not an iterable of entries"),
    "E002 dict": Case(lambda tmp: {"path": tmp}, SHAPE, "which is not an iterable of entries"),
    "E002 Watch": Case(lambda tmp: Watch(tmp), SHAPE, "which is not an iterable of entries"),
    "E002 entry int": Case(lambda tmp: [5], SHAPE, "Entry 1 is 5."),
    "E002 entry None": Case(lambda tmp: [None], SHAPE, "Entry 1 is None."),
    "E002 entry bytes": Case(lambda tmp: [b"/tmp"], SHAPE, "Entry 1 is b'/tmp'."),
    "E002 entry empty": Case(lambda tmp: [()], SHAPE, "Entry 1 is ()."),
    "E002 entry of two": Case(lambda tmp: [tmp, (tmp, CREATE)], SHAPE, "Entry 2 is ("),
    "E002 entry of five": Case(lambda tmp: [(tmp, 1, PRINTER, {}, 5)], SHAPE, "Entry 1 is ("),
    "E002 fourth no dict": Case(lambda tmp: [(tmp, 1, PRINTER, 5)], SHAPE, "Entry 1 is ("),
    "E002 no path": Case(lambda tmp: [{"events": 1}], SHAPE, "Entry 1 has no field 'path'."),
    "E002 path int": Case(lambda tmp: [(5, 1, PRINTER)], SHAPE, "The path of entry 1 is 5."),
    "E002 path empty": Case(lambda tmp: [("", 1, PRINTER)], SHAPE, "The path of entry 1 is ''."),
    "E002 path of NUL": Case(lambda tmp: ["/a\0b"], SHAPE, r"The path of entry 1 is '/a\x00b'."),
    "E003": Case(
        entry(pattern=["*.csv"]),
        "entry 1 of INOTIFIER_WATCH_PATHS has the unknown field 'pattern'",
        "Known fields are path, events, processor, recursive, auto_add, follow_symlinks, missing, "
        "catch_up, initial, on_failure, retries, ignore_self, backend, poll_interval, "
        "source_options, patterns, ignore_patterns, regexes, ignore_regexes, ignore_directories, "
        "case_sensitive, exclude_filter, options, name.",
    ),
    "E003 fourth": Case(
        lambda tmp: [(tmp, CREATE, PRINTER, {"pattern": ["*.csv"]})],
        "entry 1 of INOTIFIER_WATCH_PATHS has the unknown field 'pattern'",
        "Known fields are path, events, processor, recursive, auto_add, follow_symlinks, missing, "
        "catch_up, initial, on_failure, retries, ignore_self, ",
    ),
    "E014 retries": Case(
        entry(retries=-1),
        "the field retries of entry 1 is -1",
        "It should be a whole number, 0 or more, or None.",
    ),
    "E014 retries bool": Case(entry(retries=True), "the field retries of entry 1 is True"),
    "E014": Case(
        entry(missing="ignore"),
        "the field missing of entry 1 is 'ignore'",
        "It should be one of 'error', 'wait', 'create'.",
    ),
    "E014 initial": Case(
        entry(initial="all"),
        "the field initial of entry 1 is 'all'",
        "It should be one of 'ignore', 'emit'.",
    ),
    "E014 on_failure": Case(
        entry(on_failure="keep"),
        "the field on_failure of entry 1 is 'keep'",
        "It should be one of 'skip', 'hold'.",
    ),
    "E014 type": Case(
        entry(recursive=1),
        "the field recursive of entry 1 is 1",
        "It should be one of True, False.",
    ),
    "E014 backend": Case(
        entry(backend="fsevents"),
        "the field backend of entry 1 is 'fsevents'",
        "It should be one of 'auto', 'inotify', 'polling'.",
    ),
    "E014 interval": Case(
        entry(poll_interval=0),
        "the field poll_interval of entry 1 is 0",
        "It should be a number of seconds above 0, and a year at most.",
    ),
    "E015 list": Case(
        entry(patterns="*.py"),
        "entry 1 of INOTIFIER_WATCH_PATHS cannot be filtered: patterns is '*.py'; it should be a "
        "list of texts",
        "Change that field, or leave it out.",
    ),
    "E015 regex": Case(
        entry(regexes=["("]),
        "entry 1 of INOTIFIER_WATCH_PATHS cannot be filtered: regexes holds '(', which is no "
        "regular expression: missing ), unterminated subpattern",
        "Change that field, or leave it out.",
    ),
    "E015 exclude_filter": Case(
        entry(exclude_filter=["/srv/.*"]),
        "should be callable with a path, as pyinotify.ExcludeFilter([...]) is",
        "Change that field, or leave it out.",
    ),
    "E016 scheme": Case(
        lambda tmp: [("nowhere://user:secret@host/in", CREATE, PRINTER)],
        "entry 1 cannot be watched: there is no poller for nowhere:// URLs; known schemes are ",
        "Change its path or its source_options, or install what is missing.",
    ),
    "E016 URL": Case(
        lambda tmp: [("swift://user:secret@host/v3", CREATE, PRINTER)],
        "entry 1 cannot be watched: the URL of a Swift container should be of the form ",
        "Change its path or its source_options, or install what is missing.",
    ),
    "E016 option": Case(
        lambda tmp: [("ftp://u:secret@h/", CREATE, PRINTER, {"source_options": {"tmeout": 5}})],
        "entry 1 cannot be watched: FsspecPoller.__init__() got an unexpected keyword argument "
        "'tmeout'",
        "Change its path or its source_options, or install what is missing.",
    ),
    "E016 options": Case(
        lambda tmp: [("ftp://u:secret@h/", CREATE, PRINTER, {"source_options": ["secret"]})],
        "entry 1 has a URL, and source_options is not a dict with names",
        "Leave source_options out.",
    ),
    "E016 backend": Case(
        lambda tmp: [("ftp://u:secret@h/", CREATE, PRINTER, {"backend": "inotify"})],
        "entry 1 has a URL, and inotify tells of this machine's files only",
        "Leave backend out.",
    ),
    "E016 missing": Case(
        lambda tmp: [("ftp://u:secret@h/", CREATE, PRINTER, {"missing": "create"})],
        "entry 1 has a URL, and missing has no meaning for a URL",
        "Leave missing out.",
    ),
    "E016 mask": Case(
        lambda tmp: [("ftp://u:secret@h/", "IN_OPEN", PRINTER)],
        "entry 1 asks for IN_OPEN, and nothing of that is told of ftp://h/",
        "Ask for some of IN_MODIFY|IN_CLOSE_WRITE|IN_CREATE|IN_DELETE.",
    ),
    "E016 file": Case(
        lambda tmp: [("file://elsewhere/in", CREATE, PRINTER)],
        "entry 1 cannot be watched: 'file://elsewhere/in' is no file URL of this machine",
        "Change its path.",
    ),
    "E016 processor": Case(
        lambda tmp: [
            ("ftp://u:secret@h/", None, "inotifier.event_processors.CreateViaChunksSignaler")
        ],
        "entry 1 has a URL, for which inotifier.event_processors.CreateViaChunksSignaler cannot be "
        "used: it waits for renames, which are a delete and a create there",
        "Change its options, or take another processor.",
    ),
    "E016 Path": Case(
        lambda tmp: [(Path("ftp://u:secret@h/"), CREATE, PRINTER)],
        "entry 1 has a URL as a PosixPath, which spoils it",
        "Give it as a str.",
    ),
    "E016 glob": Case(
        lambda tmp: [("s3://bucket/*.csv", CREATE, PRINTER)],
        "entry 1 has a URL, and that holds a '*', which stands for nothing else there",
        "Leave it out.",
    ),
    "E016 initial": Case(
        lambda tmp: [("ftp://h/", CREATE, PRINTER, {"source_options": {"initial": "created"}})],
        "entry 1 has a URL, and source_options holds 'initial', which the entry says itself",
        "Leave initial out.",
    ),
    "E016 timeout": Case(
        lambda tmp: [("ftp://h/", CREATE, PRINTER, {"source_options": {"timeout": "20"}})],
        "entry 1 cannot be watched: timeout is '20'; it should be a number of seconds",
        "Change its path or its source_options, or install what is missing.",
    ),
    "E014 source_options": Case(
        entry(source_options={"timeout": 5}),
        "entry 1 has source_options, but its path is no URL",
        "Leave them out.",
    ),
    "E004": Case(
        lambda tmp: [(tmp / "absent", CREATE, PRINTER)],
        "{tmp}/absent does not exist or you have insufficient permission",
        "Entry 1:",
    ),
    "E004 dangling": Case(
        lambda tmp: (tmp / "link").symlink_to("absent") or [tmp / "link"],
        "{tmp}/link does not exist or you have insufficient permission",
    ),
    "E004 odd name": Case(
        lambda tmp: [f"{tmp}/caf\udce9\n"],
        r"{tmp}/caf\xe9\n does not exist or you have insufficient permission",
    ),
    "E005 bits": Case(entry(mask=0x10000), "the mask 65536 holds unknown bits: 0x10000"),
    "E005 name": Case(entry(mask="IN_X"), "the mask 'IN_X' holds the unknown name 'IN_X'"),
    "E005 zero": Case(entry(mask=0), "the mask 0 holds no event to wait for"),
    "E005 type": Case(entry(mask=1.5), "the mask 1.5 is neither an int nor names of events"),
    "E005 declared": Case(
        lambda tmp: [Watch(tmp, processor=type("Odd", (Plain,), {"mask": "*.csv"}))],
        "the mask '*.csv' holds the unknown name '*.csv'",
    ),
    "E005 file": Case(
        lambda tmp: (
            (tmp / "file").touch() or [(tmp / "file", CREATE | pyinotify.IN_ONLYDIR, PRINTER)]
        ),
        "entry 1 asks for IN_ONLYDIR, but {tmp}/file is not a directory",
    ),
    "E006 module": Case(
        entry(processor="no_such_module.sub.Class"),
        "Cannot import event processor module: no_such_module.sub\n\n"
        "No module named 'no_such_module'",
        "Entry 1 names it; see that 'python -c \"import no_such_module.sub\"' works.",
    ),
    "E006 module raises": Case(
        entry(processor="raising_module.Class"),
        "Cannot import event processor module: raising_module\n\nValueError('at import')",
    ),
    "E006 module exits": Case(
        entry(processor="exiting_module.Class"),
        "Cannot import event processor module: exiting_module\n\nSystemExit(3)",
    ),
    "E006 class": Case(
        entry(processor="inotifier.event_processors.AllEventPrinter"),
        "AllEventPrinter does not exist in inotifier.event_processors",
    ),
    "E006 no dot": Case(
        entry(processor="AllEventsPrinter"),
        "the event processor 'AllEventsPrinter' of entry 1 is not a dotted path",
    ),
    "E006 empty": Case(
        entry(processor=""), "the event processor '' of entry 1 is not a dotted path"
    ),
    "E006 relative": Case(
        entry(processor="..sub.Class"), "Cannot import event processor module: ..sub"
    ),
    "E007 constant": Case(
        entry(processor=f"{HERE}.not_callable"),
        f"the event processor {HERE}.not_callable of entry 1 cannot be called with an event",
    ),
    "E007 class": Case(
        entry(processor=f"{HERE}.NotCallable"),
        f"the event processor {HERE}.NotCallable of entry 1 cannot be called with an event",
    ),
    "E007 instance": Case(
        entry(processor=NotCallable()),
        f"the event processor {__name__}.NotCallable of entry 1 cannot be called with an event",
    ),
    "E007 None": Case(
        entry(processor=None),
        "the event processor builtins.NoneType of entry 1 cannot be called with an event",
    ),
    "E007 module": Case(
        entry(processor="inotifier.event_processors"),
        "the event processor inotifier.event_processors of entry 1 cannot be called",
    ),
    "E008 raises": Case(
        entry(processor=Raising),
        f"the event processor {__name__}.Raising of entry 1 cannot be made: "
        "OSError('the disk is gone')",
    ),
    "E008 options lack": Case(entry(processor=Demanding), "missing 1 required keyword-only"),
    "E008 options unknown": Case(
        entry(processor=PRINTER, options={"colour": 1}),
        "unexpected keyword argument 'colour'",
        "It was called with the options {{'colour': 1}}.",
    ),
    "E008 options no dict": Case(
        entry(processor=Plain, options=5), "cannot be made: TypeError", "with the options 5."
    ),
    "E008 options None": Case(
        entry(processor=Plain, options=None), "cannot be made: TypeError", "with the options None."
    ),
    "E008 options of an instance": Case(
        entry(processor=Plain(), options={"size": 2}),
        f"entry 1 gives options to {__name__}.Plain, which is not a class",
    ),
    "E008 suffixes": Case(
        entry(processor=CHUNKS, mask=None, options={"suffixes": ".part"}),
        "suffixes is the text '.part'; it should be a list of suffixes",
    ),
    "E008 empty suffix": Case(
        entry(processor=CHUNKS, mask=None, options={"suffixes": [".part", ""]}),
        "suffixes holds an empty text, which every name ends in",
    ),
    "E008 max_age": Case(
        entry(processor=CHUNKS, mask=None, options={"max_age": "6 h"}), "cannot be made: TypeError"
    ),
    "E009": Case(
        entry(processor=CHUNKS, mask="IN_CREATE|IN_MOVED_TO"),
        f"the mask of entry 1 lacks IN_MOVED_FROM, which {CHUNKS} needs",
        "Add these bits, or leave the mask out (None).",
    ),
    "E010": Case(
        lambda tmp: [(tmp, CREATE, PRINTER), (tmp, DELETE, PRINTER)],
        f"two entries hand {{tmp}} to {PRINTER}",
        "Its events would be handled twice; make one entry with both masks.",
    ),
    "E010 in other words": Case(
        lambda tmp: [(str(tmp), CREATE, PRINTER), (tmp / "x" / "..", CREATE, AllEventsPrinter)],
        "two entries hand {tmp} to inotifier.event_processors.AllEventsPrinter",
    ),
}


@pytest.fixture(autouse=True)
def modules_that_do_harm(tmp_path_factory, monkeypatch):
    directory = tmp_path_factory.mktemp("modules")
    (directory / "raising_module.py").write_text("raise ValueError('at import')\n")
    (directory / "exiting_module.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(directory)


each_problem = pytest.mark.parametrize(
    ("id", "case"),
    [pytest.param(f"inotifier.{name[:4]}", case, id=name) for name, case in PROBLEMS.items()],
)


@pytest.fixture
def setting(settings, tmp_path):
    """Set the entries of a case, and return its message and hint."""

    def use(case: Case) -> tuple[str, str]:
        settings.INOTIFIER_WATCH_PATHS = case.entries(tmp_path)
        return case.message.format(tmp=tmp_path), case.hint.format(tmp=tmp_path)

    return use


@each_problem
def test_a_problem_is_found_with_an_id_a_message_and_a_hint(setting, id, case):
    message, hint = setting(case)
    _, [problem] = inspect_settings()
    assert problem.id == id
    assert message in problem.message
    assert hint in problem.hint
    assert problem.hint
    assert problem.fatal


@each_problem
def test_check_shows_the_problem(setting, id, case):
    message, hint = setting(case)
    [shown] = run_checks(tags=["inotifier"])
    assert shown.id == id
    assert message in shown.msg
    assert hint in shown.hint
    assert shown.is_serious()


@each_problem
def test_start_raises_the_problem_as_a_command_error(setting, id, case):
    message, hint = setting(case)
    with pytest.raises(CommandError) as error:
        call_command("inotifier_start", "--check")
    assert message in str(error.value)
    assert hint in str(error.value)


@pytest.mark.django_db  # the checks of models ask what it can
def test_check_shows_the_problem_whole_on_the_command_line(settings, tmp_path, capsys):
    settings.INOTIFIER_WATCH_PATHS = [tmp_path / "absent"]
    with pytest.raises(CommandError, match=r"\(inotifier.E004\) .*/absent does not exist or you"):
        call_command("check")


def test_all_problems_are_shown_at_once(settings, tmp_path):
    settings.INOTIFIER_WATCH_PATHS = [tmp_path / "absent", 5, (tmp_path, "IN_X", PRINTER)]
    ids = [shown.id for shown in run_checks(tags=["inotifier"])]
    assert ids == ["inotifier.E004", "inotifier.E002", "inotifier.E005"]


@pytest.mark.django_db  # the checks of models ask what it can
def test_without_problems_check_and_start_are_silent(settings, tmp_path, capsys):
    settings.INOTIFIER_WATCH_PATHS = [tmp_path]
    assert run_checks(tags=["inotifier"]) == []
    call_command("inotifier_start", "--check")
    assert capsys.readouterr() == ("", "")


@pytest.mark.django_db  # the checks of models ask what it can
def test_an_error_of_another_app_keeps_the_daemon_from_starting(settings, tmp_path):
    settings.INOTIFIER_WATCH_PATHS = [tmp_path]
    settings.CACHES = {}
    with pytest.raises(CommandError, match=r"caches\.E001"):
        call_command("inotifier_start", "--check")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file that it may not read")
def test_e004_is_shown_for_what_cannot_be_read(tmp_path):
    # In a process of another user, since root may read everything.
    secret = tmp_path / "secret"
    secret.mkdir(mode=0o700)
    for directory in [tmp_path, *list(tmp_path.parents)[:2]]:
        directory.chmod(0o755)
    program = (
        "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "from django.conf import settings\n"
        f"settings.configure(INOTIFIER_WATCH_PATHS=[{str(secret)!r}])\n"
        "print(watches.inspect_settings()[1][0].message)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", f"from inotifier import watches\n{program}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    expected = f"{secret} does not exist or you have insufficient permission\n"
    assert result.stdout == expected


# E010 again: what may stand side by side.


@pytest.mark.parametrize(
    "pair",
    [
        ((".", CREATE, PRINTER), (".", CREATE, SIGNALER)),
        (
            Watch(".", CREATE, PRINTER, patterns=["*.csv"]),
            Watch(".", CREATE, PRINTER, patterns=["*.txt"]),
        ),
        (
            Watch(".", CREATE, Plain, options={"size": 1}),
            Watch(".", CREATE, Plain, options={"size": 2}),
        ),
        ((".", CREATE, Plain()), (".", CREATE, Plain())),
        ((".", CREATE, lambda event: None), (".", CREATE, lambda event: None)),
        ((".", CREATE, PRINTER), ("sub", CREATE, PRINTER)),
    ],
    ids=["processors", "filters", "options", "instances", "functions", "paths"],
)
def test_two_entries_may_share_a_path_or_a_processor(settings, tmp_path, pair):
    settings.BASE_DIR = tmp_path
    (tmp_path / "sub").mkdir()
    settings.INOTIFIER_WATCH_PATHS = pair
    assert len(load()) == 2


# W002: fields that need a record.


@pytest.mark.parametrize("fields", [{"initial": "emit"}, {"on_failure": "hold"}])
def test_w002_a_field_that_has_no_effect(settings, tmp_path, fields):
    settings.INOTIFIER_WATCH_PATHS = [(tmp_path, CREATE, PRINTER, {**fields, "catch_up": False})]
    [problem] = inspect_settings()[1]
    assert (problem.id, problem.fatal) == ("inotifier.W002", False)
    assert len(load()) == 1
    settings.INOTIFIER_WATCH_PATHS = [(tmp_path, CREATE, PRINTER, fields)]
    assert inspect_settings()[1] == []


# E011: the daemon's own files in a watched directory.

OWN_FILES = {
    "pid file": {"INOTIFIER_PID_FILE": "{tmp}/pid"},
    "pid and status file": {"PROJECT_PATH": "{tmp}"},
    "status file": {"INOTIFIER_STATE_DIR": "{tmp}"},
    "standard output": {"INOTIFIER_DAEMON_STDOUT": "{tmp}/out"},
    "standard error": {"INOTIFIER_DAEMON_STDERR": "{tmp}/err"},
}


def in_directory(settings, values: dict[str, str], tmp_path: Path) -> None:
    for name, value in values.items():
        setattr(settings, name, value.format(tmp=tmp_path))


@pytest.mark.parametrize("values", OWN_FILES.values(), ids=OWN_FILES)
@pytest.mark.parametrize("mask", ["ALL_EVENTS", "IN_MODIFY|IN_CLOSE_WRITE"])
def test_e011_the_daemon_must_not_see_what_it_writes(settings, tmp_path, values, mask):
    in_directory(settings, values, tmp_path)
    settings.INOTIFIER_WATCH_PATHS = [(tmp_path, mask, PRINTER)]
    _, problems = inspect_settings()
    assert {problem.id for problem in problems} == {"inotifier.E011"}
    assert f"into the watched {tmp_path}: an endless loop" in problems[0].message
    assert {shown.id for shown in run_checks(tags=["inotifier"])} == {"inotifier.E011"}
    with pytest.raises(CommandError, match="the daemon writes its "):
        call_command("inotifier_start", "--check")


@pytest.mark.parametrize("values", OWN_FILES.values(), ids=OWN_FILES)
def test_own_files_do_no_harm_where_their_events_are_not_asked_for(settings, tmp_path, values):
    in_directory(settings, values, tmp_path)
    settings.INOTIFIER_WATCH_PATHS = [(tmp_path, "IN_ATTRIB|IN_MOVE_SELF", PRINTER)]
    assert inspect_settings()[1] == []


def test_e011_sees_through_a_symbolic_link(settings, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    settings.INOTIFIER_DAEMON_STDOUT = tmp_path / "real" / "out"
    settings.INOTIFIER_WATCH_PATHS = [tmp_path / "link"]
    assert [problem.id for problem in inspect_settings()[1]] == ["inotifier.E011"]


def test_e011_in_a_directory_below_a_recursive_entry(settings, tmp_path):
    settings.INOTIFIER_STATE_DIR = tmp_path / "a" / "b"
    settings.INOTIFIER_WATCH_PATHS = [Watch(tmp_path, "ALL_EVENTS", PRINTER, recursive=True)]
    assert {problem.id for problem in inspect_settings()[1]} == {"inotifier.E011"}
    settings.INOTIFIER_WATCH_PATHS = [Watch(tmp_path, "ALL_EVENTS", PRINTER)]
    assert inspect_settings()[1] == []


def test_e011_a_log_of_logging(settings, tmp_path):
    settings.LOGGING = {
        "version": 1,
        "handlers": {
            "file": {
                "class": "logging.FileHandler",
                "filename": str(tmp_path / "log"),
                "delay": True,
            }
        },
    }
    settings.INOTIFIER_WATCH_PATHS = [tmp_path]
    [problem] = inspect_settings()[1]
    assert problem.id == "inotifier.E011"
    assert f"a log, {tmp_path}/log" in problem.message


def test_e011_a_relative_log_lies_in_the_working_directory_of_the_daemon(settings, tmp_path):
    settings.BASE_DIR = tmp_path
    settings.LOGGING = {
        "version": 1,
        "handlers": {"file": {"class": "logging.FileHandler", "filename": "log", "delay": True}},
    }
    settings.INOTIFIER_WATCH_PATHS = [tmp_path]
    assert [problem.id for problem in inspect_settings()[1]] == ["inotifier.E011"]


def test_e011_a_watched_log_itself(settings, tmp_path):
    log = tmp_path / "out"
    log.touch()
    settings.INOTIFIER_DAEMON_STDOUT = log
    settings.INOTIFIER_WATCH_PATHS = [log]
    assert [problem.id for problem in inspect_settings()[1]] == ["inotifier.E011"]


def test_the_null_device_may_lie_in_a_watched_directory(settings):
    settings.INOTIFIER_WATCH_PATHS = ["/dev"]
    assert inspect_settings()[1] == []


# E012: other settings.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROJECT_PATH", 5),
        ("INOTIFIER_PID_FILE", 5),
        ("INOTIFIER_STATE_DIR", 5),
        ("INOTIFIER_DAEMON_STDOUT", 5),
        ("INOTIFIER_DAEMON_STDERR", 5),
        ("INOTIFIER_WORKING_DIRECTORY", 5),
        ("INOTIFIER_UMASK", "022"),
        ("INOTIFIER_USER", "no-such-user"),
        ("INOTIFIER_GROUP", "no-such-group"),
        ("INOTIFIER_SHUTDOWN_TIMEOUT", "30"),
        ("INOTIFIER_CATCH_UP", "yes"),
        ("INOTIFIER_WORKERS", 0),
        ("INOTIFIER_QUEUE_SIZE", 1.5),
        ("INOTIFIER_RETRIES", -1),
        ("INOTIFIER_RETRY_DELAY", "1"),
    ],
)
def test_e012_every_setting_is_checked(settings, tmp_path, name, value):
    settings.INOTIFIER_WATCH_PATHS = [tmp_path]
    setattr(settings, name, value)
    shown = run_checks(tags=["inotifier"])
    assert {message.id for message in shown} == {"inotifier.E012"}
    assert any(name in message.msg for message in shown)
    with pytest.raises(CommandError, match=name):
        call_command("inotifier_start", "--check")


# E013: no pyinotify.

WITHOUT_PYINOTIFY = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == "pyinotify":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from django.conf import settings
settings.configure(INSTALLED_APPS=["inotifier"], INOTIFIER_WATCH_PATHS=["/"])
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""


def without_pyinotify(*command: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_PYINOTIFY, *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    return result.stderr


def test_e013_check_says_that_pyinotify_is_missing():
    expected = "(inotifier.E013) Cannot import pyinotify: No module named 'pyinotify'"
    assert expected in without_pyinotify("check")


def test_e013_start_says_that_pyinotify_is_missing():
    expected = "CommandError: Cannot import pyinotify: No module named 'pyinotify'\n"
    assert without_pyinotify("inotifier_start") == expected


@pytest.mark.parametrize(
    "raw",
    [
        "ftp://user:secret@host/",  # and nothing else is wrong
        ("nowhere://user:secret@host/", CREATE, PRINTER),
        ("ftp://user:secret@host:x/", CREATE, PRINTER),
        ("ftp://user:sec/secret@host/", CREATE, PRINTER),
        ("ftp://user:secret@host/", "IN_OPEN", PRINTER),
        ("ftp://user:secret@host/", CREATE, "nowhere.Printer"),
        ("ftp://user:secret@host/", CREATE, PRINTER, {"source_options": {"secret": "secret"}}),
        ("ftp://user:secret@host/", CREATE, PRINTER, 5),
        ("ftp://user:sec/secret se@ret@host/", CREATE, PRINTER, 5),
        ("ftp://user@host/", CREATE, PRINTER, {"source_options": {"password": "secret"}}, 5),
        Path("ftp://user:secret@host/"),
        ["ftp://user:secret@host/", CREATE],
        {"events": CREATE, "url": "ftp://user:secret@host/"},
        {"path": "ftp://user:secret@host/", "patterns": 5},
        "file://user:secret@host/",
    ],
)
def test_no_problem_shows_a_password(settings, raw):
    settings.INOTIFIER_WATCH_PATHS = [raw, raw]
    entries, problems = inspect_settings()
    shown = [repr(entries), *(f"{problem.message}\n{problem.hint}" for problem in problems)]
    assert problems
    assert "secret" not in "\n".join(shown).replace("argument 'secret'", "")


def test_a_file_url_is_a_path(settings, tmp_path):
    (tmp_path / "a b").mkdir()
    settings.INOTIFIER_WATCH_PATHS = [f"file://{tmp_path}/a%20b"]
    [entry] = load()
    assert (entry.path, entry.url, entry.polls) == (f"{tmp_path}/a b", None, False)


# E017: no redis-py.


def test_e017_check_says_that_redis_py_is_missing():
    program = """
from django.conf import settings
settings.configure(INOTIFIER_WATCH_PATHS=["/"], INOTIFIER_REDIS_URL="redis://localhost")
from inotifier.watches import inspect_settings
print([problem.id for problem in inspect_settings()[1]])
"""
    result = run_without(["redis"], program)
    assert "inotifier.E017" in result.stdout, result.stderr


def test_every_id_has_a_test():
    package = Path(watches.__file__).parent
    used = {
        id
        for module in (*package.glob("*.py"), package.with_name("checks.py"))
        for id in re.findall(r"E\d{3}", module.read_text(encoding="utf-8"))
    }
    here = "".join(
        Path(__file__).with_name(name).read_text(encoding="utf-8")
        for name in ("test_watches.py", "test_on_file.py")
    )
    assert used == {f"E{number:03}" for number in range(1, 20)}
    assert {id for id in used if id in here or id.lower() in here} == used


def test_load_raises_the_first_problem(settings, tmp_path):
    settings.INOTIFIER_WATCH_PATHS = [tmp_path, tmp_path / "absent", 5]
    with pytest.raises(ConfigurationError, match="absent does not exist"):
        load()
