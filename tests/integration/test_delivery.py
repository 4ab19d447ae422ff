"""From the kernel to the processors, with real kernel events."""

import os
import threading
import time
from pathlib import Path

import pyinotify
import pytest
from pyinotify import IN_EXCL_UNLINK, IN_ISDIR

from inotifier.exceptions import InotifierError, WatchError
from inotifier.service import Service
from inotifier.watches import Watch
from tests.in_process import Recorder, entries
from tests.waiting import wait_for

ALL = "ALL_EVENTS"


def life_of_a_file(file: Path) -> None:
    """Cause every event that a file in a directory can have."""
    file.touch()
    file.write_text("text")
    file.read_text()
    file.chmod(0o600)
    file.rename(file.with_name("renamed"))
    file.with_name("renamed").unlink()


LIFE = [
    ("IN_CREATE", "file"),
    ("IN_OPEN", "file"),
    ("IN_CLOSE_WRITE", "file"),
    ("IN_OPEN", "file"),
    ("IN_CLOSE_WRITE", "file"),
    ("IN_OPEN", "file"),
    ("IN_MOVED_FROM", "file"),
    ("IN_MOVED_TO", "renamed"),
    ("IN_DELETE", "renamed"),
]


def test_one_call_for_each_event_in_the_order_of_the_kernel(watching, tmp_path):
    # With IN_OPEN, no two events in a row are the same: those the kernel would make one.
    recorder = Recorder()
    mask = "IN_CREATE|IN_OPEN|IN_CLOSE_WRITE|IN_DELETE|IN_MOVE"
    running = watching((tmp_path, mask, recorder))
    life_of_a_file(tmp_path / "file")
    running.stop()
    assert recorder.seen == [(mask, str(tmp_path / name)) for mask, name in LIFE]


@pytest.mark.parametrize(
    "name",
    [
        "IN_ACCESS",
        "IN_ATTRIB",
        "IN_CLOSE_NOWRITE",
        "IN_CLOSE_WRITE",
        "IN_CREATE",
        "IN_DELETE",
        "IN_MODIFY",
        "IN_MOVED_FROM",
        "IN_MOVED_TO",
        "IN_OPEN",
    ],
)
def test_a_mask_gets_its_own_events_only(watching, tmp_path, name):
    recorder = Recorder()
    running = watching((tmp_path, name, recorder))
    life_of_a_file(tmp_path / "file")
    running.stop()
    assert set(recorder.masknames) == {name}


def test_many_files_are_delivered_once_each(watching, tmp_path):
    recorder = Recorder()
    running = watching((tmp_path, "IN_CLOSE_WRITE", recorder))
    names = [f"{number:04}" for number in range(3000)]
    for name in names:
        (tmp_path / name).touch()
    running.stop()
    assert recorder.pathnames == [str(tmp_path / name) for name in names]
    assert running.handlers[0].seen == running.handlers[0].delivered == len(names)


def test_an_event_carries_everything(watching, tmp_path):
    recorder = Recorder()
    watch = Watch(tmp_path, "IN_CREATE", recorder, name="mine")
    before = time.time()
    running = watching(watch)
    (tmp_path / "directory").mkdir()
    running.stop()
    [event] = recorder.events
    assert isinstance(event, pyinotify.Event)
    assert event.mask == pyinotify.IN_CREATE | IN_ISDIR
    assert event.maskname == "IN_CREATE|IN_ISDIR"
    assert (event.path, event.name) == (str(tmp_path), "directory")
    assert event.pathname == str(tmp_path / "directory")
    assert event.dir
    assert event.wd > 0
    assert event.cookie == 0
    assert event.src_pathname is None
    assert event.synthetic is False
    assert event.watch is watch
    assert before <= event.timestamp <= time.time()


def test_watches_are_announced_one_by_one(watching, tmp_path):
    odd = tmp_path / "caf\udce9"
    odd.mkdir()
    printer = "inotifier.event_processors.AllEventsPrinter"
    running = watching((tmp_path, ALL, printer), (odd, ALL, printer))
    assert running.lines == [
        f"Adding watch on {tmp_path}, processed by {printer}",
        rf"Adding watch on {tmp_path}/caf\xe9, processed by {printer}",
    ]


