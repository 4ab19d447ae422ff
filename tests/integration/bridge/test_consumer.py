"""A consumer of a stream, against a real server."""

import contextlib
import json
import logging
import os
import sys
import threading
import time

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from inotifier import signals
from inotifier.bridge import RedisPublisher
from inotifier.bridge.delivery import read_event
from inotifier.bridge.stream import Stream
from inotifier.event_processors import AllEventsSignaler, FileReadySignaler
from inotifier.events import IN_CREATE, Event
from inotifier.exceptions import ConfigurationError, TryAgain
from tests.in_process import Receiver
from tests.integration.bridge.consuming import (
    IDLE,
    Clock,
    connecting,
    dead,
    make,
    pending,
    publish,
    stream,
)
from tests.waiting import wait_for

HOUR = 3_600_000
"""In milliseconds."""


@pytest.fixture
def receive():
    """Connect functions to in_create until the end of the test."""
    with connecting(signals.in_create) as connect:
        yield connect


def test_every_event_becomes_its_signal_and_is_acknowledged(client):
    events = publish(client, "a", "b", os.fsdecode(b"caf\xe9"))
    with Receiver() as receiver:
        stream(client).step()
    assert receiver.names == ["in_create"] * 3
    assert [event.id for event in receiver.events] == [event.id for event in events]
    assert os.fsencode(receiver.pathnames[-1]) == b"/srv/caf\xe9"
    assert {kwargs["processor"] for _, kwargs in receiver.calls} == {None}
    assert pending(client) == 0


def test_the_sender_is_the_class_that_published(client, monkeypatch):
    monkeypatch.setitem(sys.modules, "blocked", None)
    for path in (
        "inotifier.event_processors.FileReadySignaler",
        "inotifier.bridge.RedisPublisher",
        "not_imported.anywhere.Class",
        "antigravity.Class",
        "blocked.Class",
        "os.path",
        None,
    ):
        publish(client, "a", processor=path)
    with Receiver("in_create") as receiver:
        stream(client).step()
    assert [kwargs["sender"] for _, kwargs in receiver.calls] == [
        FileReadySignaler,
        *[RedisPublisher] * 6,
    ]


def test_a_signal_of_the_publishers_choice_is_sent(client):
    publish(client, "a", signal="file_ready")
    with Receiver("file_ready", "in_create") as receiver:
        stream(client).step()
    assert receiver.names == ["file_ready"]


def test_what_was_published_before_the_first_consumer_is_delivered(client):
    publish(client, "a")
    with Receiver("in_create") as receiver:
        stream(client).step()
    assert len(receiver.names) == 1


def test_consumers_of_a_group_share_the_work(client):
    publish(client, *map(str, range(100)))
    one, two = (stream(client, name, count=10) for name in ("one", "two"))
    with Receiver("in_create") as receiver:
        for _ in range(5):
            one.step()
            two.step()
    assert sorted(event.name for event in receiver.events) == sorted(map(str, range(100)))
    assert one.counters.delivered == two.counters.delivered == 50


def leave(client, consumer, count):
    """Have a consumer read `count` messages, and do nothing with them."""
    queue = stream(client, consumer).queue
    queue.open()
    assert len(queue.read(count, 0.0)) == count


def in_hands(client, consumer):
    """Return what a consumer has in hand: for how many milliseconds, by the message's key."""
    rows = client.execute_command("XPENDING", "inotifier", "inotifier", "-", "+", 1000, consumer)
    return {key: idle for key, _, idle, _ in rows}


def grow_old(client, consumer):
    """Let a consumer have had for an hour what it has."""
    keys = list(in_hands(client, consumer))
    client.execute_command(
        "XCLAIM", "inotifier", "inotifier", consumer, 0, *keys, "IDLE", HOUR, "JUSTID"
    )


