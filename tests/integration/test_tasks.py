"""Tasks in the daemon: their events are pending until the jobs have ended."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import override_settings

from inotifier.events import IN_CLOSE_WRITE, IN_CREATE, IN_MODIFY, Event
from inotifier.exceptions import TryAgain
from inotifier.later import Later
from inotifier.scheduling import Cancel, EventMap, TaskScheduler, tasks
from inotifier.scheduling.runner import Runner
from inotifier.signals import delivery_failed
from tests.by_hand import ByHand
from tests.in_process import Running
from tests.threads import refuse_once
from tests.waiting import wait_for

LONG = 3600.0


class Jobs:
    """A job that keeps its events, and does what it is told."""

    def __init__(self, act: Callable[[Event], object] = lambda event: None) -> None:
        self.act = act
        self.events: list[Event] = []

    def __call__(self, event: Event, task_id: str) -> None:
        self.events.append(event)
        self.act(event)

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(event.maskname, event.name) for event in self.events]


class Inbox:
    """Starts one entry again and again, with the same state."""

    def __init__(self, watching, base: Path) -> None:
        self._watching = watching
        self.root = base / "root"
        self.root.mkdir()
        self._state = base / "state.sqlite3"

    def start(self, processor: object, mask: object = None, **fields) -> Running:
        """Start, and catch up."""
        fields = {"recursive": True, "name": "the inbox", **fields}
        running = self._watching((self.root, mask, processor, fields), state=self._state)
        wait_for(lambda: not running.service.catching_up, 60, "the comparison")
        running.sync()
        return running

    def write(self, name: str, text: str = "x") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
def inbox(watching, tmp_path):
    return Inbox(watching, tmp_path)


@pytest.fixture
def failures():
    """What `delivery_failed` was sent with."""
    calls = []

    def receive(**kwargs) -> None:
        calls.append(kwargs)

    delivery_failed.connect(receive)
    yield calls
    delivery_failed.disconnect(receive)


def depth(running: Running) -> int:
    return running.service.queue_depth


# Pending


def test_an_event_is_pending_until_its_job_has_ended(inbox):
    end = threading.Event()
    running = inbox.start(TaskScheduler(lambda event: end.wait(30)))
    inbox.write("a")
    running.sync()
    [handler] = running.handlers
    assert (handler.pending, handler.delivered, depth(running)) == (1, 0, 1)
    end.set()
    wait_for(lambda: depth(running) == 0)
    assert (handler.pending, handler.delivered) == (0, 1)


@pytest.mark.parametrize("delay", [0, 0.01])
@pytest.mark.parametrize("limit", [None, 1])
@pytest.mark.parametrize("is_coroutine", [False, True])
def test_a_job_for_which_no_thread_can_start_runs_later(
    inbox, settings, monkeypatch, delay, limit, is_coroutine
):
    monkeypatch.setattr(tasks, "_UNTIL_THREADS", 0.01)
    settings.INOTIFIER_RETRIES = 1
    settings.INOTIFIER_RETRY_DELAY = 0.01
    names = []

    def job(event):
        names.append(event.name)

    async def coroutine(event):
        job(event)

    scheduler = TaskScheduler(
        coroutine if is_coroutine else job, delay=delay, limit=limit, runner=Runner()
    )
    running = inbox.start(scheduler)
    expected = ["inotifier-timers"] * bool(delay)
    expected.append("inotifier-loop" if is_coroutine else "inotifier-job")
    refused = refuse_once(monkeypatch, *expected)
    inbox.write("a")
    inbox.write("b")
    running.stop()
    assert refused == expected
    assert sorted(names) == ["a", "b"]
    assert (running.handlers[0].delivered, running.handlers[0].pending) == (2, 0)
    inbox.start(scheduler).stop()
    assert sorted(names) == ["a", "b"]


def test_all_events_that_end_in_one_task_are_done_with_together(inbox):
    jobs, by_hand = Jobs(), ByHand()
    scheduler = TaskScheduler(jobs, delay=5, runner=by_hand)
    running = inbox.start(scheduler, "IN_CREATE|IN_MODIFY|IN_CLOSE_WRITE")
    inbox.write("a")
    running.sync()
    [handler] = running.handlers
    assert (handler.pending, depth(running)) == (3, 3)
    by_hand.advance(5)
    assert depth(running) == 0
    assert (handler.pending, handler.delivered) == (0, 3)
    assert jobs.told == [("IN_CLOSE_WRITE", "a")]


def test_a_task_holds_up_no_other_event(inbox):
    jobs = Jobs()
    later = TaskScheduler(jobs, delay=LONG)
    seen = []
    running = inbox.start(
        EventMap({"IN_CLOSE_WRITE": later, "IN_ATTRIB": TaskScheduler(seen.append)})
    )
    path = inbox.write("a")
    path.chmod(0o600)
    wait_for(lambda: seen)
    assert depth(running) == 1
    running.cut()


def test_a_cancelled_task_is_done_with(inbox):
    jobs = Jobs()
    later = TaskScheduler(jobs, delay=LONG)
    running = inbox.start(EventMap({"CLOSE_WRITE": later, "DELETE": Cancel(later)}))
    path = inbox.write("a")
    wait_for(lambda: later.pending == 1)
    path.unlink()
    wait_for(lambda: depth(running) == 0)
    assert later.pending == 0
    running.stop()
    running = inbox.start(EventMap({"CLOSE_WRITE": jobs, "DELETE": jobs}))
    running.stop()
    assert jobs.told == []


def test_a_cancelled_task_of_a_file_that_stays_does_not_come_again(inbox):
    jobs = Jobs()
    later = TaskScheduler(jobs, delay=LONG)
    running = inbox.start(EventMap({"CLOSE_WRITE": later, "ATTRIB": Cancel(later)}))
    path = inbox.write("a")
    wait_for(lambda: later.pending == 1)
    path.chmod(0o600)
    wait_for(lambda: depth(running) == 0)
    running.stop()
    running = inbox.start(EventMap({"CLOSE_WRITE": jobs, "ATTRIB": jobs}))
    running.stop()
    assert jobs.told == []


def test_the_end_waits_for_a_job(inbox):
    jobs = Jobs()
    running = inbox.start(TaskScheduler(jobs, delay=0.2))
    inbox.write("a")
    running.stop()
    assert jobs.told == [("IN_CLOSE_WRITE", "a")]


def test_a_processor_of_ones_own_may_be_done_later(inbox):
    laters = []

    def process(event: Event) -> Later:
        laters.append(Later())
        return laters[-1]

    running = inbox.start(process, "IN_CLOSE_WRITE")
    inbox.write("a")
    wait_for(lambda: laters)
    running.sync()
    assert depth(running) == 1
    laters[0].done()
    assert depth(running) == 0


def test_what_other_processors_return_means_nothing(inbox):
    running = inbox.start(lambda event: True, "IN_CLOSE_WRITE")
    inbox.write("a")
    running.sync()
    assert depth(running) == 0


def test_two_entries_may_share_a_scheduler(inbox, watching):
    jobs, by_hand = Jobs(), ByHand()
    scheduler = TaskScheduler(jobs, delay=5, runner=by_hand)
    (inbox.root / "sub").mkdir()
    running = watching(
        (inbox.root, "IN_CLOSE_WRITE", scheduler, {"recursive": True, "catch_up": False}),
        (inbox.root / "sub", "IN_CLOSE_WRITE", scheduler, {"catch_up": False}),
    )
    inbox.write("sub/a")
    running.sync()
    assert depth(running) == 2
    by_hand.advance(5)
    assert depth(running) == 0
    assert jobs.told == [("IN_CLOSE_WRITE", "a")]
    assert [handler.delivered for handler in running.handlers] == [1, 1]


# The record


@pytest.mark.parametrize(
    "mask", ["IN_CLOSE_WRITE", "IN_CREATE", "IN_CREATE|IN_MODIFY", "IN_CREATE|IN_CLOSE_WRITE"]
)
def test_what_waited_at_the_end_comes_again_at_the_next_start(inbox, mask):
    jobs = Jobs()
    running = inbox.start(TaskScheduler(jobs, delay=LONG), mask)
    inbox.write("a")
    running.sync()
    running.cut()
    running = inbox.start(TaskScheduler(jobs), mask)
    running.stop()
    assert jobs.events
    assert {(event.name, event.synthetic) for event in jobs.events} == {("a", "startup")}


def test_what_has_run_does_not_come_again(inbox):
    jobs = Jobs()
    running = inbox.start(TaskScheduler(jobs, delay=0.01), "IN_CREATE|IN_CLOSE_WRITE")
    inbox.write("a")
    running.stop()
    running = inbox.start(TaskScheduler(jobs), "IN_CREATE|IN_CLOSE_WRITE")
    running.stop()
    assert len(jobs.events) == 1


def test_nothing_is_recorded_of_a_path_whose_task_waits_by_other_events(inbox):
    jobs = Jobs()
    later = TaskScheduler(jobs, delay=LONG)
    # Nobody asks for the end of writing: the record of any event says that all is told.
    running = inbox.start(EventMap({"CREATE": later}), IN_CREATE | IN_MODIFY)
    inbox.write("a")
    running.sync()
    inbox.write("a", "more")
    running.sync()
    assert running.handlers[0].pending == 1
    assert running.handlers[0].delivered > 1
    running.cut()
    running = inbox.start(EventMap({"CREATE": jobs}), IN_CREATE | IN_MODIFY)
    running.stop()
    assert jobs.told == [("IN_CREATE", "a")]


def test_what_has_not_changed_comes_again_as_well(inbox):
    jobs = Jobs()
    path = inbox.write("a")
    running = inbox.start(TaskScheduler(jobs, delay=LONG), "IN_CLOSE_WRITE", initial="emit")
    running.cut()
    running = inbox.start(TaskScheduler(jobs, delay=0), "IN_CLOSE_WRITE")
    running.stop()
    assert len(jobs.events) == 1
    running = inbox.start(TaskScheduler(jobs, delay=LONG), "IN_CLOSE_WRITE")
    path.open("a").close()  # an end of writing that changes nothing
    running.sync()
    running.cut()
    running = inbox.start(TaskScheduler(jobs), "IN_CLOSE_WRITE")
    running.stop()
    assert len(jobs.events) == 2


def test_a_deletion_that_waited_comes_again(inbox):
    jobs = Jobs()
    path = inbox.write("a")
    running = inbox.start(TaskScheduler(jobs, delay=LONG), "IN_DELETE")
    path.unlink()
    running.sync()
    running.cut()
    running = inbox.start(TaskScheduler(jobs), "IN_DELETE")
    running.stop()
    assert jobs.told == [("IN_DELETE", "a")]
    running = inbox.start(TaskScheduler(jobs), "IN_DELETE")
    running.stop()
    assert len(jobs.events) == 1


def test_a_new_directory_that_waited_comes_again_under_its_new_name(inbox):
    jobs = Jobs()
    later = TaskScheduler(jobs, dirs=True, delay=LONG)
    moves = EventMap({"CREATE": later, "MOVED_FROM": Cancel(later), "MOVED_TO": later})
    running = inbox.start(moves)
    (inbox.root / "d").mkdir()
    running.sync()
    (inbox.root / "d").rename(inbox.root / "e")
    running.sync()
    running.cut()
    running = inbox.start(EventMap({"CREATE": TaskScheduler(jobs, dirs=True)}), moves.mask)
    running.stop()
    assert jobs.told == [("IN_CREATE|IN_ISDIR", "e")]


def test_a_file_that_waits_below_a_directory_that_moves_is_told_of_where_it_is(inbox):
    jobs = Jobs()
    later = TaskScheduler(jobs, delay=LONG)
    mask = "IN_CLOSE_WRITE|IN_MOVED_FROM|IN_MOVED_TO"
    running = inbox.start(later, mask)
    inbox.write("d/a")
    wait_for(lambda: later.pending == 1)
    (inbox.root / "d").rename(inbox.root / "e")
    wait_for(lambda: later.pending == 2, message="the file below its new name")
    running.cut()


def test_what_has_run_for_a_file_that_is_elsewhere_by_then_leaves_no_record(inbox):
    jobs = Jobs()
    mask = "IN_CLOSE_WRITE|IN_DELETE|IN_MOVED_FROM|IN_MOVED_TO"
    running = inbox.start(TaskScheduler(jobs, delay=0.3), mask)
    inbox.write("d/a")
    wait_for(lambda: depth(running) == 1)
    (inbox.root / "d").rename(inbox.root / "e")
    wait_for(lambda: len(jobs.events) == 2)
    running.stop()
    assert {event.pathname for event in jobs.events} == {
        str(inbox.root / "d" / "a"),
        str(inbox.root / "e" / "a"),
    }
    running = inbox.start(TaskScheduler(jobs), mask)
    running.stop()
    assert len(jobs.events) == 2


def test_a_comparison_does_not_tell_again_of_what_waits(inbox):
    jobs = Jobs()
    later = TaskScheduler(jobs, delay=LONG)
    running = inbox.start(later, "IN_CREATE|IN_CLOSE_WRITE|IN_DELETE")
    inbox.write("a")
    gone = inbox.write("b")
    gone.unlink()
    running.sync()
    seen = running.handlers[0].seen
    running.service.rescan()
    wait_for(lambda: not running.service.catching_up)
    running.sync()
    assert running.handlers[0].seen == seen
    running.cut()


def test_a_comparison_tells_of_what_has_changed_while_it_waited(inbox):
    jobs = Jobs()
    later = TaskScheduler(jobs, delay=LONG)
    running = inbox.start(later, "IN_CLOSE_WRITE", backend="polling", poll_interval=0.05)
    inbox.write("a")
    wait_for(lambda: running.handlers[0].seen == 1)
    inbox.write("a", "and more")
    wait_for(lambda: running.handlers[0].seen == 2)
    assert later.pending == 1
    running.cut()


# Failures


@override_settings(INOTIFIER_RETRIES=2, INOTIFIER_RETRY_DELAY=1)
@pytest.mark.parametrize(("on_failure", "comes_again"), [("skip", False), ("hold", True)])
def test_a_job_that_fails_runs_again_and_is_given_up(inbox, failures, on_failure, comes_again):
    def fail(event: Event) -> None:
        raise ValueError("no")

    jobs, by_hand = Jobs(fail), ByHand()
    scheduler = TaskScheduler(jobs, delay=60, runner=by_hand)
    running = inbox.start(scheduler, on_failure=on_failure)
    inbox.write("a")
    running.sync()
    for seconds in (60, 1, 2):  # the delay is not waited for again
        by_hand.advance(seconds)
    [handler] = running.handlers
    assert (len(jobs.events), handler.retried, handler.delivered) == (3, 2, 0)
    [failure] = failures
    assert failure["event"].name == "a"
    assert failure["processor"] is scheduler
    assert isinstance(failure["exception"], ValueError)
    running.stop()
    jobs.act = lambda event: None
    running = inbox.start(TaskScheduler(jobs), on_failure=on_failure)
    running.stop()
    assert (len(jobs.events) == 4) is comes_again


@override_settings(INOTIFIER_RETRIES=0)
def test_all_events_that_end_in_one_task_fail_with_it(inbox, failures):
    def fail(event: Event) -> None:
        raise ValueError("no")

    by_hand = ByHand()
    scheduler = TaskScheduler(fail, delay=5, runner=by_hand)
    running = inbox.start(scheduler, "IN_CREATE|IN_MODIFY|IN_CLOSE_WRITE")
    inbox.write("a")
    running.sync()
    by_hand.advance(5)
    [handler] = running.handlers
    assert (handler.failed, handler.delivered, handler.pending) == (3, 0, 0)
    assert len(failures) == 1


@override_settings(INOTIFIER_RETRIES=0)
def test_a_job_may_ask_to_be_tried_again(inbox):
    def fail_once(event: Event) -> None:
        if len(jobs.events) == 1:
            raise TryAgain(0.01)

    jobs = Jobs(fail_once)
    running = inbox.start(TaskScheduler(jobs))
    inbox.write("a")
    wait_for(lambda: running.handlers[0].delivered == 1)
    assert len(jobs.events) == 2


@override_settings(INOTIFIER_RETRIES=1, INOTIFIER_RETRY_DELAY=0.01)
def test_a_coroutine_that_fails_runs_again_and_is_given_up(inbox, failures):
    async def fail(event: Event) -> None:
        raise ValueError("no")

    running = inbox.start(TaskScheduler(fail))
    inbox.write("a")
    wait_for(lambda: running.handlers[0].failed == 1)
    assert running.handlers[0].retried == 1
    assert len(failures) == 1


@override_settings(INOTIFIER_RETRIES=0)
def test_one_of_several_tasks_that_fails_fails_its_event_once(inbox, failures):
    def fail(event: Event) -> None:
        raise ValueError("no")

    end = threading.Event()
    jobs = Jobs(lambda event: end.wait(30))
    running = inbox.start(EventMap({"CLOSE_WRITE": [fail, TaskScheduler(jobs)]}))
    inbox.write("a")
    wait_for(lambda: failures)
    assert depth(running) == 1
    end.set()
    wait_for(lambda: depth(running) == 0)
    [handler] = running.handlers
    assert (handler.failed, handler.delivered, len(jobs.events)) == (1, 0, 1)


@override_settings(INOTIFIER_RETRIES=0)
def test_several_tasks_that_fail_fail_their_event_once(inbox, failures):
    def fail(event: Event) -> None:
        raise ValueError("no")

    def fail_too(event: Event) -> None:
        raise ValueError("no")

    running = inbox.start(EventMap({"CLOSE_WRITE": [fail, fail_too]}))
    inbox.write("a")
    wait_for(lambda: len(failures) == 2)
    wait_for(lambda: depth(running) == 0)
    assert (running.handlers[0].failed, running.handlers[0].pending) == (1, 0)


@override_settings(INOTIFIER_RETRIES=1, INOTIFIER_RETRY_DELAY=0.01)
def test_a_job_that_changed_its_event_and_failed_gets_it_as_it_was(inbox):
    names = []

    def spoil(event: Event) -> None:
        names.append((event.maskname, event.pathname, event.src_pathname))
        event.mask, event.pathname, event.src_pathname = IN_CREATE, "/elsewhere", None
        raise ValueError("no")

    running = inbox.start(TaskScheduler(spoil), "IN_MOVED_FROM|IN_MOVED_TO")
    (inbox.root / "a").touch()
    (inbox.root / "a").rename(inbox.root / "b")
    running.sync()
    wait_for(lambda: depth(running) == 0)
    moved = ("IN_MOVED_TO", str(inbox.root / "b"), str(inbox.root / "a"))
    assert names.count(moved) == 2


# The end


def test_what_runs_is_waited_for_though_other_tasks_wait_for_long(inbox, watching):
    end = threading.Event()
    gated = TaskScheduler(lambda event: end.wait(30))
    late = TaskScheduler(print, delay=LONG)
    running = inbox.start(EventMap({"CREATE": late, "CLOSE_WRITE": gated}))
    inbox.write("a")
    running.sync()
    deadline = time.monotonic() + 30
    assert running.service.deferred == (1, 1)
    assert not running.service.waits_until(deadline)
    end.set()
    wait_for(lambda: running.service.waits_until(deadline))
    assert running.service.deferred == (1, 0)
    running.cut()


@override_settings(INOTIFIER_RETRIES=0)
def test_a_job_that_fails_after_the_end_runs_again_at_the_next_start(inbox, failures):
    def fail(event: Event) -> None:
        end.wait(30)
        raise ValueError("no")

    end = threading.Event()
    jobs = Jobs(fail)
    scheduler = TaskScheduler(jobs)
    running = inbox.start(scheduler, "IN_CLOSE_WRITE")
    inbox.write("a")
    wait_for(lambda: jobs.events)
    running.cut()
    end.set()
    wait_for(lambda: scheduler.pending == 0)
    assert failures == []
    jobs.act = lambda event: None
    running = inbox.start(TaskScheduler(jobs), "IN_CLOSE_WRITE")
    running.stop()
    assert len(jobs.events) == 2


def test_an_event_is_handled_while_one_of_its_tasks_runs(inbox):
    end = threading.Event()
    gated = TaskScheduler(lambda event: end.wait(30))
    late = TaskScheduler(print, delay=LONG)
    running = inbox.start(EventMap({"CLOSE_WRITE": [late, gated]}))
    inbox.write("a")
    running.sync()
    assert running.service.deferred == (0, 1)
    end.set()
    wait_for(lambda: running.service.deferred == (1, 0))
    running.cut()


def test_events_of_one_task_are_held_once(inbox):
    running = inbox.start(TaskScheduler(print, delay=LONG), "IN_CREATE|IN_MODIFY|IN_CLOSE_WRITE")
    inbox.write("a")
    running.sync()
    assert depth(running) == 3
    assert running.service._dispatcher.held == 1
    running.cut()


# What surrounds a job


@pytest.mark.parametrize("is_coroutine", [False, True])
def test_what_a_job_writes_is_left_out(inbox, is_coroutine):
    def append(event: Event) -> None:
        with Path(event.pathname).open("a") as file:
            file.write("more")

    async def append_later(event: Event) -> None:
        await asyncio.sleep(0.01)
        append(event)
        await asyncio.to_thread(append, event)

    jobs = append_later if is_coroutine else append
    running = inbox.start(TaskScheduler(jobs), ignore_self=True)
    inbox.write("a")
    [handler] = running.handlers
    wait_for(lambda: handler.delivered and handler.ignored)
    running.sync()
    running.sync()
    assert handler.delivered == 1


def test_a_child_that_a_job_forks_ends_with_it(inbox, tmp_path):
    marks = []

    def fork(event: Event) -> None:
        if pid := os.fork():
            marks.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    running = inbox.start(TaskScheduler(fork))
    inbox.write("a")
    wait_for(lambda: running.handlers[0].delivered == 1)
    assert marks == [0]


def test_a_job_that_changes_its_event_changes_no_record(inbox):
    jobs = Jobs(lambda event: setattr(event, "pathname", "/elsewhere"))
    running = inbox.start(TaskScheduler(jobs), IN_CLOSE_WRITE)
    inbox.write("a")
    wait_for(lambda: depth(running) == 0)
    running.stop()
    running = inbox.start(TaskScheduler(jobs), IN_CLOSE_WRITE)
    running.stop()
    assert len(jobs.events) == 1