@pytest.mark.parametrize(
    "name",
    [b"caf\xe9", b"\xff\xfe", "文".encode(), b"two\nlines", b" ", b"a" * 255, b"-rf", b"\x1b[2J"],
)
def test_a_file_may_have_any_name(watching, tmp_path, name):
    recorder = Recorder()
    running = watching((tmp_path, "IN_CREATE", recorder))
    path = os.fsencode(tmp_path) + b"/" + name
    Path(os.fsdecode(path)).touch()
    running.stop()
    [event] = recorder.events
    assert os.fsencode(event.name) == name
    assert os.fsencode(event.pathname) == path
    assert Path(event.pathname).exists()


def test_a_watched_directory_may_have_any_name(watching, tmp_path):
    directory = tmp_path / os.fsdecode(b"caf\xe9\n")
    directory.mkdir()
    recorder = Recorder()
    running = watching((directory, "IN_CREATE", recorder))
    (directory / "file").touch()
    running.stop()
    assert recorder.pathnames == [str(directory / "file")]


def test_the_root_directory_makes_no_double_slash(watching):
    recorder = Recorder()
    running = watching(("/", "IN_OPEN", recorder))
    os.close(os.open("/etc", os.O_RDONLY))
    running.stop()
    assert "/etc" in recorder.pathnames


# What happens to the watched thing itself.


@pytest.mark.parametrize("is_directory", [True, False])
def test_the_end_of_what_is_watched(watching, tmp_path, is_directory):
    target = tmp_path / "target"
    target.mkdir() if is_directory else target.touch()
    recorder = Recorder()
    running = watching((target, "IN_DELETE_SELF", recorder))
    target.rmdir() if is_directory else target.unlink()
    running.stop()
    assert recorder.seen == [("IN_DELETE_SELF", str(target)), ("IN_IGNORED", str(target))]
    assert [event.name for event in recorder.events] == ["", ""]
    assert recorder.events[0].dir is is_directory


