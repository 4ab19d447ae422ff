import itertools
import logging
import os
import re
import threading
import time

import pyinotify
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from inotifier.events import (
    IN_CREATE,
    IN_DELETE_SELF,
    IN_ISDIR,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_Q_OVERFLOW,
    Event,
)
from inotifier.filters import JUNK, VCS, PathFilter

ROOT = "/srv/in"
PATTERNS = ("patterns", "ignore_patterns", "ignore_directories")
REGEXES = ("regexes", "ignore_regexes")


def passing(paths, root=ROOT, **options):
    """Return those of `paths`, relative to `root`, that pass; a directory ends in a slash."""
    found = PathFilter(root, **options)
    return [
        path
        for path in paths
        if found.passes(f"{root.rstrip('/')}/{path.rstrip('/')}", path.endswith("/"))
    ]


def matches(glob, path):
    """Tell whether `glob` matches `path`, relative to the root, and see that nothing else does."""
    wanted = passing([path], patterns=[glob])
    assert passing([path], ignore_patterns=[glob]) != wanted
    return bool(wanted)


def judged(found, event):
    """Return `event` if it passes, as it is then."""
    return event if found.lets_through(event) else None


# How the options work together.


def test_without_options_everything_passes():
    found = PathFilter(ROOT)
    assert found.is_empty
    assert found.passes("/srv/in/a", False)
    assert found.passes("/srv/in", True)
    assert not found.skips_directory("/srv/in/.git")


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_empty_options_are_none(nothing):
    options = dict.fromkeys([*PATTERNS, *REGEXES], nothing)
    assert PathFilter(ROOT, **options, case_sensitive=False).is_empty


@pytest.mark.parametrize(
    "options",
    [
        *({option: ["x"]} for option in (*PATTERNS, *REGEXES)),
        {"patterns": ["a/b"]},
        {"ignore_patterns": ["a/b"]},
        {"patterns": ["a/**"]},
        {"ignore_patterns": ["a/**"]},
        {"exclude_filter": bool},
    ],
    ids=repr,
)
def test_each_option_makes_it_count(options):
    assert not PathFilter(ROOT, **options).is_empty


def test_one_pattern_is_enough():
    assert passing(["a.py", "b.txt", "c.c"], patterns=["*.py", "*.txt"]) == ["a.py", "b.txt"]


def test_a_pattern_or_a_regex_is_enough():
    options = {"patterns": ["*.py"], "regexes": [r"/b\.txt\Z"]}
    assert passing(["a.py", "b.txt", "c.c"], **options) == ["a.py", "b.txt"]


@pytest.mark.parametrize(
    "options",
    [
        {"ignore_patterns": ["tmp_*"]},
        {"ignore_patterns": ["tmp_a.py", "other"]},
        {"ignore_patterns": ["sub/*"]},
        {"ignore_patterns": ["sub/**"]},
        {"ignore_patterns": ["/srv/in/sub/t*"]},
        {"ignore_regexes": ["/tmp_"]},
        {"ignore_directories": ["sub"]},
        {"exclude_filter": lambda path: "tmp_" in path},
    ],
)
def test_ignoring_wins(options):
    wanted = {"patterns": ["*.py"], "regexes": [r"\.py\Z"]}
    assert passing(["sub/tmp_a.py"], **wanted) == ["sub/tmp_a.py"]
    assert passing(["sub/tmp_a.py", "b.py"], **wanted, **options) == ["b.py"]
    assert passing(["sub/tmp_a.py", "b.txt"], **options) == ["b.txt"]


def test_directories_are_judged_by_patterns_as_files_are():
    paths = ["a.csv", "a.csv/", "sub/", "sub/a.csv"]
    assert passing(paths, patterns=["*.csv"]) == ["a.csv", "a.csv/", "sub/a.csv"]
    assert passing(paths, regexes=["/sub"]) == ["sub/", "sub/a.csv"]


def test_an_ignored_pattern_hides_a_directory_but_not_what_is_in_it():
    assert passing(["sub/", "sub/a"], ignore_patterns=["sub"]) == ["sub/a"]
    assert passing(["sub/", "sub/a", "sub/a/b"], ignore_patterns=["sub/**"]) == ["sub/"]


