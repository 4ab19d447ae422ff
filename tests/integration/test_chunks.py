"""`CreateViaChunksSignaler`: uploads that get their name when they are complete."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from inotifier.event_processors import CreateViaChunksSignaler
from inotifier.watches import Watch
from tests.in_process import Receiver, Running

CHUNKS = "inotifier.event_processors.CreateViaChunksSignaler"
LEGACY_MASK = "IN_CREATE|IN_MOVED_FROM|IN_MOVED_TO"


class Clock:
    """A monotonic clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["step by step", "at once"])
def burst(request) -> bool:
    """Whether all has happened before the first event is delivered."""
    return request.param == "at once"


@pytest.fixture
def received():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def upload(watching, received, tmp_path, burst):
    """Do steps in a watched directory `in`, and return what was sent: (signal, name)."""
    for name in ("in", "second", "out"):
        (tmp_path / name).mkdir()

    def do(*steps: Callable[[], object], **options: object) -> list[tuple[str, str]]:
        watches = [
            Watch(tmp_path / name, processor=CHUNKS, options=options) for name in ("in", "second")
        ]
        running = watching(*watches, run=not burst)
        for step in steps:
            step()
            if not burst:
                running.sync()
        if burst:
            running.run()
        running.stop()
        assert [handler.failed for handler in running.handlers] == [0, 0]
        return [
            (name, str(Path(event.pathname).relative_to(tmp_path)))
            for name, event in zip(received.names, received.events, strict=True)
        ]

    return do


@pytest.fixture
def step(tmp_path):
    return Steps(tmp_path)


class Steps:
    """What can happen to files below a directory."""

    def __init__(self, top: Path) -> None:
        self._top = top

    def create(self, name: str) -> Callable[[], object]:
        return (self._top / name).touch

    def mkdir(self, name: str) -> Callable[[], object]:
        return (self._top / name).mkdir

    def rename(self, old: str, new: str) -> Callable[[], object]:
        return lambda: (self._top / old).rename(self._top / new)

    def delete(self, name: str) -> Callable[[], object]:
        return (self._top / name).unlink

    def link(self, old: str, new: str) -> Callable[[], object]:
        return lambda: (self._top / new).hardlink_to(self._top / old)


def test_a_part_that_is_renamed_is_sent_once(upload, step):
    sent = upload(step.create("in/x.part"), step.rename("in/x.part", "in/x"))
    assert sent == [("in_create", "in/x")]


def test_the_event_is_that_of_the_move(upload, step, received, tmp_path):
    upload(step.create("in/x.part"), step.rename("in/x.part", "in/x"))
    [event] = received.events
    assert event.maskname == "IN_MOVED_TO"
    assert event.src_pathname == str(tmp_path / "in" / "x.part")
    assert received.calls[0][1]["sender"] is CreateViaChunksSignaler


def test_a_plain_file_is_not_sent(upload, step):
    assert upload(step.create("in/x")) == []


def test_a_plain_file_that_is_renamed_is_not_sent(upload, step):
    assert upload(step.create("in/x"), step.rename("in/x", "in/y")) == []


def test_a_part_that_is_renamed_to_a_part_is_tracked_further(upload, step):
    sent = upload(
        step.create("in/x.part"),
        step.rename("in/x.part", "in/y.part"),
        step.rename("in/y.part", "in/y"),
    )
    assert sent == [("in_create", "in/y")]


def test_every_configured_suffix_is_temporary(upload, step):
    sent = upload(
        step.create("in/x.part"),
        step.rename("in/x.part", "in/x.tmp"),
        step.rename("in/x.tmp", "in/x"),
        suffixes=[".part", ".tmp"],
    )
    assert sent == [("in_create", "in/x")]


def test_a_suffix_that_is_not_configured_is_a_name_like_any_other(upload, step):
    sent = upload(
        step.create("in/x.part"),
        step.rename("in/x.part", "in/x.tmp"),
        step.rename("in/x.tmp", "in/x"),
    )
    assert sent == [("in_create", "in/x.tmp")]


def test_a_directory_is_not_sent(upload, step):
    assert upload(step.mkdir("in/x.part"), step.rename("in/x.part", "in/x")) == []


def test_a_directory_is_sent_if_asked_for(upload, step):
    steps = [step.mkdir("in/x.part"), step.rename("in/x.part", "in/x")]
    assert upload(*steps, directories=True) == [("in_create", "in/x")]


