"""`RedisPublisher` against a real server."""

import json
import logging
import os
import threading

import pytest

from inotifier import signals
from inotifier.bridge import RedisPublisher
from inotifier.event_processors import AllEventsSignaler, FileReadySignaler
from inotifier.events import IN_CREATE, Event
from inotifier.exceptions import ConfigurationError, TryAgain
from tests.in_process import Receiver
from tests.redis_server import RedisServer, need_redis
from tests.waiting import wait_for


def messages(client, stream="inotifier"):
    return [json.loads(fields[b"event"]) for _, fields in client.xrange(stream)]


@pytest.fixture
def publisher(server):
    publisher = RedisPublisher()
    yield publisher
    publisher.close()


def event_of(name="a", mask=IN_CREATE):
    return Event(mask=mask, path="/srv", name=name)


def publish(publisher, *events):
    """Publish events, and wait until the server has them."""
    laters = [publisher(event) for event in events]
    wait_for(lambda: all(later.has_ended for later in laters))


def test_every_event_is_added_in_its_order(publisher, client):
    events = [event_of(str(number)) for number in range(2000)]
    publish(publisher, *events)
    found = messages(client)
    assert [message["id"] for message in found] == [event.id for event in events]
    assert {message["processor"] for message in found} == {"inotifier.bridge.RedisPublisher"}
    assert {message["signal"] for message in found} == {"in_create"}


def test_the_settings_name_the_stream_and_how_much_it_keeps(publisher, client, settings):
    settings.INOTIFIER_REDIS_STREAM = "files"
    settings.INOTIFIER_REDIS_MAXLEN = 500
    publish(publisher, *(event_of(str(number)) for number in range(2000)))
    assert 500 <= client.xlen("files") < 1000
    assert messages(client, "files")[-1]["name"] == "1999"


def test_an_entry_of_the_daemon_publishes(server, client, watching, tmp_path):
    running = watching((tmp_path, "IN_CLOSE_WRITE", "inotifier.bridge.RedisPublisher"))
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / name).touch()
    running.sync()
    [message] = wait_for(lambda: messages(client))
    assert os.fsencode(message["name"]) == b"caf\xe9"
    assert message["watch"] == str(tmp_path)
    running.handlers[0].entry.processor.close()


def test_a_signal_is_forwarded_with_its_sender(publisher, client):
    signals.file_ready.connect(publisher.forward)
    signals.file_ready.deliver(FileReadySignaler, event_of(), FileReadySignaler())
    [message] = messages(client)
    assert message["signal"] == "file_ready"
    assert message["processor"] == "inotifier.event_processors.FileReadySignaler"


@pytest.mark.parametrize("signal", [signals.delivery_failed, object()])
def test_what_is_of_more_than_an_event_is_not_forwarded(publisher, client, signal):
    forward = {"sender": AllEventsSignaler, "processor": print, "exception": ValueError()}
    with pytest.raises(ValueError, match=r"cannot be forwarded|not one of inotifier\.signals"):
        publisher.forward(signal=signal, event=event_of(), **forward)
    assert client.xlen("inotifier") == 0


def test_what_came_from_a_stream_is_not_forwarded(publisher, client):
    signals.in_create.connect(publisher.forward)
    with Receiver("in_create") as receiver:
        assert signals.in_create.deliver(AllEventsSignaler, event_of(), None) == []
    assert receiver.names == ["in_create"]
    assert messages(client) == []


# The server is away.


def test_events_wait_while_the_server_is_away_and_the_log_tells_once(own_server, caplog):
    publisher = RedisPublisher()
    publish(publisher, event_of("before"))
    own_server.kill()
    events = [event_of(str(number)) for number in range(1000)]
    laters = [publisher(event) for event in events]
    wait_for(lambda: laters[0].due is not None)
    assert not any(later.has_ended for later in laters)
    own_server.start()
    wait_for(lambda: all(later.has_ended for later in laters))
    client = own_server.client()
    assert [m["id"] for m in messages(client)][1:] == [event.id for event in events]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert "is away, events wait to be published" in lines[0]
    assert "is back after" in lines[1]
    publisher.close()


def test_a_server_killed_in_the_middle_of_a_burst_loses_nothing(own_server):
    publisher = RedisPublisher()
    events = [event_of(str(number)) for number in range(20_000)]
    laters = []
    for number, event in enumerate(events):
        laters.append(publisher(event))
        if number % 6000 == 5999:
            own_server.kill()
            own_server.start()
    wait_for(lambda: all(later.has_ended for later in laters), 60)
    ids = [message["id"] for message in messages(own_server.client())]
    assert list(dict.fromkeys(ids)) == [event.id for event in events]  # doubles aside, in order
    assert len(ids) - len(events) <= 3 * 500
    publisher.close()


def test_nothing_is_asked_of_the_server_before_the_time_has_come(settings, monkeypatch):
    need_redis()
    settings.INOTIFIER_REDIS_URL = "unix:///nowhere"
    publisher = RedisPublisher()
    forward = {"signal": signals.in_create, "sender": AllEventsSignaler, "processor": print}
    with pytest.raises(TryAgain) as caught:
        publisher.forward(event=event_of(), **forward)
    assert 0 < caught.value.after <= 15
    monkeypatch.setattr(publisher, "_client", None)
    monkeypatch.setattr("inotifier.bridge.publisher.connect", None)
    with pytest.raises(TryAgain):
        publisher.forward(event=event_of(), **forward)