def test_the_move_of_what_is_watched(watching, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    recorder = Recorder()
    running = watching((target, "IN_MOVE_SELF", recorder))
    target.rename(tmp_path / "elsewhere")
    running.stop()
    assert recorder.seen == [("IN_MOVE_SELF", str(target))]
    assert recorder.events[0].dir


def test_an_entry_ends_without_harm_to_the_others(watching, tmp_path):
    gone, stays = tmp_path / "gone", tmp_path / "stays"
    gone.mkdir()
    stays.mkdir()
    recorder = Recorder()
    running = watching((gone, ALL, Recorder()), (stays, "IN_CREATE", recorder))
    gone.rmdir()
    running.sync()
    (stays / "file").touch()
    running.stop()
    assert recorder.pathnames == [str(stays / "file")]


# Entries that overlap.


def test_two_entries_of_one_directory_get_their_own_events_each(watching, tmp_path):
    created, deleted, both = Recorder(), Recorder(), Recorder()
    running = watching(
        (tmp_path, "IN_CREATE", created),
        (tmp_path, "IN_DELETE", deleted),
        (tmp_path, "IN_CREATE|IN_DELETE", both),
    )
    file = tmp_path / "file"
    file.touch()
    file.unlink()
    running.stop()
    assert created.seen == [("IN_CREATE", str(file))]
    assert deleted.seen == [("IN_DELETE", str(file))]
    assert both.seen == [("IN_CREATE", str(file)), ("IN_DELETE", str(file))]


def kernel_masks(running) -> list[int]:
    """Return what the kernel was asked for, the fence's watch left out: proc_pid_fdinfo(5)."""
    info = Path(f"/proc/self/fdinfo/{running.service.inotify_fd}").read_text()
    lines = [line.split() for line in info.splitlines() if line.startswith("inotify ")]
    fields = [dict(field.split(":", 1) for field in line[1:]) for line in lines]
    return [int(watch["mask"], 16) for watch in sorted(fields, key=lambda it: int(it["wd"], 16))][
        :-1
    ]


def test_the_kernel_watches_a_directory_once_for_the_union_of_the_masks(watching, tmp_path):
    running = watching(
        (tmp_path, "IN_CREATE", Recorder()),
        (tmp_path, "IN_DELETE", Recorder()),
        (tmp_path, "IN_OPEN", Recorder()),
    )
    [mask] = kernel_masks(running)
    asked = pyinotify.IN_CREATE | pyinotify.IN_DELETE | pyinotify.IN_OPEN
    assert mask & asked == asked
    assert not mask & pyinotify.IN_ACCESS


def test_a_symbolic_link_leads_to_the_same_watch_under_another_path(watching, tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to("real")
    by_path, by_link = Recorder(), Recorder()
    running = watching((real, "IN_CREATE", by_path), (link, "IN_CREATE", by_link))
    (real / "file").touch()
    running.stop()
    assert by_path.pathnames == [str(real / "file")]
    assert by_link.pathnames == [str(link / "file")]
    assert [event.path for event in by_link.events] == [str(link)]


def test_a_move_is_told_to_each_entry_in_its_own_words(watching, tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to("real")
    (real / "old").touch()
    by_path, by_link = Recorder(), Recorder()
    running = watching((real, "IN_MOVED_TO", by_path), (link, "IN_MOVE", by_link))
    (real / "old").rename(real / "new")
    running.stop()
    assert by_path.events[0].src_pathname == str(real / "old")
    assert by_link.events[-1].src_pathname == str(link / "old")


def test_a_directory_and_a_file_in_it(watching, tmp_path):
    file = tmp_path / "file"
    file.touch()
    of_directory, of_file = Recorder(), Recorder()
    running = watching((tmp_path, "IN_CLOSE_WRITE", of_directory), (file, "IN_MODIFY", of_file))
    file.write_text("text")
    (tmp_path / "other").write_text("text")
    running.stop()
    assert of_directory.seen == [
        ("IN_CLOSE_WRITE", str(file)),
        ("IN_CLOSE_WRITE", str(tmp_path / "other")),
    ]
    assert {pathname for _, pathname in of_file.seen} == {str(file)}
    assert set(of_file.masknames) == {"IN_MODIFY"}
    assert {event.name for event in of_file.events} == {""}


def test_two_names_of_one_file_are_two_paths_of_one_watch(watching, tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    first, second = Recorder(), Recorder()
    running = watching((tmp_path / "a", "IN_ATTRIB", first), (tmp_path / "b", "IN_ATTRIB", second))
    (tmp_path / "a").chmod(0o600)
    running.stop()
    assert first.seen == [("IN_ATTRIB", str(tmp_path / "a"))]
    assert second.seen == [("IN_ATTRIB", str(tmp_path / "b"))]


def test_nothing_is_lost_of_a_directory_while_it_gets_a_further_entry(watching, tmp_path):
    """The kernel's mask is never narrower than what the entries before asked for."""

    class Prepared(Recorder):
        def prepare(self, entry_path: str) -> None:
            (tmp_path / "meanwhile").touch()

    first = Recorder()
    running = watching((tmp_path, "IN_CREATE", first), (tmp_path, "IN_DELETE", Prepared()))
    running.stop()
    assert first.pathnames == [str(tmp_path / "meanwhile")]


def unlinked_and_still_used(directory: Path) -> None:
    with (directory / "file").open("w") as file:
        (directory / "file").unlink()
        file.write("text")


def test_excl_unlink_leaves_out_the_events_of_unlinked_files(watching, tmp_path):
    recorder = Recorder()
    running = watching((tmp_path, pyinotify.IN_CLOSE_WRITE | IN_EXCL_UNLINK, recorder))
    unlinked_and_still_used(tmp_path)
    running.stop()
    assert recorder.events == []


@pytest.mark.parametrize("order", [1, -1])
def test_excl_unlink_takes_nothing_from_the_entry_beside_it(watching, tmp_path, order):
    excluding, other = Recorder(), Recorder()
    entries = [
        (tmp_path, pyinotify.IN_CLOSE_WRITE | IN_EXCL_UNLINK, excluding),
        (tmp_path, "IN_CLOSE_WRITE", other),
    ]
    running = watching(*entries[::order])
    unlinked_and_still_used(tmp_path)
    running.stop()
    assert other.seen == [("IN_CLOSE_WRITE", str(tmp_path / "file"))]


def test_excl_unlink_holds_if_all_entries_ask_for_it(watching, tmp_path):
    recorders = [Recorder(), Recorder()]
    mask = pyinotify.IN_CLOSE_WRITE | IN_EXCL_UNLINK
    running = watching(*((tmp_path, mask, recorder) for recorder in recorders))
    unlinked_and_still_used(tmp_path)
    running.stop()
    assert [recorder.events for recorder in recorders] == [[], []]


def test_dont_follow_watches_the_link_itself(watching, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    mask = pyinotify.ALL_EVENTS | pyinotify.IN_DONT_FOLLOW
    recorder = Recorder()
    running = watching((tmp_path / "link", mask, recorder))
    (tmp_path / "real" / "file").touch()
    running.sync()
    (tmp_path / "link").rename(tmp_path / "other")
    running.stop()
    assert recorder.masknames == ["IN_MOVE_SELF"]
    assert not recorder.events[0].dir


# Moves.


def test_a_move_between_entries_tells_where_it_came_from(watching, tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.mkdir()
    b.mkdir()
    (a / "x").touch()
    left, came = Recorder(), Recorder()
    running = watching((a, "IN_MOVED_FROM", left), (b, "IN_MOVED_TO", came))
    (a / "x").rename(b / "y")
    running.stop()
    [gone], [arrived] = left.events, came.events
    assert gone.cookie == arrived.cookie != 0
    assert arrived.src_pathname == str(a / "x")
    assert gone.src_pathname is None


def test_a_move_within_a_directory_tells_where_it_came_from(watching, tmp_path):
    (tmp_path / "x").mkdir()
    recorder = Recorder()
    running = watching((tmp_path, "IN_MOVE", recorder))
    (tmp_path / "x").rename(tmp_path / "y")
    running.stop()
    assert recorder.masknames == ["IN_MOVED_FROM|IN_ISDIR", "IN_MOVED_TO|IN_ISDIR"]
    assert recorder.events[1].src_pathname == str(tmp_path / "x")


@pytest.mark.parametrize("mask", ["IN_MOVE", "IN_MOVED_TO"])
def test_a_move_from_elsewhere_has_an_unknown_source(watching, tmp_path, mask):
    (tmp_path / "outside").touch()
    watched = tmp_path / "watched"
    watched.mkdir()
    recorder = Recorder()
    running = watching((watched, mask, recorder))
    (tmp_path / "outside").rename(watched / "inside")
    running.stop()
    [event] = recorder.events
    assert event.src_pathname is None


def test_moves_that_never_arrive_are_not_remembered_for_ever(watching, tmp_path):
    watched = tmp_path / "watched"
    watched.mkdir()
    running = watching((watched, "IN_MOVE", Recorder()))
    for _ in range(6000):
        (watched / "x").touch()
        (watched / "x").rename(tmp_path / "x")
    running.stop()
    assert len(running.service._keeper.moves._departures) <= 4096


# The kernel refuses.


def test_a_path_that_is_gone_is_named_by_the_error(tmp_path):
    file = tmp_path / "file"
    file.touch()
    service = Service(entries((file, ALL, Recorder())))
    file.unlink()
    with pytest.raises(WatchError, match=rf"cannot watch {file}: No such file or directory"):
        service.watch(lambda line: None)
    service.close()


def test_a_prepare_that_raises_is_named_by_the_error(watching, tmp_path):
    class Unprepared(Recorder):
        def prepare(self, entry_path: str) -> None:
            raise OSError("the disk is gone")

    message = rf"prepare\(\) of .*Unprepared failed on {tmp_path}: OSError\('the disk is gone'\)"
    with pytest.raises(InotifierError, match=message):
        watching((tmp_path, ALL, Unprepared()))


def test_prepare_is_called_when_the_watch_stands_and_before_the_first_event(watching, tmp_path):
    order = []

    class Prepared:
        def prepare(self, entry_path: str) -> None:
            order.append(entry_path)
            (tmp_path / "file").touch()

        def __call__(self, event: pyinotify.Event) -> None:
            order.append(event.pathname)

    running = watching((tmp_path, "IN_CREATE", Prepared()))
    running.stop()
    assert order == [str(tmp_path), str(tmp_path / "file")]


# Life and end.


def test_an_idle_service_reads_and_delivers_nothing(watching, tmp_path):
    recorder = Recorder()
    running = watching((tmp_path, ALL, recorder))
    running.sync()
    assert recorder.events == []
    assert running.service.queue_depth == 0


def test_stopping_delivers_everything_that_happened_before(watching, tmp_path):
    slow = Recorder()
    running = watching((tmp_path, "IN_CREATE", slow), run=False)
    for number in range(1000):
        (tmp_path / str(number)).touch()
    running.run()
    running.stop()
    assert len(slow.events) == 1000
    assert running.service.queue_depth == 0


def test_finish_may_be_called_twice(watching, tmp_path):
    running = watching((tmp_path, ALL, Recorder()))
    running.service.finish()
    running.service.finish()
    assert running.service.drained(10)
    running.close()


def test_nothing_that_happens_after_finish_is_delivered(watching, tmp_path):
    recorder = Recorder()
    running = watching((tmp_path, "IN_CREATE", recorder))
    running.service.finish()
    (tmp_path / "late").touch()
    assert running.service.drained(10)
    running.close()
    assert recorder.events == []


class Gate(Recorder):
    """A processor that waits until the gate opens."""

    def __init__(self) -> None:
        super().__init__()
        self._read, self._write = os.pipe()

    def __call__(self, event: pyinotify.Event) -> None:
        super().__call__(event)
        os.read(self._read, 1)

    def open(self, times: int) -> None:
        os.write(self._write, b"." * times)

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.close()


def test_a_slow_processor_keeps_no_event_in_the_kernel(watching, tmp_path, gate):
    running = watching((tmp_path, "IN_CREATE", gate))
    for number in range(100):
        (tmp_path / str(number)).touch()
    wait_for(lambda: running.service.queue_depth == 100)
    assert running.handlers[0].seen == 100
    assert len(gate.events) <= 1
    gate.open(100)
    running.stop()
    assert len(gate.events) == 100


def test_what_is_abandoned_is_counted_and_not_begun(watching, tmp_path, gate):
    running = watching((tmp_path, "IN_CREATE", gate))
    for number in range(100):
        (tmp_path / str(number)).touch()
    wait_for(lambda: gate.events and running.service.queue_depth == 100)
    running.service.finish()
    assert not running.service.drained(0.01)
    assert running.service.abandon() == 100
    gate.open(1)
    assert running.service.drained(10)
    running.close()
    assert len(gate.events) == 1


def test_nothing_is_left_to_abandon_when_all_is_delivered(watching, tmp_path):
    running = watching((tmp_path, "IN_CREATE", Recorder()))
    (tmp_path / "file").touch()
    running.service.finish()
    assert running.service.drained(10)
    assert running.service.abandon() == 0
    running.close()


def test_check_alive_is_silent_while_all_is_well(watching, tmp_path):
    watching((tmp_path, ALL, Recorder())).service.check_alive()


def test_check_alive_tells_of_a_thread_that_ended(watching, tmp_path):
    running = watching((tmp_path, ALL, Recorder()))
    running.service.finish()
    assert running.service.drained(10)
    with pytest.raises(InotifierError, match="a thread of the daemon has died"):
        running.service.check_alive()
    running.close()


def test_many_writers_at_once_are_delivered_once_each_and_in_their_order(watching, tmp_path):
    recorder = Recorder()
    running = watching((tmp_path, "IN_CLOSE_WRITE", recorder))

    def write(writer: int) -> None:
        for number in range(300):
            (tmp_path / f"{writer}-{number:03}").write_bytes(b"text")

    writers = [threading.Thread(target=write, args=[number]) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    running.stop()
    names = [event.name for event in recorder.events]
    for writer in range(8):
        own = [name for name in names if name.startswith(f"{writer}-")]
        assert own == [f"{writer}-{number:03}" for number in range(300)]
