"""When a service manager is told of the daemon, by a clock of the test's own."""

import itertools
import socket
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inotifier.lifecycle.systemd import ServiceManager

ALLOWED = 60.0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Listener:
    def __init__(self) -> None:
        name = f"inotifier-{uuid.uuid4()}"
        self.address = f"@{name}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(f"\0{name}")

    def read(self) -> list[str]:
        """Return what has come since the last time."""
        texts = []
        while True:
            try:
                texts.append(self.socket.recv(65536).decode())
            except BlockingIOError:
                return texts


@pytest.fixture
def listener():
    listener = Listener()
    yield listener
    listener.socket.close()


def test_the_status_is_told_when_it_changes_but_not_each_second(listener):
    clock = Clock()
    manager = ServiceManager({"NOTIFY_SOCKET": listener.address}, clock)
    manager.ready("0 events")
    told = []
    for second in range(1, 101):
        clock.now += 1
        manager.tell(f"{min(second, 50)} events")
        told += listener.read()
    assert [text for text in told if text.startswith("STATUS")] == [
        f"STATUS={number} events" for number in (10, 20, 30, 40, 50)
    ]


def test_a_status_that_is_not_unicode_is_told(listener):
    manager = ServiceManager({"NOTIFY_SOCKET": listener.address})
    manager.tell("a\udce9b")
    assert listener.read() == ["STATUS=a\\udce9b"]


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative"])
def test_an_address_of_another_kind_is_nobodys(address):
    manager = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000"})
    manager.ready("")
    manager.ping({})


@pytest.mark.parametrize("number", ["", "0", "-1", "x"])
def test_a_number_that_is_none_asks_for_no_pings(listener, number):
    clock = Clock()
    manager = ServiceManager({"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": number}, clock)
    for _ in range(1000):
        clock.now += 1
        manager.ping({})
    assert listener.read() == []


@pytest.fixture
def watched(listener):
    clock = Clock()
    variables = {"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": str(int(ALLOWED * 1e6))}
    return ServiceManager(variables, clock), clock


def times_of_pings(manager, clock, listener, calls) -> list[float]:
    """Let each of `calls` last so many seconds, one after the other; return when it pings."""
    times = [clock.now]
    end = clock.now
    for duration in calls:
        call = object()
        end += duration
        while clock.now < end:
            clock.now += manager.tick
            manager.ping({1: call})
            times += [clock.now] * len(listener.read())
    return times


def longest_silence(times: list[float]) -> float:
    return max((after - before for before, after in itertools.pairwise(times)), default=0.0)


def test_it_pings_each_half_of_the_time_while_nothing_is_to_do(listener, watched):
    manager, clock = watched
    times = [clock.now]
    for _ in range(600):
        clock.now += manager.tick
        manager.ping({})
        times += [clock.now] * len(listener.read())
    assert 20 <= len(times) <= 22
    assert longest_silence(times) <= ALLOWED / 2


@given(calls=st.lists(st.floats(0, ALLOWED - 2), max_size=20))
def test_handlers_that_return_in_time_never_cost_the_daemon_its_life(calls):
    listener, clock = Listener(), Clock()
    variables = {"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": str(int(ALLOWED * 1e6))}
    try:
        times = times_of_pings(ServiceManager(variables, clock), clock, listener, calls)
    finally:
        listener.socket.close()
    assert longest_silence([*times, clock.now]) < ALLOWED


@given(before=st.lists(st.floats(0, ALLOWED - 2), max_size=5))
def test_a_handler_that_is_stuck_costs_it_its_life_soon(before):
    listener, clock = Listener(), Clock()
    variables = {"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": str(int(ALLOWED * 1e6))}
    try:
        manager = ServiceManager(variables, clock)
        times_of_pings(manager, clock, listener, before)
        begin = clock.now
        times = times_of_pings(manager, clock, listener, [10 * ALLOWED])
    finally:
        listener.socket.close()
    assert times[-1] + ALLOWED <= begin + 1.5 * ALLOWED + 2 * manager.tick


def test_one_of_several_threads_that_is_stuck_is_enough(listener, watched):
    manager, clock = watched
    stuck = object()
    for _ in range(60):
        clock.now += manager.tick
        manager.ping({1: stuck, 2: object()})
    listener.read()
    for _ in range(600):
        clock.now += manager.tick
        manager.ping({1: stuck, 2: object()})
    assert listener.read() == []