def test_ten_consumers_at_once_deliver_everything_once(server, client):
    publish(client, *map(str, range(2000)))
    for name in ("dead one", "dead two"):
        leave(client, name, 50)
        grow_old(client, name)
    stop = threading.Event()
    with Receiver("in_create") as receiver, contextlib.ExitStack() as stack:
        consumers = [
            stream(
                stack.enter_context(server.client()),
                str(number),
                count=10,
                block=0.05,
                stopped=stop.is_set,
            )
            for number in range(10)
        ]
        threads = [threading.Thread(target=consumer.run) for consumer in consumers]
        for thread in threads:
            thread.start()
        try:
            wait_for(lambda: len(receiver.events) >= 2000 and pending(client) == 0, 60)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert sorted(int(event.name) for event in receiver.events) == list(range(2000))
    assert sum(consumer.counters.taken_over for consumer in consumers) == 100
    assert sum(consumer.counters.delivered > 0 for consumer in consumers) > 1


def test_a_double_is_dropped(client):
    [event] = publish(client, "a")
    publish(client, "b", id=event.id)
    consumer = stream(client)
    with Receiver("in_create") as receiver:
        consumer.step()
    assert [event.name for event in receiver.events] == ["a"]
    assert consumer.counters.doubles == 1
    assert pending(client) == 0


def test_two_signals_of_one_event_are_no_doubles(client):
    publisher, ready = RedisPublisher(), FileReadySignaler()
    [event] = publish(client, "a")
    publish(client, "a", id=event.id, processor="project.AnotherPublisher")
    publisher.forward(
        signal=signals.file_ready, sender=FileReadySignaler, event=event, processor=ready
    )
    publisher.close()
    consumer = stream(client)
    with Receiver("file_ready", "in_create") as receiver:
        consumer.step()
    assert receiver.names == ["in_create", "in_create", "file_ready"]
    assert {event.id for event in receiver.events} == {event.id}
    assert consumer.counters.doubles == 0


# Failures.


def test_an_event_whose_receiver_raises_comes_again_and_others_are_not_held_up(client, receive):
    names = []

    def flaky(event, **kwargs):
        names.append(event.name)
        if event.name == "a" and names.count("a") < 3:
            raise ValueError("not yet")

    receive(flaky)
    publish(client, "a", "b")
    clock = Clock()
    consumer = stream(client, clock=clock)
    consumer.step()
    assert names == ["a", "b"]
    assert pending(client) == 1
    clock.now += 1.1
    consumer.step()
    clock.now += 1.5
    consumer.step()
    assert names == ["a", "b", "a"]
    clock.now += 1
    consumer.step()
    assert names == ["a", "b", "a", "a"]
    assert pending(client) == 0
    assert consumer.counters.retried == 2
    assert consumer.in_hand == 0


def test_receivers_that_succeeded_are_not_called_again(client, receive):
    calls = []

    def good(**kwargs):
        calls.append("good")

    def bad(**kwargs):
        calls.append("bad")
        if calls.count("bad") == 1:
            raise ValueError

    receive(good)
    receive(bad)
    publish(client, "a")
    clock = Clock()
    consumer = stream(client, clock=clock)
    consumer.step()
    clock.now += 2
    consumer.step()
    assert calls == ["good", "bad", "bad"]


def test_the_server_counts_the_deliveries(client, receive):
    def bad(**kwargs):
        raise ValueError

    receive(bad)
    publish(client, "a")
    clock = Clock()
    consumer = stream(client, clock=clock, retries=10, delay=0.0)
    for expected in (1, 2, 3):
        consumer.step()
        [[_, _, _, counted]] = client.execute_command(
            "XPENDING", "inotifier", "inotifier", "-", "+", 9
        )
        assert counted == expected
        clock.now += 1