def test_a_part_of_one_entry_is_completed_in_another(upload, step):
    sent = upload(step.create("in/x.part"), step.rename("in/x.part", "second/x"))
    assert sent == [("in_create", "second/x")]


def test_a_part_wanders_through_entries(upload, step):
    sent = upload(
        step.create("in/x.part"),
        step.rename("in/x.part", "second/x.part"),
        step.rename("second/x.part", "in/x"),
    )
    assert sent == [("in_create", "in/x")]


def test_a_file_from_an_unwatched_place_is_not_sent(upload, step):
    assert upload(step.create("out/x"), step.rename("out/x", "in/x")) == []


def test_a_part_from_an_unwatched_place_is_not_known(upload, step):
    steps = [step.create("out/x.part"), step.rename("out/x.part", "in/x")]
    assert upload(*steps) == []


def test_a_deleted_part_is_forgotten(upload, step):
    sent = upload(
        step.create("in/x.part"),
        step.delete("in/x.part"),
        step.create("out/x.part"),
        step.rename("out/x.part", "in/x.part"),
        step.rename("in/x.part", "in/x"),
    )
    assert sent == []


def test_a_part_that_is_moved_out_is_forgotten(upload, step):
    sent = upload(
        step.create("in/x.part"),
        step.rename("in/x.part", "out/x.part"),
        step.rename("out/x.part", "in/x"),
    )
    assert sent == []


def test_a_new_file_with_the_inode_of_a_deleted_part_is_not_sent(upload, step):
    # File systems give a free inode to the next file.
    steps = [step.create("in/x.part"), step.delete("in/x.part"), step.create("in/y")]
    assert upload(*steps * 5) == []


def test_a_part_that_was_there_before_the_start_is_sent(upload, step):
    step.create("in/x.part")()
    assert upload(step.rename("in/x.part", "in/x")) == [("in_create", "in/x")]


def test_a_directory_that_was_there_before_the_start_is_not_sent(upload, step):
    step.mkdir("in/x.part")()
    assert upload(step.rename("in/x.part", "in/x")) == []


def test_a_part_that_replaces_a_file_is_sent(upload, step):
    step.create("in/x")()
    sent = upload(step.create("in/x.part"), step.rename("in/x.part", "in/x"))
    assert sent == [("in_create", "in/x")]


def test_the_same_name_is_sent_again_for_the_next_upload(upload, step):
    steps = [step.create("in/x.part"), step.rename("in/x.part", "in/x")]
    assert upload(*steps, *steps) == [("in_create", "in/x")] * 2


def test_a_name_of_any_bytes(upload, step):
    sent = upload(
        step.create("in/caf\udce9.part"), step.rename("in/caf\udce9.part", "in/caf\udce9")
    )
    assert sent == [("in_create", "in/caf\udce9")]


# Step by step only: an inode can be asked for only as long as the name is there.


def one_by_one(running: Running, *steps: Callable[[], object]) -> None:
    for step in steps:
        step()
        running.sync()


def test_a_part_that_gets_a_link_as_its_name_is_sent_once(watching, received, step, tmp_path):
    running = watching(Watch(tmp_path, processor=CHUNKS))
    one_by_one(
        running,
        step.create("x.part"),
        step.link("x.part", "x"),
        step.delete("x.part"),
    )
    assert received.names == ["in_create"]
    [event] = received.events
    assert (event.maskname, event.pathname) == ("IN_CREATE", str(tmp_path / "x"))


