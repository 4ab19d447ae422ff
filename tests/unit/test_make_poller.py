"""Which class makes the poller of a URL, and what a URL means."""

import subprocess
import sys
from pathlib import Path

import pytest

from inotifier.locations import path_of, scheme_of
from inotifier.sources import (
    FilePoller,
    INotifyPoller,
    Poller,
    SourceError,
    make_poller,
    register_poller,
    registry,
)


class Nowhere(Poller):
    """A place without anything."""

    def listing(self):
        return {}


class Failing(Nowhere):
    def listing(self):
        raise SourceError("the server does not answer")


class Silent(Nowhere):
    def listing(self):
        raise OSError


class Refusing(Nowhere):
    def __init__(self, url, recurse=False):
        raise TypeError("no such argument")


@pytest.fixture(autouse=True)
def own_register(monkeypatch):
    """What a test registers is gone after it."""
    classes = {scheme: list(found) for scheme, found in registry._classes.items()}
    monkeypatch.setattr(registry, "_classes", registry.defaultdict(list, classes))


def registered(*classes, scheme="test"):
    for cls in classes:
        assert register_poller(scheme)(cls) is cls


# Which class


@pytest.mark.parametrize("as_text", [str, Path, Path.as_uri], ids=["str", "Path", "URL"])
def test_a_path_is_a_file_url(tmp_path, as_text):
    with make_poller(as_text(tmp_path), recurse=True) as poller:
        assert type(poller) is INotifyPoller
        assert poller.recurse
        (tmp_path / "directory").mkdir()
        (tmp_path / "directory" / "file").touch()
        file = str(tmp_path / "directory" / "file")
        assert poller.get_new_events() == [(file, "created")]


def test_further_arguments_reach_the_class(tmp_path):
    (tmp_path / "file").touch()
    with make_poller(tmp_path, initial="created") as poller:
        assert poller.get_new_events() == [(str(tmp_path / "file"), "created")]


def test_an_unknown_scheme():
    registered(Nowhere)
    expected = r"no poller for gopher:// URLs; known schemes are .*\bfile, .*\btest\b"
    for _ in range(2):
        with pytest.raises(ValueError, match=expected):
            make_poller("gopher://host/")


def test_the_scheme_may_be_in_upper_case(tmp_path):
    registered(Nowhere, scheme="TEST")
    assert type(make_poller("Test://host/")) is Nowhere


@pytest.mark.parametrize("scheme", ["", "s3://", "a b", "3d", "file:"])
def test_what_is_no_scheme_is_not_registered(scheme):
    with pytest.raises(ValueError, match="is no scheme"):
        register_poller(scheme)


def test_one_class_for_two_schemes():
    registered(register_poller("one")(Nowhere), scheme="two")
    assert type(make_poller("one://")) is type(make_poller("two://")) is Nowhere


def test_the_first_class_wins(caplog):
    class Other(Nowhere):
        pass

    registered(Nowhere, Other)
    assert type(make_poller("test://host/")) is Nowhere
    assert not caplog.records


def test_the_next_class_takes_the_place_of_one_that_fails_and_that_is_logged(caplog):
    registered(Failing, Silent, Nowhere)
    assert type(make_poller("test://user:secret@host/")) is Nowhere
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "WARNING",
            "Failing cannot be used, Nowhere takes its place: the server does not answer",
        ),
        ("WARNING", "Silent cannot be used, Nowhere takes its place: OSError"),
    ]


def test_the_error_lists_the_reason_of_each(caplog):
    registered(Failing, Silent, Refusing)
    with pytest.raises(SourceError) as caught:
        make_poller("test://user:secret@host/")
    assert str(caught.value) == (
        "no poller can be made for this test:// URL: Failing: the server does not answer; "
        "Silent: OSError; Refusing: no such argument"
    )
    assert isinstance(caught.value.__cause__, SourceError)
    assert not caplog.records


def test_a_wrong_argument_is_told_as_such(tmp_path, caplog):
    with pytest.raises(ValueError, match=r"initial is 'all'; it should be one of"):
        make_poller(tmp_path, initial="all")
    with pytest.raises(TypeError, match="recuse"):
        make_poller(tmp_path, recuse=True)
    assert not caplog.records


def test_what_is_no_directory_is_refused_with_the_reasons(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match=r"INotifyPoller: .* FilePoller: .*Not a directory"):
        make_poller(tmp_path / "file" / "below")


def test_scripts_need_no_settings(tmp_path):
    program = """
import sys
from inotifier.sources import make_poller
with make_poller(sys.argv[1]) as poller:
    open(sys.argv[1] + "/file", "w").close()
    print([kind for _, kind in poller.get_new_events()])
"""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env={},
        timeout=60,
    )
    assert (result.stdout, result.stderr) == ("['created']\n", "")


# What a URL means


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/a", "/a"),
        ("/a/b/../c/", "/a/c"),
        ("/a#b?c%20d", "/a#b?c%20d"),
        (Path("/a#b"), "/a#b"),
        ("file:/a", str(Path.cwd() / "file:/a")),
        (Path("file:///a"), str(Path.cwd() / "file:/a")),
        ("file:///a", "/a"),
        ("FILE://localhost/a/", "/a"),
        ("file:///", "/"),
        ("file:///a%23b%3Fc%20d%25", "/a#b?c d%"),
        ("file:///caf%C3%A9", "/café"),
        ("file:///caf%e9", "/caf\udce9"),
        ("file:///100%", "/100%"),
    ],
)
def test_the_path_of_a_url(url, path):
    assert scheme_of(url) == "file"
    assert path_of(url) == path


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("", ValueError, "the URL is empty"),
        (b"/a", TypeError, "give a str or a pathlib.Path"),
        (None, TypeError, "give a str or a pathlib.Path"),
        ("/a\0b", ValueError, "NUL"),
        ("file:///a%00b", ValueError, "NUL"),
        ("file:///a#b", ValueError, "write %23 or %3F"),
        ("file:///a?b", ValueError, "write %23 or %3F"),
        ("file://host/a", ValueError, "no file URL of this machine: write file:///path"),
        ("file://a", ValueError, "no file URL of this machine"),
        ("file://", ValueError, "no file URL of this machine"),
    ],
)
def test_what_means_no_path(url, error, message):
    with pytest.raises(error, match=message):
        make_poller(url)


@pytest.mark.parametrize("cls", [FilePoller, INotifyPoller])
def test_pollers_of_files_take_no_other_scheme(cls):
    with pytest.raises(ValueError, match="no file URL"):
        cls("s3://bucket/")