def test_after_its_last_try_a_message_is_dead_and_delivery_failed_is_sent(client, receive, caplog):
    failed = []

    def bad(**kwargs):
        raise ValueError("never")

    def on_failure(sender, event, processor, exception, **kwargs):
        failed.append((sender, event.name, processor, exception))

    receive(bad)
    signals.delivery_failed.connect(on_failure)
    publish(client, "a", processor="inotifier.event_processors.AllEventsSignaler")
    clock = Clock()
    consumer = stream(client, clock=clock)
    for _ in range(10):
        consumer.step()
        clock.now += 10
    signals.delivery_failed.disconnect(on_failure)
    [[sender, name, processor, exception]] = failed
    assert (sender, name, processor) == (AllEventsSignaler, "a", None)
    assert "ValueError('never')" in str(exception)
    [grave] = dead(client)
    assert b"never" in grave[b"error"]
    assert json.loads(grave[b"event"])["name"] == "a"
    assert grave[b"deliveries"] == b"3"
    assert pending(client) == 0
    assert consumer.counters.failed == 1
    assert caplog.text.count("bad failed on IN_CREATE of '/srv/a', again in") == 2
    assert caplog.text.count("which is given up") == 1


@pytest.mark.parametrize("exc", [SystemExit(1), KeyboardInterrupt(), RecursionError()], ids=repr)
def test_whatever_a_receiver_raises_the_others_go_on(client, receive, exc):
    names = []

    def bad(event, **kwargs):
        names.append(event.name)
        if event.name == "a":
            raise exc

    receive(bad)
    publish(client, "a", "b")
    stream(client, retries=0).step()
    assert names == ["a", "b"]
    assert len(dead(client)) == 1


def test_a_receiver_that_asks_to_be_called_again_has_not_failed(client, receive):
    calls = []

    def waits(**kwargs):
        calls.append(1)
        if len(calls) < 6:
            raise TryAgain(5)

    receive(waits)
    publish(client, "a")
    clock = Clock()
    consumer = stream(client, clock=clock)
    for _ in range(6):
        consumer.step()
        clock.now += 5.1
    assert len(calls) == 6
    assert dead(client) == []
    assert pending(client) == 0
    assert consumer.counters.retried == 0


def test_consumers_that_end_while_a_receiver_asks_to_be_called_again_do_no_harm(client, receive):
    calls = []

    def waits(**kwargs):
        calls.append(1)
        if len(calls) < 6:
            raise TryAgain(60)

    receive(waits)
    publish(client, "a")
    for number in range(1, 7):
        stream(client).step()  # and then it ends
        assert len(calls) == number
    assert dead(client) == []
    assert pending(client) == 0


def test_a_receiver_that_forks_and_comes_back_leaves_no_second_consumer(client, receive, tmp_path):
    def forks(**kwargs):
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
        with (tmp_path / "calls").open("a") as file:
            file.write(f"{os.getpid()}\n")

    receive(forks)
    publish(client, "a", "b")
    stream(client).step()
    assert len((tmp_path / "calls").read_text().splitlines()) == 4


# What others left.


def test_a_consumer_that_comes_back_begins_with_what_it_had(client):
    publish(client, "a", "b")
    stream(client).queue.open()
    assert len(stream(client).queue.read(10, 0.0)) == 2  # and then it died
    publish(client, "c")
    consumer = stream(client, count=1)
    with Receiver("in_create") as receiver:
        for _ in range(3):
            consumer.step()
    assert [event.name for event in receiver.events] == ["a", "b", "c"]
    assert consumer.counters.taken_over == 2
    assert pending(client) == 0


def test_what_a_dead_consumer_left_is_taken_over_after_a_time(client):
    publish(client, "a")
    leave(client, "dead", 1)
    clock = Clock()
    consumer = stream(client, "alive", clock=clock)
    with Receiver("in_create") as receiver:
        consumer.step()
        assert receiver.names == []
        grow_old(client, "dead")
        clock.now += IDLE
        consumer.step()
        assert receiver.names == ["in_create"]
    assert consumer.counters.taken_over == 1
    assert pending(client) == 0