# Globs.


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("*.py", "a.py"),
        ("*.py", "sub/deep/a.py"),
        ("*.py", ".py"),
        ("*", ".hidden"),
        ("?", "a"),
        ("?.py", "sub/a.py"),
        ("[ab].py", "b.py"),
        ("[a-c].py", "b.py"),
        ("[!ab].py", "c.py"),
        ("[]].py", "].py"),
        ("[!]].py", "a.py"),
        ("[*].py", "*.py"),
        ("[a-].py", "-.py"),
        ("[^a].py", "^.py"),
        (r"[\d].py", "\\.py"),
        ("[&&||~~].py", "&.py"),
        ("[.py", "[.py"),
        ("[].py", "[].py"),
        ("[!].py", "[!].py"),
        ("a+(b)|c$", "a+(b)|c$"),
        ("a*b*c", "a-b-b-c"),
        ("**.py", "sub/a.py"),
        ("sub/*.py", "sub/a.py"),
        ("*/a.py", "sub/a.py"),
        ("sub/[ab].py", "sub/a.py"),
        ("sub/**", "sub/a"),
        ("sub/**", "sub/deep/a"),
        ("sub/**/a", "sub/a"),
        ("sub/**/a", "sub/deep/deeper/a"),
        ("**/a", "a"),
        ("**/a", "sub/a"),
        ("**/sub/a", "sub/a"),
        ("**/sub/a", "x/y/sub/a"),
        ("**/sub/**", "sub/a"),
        ("**/sub/**", "x/sub/y/a"),
        ("**/**", "a"),
        ("sub/***/a", "sub/a"),
        ("sub/a**b", "sub/a/x/b"),
        ("sub/**.py", "sub/deep/a.py"),
        ("**/s**.py", "sub/deep/a.py"),
        ("/srv/in/*.py", "a.py"),
        ("/srv/**/a", "a"),
        ("/**/in/a", "a"),
        ("/**", "sub/a"),
    ],
)
def test_glob_matches(glob, path):
    assert matches(glob, path)


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("*.tmp", "notatmp"),
        ("*.py", "a.pyc"),
        ("*.py", "a.py/b"),
        ("a.py", "a-py"),
        ("*.py", "A.PY"),
        ("?", "ab"),
        ("[ab].py", "ab.py"),
        ("[!ab].py", "a.py"),
        ("[!]].py", "].py"),
        ("[^a].py", "b.py"),
        (r"[\d].py", "1.py"),
        ("a*b*c", "a-c-b"),
        ("sub/*.py", "a.py"),
        ("sub/*.py", "x/sub/a.py"),
        ("sub/*.py", "sub/deep/a.py"),
        ("sub?a.py", "sub/a.py"),
        ("sub/x?y", "sub/x/y"),
        ("sub/x[!a]y", "sub/x/y"),
        ("sub/x[+-9]y", "sub/x/y"),
        ("sub/*", "sub/deep/a"),
        ("sub/**", "sub"),
        ("sub/**", "subs/a"),
        ("sub/**/a", "sub/ba"),
        ("**/sub/a", "xsub/a"),
        ("a.py", "sub/a.py.bak"),
        ("/srv/in/*.py", "sub/a.py"),
        ("/a.py", "a.py"),
        ("/srv/in", "a"),
    ],
)
def test_glob_does_not_match(glob, path):
    assert not matches(glob, path)


def test_a_relative_glob_starts_at_the_root_whatever_its_name_holds():
    odd = "/s.v/[in]*"
    assert passing(["sub/a"], root=odd, patterns=["sub/*"]) == ["sub/a"]
    assert not PathFilter(odd, patterns=["sub/*"]).passes("/sxv/[in]*/sub/a", False)


@pytest.mark.parametrize("root", ["/", "/srv/in", "/srv/in/"])
def test_the_root_may_be_any_directory(root):
    paths = ["a", "sub/a", "sub/deep/a", "sub/"]
    assert passing(paths, root=root, patterns=["sub/*"]) == ["sub/a"]
    assert passing(paths, root=root, ignore_directories=["sub"]) == ["a"]


def test_upper_and_lower_case():
    options = {"patterns": ["*.jpg", "Sub/*.png", "Raw/**"], "regexes": [r"\.gif\Z"]}
    paths = ["a.JPG", "b.Jpg", "sub/c.PNG", "d.GIF", "raw/e", "f.txt"]
    assert passing(paths, **options, case_sensitive=False) == paths[:-1]
    assert passing(paths, **options) == []
    out = {"ignore_patterns": ["thumbs.DB"], "ignore_directories": ["CVS"]}
    paths = ["Thumbs.db", "cvs/", "cvs/a"]
    assert passing(paths, **out, case_sensitive=False) == []
    assert passing(paths, **out) == paths


