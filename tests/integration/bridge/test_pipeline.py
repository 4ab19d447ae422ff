"""What becomes of events on their way to a queue: failures, outages, and the end of the daemon."""

import itertools
import threading
import time

import pytest

from inotifier.bridge import pipeline
from inotifier.bridge.enqueuer import Enqueuer
from inotifier.signals import delivery_failed
from tests.threads import refuse_once
from tests.waiting import wait_for


class Queue(Enqueuer):
    """A queue in memory that refuses what it is told to.

    Args:
        refusals: of a name, what is raised for the tasks with it, one after the other.
    """

    def __init__(self, refusals=None, batch=None):
        super().__init__("the queue", batch)
        self.refusals = refusals or {}
        self.tasks = []
        self.tried = []

    def _enqueue(self, arguments):
        events = arguments.get("events") or [arguments["event"]]
        names = [event["name"] for event in events]
        self.tried.append(names)
        for name in names:
            if self.refusals.get(name):
                raise self.refusals[name].pop(0)
        self.tasks.append(names)

    def _disconnect(self):
        pass


@pytest.fixture
def watch(watching, tmp_path, settings):
    settings.INOTIFIER_RETRIES = 2
    settings.INOTIFIER_RETRY_DELAY = 0.01
    made = []

    def start(queue):
        made.append(queue)
        return watching((tmp_path, "IN_CREATE", queue))

    yield start
    for queue in made:
        queue.close()


def touch(directory, *names):
    for name in names:
        (directory / name).touch()


def test_what_fails_is_tried_again_before_what_comes_after_it(watch, tmp_path):
    queue = Queue({"b": [ValueError("no"), ValueError("no")]})
    running = watch(queue)
    touch(tmp_path, "a", "b", "c")
    running.stop()
    assert queue.tasks == [["a"], ["b"], ["c"]]
    assert (running.handlers[0].delivered, running.handlers[0].retried) == (3, 2)


def test_a_processor_that_calls_another_one_sends_once(watching, tmp_path):
    queue = Queue()
    running = watching((tmp_path, "IN_CREATE", lambda event: queue(event)))
    touch(tmp_path, "a", "b")
    running.stop()
    queue.close()
    assert queue.tasks == [["a"], ["b"]]
    assert running.handlers[0].delivered == 2


def test_what_is_given_up_is_told_and_holds_up_nothing(watch, tmp_path):
    queue = Queue({"b": [ValueError("no")] * 3})
    told = []

    def receive(event, exception, **kwargs):
        told.append((event.name, str(exception)))

    delivery_failed.connect(receive)
    running = watch(queue)
    touch(tmp_path, "a", "b", "c")
    running.stop()
    delivery_failed.disconnect(receive)
    assert queue.tasks == [["a"], ["c"]]
    assert told == [("b", "no")]
    assert (running.handlers[0].delivered, running.handlers[0].failed) == (2, 1)


def test_a_batch_fails_as_a_whole_and_is_tried_as_it_was(watch, tmp_path):
    queue = Queue({"b": [ValueError("no")]}, batch=(3, 3600.0))
    running = watch(queue)
    touch(tmp_path, "a", "b", "c")
    running.stop()
    assert queue.tried == [["a", "b", "c"]] * 2
    assert queue.tasks == [["a", "b", "c"]]


def test_a_batch_is_given_up_as_a_whole(watch, tmp_path):
    queue = Queue({"b": [ValueError("no")] * 3}, batch=(3, 3600.0))
    running = watch(queue)
    touch(tmp_path, "a", "b", "c", "d", "e", "f")
    running.stop()
    assert queue.tasks == [["d", "e", "f"]]
    assert running.handlers[0].failed == 3


@pytest.mark.parametrize("outage", [OSError("away"), type("OperationalError", (Exception,), {})()])
def test_an_outage_is_no_failure(watch, tmp_path, outage, caplog):
    queue = Queue({"a": [outage] * 2})
    running = watch(queue)
    touch(tmp_path, "a", "b")
    running.stop()
    assert queue.tasks == [["a"], ["b"]]
    assert running.handlers[0].retried == 0
    assert [r.getMessage().split(" is ")[1].split(" ")[0].rstrip(",") for r in caplog.records] == [
        "away",
        "back",
    ]


def test_a_batch_that_is_not_full_is_sent_at_the_end(watch, tmp_path):
    queue = Queue(batch=(100, 3600.0))
    running = watch(queue)
    touch(tmp_path, "a", "b")
    running.sync()
    assert running.service.waits_until(time.monotonic() + 60)
    running.stop()
    assert queue.tasks == [["a", "b"]]
    assert running.handlers[0].delivered == 2


def test_what_comes_to_a_batch_at_the_end_is_sent_as_well(watching, tmp_path):
    queue = Queue(batch=(100, 3600.0))
    goes_on = threading.Event()

    def hold_up(event):
        goes_on.wait(60)
        return queue(event)

    running = watching((tmp_path, "IN_CREATE", hold_up))
    touch(tmp_path, "a", "b", "c")
    wait_for(lambda: running.service.queue_depth == 3)
    running.service.finish()
    assert not running.service.drained(0.05)
    goes_on.set()
    assert running.service.drained(60)
    running.close()
    queue.close()
    assert sorted(itertools.chain(*queue.tasks)) == ["a", "b", "c"]


def test_the_thread_that_rests_has_ended_before_another_one_sends(watch, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "_REST", 0.0)
    rests, sends = threading.Event(), threading.Event()
    meanwhile = []

    class Resting(Queue):
        def _enqueue(self, arguments):
            super()._enqueue(arguments)
            if self.tasks == [["a"], ["b"]]:
                sends.set()

        def _disconnect(self):
            if not sends.is_set():
                rests.set()
                meanwhile.append(sends.wait(0.3))

    queue = Resting()
    running = watch(queue)
    touch(tmp_path, "a")
    assert rests.wait(60)
    touch(tmp_path, "b")
    running.stop()
    assert queue.tasks == [["a"], ["b"]]
    assert meanwhile[0] is False


def test_an_event_for_which_no_thread_can_start_is_tried_again(watch, tmp_path, monkeypatch):
    queue = Queue()
    running = watch(queue)
    refused = refuse_once(monkeypatch, "inotifier-enqueuer")
    touch(tmp_path, "a")
    running.stop()
    assert refused == ["inotifier-enqueuer"]
    assert queue.tasks == [["a"]]
    assert (running.handlers[0].delivered, running.handlers[0].retried) == (1, 1)
    assert running.service.queue_depth == 0


def test_closing_sends_nothing_more(watch, tmp_path):
    queue = Queue(batch=(100, 3600.0))
    running = watch(queue)
    touch(tmp_path, "a")
    running.sync()
    queue.close()
    assert "inotifier-enqueuer" not in [thread.name for thread in threading.enumerate()]
    assert queue.tasks == []
    running.cut()
