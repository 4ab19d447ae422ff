"""What raw events mean: buffers as inotify(7) describes them, watches of a real instance."""

import os
import struct

import pyinotify
import pytest

from inotifier.notifier import Inotify, Reader, Subscription, WatchTable
from inotifier.watches import Watch
from tests.waiting import wait_for

CREATE, OVERFLOW = pyinotify.IN_CREATE, pyinotify.IN_Q_OVERFLOW


def raw(wd: int, mask: int, name: bytes = b"", cookie: int = 0, padding: int = 0) -> bytes:
    """Return one event as the kernel writes it: the name is padded with NUL bytes."""
    padded = name + b"\0" * padding
    return struct.pack("iIII", wd, mask, cookie, len(padded)) + padded


@pytest.fixture
def inotify():
    inotify = Inotify()
    yield inotify
    inotify.close()


@pytest.fixture
def table(inotify):
    return WatchTable(inotify)


@pytest.fixture
def subscription(table, inotify, tmp_path):
    """One subscription, and its watch descriptor."""
    subscription = Subscription(str(tmp_path), CREATE, Watch(tmp_path))
    table.add(subscription)
    table.settle()
    return subscription


@pytest.fixture
def wd(subscription, inotify):
    [wd] = inotify.watches()
    return wd


@pytest.mark.parametrize("padding", [0, 1, 2, 15, 16])
def test_the_padding_is_no_part_of_the_name(table, subscription, wd, padding):
    [(_, event)] = table.decode(raw(wd, CREATE, b"name", padding=padding))
    assert event.name == "name"


def test_a_buffer_holds_many_events(table, subscription, wd):
    buffer = b"".join(raw(wd, CREATE, str(number).encode(), padding=8) for number in range(100))
    assert [event.name for _, event in table.decode(buffer)] == [str(n) for n in range(100)]


def test_events_of_one_buffer_were_read_at_one_time(table, subscription, wd):
    batch = table.decode(raw(wd, CREATE, b"a") + raw(wd, CREATE, b"b"))
    assert len({event.timestamp for _, event in batch}) == 1


def test_an_event_carries_its_subscription_and_watch(table, subscription, wd):
    [(who, event)] = table.decode(raw(wd, CREATE, b"a"))
    assert who is subscription
    assert event.watch is subscription.watch
    assert event.wd == wd


def test_an_unknown_watch_descriptor_is_passed_over(table, subscription, wd):
    assert table.decode(raw(wd + 1, CREATE, b"a") + raw(wd + 1, pyinotify.IN_IGNORED)) == []


def test_a_bit_that_was_not_asked_for_is_passed_over(table, subscription, wd):
    assert table.decode(raw(wd, pyinotify.IN_DELETE, b"a")) == []
    assert table.decode(raw(wd, pyinotify.IN_DELETE | pyinotify.IN_ISDIR, b"a")) == []


@pytest.mark.parametrize("mask", [pyinotify.IN_UNMOUNT, pyinotify.IN_IGNORED])
def test_what_the_kernel_sends_unasked_reaches_everybody(table, subscription, wd, mask):
    [(_, event)] = table.decode(raw(wd, mask))
    assert event.mask == mask
    assert event.pathname == subscription.path


def test_nothing_comes_after_the_watch_is_ignored(table, subscription, wd):
    table.decode(raw(wd, pyinotify.IN_IGNORED))
    assert table.decode(raw(wd, CREATE, b"a")) == []


def test_an_overflow_reaches_every_subscription(table, inotify, tmp_path):
    (tmp_path / "a").mkdir()
    paths = [str(tmp_path), str(tmp_path / "a"), str(tmp_path)]
    for path in paths:
        table.add(Subscription(path, CREATE))
    batch = table.decode(raw(-1, OVERFLOW))
    assert [who.path for who, _ in batch] == paths
    assert {event.maskname for _, event in batch} == {"IN_Q_OVERFLOW"}
    assert table.overflows == 1


def test_an_overflow_reaches_a_subscription_whose_watch_has_ended(table, subscription, wd):
    table.decode(raw(wd, pyinotify.IN_IGNORED))
    assert [who for who, _ in table.decode(raw(-1, OVERFLOW))] == [subscription]


def test_the_directory_flag_of_the_kernel_is_kept(table, subscription, wd):
    [(_, event)] = table.decode(raw(wd, CREATE | pyinotify.IN_ISDIR, b"a"))
    assert event.dir
    assert event.maskname == "IN_CREATE|IN_ISDIR"


def test_a_descriptor_in_use_can_be_taken_over(inotify, tmp_path):
    wd = inotify.add_watch(str(tmp_path), CREATE)
    again = Inotify(inotify.fd)
    assert again.watches() == {wd: CREATE}


def test_removing_a_watch_that_is_gone_is_no_error(inotify, tmp_path):
    wd = inotify.add_watch(str(tmp_path), CREATE)
    inotify.remove_watch(wd)
    inotify.remove_watch(wd)
    assert inotify.watches() == {}


def test_reading_never_blocks(inotify):
    assert inotify.pending_bytes() == 0
    assert inotify.read() == b""


def test_pending_bytes_are_those_that_read_returns(inotify, tmp_path):
    inotify.add_watch(str(tmp_path), CREATE)
    (tmp_path / "file").touch()
    pending = inotify.pending_bytes()
    assert len(inotify.read()) == pending > 0


def test_an_instance_is_not_inherited_by_other_programs(inotify):
    assert not os.get_inheritable(inotify.fd)


def test_the_reader_hands_on_what_was_queued_before_it_began(inotify, tmp_path):
    inotify.add_watch(str(tmp_path), CREATE)
    (tmp_path / "file").touch()
    size = inotify.pending_bytes()
    buffers: list[bytes] = []
    reader = Reader(inotify, buffers.append)
    reader.start()
    wait_for(lambda: buffers)
    reader.stop()
    assert sum(map(len, buffers)) == size


def test_the_reader_reads_what_is_queued_at_the_stop(inotify, tmp_path):
    inotify.add_watch(str(tmp_path), CREATE)
    buffers: list[bytes] = []
    reader = Reader(inotify, buffers.append)
    reader.start()
    for number in range(500):
        (tmp_path / str(number)).touch()
    reader.stop()
    assert not reader.alive
    assert sum(map(len, buffers)) == 500 * (16 + 16)  # each a header and a padded name
    assert inotify.pending_bytes() == 0