def test_what_is_abandoned_is_not_sent(own_server):
    publisher = RedisPublisher()
    own_server.stop()
    later = publisher(event_of())
    wait_for(lambda: later.due is not None)
    later.abandon()
    own_server.start()
    last = publisher(event_of("last"))
    wait_for(lambda: last.has_ended)
    assert not later.has_ended
    assert [message["name"] for message in messages(own_server.client())] == ["last"]
    publisher.close()


def test_the_thread_ends_when_it_rests_and_comes_back(publisher, client, monkeypatch):
    monkeypatch.setattr("inotifier.bridge.pipeline._REST", 0.05)
    for number in range(3):
        publish(publisher, event_of(str(number)))
        wait_for(lambda: "inotifier-publisher" not in [t.name for t in threading.enumerate()])
    assert len(messages(client)) == 3


def test_many_threads_may_publish(publisher, client):
    def some():
        for number in range(500):
            publisher(event_of(str(number)))

    threads = [threading.Thread(target=some) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lambda: client.xlen("inotifier") == 2000)


@pytest.mark.parametrize(
    ("break_it", "mend_it"),
    [
        (("replicaof", "127.0.0.1", "1"), ("replicaof", "no", "one")),
        (("config", "set", "maxmemory", "1"), ("config", "set", "maxmemory", "0")),
        (
            ("config", "set", "min-replicas-to-write", "1"),
            ("config", "set", "min-replicas-to-write", "0"),
        ),
    ],
    ids=["read-only replica", "out of memory", "too few replicas"],
)
def test_a_server_that_cannot_write_now_is_away(publisher, client, caplog, break_it, mend_it):
    client.execute_command(*break_it)
    try:
        later = publisher(event_of())
        wait_for(lambda: later.due is not None)
        assert not later.has_ended
    finally:
        client.execute_command(*mend_it)
    wait_for(lambda: later.has_ended)
    wait_for(lambda: len(caplog.records) == 2)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


def test_a_server_that_refuses_is_asked_with_one_event_until_it_takes_that(publisher, client):
    client.config_set("min-replicas-to-write", 1)
    try:
        first = publisher(event_of("first"))
        wait_for(lambda: first.due is not None)
        client.config_resetstat()
        events = [event_of(str(number)) for number in range(100)]
        laters = [publisher(event) for event in events]
        refused = wait_for(lambda: client.info("commandstats").get("cmdstat_xadd"))
        assert refused["rejected_calls"] < 10  # one in each try
    finally:
        client.config_set("min-replicas-to-write", 0)
    wait_for(lambda: all(later.has_ended for later in laters))
    assert [m["name"] for m in messages(client)] == ["first", *(event.name for event in events)]


def test_a_server_that_cannot_write_to_its_disk_is_away(caplog, settings):
    need_redis()
    with RedisServer("--save", "1 1", "--dbfilename", "dump") as server:
        settings.INOTIFIER_REDIS_URL = server.url
        client = server.client()
        publisher = RedisPublisher()
        (server.socket.parent / "dump").mkdir()
        publish(publisher, event_of("first"))
        client.bgsave()
        wait_for(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", 10)
        later = publisher(event_of())
        wait_for(lambda: "MISCONF" in caplog.text)
        assert not later.has_ended
        publisher.close()
        server.kill()  # in peace, it would want to save


def test_a_server_that_loads_its_data_is_away(settings, caplog):
    need_redis()
    from redis.exceptions import BusyLoadingError, ResponseError

    from inotifier.bridge.connection import is_outage

    assert is_outage(BusyLoadingError("Redis is loading the dataset in memory"))
    assert not is_outage(ResponseError("ERR something else"))


def test_a_server_that_does_not_answer_is_away(own_server, monkeypatch):
    monkeypatch.setattr("inotifier.bridge.connection._TIMEOUT", 0.2)
    publisher = RedisPublisher()
    publish(publisher, event_of("before"))
    own_server.freeze()
    later = publisher(event_of())
    wait_for(lambda: later.due is not None)
    own_server.thaw()
    wait_for(lambda: later.has_ended)
    publisher.close()


# What the settings must mend.


def test_a_wrong_password_is_told_at_the_start_and_never_shown(settings, caplog):
    need_redis()
    with RedisServer("--requirepass", "the-right-one") as server:
        settings.INOTIFIER_REDIS_URL = f"{server.url}?password=the-secret-one"
        publisher = RedisPublisher()
        with pytest.raises(ConfigurationError) as caught:
            publisher.prepare("/srv")
        assert "put the right user and password into INOTIFIER_REDIS_URL" in str(caught.value)
        later = publisher(event_of())
        wait_for(lambda: "put the right user and password" in caplog.text)
        assert not later.has_ended
        shown = f"{caught.value}{caplog.text}"
        assert "the-secret-one" not in shown
        publisher.close()
        settings.INOTIFIER_REDIS_URL = server.url
        publisher = RedisPublisher()
        with pytest.raises(ConfigurationError, match="Authentication required"):
            publisher.prepare("/srv")
        publisher.close()


def test_a_key_that_is_no_stream_is_told_at_the_start(publisher, client):
    client.set("inotifier", "something else")
    with pytest.raises(ConfigurationError, match="'inotifier' holds something else"):
        publisher.prepare("/srv")


def test_a_server_that_is_away_is_no_reason_not_to_start(settings, caplog):
    need_redis()
    settings.INOTIFIER_REDIS_URL = "redis://:secret@127.0.0.1:1/0"
    RedisPublisher().prepare("/srv")
    assert "redis://***@127.0.0.1:1/0 is away" in caplog.text
    assert "secret" not in caplog.text