def test_a_pattern_of_platypush_is_a_regex_for_the_base_name():
    options = {"regexes": [r".*\.jpe?g$"], "ignore_patterns": ["^tmp_.*"]}
    options |= {"ignore_directories": ["__MACOSX"], "case_sensitive": False}
    paths = ["a.JPG", "sub/b.jpeg", "tmp_c.jpg", "sub/TMP_d.jpg", "__MACOSX/e.jpg", "tmp_/f.jpg"]
    assert passing(paths, **options) == ["a.JPG", "sub/b.jpeg", "tmp_/f.jpg"]


def test_a_pattern_that_is_a_regex_may_hold_groups():
    options = {"ignore_patterns": [r"^(.)\1", "*.x", r"^(?P<a>b)(?P=a)$"]}
    assert passing(["aab", "ab", "c.x", "bb"], **options) == ["ab"]


@pytest.mark.parametrize("name", [b"\xff\xfe.py", b"a\nb.py", b"\n.py", "ä.py".encode()], ids=repr)
def test_any_byte_may_be_in_a_name(name):
    path = os.fsdecode(name)
    for options in (
        {"patterns": ["*.py"]},
        {"patterns": ["sub/*.py"]},
        {"patterns": ["sub/**"]},
        {"patterns": [path]},
        {"regexes": [r"^/srv/.*\.py$"]},
        {"regexes": [r"sub/.*\.py\Z"]},
    ):
        assert passing([f"sub/{path}"], **options)
        assert not passing([f"sub/{path}\n"], **options | {"regexes": None, "patterns": ["*.py"]})


@pytest.mark.parametrize("glob", ["*.py", "sub/*.py"])
def test_a_line_break_at_the_end_counts(glob):
    assert not matches(glob, "sub/a.py\n")


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("*_*_*_*_*_*_*_*x", "_" * 255),
        ("sub/*_*_*_*_*_*_*_*x", "sub/" + "_" * 255),
        ("a/**/a/**/a/**/a/**/a/**/x", "a/" * 2000 + "a"),
        ("a**a**a**a**a**a**a**/x", "a/" * 2000 + "a"),
    ],
)
def test_a_hostile_name_takes_no_time(glob, path):
    start = time.process_time()
    assert not matches(glob, path)
    assert time.process_time() - start < 1


def test_globs_with_directories_do_not_disturb_each_other():
    globs = ["sub/*.py", "sub/**/*.c", "sub/**/x*", "*/*.h", "/srv/in/sub/*.o", "sub/**.t", "a/**"]
    passed = ["sub/a.py", "sub/a.c", "sub/b/c/a.c", "sub/b/x", "b/a.h", "sub/a.o", "sub/b/a.t"]
    others = ["a.py", "sub/b/a.py", "a.c", "b/x", "sub/b/a.h", "b/a.o", "b/a.t", "a"]
    assert passing([*passed, *others, "a/b/c"], patterns=globs) == [*passed, "a/b/c"]


# Regular expressions.


def test_a_regex_is_searched_in_the_whole_path():
    paths = ["report-1.csv", "sub/report-2.csv", "other"]
    assert passing(paths, regexes=["report"]) == paths[:2]
    assert passing(paths, regexes=["^/srv/in/report"]) == paths[:1]
    assert passing(paths, regexes=["in/[^/]*$"]) == ["report-1.csv", "other"]
    assert passing(paths, regexes=["^report"]) == []


@pytest.mark.parametrize(
    ("regexes", "passed"),
    [
        ([r"/(.)\1\Z", r"/b(.)\1"], ["aa", "bcc"]),
        ([r"/(?P<x>a)(?P=x)", r"(?P<x>c)(?P=x)\Z"], ["aa", "bcc"]),
        (["(?i)/A", "B"], ["aa"]),
        (["(?i:/A)", "B"], ["aa"]),
        (["(?x) / a a  # two of them", "x|cc"], ["aa", "bcc"]),
        (["/z|/aa", "q"], ["aa"]),
    ],
)
def test_regexes_do_not_disturb_each_other(regexes, passed):
    assert passing(["aa", "bcc", "d"], regexes=regexes) == passed
    assert passing(["aa", "bcc", "d"], ignore_regexes=regexes) == [
        path for path in ["aa", "bcc", "d"] if path not in passed
    ]