def test_what_failed_comes_again_while_it_takes_over(client, receive):
    names = []

    def fails_once(event, **kwargs):
        names.append(event.name)
        if names == ["0"]:
            raise ValueError

    receive(fails_once)
    publish(client, *map(str, range(20)))
    leave(client, "one", 20)
    consumer = stream(client, count=5, delay=0.0, stopped=lambda: consumer.counters.delivered == 20)
    consumer.run()
    assert names.index("0", 1) == 5


@pytest.fixture
def most(monkeypatch):
    """The number of messages that a consumer has in hand at most, which is a small one."""
    monkeypatch.setattr("inotifier.bridge.consumer._MOST_IN_HAND", 15)
    return 15


def test_what_waits_does_not_keep_the_others_from_the_rest(client, receive, most):
    waiting = True

    def waits(**kwargs):
        if waiting:
            raise TryAgain(5)

    receive(waits)
    publish(client, *map(str, range(100)))
    clock = Clock()
    consumer = stream(client, count=10, clock=clock)
    for _ in range(5):
        consumer.step()
    assert consumer.in_hand == pending(client) == most
    waiting = False
    clock.now += 6
    for _ in range(10):
        consumer.step()
    assert consumer.counters.delivered == 100
    assert pending(client) == 0


def test_no_more_is_taken_over_than_one_consumer_may_have(client, receive, most):
    def waits(**kwargs):
        raise TryAgain(5)

    receive(waits)
    publish(client, *map(str, range(100)))
    leave(client, "dead", 100)
    grow_old(client, "dead")
    consumer = stream(client, count=10)
    for _ in range(5):
        consumer.step()
    assert consumer.in_hand == most
    assert len(in_hands(client, "dead")) == 100 - most


def test_a_consumer_tells_that_it_lives_while_a_receiver_takes_its_time(client, receive):
    def takes_its_time(**kwargs):
        grow_old(client, "one")
        wait_for(lambda: max(in_hands(client, "one").values()) < HOUR)

    receive(takes_its_time)
    publish(client, "a", "b")
    consumer = stream(client, "one", idle=0.3, stopped=lambda: consumer.counters.delivered == 2)
    consumer.run()
    assert consumer.counters.taken_over == 0
    assert pending(client) == 0


def test_a_consumer_goes_on_telling_that_it_lives_whatever_went_wrong_once(client, caplog):
    end = time.monotonic() + 10
    consumer = stream(client, idle=0.03, stopped=lambda: len(calls) >= 3 or time.monotonic() > end)
    keep, calls = consumer.queue.keep, []

    def fails_once(in_hand):
        calls.append(1)
        if len(calls) == 1:
            raise MemoryError
        keep(in_hand)

    consumer.queue.keep = fails_once
    consumer.run()
    assert len(calls) >= 3
    assert caplog.text.count("cannot tell that this consumer is alive") == 1


def test_a_message_that_ends_its_consumers_is_dead_after_a_while(client):
    publish(client, "a")
    for number in range(3):
        consumer = stream(client, "unlucky")
        consumer.queue.open()
        if number == 0:
            consumer.queue.read(10, 0.0)
            continue
        [item] = consumer.queue.take_over((), 10)
        consumer.queue.note(item, item.deliveries + 1)  # and then it died
    consumer = stream(client, "unlucky")
    with Receiver("in_create") as receiver:
        consumer.step()
    assert receiver.names == []
    [grave] = dead(client)
    assert grave[b"error"] == b"its consumers have ended while they had it"
    assert consumer.counters.failed == 1


def bury_in_vain_once(consumer, server):
    """Let the server die when `consumer` buries a message for the first time; return the errors."""
    bury, errors = consumer.queue.bury, []

    def once_in_vain(item, error):
        errors.append(error)
        if len(errors) == 1:
            server.kill()
        bury(item, error)

    consumer.queue.bury = once_in_vain
    return errors


