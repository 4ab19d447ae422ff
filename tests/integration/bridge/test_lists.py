"""A consumer of a list, against a real server."""

import json

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from inotifier import signals
from inotifier.bridge import RedisPublisher
from inotifier.events import IN_CREATE, Event
from inotifier.exceptions import TryAgain
from tests.in_process import Receiver
from tests.integration.bridge.consuming import IDLE, Clock, connecting, from_list
from tests.waiting import wait_for


@pytest.fixture
def messages():
    """What receivers of message_received got."""
    got = []

    def receiver(sender, message, **kwargs):
        got.append(message)

    signals.message_received.connect(receiver)
    yield got
    signals.message_received.disconnect(receiver)


@pytest.fixture
def receive():
    """Connect functions to message_received until the end of the test."""
    with connecting(signals.message_received) as connect:
        yield connect


def push(client, *values):
    for value in values:
        client.rpush("jobs", value if isinstance(value, bytes) else json.dumps(value))


def left(client):
    """Return what is in the list, and in anybody's hands."""
    keys = ["jobs", *client.keys("jobs:processing:*")]
    return sum(client.llen(key) for key in keys)


def graves(client):
    return [json.loads(grave) for grave in client.lrange("jobs:dead", 0, -1)]


def test_an_event_becomes_its_signal_whoever_wrote_it(client, messages):
    push(client, {"v": 1, "id": "1", "mask": 8, "path": "/srv", "name": "by a shell script"})
    event = Event(mask=IN_CREATE, path="/srv", name="by Event.to_json")
    push(client, event.to_json().encode())
    with Receiver() as receiver:
        from_list(client).step()
    assert receiver.names == ["in_close_write", "in_create"]
    assert receiver.events[1].id == event.id
    assert messages == []
    assert left(client) == 0


def test_any_other_json_is_a_message_in_its_order(client, messages):
    values = [{"type": "event", "args": {"path": "/x"}}, [1, 2], "text", 3, None, {"v": 1}]
    push(client, *values)
    consumer = from_list(client)
    consumer.step()
    assert messages == values
    assert left(client) == 0
    assert consumer.counters.delivered == 6


def test_the_sender_of_a_message_is_told(client, receive):
    senders = []

    def receiver(sender, **kwargs):
        senders.append(sender)

    receive(receiver)
    push(client, 1)
    from_list(client).step()
    assert senders == [RedisPublisher]


@pytest.mark.parametrize(
    "data",
    [
        b"no JSON",
        b"\xff\xfe",
        b"[" * 50_000,
        b'"' + b"x" * 200_000 + b'"',
        b'{"v": 2, "id": "a", "mask": 256, "path": "/"}',
        b'{"v": 1, "id": "a", "mask": "x", "path": "/"}',
    ],
    ids=lambda data: repr(data[:20]),
)
def test_garbage_goes_to_the_dead_list_and_is_logged_once(client, messages, caplog, data):
    push(client, data, 1)
    from_list(client).step()
    [grave] = graves(client)
    assert grave["message"].encode("utf-8", "surrogateescape") == data
    assert grave["error"]
    assert messages == [1]
    assert left(client) == 0
    assert len(caplog.records) == 1
    assert len(caplog.text) < 600


def test_a_message_whose_receiver_raises_comes_again_and_then_is_dead(client, receive):
    calls = []

    def bad(message, **kwargs):
        calls.append(message)
        if message == "bad":
            raise ValueError("never")

    receive(bad)
    push(client, "bad", "good")
    clock = Clock()
    consumer = from_list(client, clock=clock)
    for _ in range(5):
        consumer.step()
        clock.now += 10
    assert calls == ["bad", "good", "bad", "bad"]
    [grave] = graves(client)
    assert grave["message"] == '"bad"'
    assert "never" in grave["error"]
    assert grave["deliveries"] == 3
    assert left(client) == 0
    assert client.exists("jobs:deliveries") == 0


@pytest.mark.parametrize("exc", [ValueError("no"), SystemExit(1)], ids=repr)
def test_a_receiver_that_raises_is_logged_once_and_the_others_get_their_turn(
    client, receive, caplog, exc
):
    messages = []

    def bad(**kwargs):
        raise exc

    async def waits(**kwargs):
        raise TryAgain(1)

    def good(message, **kwargs):
        messages.append(message)

    for receiver in (bad, waits, good):
        receive(receiver)
    push(client, 1)
    from_list(client).step()
    assert messages == [1]
    [line] = [record.getMessage() for record in caplog.records]
    assert "bad failed on a message, again in 1 s" in line


def test_an_outage_elsewhere_is_no_failure(client, receive, caplog):
    calls = []

    def waits(**kwargs):
        calls.append(1)
        if len(calls) < 9:
            raise TryAgain(1)

    receive(waits)
    push(client, 1)
    clock = Clock()
    consumer = from_list(client, clock=clock)
    for _ in range(9):
        consumer.step()
        clock.now += 2
    assert len(calls) == 9
    assert left(client) == 0
    assert client.exists("jobs:deliveries") == 0
    assert caplog.text == ""