@pytest.mark.parametrize("regex", ["(?i)/A", "(?s)/A", "(?a)/A", "(?i:/A)"])
def test_a_regex_may_hold_the_flags_that_it_has_anyway(regex):
    options = {"regexes": [regex, "D"], "case_sensitive": False}
    assert passing(["aa", "bcc", "d"], **options) == ["aa", "d"]


# Directories that are left out.


@pytest.mark.parametrize(
    ("glob", "out"),
    [
        ("cache", ["cache/", "cache/a", "cache/b/", "cache/b/c", "x/cache/", "x/cache/a"]),
        ("cache/", ["cache/", "cache/a", "cache/b/", "cache/b/c", "x/cache/", "x/cache/a"]),
        ("**/cache", ["cache/", "cache/a", "cache/b/", "cache/b/c", "x/cache/", "x/cache/a"]),
        ("c*e", ["cache/", "cache/a", "cache/b/", "cache/b/c", "x/cache/", "x/cache/a"]),
        ("x/cache", ["x/cache/", "x/cache/a"]),
        ("*/cache", ["x/cache/", "x/cache/a"]),
        ("cache/*", ["cache/b/", "cache/b/c"]),
        ("cache/**", ["cache/b/", "cache/b/c"]),
        ("/srv/in/x/c*", ["x/cache/", "x/cache/a"]),
        ("/srv/*/cache", ["cache/", "cache/a", "cache/b/", "cache/b/c"]),
    ],
)
def test_an_ignored_directory_is_out_with_all_that_is_in_it(glob, out):
    paths = ["a", "cache/", "cache/a", "cache/b/", "cache/b/c", "cachex/a", "x/"]
    paths += ["x/cache/", "x/cache/a", "y/cache"]
    found = passing(paths, ignore_directories=[glob])
    assert [path for path in paths if path not in found] == out


def test_a_file_of_the_name_of_an_ignored_directory_is_a_file():
    assert passing([".git", "sub/.git"], ignore_directories=VCS) == [".git", "sub/.git"]


@pytest.mark.parametrize("glob", ["in", "srv", "*", "**", "/srv/in", "/srv", "/srv/*", "/**"])
def test_the_root_is_never_left_out(glob):
    found = PathFilter(ROOT, ignore_directories=[glob])
    assert found.passes(ROOT, True)
    assert found.passes("/srv/in/a", False)
    assert not found.skips_directory(ROOT)


@pytest.mark.parametrize("options", [{"ignore_directories": ["*"]}, {"exclude_filter": bool}])
def test_the_top_of_the_file_system_as_root_is_never_left_out(options):
    found = PathFilter("/", **options)
    assert found.passes("/", True)
    assert not found.skips_directory("/")
    assert found.skips_directory("/a")


def test_a_deep_directory_is_judged():
    deep = "/".join(["d"] * 3000)
    assert passing([f"{deep}/a"], ignore_directories=["x"])
    assert not passing([f"d/x/{deep}/a"], ignore_directories=["x"])


@pytest.mark.parametrize(
    ("options", "skipped"),
    [
        ({"ignore_directories": [".git"]}, [".git", "sub/.git", "sub/.git/hooks"]),
        ({"ignore_directories": ["sub/.git"]}, ["sub/.git", "sub/.git/hooks"]),
        ({"exclude_filter": lambda path: path == "/srv/in/sub"}, ["sub", "sub/.git"]),
        ({"ignore_patterns": ["sub/**"]}, ["sub", "sub/.git", "sub/.git/hooks"]),
        ({"ignore_patterns": ["sub", "sub/*", ".git"]}, []),
        ({"ignore_regexes": ["sub"]}, []),
        ({"patterns": ["*.py", "a/**"], "regexes": ["x"]}, []),
    ],
)
def test_a_tree_of_which_nothing_passes_is_skipped(options, skipped):
    found = PathFilter(ROOT, **options)
    for path in (".git", "sub", "sub/.git", "sub/.git/hooks"):
        expected = any(path == one or path.startswith(f"{one}/") for one in skipped)
        assert found.skips_directory(f"/srv/in/{path}") == expected
    assert not found.skips_directory(ROOT)
    assert not found.skips_directory("/elsewhere/.git")


# What pyinotify calls an exclude filter.


def test_an_exclude_filter_of_pyinotify_leaves_out_files_and_whole_directories():
    exclude = pyinotify.ExcludeFilter(["/srv/in/rc.*", "/srv/in/sub$", "/srv/in/hostname"])
    paths = ["rc.local", "hostname", "other", "sub/", "sub/a", "sub/b/c", "subs/a"]
    assert passing(paths, exclude_filter=exclude) == ["other", "subs/a"]