def test_what_is_to_be_buried_while_the_server_is_away_is_buried_later(own_server):
    client = own_server.client()
    publish(client, "a")
    consumer = stream(client)
    consumer.queue.open()
    [item] = consumer.queue.read(10, 0.0)
    consumer.queue.note(item, 9)
    consumer = stream(client)
    bury_in_vain_once(consumer, own_server)
    consumer.step()
    assert consumer.outage.lasts
    own_server.start()
    wait_for(lambda: consumer.step() or not consumer.in_hand, 20)
    assert len(dead(client)) == 1
    assert pending(client) == 0
    client.close()


def test_a_message_that_failed_while_the_server_went_keeps_its_reason(own_server, receive):
    calls, told = [], []

    def bad(event, **kwargs):
        calls.append(event.name)
        raise ValueError("the reason")

    def on_failure(event, exception, **kwargs):
        told.append((event.name, str(exception)))

    receive(bad)
    signals.delivery_failed.connect(on_failure)
    client = own_server.client()
    publish(client, "a")
    consumer = stream(client, retries=1, delay=0.0)
    errors = bury_in_vain_once(consumer, own_server)
    wait_for(lambda: consumer.step() or errors)
    assert (told, consumer.counters.failed) == ([], 0)
    own_server.start()
    wait_for(lambda: consumer.step() or not consumer.in_hand, 20)
    signals.delivery_failed.disconnect(on_failure)
    assert calls == ["a"] * 2
    [grave] = dead(client)
    assert b"the reason" in grave[b"error"]
    [[name, exception]] = told
    assert name == "a"
    assert "the reason" in exception
    assert consumer.counters.failed == 1
    client.close()


def test_what_only_waited_for_its_turn_is_not_taken_for_what_ends_consumers(client):
    publish(client, *map(str, range(10)))
    for _ in range(10):
        consumer = stream(client, "unlucky", retries=0)
        consumer.queue.open()
        consumer.queue.read(10, 0.0)
    with Receiver("in_create") as receiver:
        stream(client, "unlucky", retries=0).step()
    assert len(receiver.names) == 10
    assert dead(client) == []


def test_a_receiver_may_ask_to_be_called_again_while_the_server_goes(own_server, receive):
    calls = []

    def waits(**kwargs):
        calls.append(1)
        if len(calls) == 1:
            own_server.kill()
            raise TryAgain(60)

    receive(waits)
    client = own_server.client()
    publish(client, "a", "b")
    clock = Clock()
    consumer = stream(client, clock=clock)
    consumer.step()
    assert consumer.outage.lasts
    own_server.start()
    wait_for(lambda: consumer.step() or consumer.in_hand == 1, 20)
    assert len(calls) == 2
    assert consumer.describe()["waiting"] == 1
    clock.now += 61
    consumer.step()
    assert len(calls) == 3
    assert pending(client) == 0
    client.close()


def trim(client, maxlen):
    client.xtrim("inotifier", maxlen=maxlen, approximate=False)


def test_what_was_trimmed_meanwhile_is_let_go_and_told(client, caplog):
    publish(client, "a", "b")
    leave(client, "one", 2)
    trim(client, 1)
    consumer = stream(client)
    with Receiver("in_create") as receiver:
        consumer.step()
    assert [event.name for event in receiver.events] == ["b"]
    assert pending(client) == 0
    assert consumer.describe()["trimmed"] == 1
    assert "1 message(s) of inotifier were removed before they were delivered" in caplog.text


def test_what_a_dead_consumer_had_and_was_trimmed_is_told(client, caplog):
    publish(client, "a", "b", "c")
    leave(client, "dead", 3)
    grow_old(client, "dead")
    trim(client, 1)
    consumer = stream(client, "alive")
    with Receiver("in_create") as receiver:
        consumer.step()
    assert [event.name for event in receiver.events] == ["c"]
    assert pending(client) == 0
    assert consumer.describe()["trimmed"] == 2
    assert "2 message(s) of inotifier were removed" in caplog.text


