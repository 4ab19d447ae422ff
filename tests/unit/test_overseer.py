"""What stands beside a consumer, while that does what a test wants it to."""

import queue
import signal
import threading

import pytest

from inotifier.lifecycle.overseer import Overseer
from tests.waiting import wait_for


def nothing() -> None:
    pass


def test_it_tells_until_somebody_asks_for_the_end():
    requests, told = queue.SimpleQueue(), []
    overseer = Overseer(requests, {signal.SIGUSR1}, 60)

    def work() -> None:
        wait_for(lambda: len(told) > 1)
        requests.put(signal.SIGUSR1)
        wait_for(requests.empty)
        assert overseer.stop is None
        requests.put(signal.SIGHUP)
        wait_for(lambda: overseer.stop)

    overseer.watch(work, lambda: told.append(1), nothing)
    assert overseer.stop == signal.SIGHUP


def test_it_takes_signals_whatever_goes_wrong_with_telling(caplog):
    requests = queue.SimpleQueue()
    overseer = Overseer(requests, (), 60)

    def fail() -> None:
        raise ValueError("no")

    def work() -> None:
        wait_for(lambda: "cannot tell how the consumer is" in caplog.text)
        requests.put(signal.SIGTERM)
        wait_for(lambda: overseer.stop)

    overseer.watch(work, fail, nothing)
    assert overseer.stop == signal.SIGTERM


def test_what_the_work_raises_comes_through_and_nobody_watches_any_more():
    overseer, told = Overseer(queue.SimpleQueue(), (), 60), []

    def work() -> None:
        wait_for(lambda: told)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        overseer.watch(work, lambda: told.append(1), nothing)
    assert "inotifier-overseer" not in [thread.name for thread in threading.enumerate()]