def test_consumers_that_end_in_an_outage_elsewhere_do_no_harm(client, receive):
    calls = []

    def waits(**kwargs):
        calls.append(1)
        if len(calls) < 6:
            raise TryAgain(60)

    receive(waits)
    push(client, 1)
    for number in range(1, 7):
        from_list(client).step()  # and then it ends
        assert len(calls) == number
    assert graves(client) == []
    assert left(client) == 0
    assert client.exists("jobs:deliveries") == 0


def test_what_another_has_taken_over_and_delivered_does_not_come_again(client, receive):
    calls = []

    def fails_once(message, **kwargs):
        calls.append(message)
        if len(calls) == 1:
            raise ValueError

    receive(fails_once)
    push(client, "a")
    clock = Clock()
    suspended = from_list(client, "suspended", clock=clock)
    suspended.step()
    client.delete("jobs:alive:suspended")
    from_list(client, "other").step()
    assert calls == ["a"] * 2
    clock.now += 2
    suspended.step()
    assert calls == ["a"] * 2
    assert suspended.in_hand == 0


def test_a_server_that_cannot_write_now_is_away(client, receive):
    calls = []

    def receiver(message, **kwargs):
        calls.append(message)
        client.config_set("min-replicas-to-write", 1)

    receive(receiver)
    push(client, f"{'key ' * 50}) of pipeline caused error: WRONGTYPE")
    consumer = from_list(client)
    try:
        consumer.step()
        assert consumer.outage.lasts
        assert consumer.outage.reason.startswith("NOREPLICAS")
    finally:
        client.config_set("min-replicas-to-write", 0)
    wait_for(lambda: consumer.step() or not consumer.in_hand)
    assert len(calls) == 1
    assert left(client) == 0


def test_a_consumer_that_comes_back_begins_with_what_it_had(client, messages):
    push(client, "a", "b", "a")
    first = from_list(client)
    first.queue.open()
    assert len(first.queue.read(10, 0.0)) == 3  # and then it died
    push(client, "c")
    consumer = from_list(client)
    consumer.step()
    consumer.step()
    assert sorted(messages) == ["a", "a", "b", "c"]
    assert left(client) == 0


def test_what_a_dead_consumer_left_is_taken_over_after_a_time(client, messages):
    push(client, "a", "b")
    other = from_list(client, "dead")
    other.queue.open()
    other.queue.read(10, 0.0)
    clock = Clock()
    consumer = from_list(client, "alive", clock=clock)
    consumer.step()
    assert messages == []
    assert client.pexpire("jobs:alive:dead", 1)  # it had an end before, which is nearer now
    wait_for(lambda: not client.exists("jobs:alive:dead"))
    clock.now += IDLE
    consumer.step()
    assert messages == ["a", "b"]
    assert left(client) == 0
    assert [one["name"] for one in consumer.queue.describe()["consumers"]] == ["alive"]


def test_what_a_dead_consumer_left_is_taken_over_a_few_at_a_time(client, messages):
    push(client, *range(20))
    other = from_list(client, "dead")
    other.queue.open()
    other.queue.read(20, 0.0)
    client.delete("jobs:alive:dead")
    consumer = from_list(client, "alive", count=5)
    consumer.step()
    assert messages == list(range(5))
    assert client.llen("jobs:processing:dead") == 15
    for _ in range(4):
        consumer.step()
    assert messages == list(range(20))
    assert client.smembers("jobs:consumers") == {b"alive"}


def test_a_message_that_ends_its_consumers_is_dead_after_a_while(client, messages):
    push(client, "poison")
    for number in range(3):
        consumer = from_list(client)
        consumer.queue.open()
        if number == 0:
            consumer.queue.read(10, 0.0)
            continue
        [item] = consumer.queue.take_over((), 10)
        consumer.queue.note(item, item.deliveries + 1)  # and then it died
    from_list(client).step()
    assert messages == []
    assert [grave["message"] for grave in graves(client)] == ['"poison"']


def test_many_consumers_get_each_message_once(client, messages):
    push(client, *range(1000))
    consumers = [from_list(client, str(number), count=7) for number in range(5)]
    while client.llen("jobs"):
        for consumer in consumers:
            consumer.step()
    assert sorted(messages) == list(range(1000))
    assert left(client) == 0


def test_lengths_are_told(client, receive):
    def waits(**kwargs):
        raise TryAgain(3600)

    receive(waits)
    push(client, 1, 2, 3)
    consumer = from_list(client, count=2)
    consumer.step()
    found = consumer.queue.describe()
    assert (found["lag"], found["pending"], found["dead"]) == (1, 2, 0)
    assert found["consumers"] == [{"name": "one", "pending": 2, "alive": True}]


@hypothesis_settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(min_size=1)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["v", "id", "mask"]), inner)
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_no_message_stops_the_loop(client, data):
    client.flushall()
    push(client, data, b'"last"')
    consumer = from_list(client, retries=0)
    consumer.step()
    assert left(client) == 0
    assert consumer.counters.delivered + consumer.counters.unreadable == 2