def test_an_exclude_filter_of_pyinotify_may_come_from_a_file(tmp_path):
    listing = tmp_path / "exclude.lst"
    listing.write_text("# these\n\n/srv/in/a\n", encoding="utf-8")
    exclude = pyinotify.ExcludeFilter(str(listing))
    assert passing(["a", "b"], exclude_filter=exclude) == ["b"]


def test_an_exclude_filter_that_fails_excludes_nothing(caplog):
    def fail(path):
        raise KeyError(path)

    found = PathFilter(ROOT, exclude_filter=fail)
    with caplog.at_level(logging.ERROR, "inotifier.filters"):
        assert found.passes("/srv/in/a\nb", False)
    assert caplog.messages == ["exclude_filter failed for /srv/in/a\\nb, which is kept"]
    assert caplog.records[0].exc_info


# Events.


def moved(source, target, is_dir=False):
    mask = IN_MOVED_TO | (IN_ISDIR if is_dir else 0)
    return Event(mask=mask, path=ROOT, name=target, src_pathname=source, cookie=7)


def test_an_event_is_judged_by_its_path():
    found = PathFilter(ROOT, patterns=["*.csv"], ignore_directories=["old"])
    wanted = Event(mask=IN_CREATE, path=ROOT, name="a.csv")
    assert judged(found, wanted) is wanted
    assert judged(found, Event(mask=IN_CREATE, path=ROOT, name="a.txt")) is None
    assert judged(found, Event(mask=IN_CREATE, path=f"{ROOT}/old", name="a.csv")) is None


def test_an_event_of_a_directory_is_judged_as_one():
    found = PathFilter(ROOT, ignore_directories=["old"])
    assert judged(found, Event(mask=IN_CREATE | IN_ISDIR, path=ROOT, name="old")) is None
    assert judged(found, Event(mask=IN_CREATE, path=ROOT, name="old"))
    assert judged(found, Event(mask=IN_DELETE_SELF, path=f"{ROOT}/old", dir=True)) is None


def test_an_entry_that_is_a_file_is_judged_by_its_name():
    event = Event(mask=IN_CREATE, path="/etc/passwd")
    assert judged(PathFilter("/etc/passwd", patterns=["pass*"]), event) is event
    assert judged(PathFilter("/etc/passwd", ignore_patterns=["pass*"]), event) is None


def test_a_move_within_view_stays_as_it_is():
    event = moved("/srv/in/a.csv", "b.csv")
    assert judged(PathFilter(ROOT, patterns=["*.csv"]), event) is event


def test_a_move_into_view_is_an_arrival():
    event = moved("/srv/in/a.part", "a.csv")
    event.note = "mine"
    seen = judged(PathFilter(ROOT, patterns=["*.csv"]), event)
    assert (seen.pathname, seen.src_pathname, seen.mask) == ("/srv/in/a.csv", None, IN_MOVED_TO)
    assert (seen.cookie, seen.timestamp, seen.note) == (7, event.timestamp, "mine")


@pytest.mark.parametrize("name", ["a.part", "b.part"])
def test_a_move_out_of_view_has_its_first_end_only(name):
    found = PathFilter(ROOT, patterns=["*.csv"])
    away = Event(mask=IN_MOVED_FROM, path=ROOT, name="a.csv", cookie=7)
    assert judged(found, away) is away
    assert judged(found, moved("/srv/in/a.csv", name)) is None


def test_of_a_move_out_of_view_nothing_is_seen():
    found = PathFilter(ROOT, patterns=["*.csv"])
    assert judged(found, Event(mask=IN_MOVED_FROM, path=ROOT, name="a", cookie=7)) is None
    assert judged(found, moved("/srv/in/a", "b")) is None


def test_a_move_of_a_directory_out_of_an_ignored_one():
    found = PathFilter(ROOT, ignore_directories=["old"])
    assert judged(found, moved("/srv/in/old", "new", is_dir=True)).src_pathname is None
    assert judged(found, moved("/srv/in/old", "new")).src_pathname == "/srv/in/old"
    assert judged(found, moved("/srv/in/x", "old", is_dir=True)) is None


