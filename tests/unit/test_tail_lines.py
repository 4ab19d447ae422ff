"""What `inotifier_tail` makes of an event."""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inotifier.events import (
    EVENT_BITS,
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_ISDIR,
    IN_MOVED_TO,
    IN_Q_OVERFLOW,
    Event,
)
from inotifier.tail import Columns, Format, Stats

NAMES = st.binary(min_size=1, max_size=30).map(lambda name: os.fsdecode(name.replace(b"/", b"_")))


def event(mask=IN_CREATE, path="/srv", name="a", **fields):
    return Event(mask=mask, path=path, name=name, timestamp=1_700_000_000.25, **fields)


# Columns.


def test_a_line_has_time_event_and_path():
    line = Columns(colours=False)(event())
    assert re.fullmatch(r"\d\d:\d\d:20\.250  IN_CREATE +  /srv/a", line)


def test_a_directory_ends_in_a_slash():
    assert Columns(colours=False)(event(IN_CREATE | IN_ISDIR)).endswith("IN_CREATE         /srv/a/")


def test_a_rename_shows_both_names_and_a_made_event_why():
    line = Columns(colours=False)(event(IN_MOVED_TO, src_pathname="/srv/b", synthetic="poll"))
    assert line.endswith("/srv/b -> /srv/a (poll)")


def test_paths_begin_in_one_column():
    starts = {Columns(colours=False)(event(bit)).index("/srv") for bit in EVENT_BITS.values()}
    assert len(starts) == 1


def test_colours_are_of_the_event_alone():
    line = Columns(colours=True)(event(IN_DELETE))
    assert re.search(r"\x1b\[[0-9;]+mIN_DELETE +\x1b\[0m  /srv/a$", line)


@given(NAMES)
def test_no_name_leaves_its_line_or_changes_a_terminal(name):
    plain = event(name=name, src_pathname=f"/srv/{name}")
    for line in (
        Columns(colours=False)(plain),
        Format("%w%f %e %T", plain=False)(plain),
    ):
        assert line.isprintable()
        line.encode("utf-8")


# inotifywait's letters.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%w%f", "/srv/a"),
        ("%w %f %e", "/srv/ a CLOSE_WRITE,CLOSE"),
        ("%:e", "CLOSE_WRITE:CLOSE"),
        ("%|e|", "CLOSE_WRITE|CLOSE|"),
        ("%f%0", "a\0"),
        ("%f%n", "a\n"),
        ("100%% %c", "100% 1f"),
        ("", ""),
        ("no letter", "no letter"),
    ],
)
def test_a_format_has_the_letters_of_inotifywait(text, expected):
    assert Format(text, plain=True)(event(IN_CLOSE_WRITE, cookie=31)) == expected


def test_a_directory_is_told_of_as_inotifywait_does():
    assert Format("%e", plain=True)(event(IN_CREATE | IN_ISDIR)) == "CREATE,ISDIR"


def test_an_event_of_the_watched_path_itself_has_no_name():
    assert Format("%w|%f", plain=True)(event(path="/srv/file", name="")) == "/srv/file|"
    assert Format("%w|%f", plain=True)(event(path="/srv", name="", dir=True)) == "/srv/|"
    assert Format("%w|%f", plain=True)(event(path="/", name="a")) == "/|a"


def test_the_time_has_the_form_that_was_asked_for():
    assert Format("%T", "%Y", plain=True)(event()) == "2023"


@pytest.mark.parametrize("text", ["%", "%q", "100%", "%xT", "% e%"])
def test_an_unknown_letter_is_refused(text):
    with pytest.raises(ValueError, match="known are %w %f"):
        Format(text, plain=True)


def test_a_program_gets_a_name_as_it_is():
    name = os.fsdecode(b"caf\xe9\n\x1b[31m")
    assert Format("%f", plain=True)(event(name=name)) == name


# Counts.


def test_counts_are_by_path_and_event_the_busiest_first():
    stats = Stats()
    for mask, path in [
        (IN_DELETE, "/quiet"),
        (IN_CREATE, "/busy"),
        (IN_CREATE | IN_ISDIR, "/busy"),
        (IN_DELETE, "/busy"),
    ]:
        stats(event(mask, path))
    assert stats.lines() == [
        "total  create  delete  path",
        "    3       2       1  /busy",
        "    1       0       1  /quiet",
    ]


def test_counts_of_nothing_are_a_head():
    assert Stats().lines() == ["total  path"]


def test_counts_of_an_overflow_have_no_path():
    stats = Stats()
    stats(Event(mask=IN_Q_OVERFLOW))
    assert stats.lines()[1].split() == ["1", "1", "(no", "path)"]


@given(NAMES)
def test_no_path_changes_the_table(name):
    stats = Stats()
    stats(event(path=f"/{name}"))
    assert all(line.isprintable() for line in stats.lines())
