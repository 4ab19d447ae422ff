"""`FileReadySignaler`: files that are complete, judged by events made by hand on real files."""

import gc
import math
import os
import threading
from pathlib import Path

import pyinotify
import pytest
from pyinotify import (
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_ISDIR,
    IN_MODIFY,
    IN_MOVED_FROM,
    IN_MOVED_TO,
)

from inotifier.event_processors import FileReadySignaler, file_ready, known_files
from inotifier.events import Event
from inotifier.exceptions import ReceiversFailed, TryAgain
from inotifier.signals import file_ready as signal
from inotifier.watches import Watch
from inotifier.writers import Writers
from tests.in_process import Receiver, entries


class Clock:
    """A monotonic clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Feed:
    """A processor, the directory that its events are of, and what it has sent."""

    def __init__(self, top: Path, received: Receiver, **options: object) -> None:
        self.top = top
        self.clock = Clock()
        self.processor = FileReadySignaler(clock=self.clock, **options)
        self._received = received
        self._cookie = 0

    @property
    def sent(self) -> list[str]:
        return [str(Path(path).relative_to(self.top)) for path in self._received.pathnames]

    def event(self, mask: int, name: str, **fields: object) -> Event:
        path, _, name = f"{self.top}/{name}".rpartition("/")
        return Event(mask=mask, path=path, name=name, **fields)

    def __call__(self, mask: int, name: str, **fields: object) -> Event:
        event = self.event(mask, name, **fields)
        self.processor(event)
        return event

    def write(self, name: str, text: str = "text") -> None:
        """Write a file, and tell it as the kernel does."""
        new = not (self.top / name).exists()
        with (self.top / name).open("a") as file:
            if new:
                self(IN_CREATE, name)
            file.write(text)
            file.flush()
            self(IN_MODIFY, name)
        self(IN_CLOSE_WRITE, name)

    def touch(self, name: str) -> None:
        os.utime(self.top / name, (1, 1))
        self(IN_CLOSE_WRITE, name)

    def rename(self, old: str, new: str) -> None:
        (self.top / old).rename(self.top / new)
        self.tell_rename(old, new)

    def tell_rename(self, old: str, new: str, **fields: object) -> None:
        self._cookie += 1
        bits = IN_ISDIR if (self.top / new).is_dir() else 0
        source = str(self.top / old)
        self(IN_MOVED_FROM | bits, old, cookie=self._cookie)
        self(IN_MOVED_TO | bits, new, cookie=self._cookie, src_pathname=source, **fields)


@pytest.fixture
def received():
    with Receiver("file_ready") as receiver:
        yield receiver


@pytest.fixture
def feed(tmp_path, received):
    def make(**options: object) -> Feed:
        return Feed(tmp_path, received, **options)

    return make


@pytest.fixture(params=[Writers.NONE, Writers.UNKNOWN])
def unwritten(request, monkeypatch) -> Writers:
    """What can be told of a file that nobody writes."""
    if request.param is Writers.UNKNOWN:
        monkeypatch.setattr(file_ready, "writers_of", lambda path: Writers.UNKNOWN)
    return request.param


# Ways to arrive.


def test_a_written_file_is_sent_when_it_is_closed(feed, received):
    one = feed()
    one.write("x")
    assert one.sent == ["x"]
    assert received.events[0].maskname == "IN_CLOSE_WRITE"
    assert received.calls[0][1]["sender"] is FileReadySignaler
    assert received.calls[0][1]["processor"] is one.processor


def test_an_empty_file_is_sent(feed):
    one = feed()
    with (one.top / "x").open("w"):
        one(IN_CREATE, "x")
    one(IN_CLOSE_WRITE, "x")
    assert one.sent == ["x"]


def test_a_new_file_that_is_empty_may_just_not_be_open_yet(feed):
    one = feed()
    (one.top / "x").touch()
    one(IN_CREATE, "x")
    assert one.sent == []
    one(IN_CLOSE_WRITE, "x")
    assert one.sent == ["x"]


def test_an_empty_file_whose_first_name_was_elsewhere_is_sent(feed, tmp_path_factory):
    one = feed()
    source = tmp_path_factory.mktemp("outside") / "x"
    source.touch()
    os.utime(source, (1, 1))
    (one.top / "x").hardlink_to(source)
    source.unlink()
    one(IN_CREATE, "x")
    assert one.sent == ["x"]


def test_a_rename_that_a_listing_showed_before_its_event_is_sent_once(feed):
    one = feed()
    (one.top / "x").write_text("text")
    one(IN_CREATE, "x", synthetic="new-directory")
    one.tell_rename("x.part", "x")
    assert one.sent == ["x"]


def test_the_end_of_a_change_that_began_unseen_is_sent(feed):
    one = feed()
    (one.top / "x").write_text("text")
    one.processor.expect_end(str(one.top / "x"))
    assert one.sent == []
    one(IN_CLOSE_WRITE, "x")
    assert one.sent == ["x"]


def test_events_that_come_after_the_directory_has_moved_lead_to_its_files(feed):
    one = feed()
    (one.top / "new").mkdir()
    for name in ("closed", "renamed"):
        (one.top / "new" / name).write_text("text")
    one(IN_CREATE, "old/closed")
    one(IN_MODIFY, "old/closed")
    one(IN_CLOSE_WRITE, "old/closed")
    one.tell_rename("old/renamed.part", "old/renamed")
    with (one.top / "new" / "open").open("w") as file:
        one(IN_CREATE, "old/open")
        one.tell_rename("old", "new")
        assert sorted(one.sent) == ["new/closed", "new/renamed"]
        file.write("text")
    one(IN_CLOSE_WRITE, "new/open")
    assert one.sent[2:] == ["new/open"]


def test_a_file_that_is_complete_before_its_first_event_is_sent_once(feed):
    one = feed()
    (one.top / "x").write_text("text")
    for mask in (IN_CREATE, IN_MODIFY, IN_CLOSE_WRITE):
        one(mask, "x")
    assert one.sent == ["x"]


def test_a_moved_file_is_sent(feed, unwritten):
    one = feed()
    (one.top / "x").write_text("text")
    one(IN_MOVED_TO, "x", cookie=7)
    assert one.sent == ["x"]


def test_a_moved_file_that_is_written_is_sent_when_it_is_closed(feed):
    one = feed()
    with (one.top / "x").open("w"):
        one(IN_MOVED_TO, "x", cookie=7)
        assert one.sent == []
    one(IN_CLOSE_WRITE, "x")
    assert one.sent == ["x"]


@pytest.mark.parametrize("text", ["", "text"])
def test_a_hard_link_is_sent(feed, text, unwritten, tmp_path_factory):
    one = feed()
    other = tmp_path_factory.mktemp("other") / "file"
    other.write_text(text)
    (one.top / "x").hardlink_to(other)
    one(IN_CREATE, "x")
    assert one.sent == ["x"]


def test_a_symbolic_link_to_a_file_is_sent(feed, unwritten, tmp_path_factory):
    one = feed()
    other = tmp_path_factory.mktemp("other") / "file"
    other.write_text("text")
    (one.top / "x").symlink_to(other)
    one(IN_CREATE, "x")
    assert one.sent == ["x"]


def test_where_writers_cannot_be_told_a_new_file_waits_for_its_close(feed, monkeypatch):
    monkeypatch.setattr(file_ready, "writers_of", lambda path: Writers.UNKNOWN)
    one = feed()
    (one.top / "x").write_text("text")
    one(IN_CREATE, "x")
    one(IN_MODIFY, "x")
    assert one.sent == []
    one(IN_CLOSE_WRITE, "x")
    assert one.sent == ["x"]


def test_a_link_that_is_written_elsewhere_is_looked_at_again(feed, tmp_path_factory):
    one = feed()
    other = tmp_path_factory.mktemp("other") / "file"
    event = one.event(IN_CREATE, "x")
    with other.open("w"):
        (one.top / "x").hardlink_to(other)
        with pytest.raises(TryAgain):
            one.processor(event)
        assert one.sent == []
    one.processor(event)
    assert one.sent == ["x"]


def unnamed(directory: Path, text: bytes) -> int:
    """Return the descriptor of a file that has no name yet."""
    descriptor = os.open(directory, os.O_TMPFILE | os.O_WRONLY)
    os.write(descriptor, text)
    return descriptor


def give_name(descriptor: int, path: Path) -> None:
    source = f"/proc/self/fd/{descriptor}"
    os.link(source, path, src_dir_fd=descriptor, follow_symlinks=True)


@pytest.mark.parametrize("text", [b"", b"text"])
def test_a_file_that_gets_its_name_before_it_is_closed_is_sent(feed, received, text, monkeypatch):
    monkeypatch.setattr(file_ready.FileReadySignaler, "_await_other_name", lambda *args: None)
    one = feed()
    descriptor = unnamed(one.top, text)
    first_name = f"#{os.fstat(descriptor).st_ino}"
    one(IN_MODIFY, first_name)
    give_name(descriptor, one.top / "x")
    one(IN_CREATE, "x")
    os.close(descriptor)
    assert one.sent == []
    one(IN_CLOSE_WRITE, first_name)
    assert one.sent == ["x"]
    assert received.events[0].maskname == "IN_CLOSE_WRITE"
    one(IN_CLOSE_WRITE, first_name)
    assert one.sent == ["x"]


def test_a_file_may_be_called_like_an_inode(feed):
    one = feed()
    (one.top / "x").write_text("text")
    name = f"#{(one.top / 'x').stat().st_ino}"
    one.write(name)
    one.write("#1")
    assert one.sent == [name, "#1"]


def test_a_file_that_had_no_name_elsewhere_is_looked_at_again(feed, tmp_path_factory):
    one = feed()
    descriptor = unnamed(one.top, b"text")
    os.utime(descriptor, (1, 1))  # as if it had been written a while ago
    give_name(descriptor, one.top / "x")
    event = one.event(IN_CREATE, "x")
    with pytest.raises(TryAgain):
        one.processor(event)
    os.close(descriptor)
    one.processor(event)
    assert one.sent == ["x"]


def test_the_look_at_a_file_that_is_written_for_long_ends(feed, tmp_path_factory):
    one = feed()
    event = one.event(IN_CREATE, "x")
    looks = 0
    other = tmp_path_factory.mktemp("other") / "file"
    with other.open("w"):
        (one.top / "x").hardlink_to(other)
        while tries(one, event):
            one.clock.now += 0.5
            looks += 1
    assert one.sent == []
    assert looks == 120
    one(IN_CLOSE_WRITE, "x")
    assert one.sent == ["x"]


@pytest.mark.parametrize("mask", [IN_CREATE, IN_CLOSE_WRITE, IN_MOVED_TO, IN_MODIFY])
@pytest.mark.parametrize("reason", ["startup", "overflow", "new-directory"])
def test_a_file_that_was_found_is_sent(feed, mask, reason):
    one = feed()
    (one.top / "x").write_text("text")
    one(mask, "x", synthetic=reason)
    assert one.sent == ["x"]


@pytest.mark.parametrize("first", [IN_CREATE, IN_MODIFY])
def test_a_file_that_was_found_is_sent_once(feed, first, unwritten):
    one = feed()
    (one.top / "x").write_text("text")
    one(first, "x", synthetic="startup")
    one(IN_CLOSE_WRITE, "x", synthetic="startup")
    assert one.sent == ["x"]


def test_a_file_that_was_sent_is_not_sent_again_when_it_is_found(feed):
    one = feed()
    one.write("x")
    for mask in (IN_CREATE, IN_MODIFY, IN_CLOSE_WRITE, IN_MOVED_TO):
        one(mask, "x", synthetic="overflow")
    assert one.sent == ["x"]


def test_a_file_that_is_found_while_it_is_written_is_sent_when_it_is_closed(feed):
    one = feed()
    with (one.top / "x").open("w") as file:
        file.write("text")
        file.flush()
        one(IN_CREATE, "x", synthetic="startup")
        assert one.sent == []
    one(IN_CLOSE_WRITE, "x")
    assert one.sent == ["x"]


# Changes.


def test_a_file_that_changes_is_sent_again(feed):
    one = feed()
    one.write("x")
    one.write("x", "more")
    assert one.sent == ["x", "x"]


@pytest.mark.parametrize("known", [True, False])
def test_a_touch_sends_nothing(feed, known):
    one = feed()
    if known:
        one.write("x")
    else:
        (one.top / "x").write_text("text")
    before = one.sent
    one.touch("x")
    one(IN_CLOSE_WRITE, "x")
    assert one.sent == before


def test_a_file_that_was_there_is_sent_when_it_changes(feed):
    one = feed()
    (one.top / "x").write_text("text")
    one.write("x", "more")
    assert one.sent == ["x"]


def test_a_file_truncated_in_place_is_sent_again(feed):
    one = feed()
    one.write("x")
    os.truncate(one.top / "x", 1)  # nobody opens it: no IN_CLOSE_WRITE
    one(IN_MODIFY, "x")
    assert one.sent == ["x", "x"]


def test_a_file_that_is_replaced_is_sent_again(feed):
    one = feed()
    one.write("x")
    one.write("new.tmp", "other")
    one.rename("new.tmp", "x")
    assert one.sent == ["x", "x"]


def test_a_deleted_name_that_comes_again_is_sent_again(feed, tmp_path_factory):
    one = feed()
    other = tmp_path_factory.mktemp("other") / "file"
    other.write_text("text")
    for _ in range(2):
        (one.top / "x").hardlink_to(other)
        one(IN_CREATE, "x")
        (one.top / "x").unlink()
        one(IN_DELETE, "x")
    assert one.sent == ["x", "x"]


# Renames.


def test_a_file_that_was_sent_is_not_sent_under_its_next_names(feed):
    one = feed()
    one.write("x")
    one.rename("x", "y")
    one.rename("y", "y.part")
    one.touch("y.part")
    one.rename("y.part", "z")
    assert one.sent == ["x"]


def test_a_file_that_changed_under_another_name_is_sent_again(feed):
    one = feed()
    one.write("x")
    one.rename("x", "x.part")
    one.write("x.part", "more")
    one.rename("x.part", "x")
    assert one.sent == ["x", "x"]


def test_a_file_that_leaves_and_comes_back_is_sent_again(feed):
    one = feed()
    one.write("x")
    one(IN_MOVED_FROM, "x", cookie=1)
    one(IN_MOVED_TO, "x", cookie=2)
    assert one.sent == ["x", "x"]


def test_a_rename_that_is_told_before_the_departure_is_none_the_less_one(feed):
    # Each path has its own turn: what happens to the old name may have to wait.
    one = feed()
    one.write("x")
    (one.top / "x").rename(one.top / "y")
    one(IN_MOVED_TO, "y", cookie=1, src_pathname=str(one.top / "x"))
    one(IN_MOVED_FROM, "x", cookie=1)
    one(IN_CLOSE_WRITE, "y")
    assert one.sent == ["x"]


def test_a_rename_amid_the_events_of_a_file_loses_nothing(feed):
    one = feed()
    one.write("x")
    with (one.top / "x").open("a") as file:
        file.write("more")
    (one.top / "x").rename(one.top / "y")
    one(IN_MODIFY, "x")
    one(IN_CLOSE_WRITE, "x")
    one.tell_rename("x", "y")
    assert one.sent == ["x", "y"]


def test_files_in_a_renamed_directory_are_the_same_files(feed):
    one = feed()
    (one.top / "d").mkdir()
    one.write("d/x")
    one.write("d/y")
    one.write("dz")
    one.rename("d", "e")
    one.touch("e/x")
    one.rename("e/x", "e/z")
    one.write("e/y", "more")
    assert one.sent == ["d/x", "d/y", "dz", "e/y"]


def test_a_file_may_be_written_while_its_directory_is_renamed(feed):
    one = feed()
    (one.top / "d").mkdir()
    with (one.top / "d/x").open("w"):
        one(IN_CREATE, "d/x")
        one.rename("d", "e")
    one(IN_CLOSE_WRITE, "e/x")
    assert one.sent == ["e/x"]


def test_a_file_may_settle_while_its_directory_is_renamed(feed):
    one = feed(settle=5)
    (one.top / "d").mkdir()
    (one.top / "d/x").write_text("text")
    close = one.event(IN_CLOSE_WRITE, "d/x", synthetic="startup")
    with pytest.raises(TryAgain):
        one.processor(close)
    (one.top / "d").rename(one.top / "e")
    one(IN_MOVED_FROM | IN_ISDIR, "d", cookie=1)
    move = one.event(IN_MOVED_TO | IN_ISDIR, "e", cookie=1, src_pathname=str(one.top / "d"))
    with pytest.raises(TryAgain):
        one.processor(move)
    one.clock.now += 5
    one.processor(close)
    one.processor(move)
    one.processor(move)
    assert one.sent == ["e/x"]


# What is never ready.


def test_directories_fifos_and_links_to_nothing_are_not_files(feed):
    one = feed()
    (one.top / "d").mkdir()
    os.mkfifo(one.top / "fifo")
    (one.top / "nothing").symlink_to("nowhere")
    (one.top / "directory").symlink_to("d")
    one(IN_CREATE | IN_ISDIR, "d")
    one(IN_MOVED_TO | IN_ISDIR, "d", cookie=3)
    for name in ("fifo", "nothing", "directory"):
        one(IN_CREATE, name)
        one(IN_CLOSE_WRITE, name)
        one(IN_MOVED_TO, name, cookie=4)
    assert one.sent == []


@pytest.mark.parametrize("mask", [IN_CREATE, IN_MODIFY, IN_CLOSE_WRITE, IN_MOVED_TO])
def test_a_file_that_is_gone_is_no_error(feed, mask):
    one = feed()
    one(IN_CREATE, "x")
    one(mask, "x")
    one(mask, "x", synthetic="startup")
    one(IN_DELETE, "x")
    one(IN_DELETE, "x")
    assert one.sent == []
    assert not one.processor._files._pending


TEMPORARY = ["x.part", "x.partial", "x.filepart", "x.crdownload", "x.tmp", ".x.a1B2c3"]
FINAL = ["x", "part", "x.parts", "x.tmp.gz", ".x", ".x.a1B2c", ".x.a1B2c34", "x.a1B2c3"]


@pytest.mark.parametrize("name", TEMPORARY)
def test_a_temporary_name_is_never_ready(feed, name):
    one = feed()
    one.write(name)
    one(IN_MOVED_TO, name, cookie=1)
    assert one.sent == []
    one.rename(name, "final")
    assert one.sent == ["final"]


@pytest.mark.parametrize("name", FINAL)
def test_other_names_are_final(feed, name):
    one = feed()
    one.write(name)
    assert one.sent == [name]


@pytest.mark.parametrize(
    ("name", "ready"),
    [("x.new", False), ("~$x.doc", False), ("x.doc", True), ("x.part", True), ("a~$x", True)],
)
def test_an_entry_may_have_temporary_names_of_its_own(feed, name, ready):
    one = feed(temporary=[".new", "~$*"])
    one.write(name)
    assert one.sent == ([name] if ready else [])


def test_no_name_need_be_temporary(feed):
    one = feed(temporary=())
    one.write("x.part")
    assert one.sent == ["x.part"]


def test_dotfiles_may_be_left_out(feed):
    one = feed(dotfiles=False)
    one.write(".x")
    assert one.sent == []
    one.rename(".x", "x")
    assert one.sent == ["x"]


def test_a_small_file_is_ready_when_it_has_grown(feed):
    one = feed(min_size=6)
    one.write("x", "1234")
    one.touch("x")
    assert one.sent == []
    one.write("x", "56")
    assert one.sent == ["x"]


# Settling.


def tries(one: Feed, event: Event) -> float | None:
    """Deliver `event`; return what it asks to wait."""
    try:
        one.processor(event)
    except TryAgain as again:
        return again.after
    return None


def test_a_file_is_sent_when_it_was_quiet_for_long_enough(feed):
    one = feed(settle=5)
    (one.top / "x").write_text("text")
    event = one.event(IN_CREATE, "x")
    assert tries(one, event) == 5
    one.clock.now += 3
    assert tries(one, event) == 2
    one.clock.now += 2
    assert tries(one, event) is None
    assert one.sent == ["x"]
    one(IN_MODIFY, "x")
    one(IN_CLOSE_WRITE, "x")
    assert one.sent == ["x"]


def test_a_change_begins_the_quiet_time_anew(feed):
    one = feed(settle=5)
    (one.top / "x").write_text("text")
    event = one.event(IN_CREATE, "x")
    assert tries(one, event) == 5
    one.clock.now += 5
    (one.top / "x").write_text("longer text")
    assert tries(one, event) == 5
    one.clock.now += 5
    os.utime(one.top / "x", (1, 1))
    assert tries(one, event) == 5
    one.clock.now += 5
    assert tries(one, event) is None
    assert one.sent == ["x"]


def test_a_time_of_change_in_the_future_harms_nothing(feed):
    one = feed(settle=5)
    (one.top / "x").write_text("text")
    os.utime(one.top / "x", (2**33, 2**33))
    event = one.event(IN_CREATE, "x")
    tries(one, event)
    one.clock.now += 5
    assert tries(one, event) is None
    assert one.sent == ["x"]


def test_a_rename_does_not_disturb_the_quiet(feed):
    one = feed(settle=5)
    (one.top / "x").write_text("text")
    event = one.event(IN_CREATE, "x")
    assert tries(one, event) == 5
    (one.top / "x").rename(one.top / "y")
    one.clock.now += 4
    one(IN_MOVED_FROM, "x", cookie=1)
    move = one.event(IN_MOVED_TO, "y", cookie=1, src_pathname=str(one.top / "x"))
    assert tries(one, move) == 1
    one.clock.now += 1
    assert tries(one, event) is None
    assert tries(one, move) is None
    assert one.sent == ["y"]


def test_a_file_that_goes_before_it_has_settled_is_forgotten(feed):
    one = feed(settle=5)
    (one.top / "x").write_text("text")
    event = one.event(IN_CREATE, "x")
    assert tries(one, event) == 5
    (one.top / "x").unlink()
    one.clock.now += 5
    assert tries(one, event) is None
    assert one.sent == []


@pytest.mark.parametrize("synthetic", [False, "startup"])
def test_only_what_was_found_is_judged_by_quiet_alone(feed, monkeypatch, synthetic):
    monkeypatch.setattr(file_ready, "writers_of", lambda path: Writers.UNKNOWN)
    one = feed(settle=5)
    (one.top / "x").write_text("text")
    event = one.event(IN_CREATE, "x", synthetic=synthetic)
    assert tries(one, event) == (5 if synthetic else None)


# Markers.


def test_the_marker_makes_a_file_ready(feed, received):
    one = feed(marker=".done")
    one.write("x")
    assert one.sent == []
    one.write("x.done", "")
    assert one.sent == ["x"]
    [event] = received.events
    assert (event.path, event.name, event.pathname) == (str(one.top), "x", f"{one.top}/x")
    assert event.maskname == "IN_CLOSE_WRITE"


def test_the_event_of_the_file_is_like_that_of_the_marker(feed, received):
    one = feed(marker=".done")
    (one.top / "x").write_text("text")
    (one.top / "x.done").write_text("done")
    watch = Watch(one.top)
    fields = {"timestamp": 5.0, "synthetic": "startup", "watch": watch, "wd": 3}
    one(IN_CREATE, "x.done", **fields)
    [event] = received.events
    assert event.maskname == "IN_CREATE"
    assert {field: getattr(event, field) for field in fields} == fields


def test_the_end_of_the_file_makes_it_ready_if_the_marker_is_there(feed):
    one = feed(marker=[".done", ".md5"])
    one.write("x.md5")
    assert one.sent == []
    one.write("x")
    assert one.sent == ["x"]


def test_a_marker_that_is_still_written_does_not_count(feed):
    one = feed(marker=".md5")
    with (one.top / "x.md5").open("w"):
        one(IN_CREATE, "x.md5")
        one.write("x")
        assert one.sent == []
    one(IN_CLOSE_WRITE, "x.md5")
    assert one.sent == ["x"]


def test_the_marker_of_a_file_that_is_still_written_waits(feed):
    one = feed(marker=".done")
    with (one.top / "x").open("w"):
        one(IN_CREATE, "x")
        one.write("x.done", "")
        assert one.sent == []
    one(IN_CLOSE_WRITE, "x")
    assert one.sent == ["x"]


def test_a_file_that_was_there_waits_for_its_marker(feed, unwritten):
    one = feed(marker=".done")
    (one.top / "x").write_text("text")
    one.write("x.done", "")
    assert one.sent == ["x"]


def test_a_second_marker_sends_nothing_until_the_file_changes(feed):
    one = feed(marker=".done")
    one.write("x")
    one.write("x.done", "")
    (one.top / "x.done").unlink()
    one(IN_DELETE, "x.done")
    one.write("x.done", "")
    one.touch("x.done")
    assert one.sent == ["x"]
    one.write("x", "more")
    assert one.sent == ["x", "x"]


@pytest.mark.parametrize("order", [["x", "x.done"], ["x.done", "x"]])
def test_both_may_be_moved_in(feed, order):
    one = feed(marker=".done")
    for name in order:
        (one.top / name).write_text("text")
        one(IN_MOVED_TO, name, cookie=1)
    assert one.sent == ["x"]


def test_a_marker_without_its_file_is_nothing(feed):
    one = feed(marker=".done")
    one.write("x.done")
    one.write(".done")
    assert one.sent == []


def test_a_marked_file_settles(feed):
    one = feed(marker=".done", settle=5)
    (one.top / "x").write_text("text")
    (one.top / "x.done").write_text("done")
    event = one.event(IN_CREATE, "x.done")
    assert tries(one, event) == 5
    one.clock.now += 5
    assert tries(one, event) is None
    assert one.sent == ["x"]


# Failures.


@pytest.fixture
def failing():
    """A receiver that raises what stands in its list, one for each call, and then succeeds."""
    reasons = []

    def receive(**kwargs):
        if reasons:
            raise reasons.pop(0)

    signal.connect(receive)
    yield reasons
    signal.disconnect(receive)


@pytest.mark.parametrize(
    "mask", [IN_CREATE, IN_MODIFY, IN_CLOSE_WRITE, IN_MOVED_TO], ids=pyinotify.EventsCodes.maskname
)
def test_what_a_receiver_failed_on_is_sent_again_to_it_alone(feed, failing, mask):
    one = feed()
    failing += [ValueError("no"), TryAgain(3)]
    (one.top / "x").write_text("text")
    event = one.event(mask, "x", cookie=3, synthetic=mask == IN_CLOSE_WRITE)
    with pytest.raises(ReceiversFailed):
        one.processor(event)
    assert tries(one, event) == 3
    assert tries(one, event) is None
    assert failing == []
    assert one.sent == ["x"]


def test_the_event_of_a_marked_file_is_the_same_at_every_try(feed, failing):
    one = feed(marker=".done")
    failing += [ValueError("no"), ValueError("no")]
    (one.top / "x").write_text("text")
    (one.top / "x.done").write_text("done")
    event = one.event(IN_CREATE, "x.done")
    for _ in range(2):
        with pytest.raises(ReceiversFailed):
            one.processor(event)
    one.processor(event)
    assert one.sent == ["x"]


def test_an_event_that_was_given_up_leaves_the_file_to_the_next_one(feed, failing, received):
    one = feed()
    failing += [ValueError("no")]
    (one.top / "x").write_text("text")
    with pytest.raises(ReceiversFailed):
        one(IN_CREATE, "x")
    received.calls.clear()
    gc.collect()
    assert len(one.processor._unsent) == 0
    one(IN_CLOSE_WRITE, "x")
    assert failing == []


def test_a_change_during_the_delivery_is_not_lost(feed):
    one = feed()

    def change(event, **kwargs):
        signal.disconnect(change)
        with Path(event.pathname).open("a") as file:
            file.write("more")
        # As another thread would tell it, if the marker's path is the one being handled.
        one(IN_MODIFY, "x")

    signal.connect(change)
    one.write("x")
    one(IN_CLOSE_WRITE, "x")
    assert one.sent == ["x", "x"]


def test_two_threads_do_not_send_one_file(feed):
    one = feed(marker=".done")
    (one.top / "x").write_text("text")
    (one.top / "x.done").write_text("done")
    inside, go_on = threading.Event(), threading.Event()

    def hold(**kwargs):
        inside.set()
        go_on.wait(10)

    signal.connect(hold)
    thread = threading.Thread(target=one, args=(IN_CREATE, "x.done"))
    thread.start()
    inside.wait(10)
    event = one.event(IN_CLOSE_WRITE, "x", synthetic="startup")
    try:
        assert tries(one, event) == pytest.approx(0.1)
    finally:
        go_on.set()
        thread.join()
        signal.disconnect(hold)
    assert tries(one, event) is None
    assert one.sent == ["x"]


# Memory.


def test_records_are_bounded(feed, monkeypatch):
    for name in ("MAX_PENDING", "MAX_SENT", "MAX_MOVING"):
        monkeypatch.setattr(known_files, name, 5)
    one = feed()
    for number in range(20):
        one.write(f"{number}")
        one(IN_MODIFY, f"{number}.part")
        one(IN_MOVED_FROM, f"{number}", cookie=number + 1)
        one.write(f"{number}b")
    files = one.processor._files
    assert 0 < len(files._pending) <= 5
    assert [len(files._sent), len(files._moving)] == [5, 5]
    assert len(one.processor._unsent) == 0


# Options.


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"settle": "1"}, TypeError, "settle is '1'"),
        ({"settle": True}, TypeError, "settle is True"),
        ({"settle": -1}, ValueError, "0 or above"),
        ({"settle": math.inf}, ValueError, "settle is inf"),
        ({"temporary": ".part"}, TypeError, "list of texts"),
        ({"temporary": None}, TypeError, "list of texts"),
        ({"temporary": [1]}, TypeError, "temporary holds 1"),
        ({"temporary": ["part"]}, ValueError, "neither a suffix"),
        ({"temporary": [""]}, ValueError, "neither a suffix"),
        ({"dotfiles": "no"}, TypeError, "dotfiles is 'no'"),
        ({"marker": ""}, ValueError, "marker holds ''"),
        ({"marker": ["/x"]}, ValueError, "marker holds '/x'"),
        ({"marker": 3}, TypeError, "marker is 3"),
        ({"min_size": 1.5}, TypeError, "number of bytes"),
        ({"min_size": -1}, ValueError, "0 or above"),
        ({"suffixes": [".x"]}, TypeError, "suffixes"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        FileReadySignaler(**options)


def test_an_entry_without_a_mask_has_the_right_one(tmp_path):
    [entry] = entries((tmp_path, None, FileReadySignaler))
    assert entry.mask == FileReadySignaler.mask


def test_bits_that_send_nothing_are_added(tmp_path):
    mask = "IN_CREATE|IN_CLOSE_WRITE|IN_MOVED_TO"
    [entry] = entries((tmp_path, mask, FileReadySignaler))
    assert entry.mask == FileReadySignaler.mask