def test_what_is_trimmed_while_it_waits_to_come_again_is_told(client, receive, caplog):
    calls = []

    def bad(**kwargs):
        calls.append(1)
        raise ValueError

    receive(bad)
    publish(client, "a", "b", "c")
    clock = Clock()
    consumer = stream(client, clock=clock)
    consumer.step()
    trim(client, 0)
    clock.now += IDLE
    consumer.step()
    assert len(calls) == 3
    assert consumer.in_hand == 0
    assert pending(client) == 0
    assert consumer.describe()["trimmed"] == 3
    assert caplog.text.count("3 message(s) of inotifier were removed") == 1


def test_it_ends_after_the_message_at_hand(client, receive):
    calls = []

    def count(**kwargs):
        calls.append(1)

    receive(count)
    publish(client, *map(str, range(10)))
    stream(client, stopped=lambda: len(calls) >= 3).run()
    assert len(calls) == 3
    assert pending(client) == 7
    stream(client).step()
    assert len(calls) == 10


# The server.


def test_a_server_that_goes_and_comes_back_loses_nothing(own_server, receive, caplog):
    client = own_server.client()
    consumer = stream(client)
    names = []

    def got(event, **kwargs):
        names.append(event.name)
        if event.name == "5":
            own_server.kill()

    receive(got)
    publish(client, *map(str, range(10)))
    consumer.step()
    consumer.step()
    own_server.start()
    wait_for(lambda: consumer.step() or (not consumer.outage.lasts and not consumer.in_hand), 20)
    assert names == list(map(str, range(10)))
    assert pending(client) == 0
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert "is away, messages wait to be consumed" in lines[0]
    assert "is back after" in lines[1]
    client.close()


def test_a_server_that_does_not_take_a_dead_message_is_away(client, receive):
    calls = []

    def bad(**kwargs):
        calls.append(1)
        if len(calls) == 1:
            client.config_set("min-replicas-to-write", 1)
        raise ValueError

    receive(bad)
    publish(client, "a")
    consumer = stream(client, retries=0)
    try:
        consumer.step()
        assert consumer.outage.lasts
        assert consumer.outage.reason.startswith("NOREPLICAS")
    finally:
        client.config_set("min-replicas-to-write", 0)
    wait_for(lambda: consumer.step() or not consumer.in_hand)
    assert len(dead(client)) == 1


@contextlib.contextmanager
def waiting(server, client):
    """Give a consumer that waits for messages; it has ended its step after the block."""
    with server.client() as own:
        consumer = stream(own, block=60.0)
        thread = threading.Thread(target=consumer.step)
        thread.start()
        wait_for(lambda: client.info("clients")["blocked_clients"] == 1)
        yield consumer
        thread.join()


def test_a_server_that_becomes_a_replica_while_a_consumer_waits_is_away(server, client, caplog):
    with waiting(server, client) as consumer:
        client.replicaof("127.0.0.1", "1")
    client.replicaof("no", "one")
    assert consumer.outage.lasts
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_stream_that_is_removed_while_a_consumer_waits_is_made_anew(server, client, caplog):
    with waiting(server, client) as consumer:
        client.delete("inotifier")
    assert not consumer.outage.lasts
    assert "is made anew" in caplog.text


def test_a_server_that_was_emptied_is_used_anew(client, caplog):
    consumer = stream(client)
    consumer.step()
    client.flushall()
    publish(client, "a")
    with Receiver("in_create") as receiver:
        wait_for(lambda: consumer.step() or receiver.names, 5)
    assert "is made anew" in caplog.text


def test_who_gets_everything_from_now_on_gets_what_came_after_a_server_was_emptied(client):
    publish(client, "before")
    queue = Stream(client, "inotifier", "inotifier@here", "one", start="$")
    consumer = make(client, queue, read_event)
    with Receiver("in_create") as receiver:
        consumer.step()
        publish(client, "a")
        consumer.step()
        client.flushall()
        publish(client, "b", "c")
        wait_for(lambda: consumer.step() or len(receiver.events) == 3)
    assert [event.name for event in receiver.events] == ["a", "b", "c"]