@pytest.mark.parametrize(
    ("options", "source"),
    [
        ({"patterns": ["*.csv"]}, "/other/old/a.csv"),
        ({"ignore_directories": ["old"]}, "/other/old/a.csv"),
        ({"patterns": ["sub/*", "b.csv"]}, None),
        ({"ignore_regexes": ["^/other"]}, None),
        ({"ignore_patterns": ["/other/**"]}, None),
        ({"exclude_filter": lambda path: path.startswith("/other")}, None),
    ],
)
def test_a_source_outside_the_root_is_judged_by_what_does_not_need_the_root(options, source):
    assert judged(PathFilter(ROOT, **options), moved("/other/old/a.csv", "b.csv")).src_pathname == (
        source
    )


@pytest.mark.parametrize(
    "event",
    [
        Event(mask=IN_Q_OVERFLOW),
        Event(mask=pyinotify.IN_IGNORED, path=ROOT),
        Event(mask=pyinotify.IN_UNMOUNT, path=ROOT, dir=True),
    ],
    ids=lambda event: event.maskname,
)
def test_what_the_kernel_says_of_the_entry_itself_passes(event):
    assert judged(PathFilter(ROOT, patterns=["*.csv"], ignore_regexes=["."]), event) is event


@pytest.mark.parametrize("mask", [IN_DELETE_SELF, pyinotify.IN_ATTRIB | IN_ISDIR])
def test_other_events_of_the_root_are_judged(mask):
    assert judged(PathFilter(ROOT, patterns=["*.csv"]), Event(mask=mask, path=ROOT)) is None
    assert judged(PathFilter(ROOT, patterns=["in"]), Event(mask=mask, path=ROOT))


def test_threads_share_a_filter():
    found = PathFilter(ROOT, patterns=["*5"], ignore_directories=["d3"])
    paths = [f"/srv/in/d{number % 7}/f{number}" for number in range(9000)]
    expected = [path.endswith("5") and "/d3/" not in path for path in paths]
    answers = {}

    def judge(worker):
        answers[worker] = [found.passes(path, False) for path in paths]

    threads = [threading.Thread(target=judge, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(answers.values()) == [expected] * 4


# Ready-made lists.


@pytest.mark.parametrize(
    "path",
    [
        ".DS_Store",
        "sub/._photo.jpg",
        "Thumbs.db",
        "desktop.ini",
        "@eaDir/",
        "@eaDir/photo.jpg/",
        "sub/@eaDir/photo.jpg/SYNOPHOTO_THUMB_M.jpg",
        ".notes.txt.swp",
        ".notes.txt.swx",
        "4913",
        "notes.txt~",
        ".#notes.txt",
        "#notes.txt#",
        "~$letter.docx",
        ".~lock.letter.odt#",
    ],
)
def test_junk_is_known(path):
    assert passing([path], ignore_patterns=[*JUNK]) == []


def test_ordinary_names_are_no_junk():
    names = [".bashrc", "a~b", "#1 song.mp3", "49130", "photo.jpg", "_draft", "swp", "a.swf"]
    assert passing(names, ignore_patterns=[*JUNK]) == names


def test_version_control_is_known():
    paths = [f"sub/{name}/file" for name in VCS]
    assert {".git", ".hg", ".svn", "CVS"} < set(VCS)
    assert passing(paths, ignore_directories=[*VCS]) == []


# Options that cannot be used.


@pytest.mark.parametrize("option", [*PATTERNS, *REGEXES])
@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("*.py", TypeError, "{} is '*.py'; it should be a list of texts"),
        (b"*.py", TypeError, "{} is b'*.py'; it should be a list of texts"),
        (5, TypeError, "{} is 5; it should be a list of texts"),
        (True, TypeError, "{} is True; it should be a list of texts"),
        ({"*.py": 1}, TypeError, "{} is {{'*.py': 1}}; it should be a list of texts"),
        (["a", 5], TypeError, "{} holds 5, which is not a text"),
        ([b"a"], TypeError, "{} holds b'a', which is not a text"),
        (["a", ""], ValueError, "{} holds an empty text; leave it out"),
    ],
    ids=repr,
)
def test_a_bad_option_is_named(option, value, error, message):
    with pytest.raises(error) as caught:
        PathFilter(ROOT, **{option: value})
    assert str(caught.value) == message.format(option)


@pytest.mark.parametrize("option", [*PATTERNS, *REGEXES])
def test_an_option_that_can_be_read_only_once_is_refused(option):
    # The settings are read more than once; the second time it would be empty.
    with pytest.raises(TypeError, match="should be a list of texts"):
        PathFilter(ROOT, **{option: (name for name in ["a"])})