def test_a_link_in_another_entry_completes_a_part(watching, received, step, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    running = watching(*(Watch(tmp_path / name, processor=CHUNKS) for name in "ab"))
    one_by_one(running, step.create("a/x.part"), step.link("a/x.part", "b/x"))
    assert received.pathnames == [str(tmp_path / "b" / "x")]


def test_a_part_that_was_there_before_the_start_may_get_a_link(watching, received, step, tmp_path):
    step.create("x.part")()
    running = watching(Watch(tmp_path, processor=CHUNKS))
    one_by_one(running, step.link("x.part", "x"), step.delete("x.part"))
    assert received.pathnames == [str(tmp_path / "x")]


def test_the_mask_of_old_is_enough(watching, received, step, tmp_path):
    running = watching((tmp_path, LEGACY_MASK, CHUNKS))
    one_by_one(
        running,
        step.create("x.part"),
        # At once, so that no other file gets the inode that is free now.
        lambda: (step.delete("x.part")(), step.create("y")()),
        step.create("z.part"),
        step.rename("z.part", "z"),
    )
    assert received.pathnames == [str(tmp_path / "z")]


def test_an_upload_is_forgotten_after_max_age(watching, received, step, tmp_path):
    clock = Clock()
    options = {"max_age": 60, "clock": clock}
    running = watching(Watch(tmp_path, processor=CHUNKS, options=options))
    one_by_one(running, step.create("old.part"))
    clock.now += 30
    one_by_one(running, step.create("young.part"))
    clock.now += 31
    one_by_one(running, step.create("next.part"))  # which is the moment to forget
    one_by_one(running, step.rename("old.part", "old"), step.rename("young.part", "young"))
    assert received.pathnames == [str(tmp_path / "young")]


def test_an_old_upload_that_nobody_disturbed_is_sent(watching, received, step, tmp_path):
    clock = Clock()
    options = {"max_age": 60, "clock": clock}
    running = watching(Watch(tmp_path, processor=CHUNKS, options=options))
    one_by_one(running, step.create("x.part"))
    clock.now += 61
    one_by_one(running, step.rename("x.part", "x"))
    assert received.pathnames == [str(tmp_path / "x")]


def test_a_renamed_part_is_young_again(watching, received, step, tmp_path):
    clock = Clock()
    options = {"max_age": 60, "clock": clock}
    running = watching(Watch(tmp_path, processor=CHUNKS, options=options))
    one_by_one(running, step.create("x.part"))
    clock.now += 59
    one_by_one(running, step.rename("x.part", "y.part"))
    clock.now += 59
    one_by_one(running, step.rename("y.part", "y"))
    assert received.pathnames == [str(tmp_path / "y")]


def test_an_upload_may_take_six_hours(watching, received, step, tmp_path):
    clock = Clock()
    running = watching(Watch(tmp_path, processor=CHUNKS, options={"clock": clock}))
    one_by_one(running, step.create("x.part"))
    clock.now += 6 * 3600 - 1
    one_by_one(running, step.rename("x.part", "x"))
    assert received.pathnames == [str(tmp_path / "x")]


def test_uploads_that_never_complete_are_not_remembered_for_ever(watching, step, tmp_path):
    watched = tmp_path / "watched"
    watched.mkdir()
    clock = Clock()
    processor = CreateViaChunksSignaler(max_age=60, clock=clock)
    running = watching(Watch(watched, processor=processor))
    for number in range(200):
        (watched / f"{number}.part").touch()
        if number % 2:
            (watched / f"{number}.part").rename(tmp_path / f"{number}.part")
    running.sync()
    clock.now += 61
    one_by_one(running, (watched / "last").touch)
    files = processor.partial_files
    assert [files._parts, files._paths, files._moving] == [{}, {}, {}]


def test_every_record_of_a_complete_upload_is_gone(watching, received, step, tmp_path):
    processor = CreateViaChunksSignaler()
    running = watching(Watch(tmp_path, processor=processor))
    one_by_one(
        running,
        step.create("a.part"),
        step.rename("a.part", "a"),
        step.create("b.part"),
        step.link("b.part", "b"),
        step.delete("b.part"),
        step.create("c.part"),
        step.delete("c.part"),
    )
    files = processor.partial_files
    assert received.names == ["in_create"] * 2
    assert [files._parts, files._paths, files._moving] == [{}, {}, {}]


def test_a_watched_file_is_no_place_for_uploads(watching, received, tmp_path):
    file = tmp_path / "x.part"
    file.touch()
    running = watching(Watch(file, processor=CHUNKS))
    file.rename(tmp_path / "x")
    running.stop()
    assert received.names == []


def test_two_entries_of_one_directory_send_once(watching, received, step, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(".")
    running = watching(*(Watch(path, processor=CHUNKS) for path in (tmp_path, link)))
    one_by_one(running, step.create("x.part"), step.rename("x.part", "x"))
    assert len(received.names) == 1


def test_an_unreadable_directory_is_said_at_the_start():
    # What cannot be listed: the directory has gone since it was checked.
    with pytest.raises(FileNotFoundError):
        CreateViaChunksSignaler().prepare(os.fspath(Path("/no/such/directory")))
