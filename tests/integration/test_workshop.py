"""The directory in which a transfer works, and what a crash leaves of it."""

import os
from pathlib import Path

import pytest

from inotifier.exceptions import RuleFailed, TryAgain
from inotifier.scheduling.places import Place, place_of
from inotifier.scheduling.renaming import rename_new
from inotifier.scheduling.workshop import Purpose, is_in_workshop, recover, workshop_for

MAKE, REMOVE = Purpose.MAKE, Purpose.REMOVE


@pytest.fixture
def place(tmp_path):
    with place_of(str(tmp_path / "x")) as found:
        yield found


def path_of(place: Place) -> Path:
    return Path(place.path)


def crash(place: Place, purpose: Purpose) -> Path:
    """Leave what stands at `place` where a crash leaves it; return where that is."""
    directory = path_of(place).parent
    with workshop_for(place, purpose) as workshop:
        name = path_of(workshop.old).parent.name
    left = directory / name / "old.part"
    left.parent.mkdir()
    path_of(place).rename(left)
    return left


def test_it_is_gone_in_the_end(place, tmp_path):
    with workshop_for(place, MAKE) as workshop:
        path_of(workshop.new).write_text("new")
        path_of(workshop.old).write_text("old")
        assert is_in_workshop(workshop.new.path)
    assert list(tmp_path.iterdir()) == []


def test_what_stood_there_is_put_back_after_an_exception(place, tmp_path):
    path_of(place).write_text("old")

    def fail() -> None:
        with workshop_for(place, MAKE) as workshop:
            rename_new(place, workshop.old)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "old")]


@pytest.mark.parametrize("purpose", Purpose)
def test_nobody_else_may_work_there_meanwhile(place, purpose):
    with workshop_for(place, purpose) as workshop:
        path_of(workshop.new).write_text("new")
        with pytest.raises(TryAgain):
            recover(place, purpose, lambda old: True)
        with pytest.raises(TryAgain), workshop_for(place, purpose):
            pass
        assert path_of(workshop.new).read_text() == "new"


def test_what_is_removed_there_is_another_work(place):
    with workshop_for(place, MAKE), workshop_for(place, REMOVE):
        recover(Place(place.directory, "y", place.path), MAKE, lambda old: True)


@pytest.mark.parametrize("purpose", Purpose)
def test_what_a_crash_has_taken_away_is_put_back(place, tmp_path, purpose):
    path_of(place).write_text("old")
    crash(place, purpose)
    recover(place, purpose, lambda old: False)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "old")]


@pytest.mark.parametrize("purpose", Purpose)
def test_unless_it_is_needless(place, tmp_path, purpose):
    path_of(place).write_text("old")
    left = crash(place, purpose)
    recover(place, purpose, lambda old: path_of(old) == left)
    assert list(tmp_path.iterdir()) == []


def test_what_is_new_there_is_not_replaced_and_nothing_is_removed(place):
    path_of(place).write_text("old")
    left = crash(place, REMOVE)
    path_of(place).write_text("new")
    with pytest.raises(RuleFailed, match=r"is now .*old\.part, because something new stands there"):
        recover(place, REMOVE, lambda old: False)
    assert (left.read_text(), path_of(place).read_text()) == ("old", "new")


def test_the_names_of_what_is_in_work():
    assert is_in_workshop("/srv/.inotifier-0123456789abcdef.part/new.part")
    assert is_in_workshop("/srv/.inotifier-0123456789abcdef.part")
    assert not is_in_workshop("/srv/.inotifier-0123.part/x")
    assert not is_in_workshop("/srv/inotifier.part")


def test_a_workshop_that_is_taken_away_while_it_is_made_is_tried_again(place, monkeypatch):
    make = os.mkdir

    def made_and_taken_away(name, mode, *, dir_fd):
        make(name, mode, dir_fd=dir_fd)
        os.rmdir(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", made_and_taken_away)
    with pytest.raises(TryAgain), workshop_for(place, MAKE):
        pass