@pytest.mark.parametrize("option", PATTERNS)
@pytest.mark.parametrize("glob", ["./a", "../a", "a/../b", "a//b", "/", "..", "//a"])
def test_a_glob_that_matches_no_path_is_refused(option, glob):
    with pytest.raises(ValueError, match=f"{option} holds .* which no path matches"):
        PathFilter(ROOT, **{option: [glob]})


@pytest.mark.parametrize("option", ["patterns", "ignore_patterns"])
def test_a_glob_for_files_that_ends_in_a_slash_is_refused(option):
    with pytest.raises(ValueError, match="'cache/', which no path matches"):
        PathFilter(ROOT, **{option: ["cache/"]})


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("regexes", "(", "regexes holds '(', which is no regular expression: missing ), unter"),
        ("ignore_regexes", "a**", "ignore_regexes holds 'a**', which is no regular expression: "),
        ("patterns", "^(", "patterns holds '^(', which is no regular expression: missing )"),
        ("patterns", "[z-a]", "patterns holds '[z-a]', which is no glob: bad character range"),
        ("ignore_directories", "x/[z-a]", "ignore_directories holds 'x/[z-a]', which is no glob"),
    ],
)
def test_what_cannot_be_compiled_is_named_with_its_reason(option, value, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        PathFilter(ROOT, **{option: [value]})


@pytest.mark.parametrize("value", [None, 1, "yes"])
def test_case_sensitive_is_true_or_false(value):
    with pytest.raises(TypeError, match=f"case_sensitive is {value!r}; it should be True or"):
        PathFilter(ROOT, case_sensitive=value)


@pytest.mark.parametrize("value", [["/srv/in/a"], "exclude.lst", 1])
def test_an_exclude_filter_is_callable(value):
    message = f"exclude_filter is {value!r}; it should be callable with a path"
    with pytest.raises(TypeError, match=re.escape(message)):
        PathFilter(ROOT, exclude_filter=value)


@pytest.mark.parametrize("root", ["", "srv", "~/in"])
def test_the_root_is_absolute(root):
    with pytest.raises(ValueError, match=f"root is {root!r}; it should be an absolute path"):
        PathFilter(root)


# The same, slow and obvious.


def slow_match(glob, text, at_start=True):
    """Tell whether `glob` matches all of `text`, one character after the other."""
    if not glob:
        return not text
    if at_start and glob.startswith("**/"):
        rests = [text, *(text[i + 1 :] for i, char in enumerate(text) if char == "/")]
        return any(slow_match(glob[3:], rest) for rest in rests)
    if glob.startswith("**"):
        return any(slow_match(glob[2:], text[i:], False) for i in range(len(text) + 1))
    if glob[0] == "*":
        length = len(text.partition("/")[0])
        return any(slow_match(glob[1:], text[i:], False) for i in range(length + 1))
    taken, fits = slow_character(glob)
    return bool(text) and fits(text[0]) and slow_match(glob[taken:], text[1:], text[0] == "/")


def slow_character(glob):
    """Return how much of `glob` stands for one character, and what tells whether it fits."""
    if glob[0] == "?":
        return 1, lambda char: char != "/"
    part = glob.partition("/")[0]
    start = 2 if part.startswith("[!") else 1
    end = part.find("]", start + 1)
    if glob[0] == "[" and end > start:
        chars = glob[start:end]
        return end + 1, lambda char: char != "/" and (char in chars) == (start == 1)
    return 1, lambda char: char == glob[0]


def slow_fits(glob, path, root):
    """Tell whether `glob` matches `path`, which lies below `root`."""
    glob = re.sub(r"\*{3,}", "**", glob)
    if glob.startswith("/"):
        return slow_match(glob, path)
    if "/" in glob:
        return slow_match(glob, path.removeprefix(f"{root}/"))
    return slow_match(glob, path.split("/")[-1])


def slow_passes(path, is_dir, root, options):
    parts = path.removeprefix(f"{root}/").split("/")
    uppers = ["/".join([root, *parts[:depth]]) for depth in range(1, len(parts))]
    directories = [*uppers, path] if is_dir else uppers
    for glob, directory in itertools.product(options["ignore_directories"], directories):
        if slow_fits(glob, directory, root):
            return False
    for directory in [*uppers, path]:
        if options["exclude_filter"] and options["exclude_filter"](directory):
            return False
    if any(slow_fits(glob, path, root) for glob in options["ignore_patterns"]):
        return False
    if any(re.search(regex, path, re.DOTALL) for regex in options["ignore_regexes"]):
        return False
    wanted = [slow_fits(glob, path, root) for glob in options["patterns"]]
    wanted += [bool(re.search(regex, path, re.DOTALL)) for regex in options["regexes"]]
    return not wanted or any(wanted)


def slow_judge(event, root, options):
    """Return what is seen of `event` as (path, source), None if nothing."""
    if not slow_passes(event.pathname, event.dir, root, options):
        return None
    source = event.src_pathname
    seen = source is not None and slow_passes(source, event.dir, root, options)
    return event.pathname, source if seen else None


roots = st.sampled_from(["/a", "/a/b", "/b.a"])
parts_of_paths = st.text("ab.\n\udcff", min_size=1, max_size=4).filter(
    lambda part: part not in {".", ".."}
)
paths_below = st.lists(parts_of_paths, min_size=1, max_size=4).map("/".join)
pieces = st.sampled_from(
    ["a", "b", ".", "\n", "\udcff", "*", "*", "**", "?", "[ab]", "[!a]", "[]a]", "[", "]", "!"]
)
parts_of_globs = st.one_of(
    st.just("**"), st.lists(pieces, min_size=1, max_size=5).map("".join), parts_of_paths
).filter(lambda part: part not in {".", ".."})
relative_globs = st.lists(parts_of_globs, min_size=1, max_size=4).map("/".join)
globs = st.one_of(
    parts_of_globs,
    relative_globs,
    st.builds("{}/{}".format, roots, relative_globs),
    st.builds("/{}".format, relative_globs),
)
regexes = st.sampled_from(
    ["a", r"/b\Z", "^/a/b/a", r".*b\Z", "[^/]a$", r"(.)\1", "^/a/b*", "/(?P<x>a).(?P=x)", "(?i)B"]
)
few_globs = st.lists(globs, max_size=3)
few_regexes = st.lists(regexes, max_size=2)


@settings(max_examples=1000)
@given(glob=relative_globs, paths=st.lists(paths_below, min_size=1, max_size=8))
@example(glob="*a**b", paths=["a/ab", "xa/b"])
@example(glob="**a*b", paths=["a/ab", "ab/b"])
@example(glob="**/a*/**/b", paths=["a/ab/b", "a/b", "b/a/b"])
@example(glob="**/*a/**b*a", paths=["a/a/a/bba", "a/ba"])
@example(glob="*a**b*a/a", paths=["aba/a", "ba/b/bba/a", "aa/b/a/a"])
@example(glob="**/a**", paths=["a/b", "b/a", "b"])
def test_globs_match_as_the_obvious_way_does(glob, paths):
    found = PathFilter("/r", patterns=[glob])
    for path in paths:
        expected = slow_fits(glob, f"/r/{path}", "/r")
        assert found.passes(f"/r/{path}", False) == expected


@settings(max_examples=500)
@given(
    root=roots,
    options=st.fixed_dictionaries(
        {
            "patterns": few_globs,
            "ignore_patterns": few_globs,
            "regexes": few_regexes,
            "ignore_regexes": few_regexes,
            "ignore_directories": few_globs,
            "exclude_filter": st.sampled_from([None, re.compile(".*a/b").match]),
        }
    ),
    ends=st.lists(
        st.tuples(paths_below, st.none() | paths_below, st.booleans()), min_size=1, max_size=8
    ),
)
def test_events_are_judged_as_the_obvious_way_does(root, options, ends):
    found = PathFilter(root, **options)
    assume(not found.is_empty)
    for target, source, is_dir in ends * 2:  # the second time it remembers
        event = Event(
            mask=IN_MOVED_TO,
            path=f"{root}/{target}".rpartition("/")[0],
            name=target.rpartition("/")[2],
            src_pathname=source and f"{root}/{source}",
            dir=is_dir,
        )
        expected = slow_judge(event, root, options)
        seen = judged(found, event)
        assert (seen and (seen.pathname, seen.src_pathname)) == expected


@given(root=roots, globs=few_globs, ignored=few_globs, path=paths_below, below=paths_below)
def test_nothing_passes_below_a_directory_that_is_skipped(root, globs, ignored, path, below):
    found = PathFilter(root, ignore_directories=globs, ignore_patterns=ignored)
    if found.skips_directory(f"{root}/{path}"):
        assert not found.passes(f"{root}/{path}/{below}", False)
        assert not found.passes(f"{root}/{path}/{below}", True)
        assert found.skips_directory(f"{root}/{path}/{below}")