def test_a_key_that_is_no_stream_ends_it_with_what_to_do(client):
    client.set("inotifier", "x")
    with pytest.raises(ConfigurationError, match="name another key, or remove that one"):
        stream(client).step()


def test_a_key_of_dead_messages_that_is_no_stream_is_named(client):
    client.set("inotifier:dead", "x")
    client.xadd("inotifier", {"event": "no JSON"})
    with pytest.raises(ConfigurationError) as caught:
        stream(client).step()
    assert "Redis refuses: WRONGTYPE" in str(caught.value)
    assert "'inotifier:dead' holds something else" in str(caught.value)


def test_lag_and_pending_are_told(client, receive):
    def waits(**kwargs):
        raise TryAgain(3600)

    receive(waits)
    publish(client, "a", "b", "c")
    consumer = stream(client, count=2)
    consumer.step()
    found = consumer.queue.describe()
    assert (found["lag"], found["pending"], found["dead"]) == (1, 2, 0)
    assert [one["name"] for one in found["consumers"]] == ["one"]
    told = consumer.describe()
    assert (told["in_hand"], told["waiting"], told["away"]) == (2, 2, "")
    json.dumps([found, told])


# Messages of strangers.

BAD = {
    "no JSON": b"\xff{",
    "nested": b"[" * 50_000,
    "too large": b'"' + b"x" * 200_000 + b'"',
    "another version": b'{"v": 2, "id": "a", "mask": 256, "path": "/"}',
    "no such signal": b'{"v": 1, "id": "a", "mask": 256, "path": "/", "signal": "wraps"}',
    "a signal of another kind": b'{"v": 1, "id": "a", "mask": 8, "path": "", "signal": '
    b'"delivery_failed"}',
    "wrong type": b'{"v": 1, "id": "a", "mask": "IN_CREATE", "path": "/"}',
    "a list": b"[]",
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_cannot_be_read_is_dead_at_once_and_the_others_go_on(client, caplog, data):
    client.xadd("inotifier", {"event": data})
    publish(client, "a")
    consumer = stream(client)
    with Receiver() as receiver:
        consumer.step()
    assert receiver.names == ["in_create"]
    [grave] = dead(client)
    assert grave[b"event"] == data
    assert grave[b"error"]
    assert pending(client) == 0
    [line] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "is moved to the dead ones" in line.getMessage()
    assert len(line.getMessage()) < 400


def test_a_message_without_the_field_is_dead(client):
    client.xadd("inotifier", {"something": "else"})
    stream(client).step()
    assert dead(client)[0][b"error"] == b"it has no field 'event'"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
shapes = st.fixed_dictionaries(
    {"v": st.just(1) | values, "id": st.text() | values, "mask": st.integers() | values},
    optional={
        "path": st.text() | values,
        "name": st.text() | values,
        "signal": st.sampled_from(sorted(vars(signals))) | values,
        "processor": st.sampled_from(["os.system", "builtins.int", "x"]) | values,
        "timestamp": st.floats() | values,
        "src_pathname": st.text() | values,
    },
)


@hypothesis_settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary() | shapes.map(lambda shape: json.dumps(shape).encode()))
def test_no_message_stops_the_loop(client, data):
    client.flushall()
    client.xadd("inotifier", {"event": data})
    [event] = publish(client, "a")
    consumer = stream(client, retries=0)
    with Receiver("in_create") as receiver:
        consumer.step()
    assert event.id in [event.id for event in receiver.events]
    assert pending(client) == 0
    assert consumer.counters.delivered + consumer.counters.unreadable == 2


def test_an_event_is_the_same_after_the_way_over_the_stream(client):
    event = Event(mask=IN_CREATE, path="/srv", name="x", cookie=3, synthetic="startup")
    client.xadd("inotifier", {"event": event.to_json()})
    with Receiver("in_create") as receiver:
        stream(client).step()
    [again] = receiver.events
    assert again.to_json() == event.to_json()
