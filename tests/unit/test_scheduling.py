"""When jobs run, and for what: schedulers without a daemon."""

import asyncio
import contextlib
import functools
import logging
import os
import threading
from collections.abc import Callable

import pytest
from django.apps import apps

from inotifier.events import IN_CLOSE_WRITE, IN_CREATE, IN_ISDIR, IN_MOVED_TO, Event
from inotifier.exceptions import TryAgain
from inotifier.later import Later, Wait
from inotifier.scheduling import Cancel, TaskScheduler
from inotifier.scheduling.jobs import takes_id
from inotifier.scheduling.task import Task
from tests.by_hand import ByHand
from tests.waiting import wait_for


def event_of(name: str, mask: int = IN_CREATE, path: str = "/srv/in") -> Event:
    return Event(mask=mask, path=path, name=name)


class Jobs:
    """A job that keeps what it was called with, and does what it is told."""

    def __init__(self, act: Callable[[Event], object] = lambda event: None) -> None:
        self.act = act
        self.calls: list[tuple[Event, str]] = []

    def __call__(self, event: Event, task_id: str) -> None:
        self.calls.append((event, task_id))
        self.act(event)

    @property
    def names(self) -> list[str]:
        return [event.name for event, _ in self.calls]

    @property
    def events(self) -> list[Event]:
        return [event for event, _ in self.calls]


def generate(event: Event):
    yield event


async def generate_later(event: Event):
    yield event


class Owner:
    """An engine: keeps what becomes of a Later, and has it run again `retries` times."""

    def __init__(self, retries: int = 0, seconds: float = 7.0) -> None:
        self.retries = retries
        self.seconds = seconds
        self.ends: list[str] = []

    def guard(self, later):
        return Later.guard(Later())

    def done(self, later) -> None:
        self.ends.append("done")

    def failed(self, later, exc) -> Wait | None:
        if isinstance(exc, TryAgain):
            return Wait(exc.after, failed=False)
        if later.tried < self.retries:
            return Wait(self.seconds, failed=True)
        self.ends.append("failed")
        return None


def put(scheduler: TaskScheduler, event: Event, owner: Owner) -> None:
    """Hand `event` over as the engine does."""
    later = scheduler.defer(event)
    assert later is not None
    if owner not in later.owners:
        later.join(owner)
    later.start()


@pytest.fixture
def by_hand() -> ByHand:
    return ByHand()


# What runs


def test_a_job_runs_in_a_thread_of_its_own():
    threads = []
    TaskScheduler(lambda event: threads.append(threading.current_thread()))(event_of("a"))
    wait_for(lambda: threads)
    assert threads[0] is not threading.current_thread()
    assert threads[0].daemon


def test_a_coroutine_runs_on_a_loop():
    names = []

    async def job(event, task_id):
        await asyncio.sleep(0)
        names.append((event.name, len(task_id)))

    TaskScheduler(job)(event_of("a"))
    wait_for(lambda: names)
    assert names == [("a", 36)]


def test_coroutines_run_beside_each_other_in_one_thread():
    threads = set()
    met = []

    async def job(event):
        threads.add(threading.current_thread())
        met.append(event.name)
        while len(met) < 50:
            await asyncio.sleep(0.001)

    scheduler = TaskScheduler(job)
    for number in range(50):
        scheduler(event_of(str(number)))
    wait_for(lambda: scheduler.pending == 0)
    assert len(threads) == 1


def test_what_a_coroutine_leaves_running_goes_on():
    ended = []
    left = set()

    async def more():
        await asyncio.sleep(0.1)
        ended.append(True)

    async def job(event):
        left.add(asyncio.create_task(more()))

    TaskScheduler(job)(event_of("a"))
    wait_for(lambda: ended)


@pytest.mark.parametrize(
    ("job", "takes"),
    [
        (lambda event: None, False),
        (lambda event, task_id: None, True),
        (lambda event, task_id=None: None, True),
        (lambda event, dry_run=False: None, False),
        (lambda *args: None, True),
        (functools.partial(lambda event, task_id, more: None, more=1), True),
        (Jobs(), True),
    ],
)
def test_a_job_gets_the_task_id_if_it_asks_for_it(job, takes):
    assert takes_id(job) is takes


def test_a_job_may_be_a_dotted_path():
    assert TaskScheduler("tests.unit.test_scheduling.event_of").wants(event_of("a"))


def test_a_dotted_path_in_settings_is_imported_when_the_apps_are_ready(monkeypatch):
    monkeypatch.setattr(apps, "ready", False)
    scheduler = TaskScheduler("no.such.job")
    with pytest.raises(ImportError, match="No module named 'no'"):
        scheduler.prepare("/srv/in")
    scheduler = TaskScheduler("tests.unit.test_scheduling.takes_id")
    scheduler.prepare("/srv/in")


def test_an_ordinary_function_that_returns_a_coroutine_fails(by_hand, caplog):
    async def work():
        pass

    scheduler = TaskScheduler(lambda event: work(), runner=by_hand)
    scheduler(event_of("a"))
    by_hand.work()
    assert "the job is an ordinary function that returned a coroutine" in caplog.text


@pytest.mark.parametrize(
    ("options", "mask"),
    [
        ({}, IN_CLOSE_WRITE | IN_MOVED_TO),
        ({"dirs": True}, IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE),
        ({"files": False, "dirs": True}, IN_MOVED_TO | IN_CREATE),
    ],
)
def test_it_watches_for_what_has_come_or_changed(options, mask):
    assert TaskScheduler(print, **options).mask == mask


@pytest.mark.parametrize(
    ("options", "names"),
    [({}, ["file"]), ({"dirs": True}, ["file", "dir"]), ({"files": False, "dirs": True}, ["dir"])],
)
def test_files_and_directories_are_told_apart(by_hand, options, names):
    jobs = Jobs()
    scheduler = TaskScheduler(jobs, runner=by_hand, **options)
    scheduler(event_of("file"))
    scheduler(event_of("dir", IN_CREATE | IN_ISDIR))
    by_hand.work()
    assert jobs.names == names


# When


def test_a_new_event_starts_the_delay_again_and_keeps_the_task_id(by_hand, caplog):
    caplog.set_level(logging.INFO, "inotifier.sched")
    jobs = Jobs()
    scheduler = TaskScheduler(jobs, delay=2.5, runner=by_hand)
    scheduler(event_of("a"))
    by_hand.advance(2)
    scheduler(last := event_of("a", IN_CLOSE_WRITE))
    by_hand.advance(2)
    assert jobs.calls == []
    by_hand.advance(0.5)
    [(event, task_id)] = jobs.calls
    assert event is last
    assert [record.getMessage() for record in caplog.records] == [
        f"schedule task, delay=2.5, mask=IN_CREATE, path=/srv/in/a, task_id={task_id}",
        f"re-schedule task, delay=2.5, mask=IN_CLOSE_WRITE, path=/srv/in/a, task_id={task_id}",
        f"start task, mask=IN_CLOSE_WRITE, path=/srv/in/a, task_id={task_id}",
        f"task finished, mask=IN_CLOSE_WRITE, path=/srv/in/a, task_id={task_id}",
    ]


def test_tasks_of_one_path_have_ids_of_their_own(by_hand):
    jobs = Jobs()
    scheduler = TaskScheduler(jobs, runner=by_hand)
    for _ in range(2):
        scheduler(event_of("a"))
        by_hand.work()
    assert len({task_id for _, task_id in jobs.calls}) == 2


def test_what_is_ready_and_has_not_begun_waits_anew(by_hand):
    jobs = Jobs()
    scheduler = TaskScheduler(jobs, delay=5, runner=by_hand)
    scheduler(event_of("a"))
    by_hand.pass_time(5)
    scheduler(event_of("a"))
    by_hand.work()
    assert jobs.calls == []
    by_hand.advance(5)
    assert jobs.names == ["a"]


def test_a_task_that_is_cancelled_does_not_run(by_hand):
    jobs = Jobs()
    scheduler = TaskScheduler(jobs, delay=5, runner=by_hand)
    scheduler(event_of("a"))
    scheduler(event_of("b"))
    Cancel(scheduler)(event_of("a"))
    Cancel(scheduler)(event_of("unknown"))
    by_hand.advance(5)
    assert jobs.names == ["b"]


def test_a_task_stands_in_the_heap_once_and_not_when_it_is_cancelled(by_hand):
    scheduler = TaskScheduler(Jobs(), delay=5, runner=by_hand)
    for _ in range(10):
        scheduler(event_of("a"))
    assert len(by_hand.timers) == 1
    scheduler.cancel(event_of("a"))
    assert len(by_hand.timers) == 0


def test_a_task_that_is_started_by_two_begins_once(by_hand):
    jobs = Jobs(lambda event: later.start())
    scheduler = TaskScheduler(jobs, runner=by_hand)
    later = scheduler.defer(event_of("a"))
    assert later is not None
    later.start()
    later.start()
    by_hand.work()
    later.start()
    by_hand.work()
    assert jobs.names == ["a"]
    assert scheduler.pending == 0


def test_a_task_that_is_cancelled_just_before_it_is_told_of_its_time_does_not_run(by_hand):
    jobs = Jobs()
    scheduler = TaskScheduler(jobs, delay=5, runner=by_hand)
    task = scheduler(event_of("a"))
    assert isinstance(task, Task)
    scheduler.cancel(event_of("a"))
    by_hand.now += 5
    assert task.fire(by_hand.now) is None
    by_hand.work()
    assert jobs.names == []


def test_what_is_ready_can_be_cancelled(by_hand):
    jobs = Jobs()
    scheduler = TaskScheduler(jobs, limit=1, runner=by_hand)
    scheduler(event_of("a"))
    scheduler(event_of("b"))
    scheduler.cancel(event_of("a"))
    by_hand.work()
    assert jobs.names == ["b"]


def test_settled_is_what_has_stayed_the_same(by_hand, tmp_path):
    path = tmp_path / "a"
    path.write_text("1")
    jobs = Jobs()
    scheduler = TaskScheduler(jobs, delay=5, settle=True, runner=by_hand)
    scheduler(event_of("a", path=str(tmp_path)))
    path.write_text("12")
    by_hand.advance(5)
    os.utime(path, (1, 1))
    by_hand.advance(5)
    assert jobs.calls == []
    by_hand.advance(5)
    assert jobs.names == ["a"]


def test_what_has_gone_settles_as_well(by_hand, tmp_path):
    path = tmp_path / "a"
    path.write_text("1")
    jobs = Jobs()
    scheduler = TaskScheduler(jobs, delay=5, settle=True, runner=by_hand)
    scheduler(event_of("a", path=str(tmp_path)))
    path.unlink()
    by_hand.advance(5)
    assert jobs.calls == []
    by_hand.advance(5)
    assert jobs.names == ["a"]


def test_what_has_failed_settles_again_after_a_new_event(by_hand, tmp_path):
    def fail_once(event: Event) -> None:
        if len(jobs.calls) == 1:
            raise ValueError("no")

    path = tmp_path / "a"
    path.write_text("1")
    jobs = Jobs(fail_once)
    owner = Owner(retries=2, seconds=1)
    scheduler = TaskScheduler(jobs, delay=5, settle=True, runner=by_hand)
    put(scheduler, event_of("a", path=str(tmp_path)), owner)
    by_hand.advance(5)
    put(scheduler, event_of("a", path=str(tmp_path)), owner)
    path.write_text("12")
    by_hand.advance(5)
    assert len(jobs.calls) == 1
    by_hand.advance(5)
    assert len(jobs.calls) == 2


def test_what_has_failed_need_not_settle_to_run_again(by_hand, tmp_path):
    def fail_once(event: Event) -> None:
        if len(jobs.calls) == 1:
            raise ValueError("no")

    jobs = Jobs(fail_once)
    owner = Owner(retries=2, seconds=1)
    scheduler = TaskScheduler(jobs, delay=5, settle=True, runner=by_hand)
    put(scheduler, event_of("a", path=str(tmp_path)), owner)
    by_hand.advance(5)
    (tmp_path / "a").write_text("1")
    by_hand.advance(1)
    assert len(jobs.calls) == 2


def test_a_new_event_while_it_is_asked_whether_it_has_settled_counts(by_hand, tmp_path):
    jobs = Jobs()
    scheduler = TaskScheduler(jobs, delay=5, settle=True, runner=by_hand)
    scheduler(event_of("a", path=str(tmp_path)))
    by_hand.pass_time(5)
    scheduler(event_of("a", path=str(tmp_path)))
    by_hand.work()
    assert jobs.calls == []
    by_hand.advance(5)
    assert jobs.names == ["a"]


def test_so_it_does_before_its_time_counts(by_hand, tmp_path):
    jobs = Jobs()
    scheduler = TaskScheduler(jobs, delay=5, settle=True, runner=by_hand)
    scheduler(event_of("a", path=str(tmp_path)))
    by_hand.pass_time(5)
    later = scheduler.defer(event_of("a", path=str(tmp_path)))
    assert later is not None
    by_hand.work()
    assert jobs.calls == []
    later.start()
    by_hand.advance(5)
    assert jobs.names == ["a"]


def test_what_is_asked_twice_whether_it_has_settled_waits_as_long(by_hand, tmp_path):
    jobs = Jobs()
    scheduler = TaskScheduler(jobs, delay=5, settle=True, runner=by_hand)
    later = scheduler(event_of("a", path=str(tmp_path)))
    assert later is not None
    (tmp_path / "a").write_text("1")
    by_hand.pass_time(5)
    later.start()
    by_hand.work()
    assert jobs.calls == []
    by_hand.advance(5)
    assert jobs.names == ["a"]


def test_what_is_cancelled_while_it_is_asked_whether_it_has_settled_does_not_run(by_hand, tmp_path):
    jobs = Jobs()
    scheduler = TaskScheduler(jobs, delay=5, settle=True, runner=by_hand)
    scheduler(event_of("a", path=str(tmp_path)))
    by_hand.pass_time(5)
    scheduler.cancel(event_of("a", path=str(tmp_path)))
    by_hand.work()
    assert jobs.calls == []


# While a job runs


def test_events_during_a_run_are_followed_by_one_more(by_hand):
    last = event_of("a", IN_CLOSE_WRITE)

    def act(event: Event) -> None:
        if len(jobs.calls) == 1:
            scheduler(event_of("a"))
            scheduler(last)

    jobs = Jobs(act)
    scheduler = TaskScheduler(jobs, delay=3, runner=by_hand)
    scheduler(event_of("a"))
    by_hand.advance(3)
    assert len(jobs.calls) == 1, "the delay counts from the event"
    by_hand.advance(3)
    assert jobs.events[1] is last
    by_hand.advance(100)
    assert len(jobs.calls) == 2


def test_events_during_a_run_may_be_dropped(by_hand, caplog):
    jobs = Jobs(lambda event: scheduler(event_of("a", IN_CLOSE_WRITE)))
    scheduler = TaskScheduler(jobs, during_run="skip", runner=by_hand)
    scheduler(event_of("a"))
    by_hand.work()
    [(_, task_id)] = jobs.calls
    assert caplog.messages == [
        f"skip event, its job runs, mask=IN_CLOSE_WRITE, path=/srv/in/a, task_id={task_id}"
    ]


def test_a_run_is_not_cancelled_but_what_follows_is(by_hand, caplog):
    def act(event: Event) -> None:
        scheduler(event_of("a"))
        scheduler.cancel(event_of("a"))

    jobs = Jobs(act)
    scheduler = TaskScheduler(jobs, runner=by_hand)
    scheduler(event_of("a"))
    by_hand.work()
    assert jobs.names == ["a"]
    assert "cannot cancel task, its job runs" in caplog.text


# How many


def test_a_single_job_leaves_the_others_their_turn(by_hand):
    running = []
    together = []

    def act(event: Event) -> None:
        running.append(event.name)
        together.append(len(running))
        if event.name == "a":
            scheduler(event_of("d"))
        by_hand.work()
        running.pop()

    jobs = Jobs(act)
    scheduler = TaskScheduler(jobs, singlejob=True, runner=by_hand)
    for name in ("a", "b", "c"):
        scheduler(event_of(name))
    by_hand.work()
    assert jobs.names == ["a", "b", "c", "d"]
    assert together == [1] * 4


def test_a_latest_job_gives_way(by_hand):
    owner = Owner()
    jobs = Jobs()
    scheduler = TaskScheduler(jobs, delay=5, singlejob="latest", runner=by_hand)
    for name in ("a", "b", "c"):
        put(scheduler, event_of(name), owner)
    scheduler.cancel(event_of("a"))
    assert owner.ends == ["done", "done"]
    by_hand.advance(5)
    assert jobs.names == ["c"]
    assert owner.ends == ["done"] * 3


def test_what_follows_a_latest_job_gives_way(by_hand):
    def act(event: Event) -> None:
        if event.name == "a":
            scheduler(event_of("b"))
            scheduler(event_of("c"))

    jobs = Jobs(act)
    scheduler = TaskScheduler(jobs, singlejob="latest", runner=by_hand)
    scheduler(event_of("a"))
    by_hand.work()
    assert jobs.names == ["a", "c"]


def test_what_follows_a_latest_job_is_cancelled_by_its_own_path(by_hand):
    def act(event: Event) -> None:
        if event.name == "a":
            scheduler(event_of("b"))
            scheduler.cancel(event_of("b"))

    jobs = Jobs(act)
    scheduler = TaskScheduler(jobs, singlejob="latest", runner=by_hand)
    scheduler(event_of("a"))
    by_hand.work()
    assert jobs.names == ["a"]


def test_what_follows_a_latest_job_is_not_cancelled_by_the_path_of_that(by_hand, caplog):
    def act(event: Event) -> None:
        if event.name == "a":
            scheduler(event_of("b"))
            event.pathname = "/elsewhere"
            scheduler.cancel(event_of("a"))

    jobs = Jobs(act)
    scheduler = TaskScheduler(jobs, singlejob="latest", runner=by_hand)
    scheduler(event_of("a"))
    by_hand.work()
    assert jobs.names == ["a", "b"]
    assert "cannot cancel task, its job runs" in caplog.text


def test_a_latest_job_that_fails_runs_again_if_another_path_was_cancelled(by_hand):
    def fail(event: Event) -> None:
        scheduler.cancel(event_of("b"))
        raise ValueError("no")

    owner = Owner(retries=1)
    jobs = Jobs(fail)
    scheduler = TaskScheduler(jobs, singlejob="latest", runner=by_hand)
    put(scheduler, event_of("a"), owner)
    by_hand.advance(1000)
    assert jobs.names == ["a"]
    by_hand.advance(1000)
    assert jobs.names == ["a", "a"]


def test_a_latest_job_that_fails_does_not_run_again_if_it_was_cancelled(by_hand):
    def fail(event: Event) -> None:
        event.pathname = "/elsewhere"
        scheduler.cancel(event_of("a"))
        raise ValueError("no")

    owner = Owner(retries=2)
    jobs = Jobs(fail)
    scheduler = TaskScheduler(jobs, singlejob="latest", runner=by_hand)
    put(scheduler, event_of("a"), owner)
    by_hand.advance(1000)
    assert len(jobs.calls) == 1
    assert owner.ends == ["done"]


def test_no_more_jobs_than_the_limit_run_at_a_time():
    lock = threading.Lock()
    running = most = 0
    together = threading.Barrier(3)

    def job(event: Event) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(10)
        with lock:
            running -= 1

    scheduler = TaskScheduler(job, limit=3)
    for number in range(12):
        scheduler(event_of(str(number)))
    wait_for(lambda: scheduler.pending == 0)
    assert most == 3


def test_a_scheduler_with_much_to_do_leaves_others_their_turn(by_hand):
    jobs = Jobs()
    many = TaskScheduler(jobs, limit=1, runner=by_hand)
    for number in range(10):
        many(event_of(str(number)))
    other = TaskScheduler(jobs, runner=by_hand)
    other(event_of("other"))
    by_hand.work()
    assert jobs.names[:3] == ["0", "other", "1"]


def test_nobody_waits_for_a_job_that_blocks():
    end = threading.Event()
    slow = TaskScheduler(lambda event: end.wait(30))
    for number in range(100):
        slow(event_of(str(number)))
    done = []

    async def job(event):
        done.append(event.name)

    TaskScheduler(job)(event_of("quick"))
    wait_for(lambda: done)
    assert slow.pending == 100
    end.set()
    wait_for(lambda: slow.pending == 0)


# For how long


def test_a_coroutine_is_cancelled_when_its_time_is_over(caplog):
    cancelled = []

    async def job(event):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(event.name)
            raise

    scheduler = TaskScheduler(job, timeout=0.01)
    scheduler(event_of("a"))
    wait_for(lambda: scheduler.pending == 0)
    assert cancelled == ["a"]
    assert "job failed: TimeoutError('its job ran for more than 0.01 s')" in caplog.text


def test_a_coroutine_that_ends_well_when_it_is_cancelled_has_failed(caplog):
    async def job(event):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    owner = Owner()
    scheduler = TaskScheduler(job, timeout=0.01)
    put(scheduler, event_of("a"), owner)
    wait_for(lambda: owner.ends and scheduler.pending == 0)
    assert owner.ends == ["failed"]
    assert "job failed: TimeoutError('its job ran for more than 0.01 s')" in caplog.text


def test_a_function_whose_time_is_over_fails_when_it_ends(by_hand, caplog):
    owner = Owner(retries=1)
    jobs = Jobs(lambda event: by_hand.pass_time(11))
    scheduler = TaskScheduler(jobs, timeout=10, runner=by_hand)
    put(scheduler, event_of("a"), owner)
    by_hand.work()
    assert "job runs for more than 10 s and cannot be stopped" in caplog.text
    assert "job failed, again in 7 s: TimeoutError" in caplog.text
    by_hand.advance(7)
    assert jobs.names == ["a", "a"]
    assert owner.ends == ["failed"]


def test_no_other_job_of_a_path_begins_while_one_is_over_its_time(by_hand):
    calls = []

    def act(event: Event) -> None:
        if len(jobs.calls) == 1:
            by_hand.pass_time(11)
            scheduler(event_of("a"))
            by_hand.work()
            calls.append(len(jobs.calls))

    jobs = Jobs(act)
    scheduler = TaskScheduler(jobs, timeout=10, runner=by_hand)
    scheduler(event_of("a"))
    by_hand.work()
    assert calls == [1]
    assert len(jobs.calls) == 2


def test_a_function_that_ends_in_time_leaves_nothing_behind(by_hand, caplog):
    scheduler = TaskScheduler(Jobs(), timeout=10, runner=by_hand)
    scheduler(event_of("a"))
    by_hand.work()
    assert len(by_hand.timers) == 0
    by_hand.advance(20)
    assert caplog.messages == []


# Failures


def test_a_job_that_fails_runs_again_without_its_delay(by_hand):
    def fail(event: Event) -> None:
        raise ValueError("no")

    owner = Owner(retries=2)
    jobs = Jobs(fail)
    scheduler = TaskScheduler(jobs, delay=60, runner=by_hand)
    put(scheduler, event_of("a"), owner)
    by_hand.advance(60)
    by_hand.advance(7)
    by_hand.advance(7)
    by_hand.advance(1000)
    assert jobs.names == ["a"] * 3
    assert len({task_id for _, task_id in jobs.calls}) == 1
    assert owner.ends == ["failed"]
    assert scheduler.pending == 0


def test_a_job_that_is_to_run_again_can_be_cancelled(by_hand):
    def fail(event: Event) -> None:
        raise ValueError("no")

    owner = Owner(retries=2)
    jobs = Jobs(fail)
    scheduler = TaskScheduler(jobs, runner=by_hand)
    put(scheduler, event_of("a"), owner)
    by_hand.work()
    scheduler.cancel(event_of("a"))
    by_hand.advance(1000)
    assert len(jobs.calls) == 1
    assert owner.ends == ["done"]


def test_a_job_that_changed_its_event_can_be_cancelled_by_its_path(by_hand):
    def spoil(event: Event) -> None:
        event.pathname = "/elsewhere"
        raise ValueError("no")

    owner = Owner(retries=2)
    jobs = Jobs(spoil)
    scheduler = TaskScheduler(jobs, runner=by_hand)
    put(scheduler, event_of("a"), owner)
    by_hand.work()
    scheduler.cancel(event_of("a"))
    by_hand.advance(1000)
    assert len(jobs.calls) == 1


@pytest.mark.parametrize("retries", [0, 2])
def test_a_job_that_fails_does_not_run_again_if_it_was_cancelled_meanwhile(by_hand, retries):
    def fail(event: Event) -> None:
        scheduler.cancel(event_of("a"))
        raise ValueError("no")

    owner = Owner(retries)
    jobs = Jobs(fail)
    scheduler = TaskScheduler(jobs, runner=by_hand)
    put(scheduler, event_of("a"), owner)
    by_hand.advance(1000)
    assert len(jobs.calls) == 1
    assert owner.ends == ["done"]


def test_a_new_event_takes_the_place_of_what_is_to_run_again(by_hand):
    def fail(event: Event) -> None:
        if event.mask == IN_CREATE:
            raise ValueError("no")

    owner = Owner(retries=2, seconds=7)
    jobs = Jobs(fail)
    scheduler = TaskScheduler(jobs, delay=1, runner=by_hand)
    put(scheduler, event_of("a"), owner)
    by_hand.advance(1)
    put(scheduler, event_of("a", IN_CLOSE_WRITE), owner)
    later = scheduler.defer(event_of("a", IN_CLOSE_WRITE))
    assert later is not None
    assert later.due == by_hand.now + 7, "it does not run sooner for that"
    by_hand.advance(6)
    assert len(jobs.calls) == 1
    by_hand.advance(1)
    assert jobs.events[1].mask == IN_CLOSE_WRITE
    assert owner.ends == ["done"]


@pytest.mark.parametrize("retries", [0, 2])
def test_a_new_event_during_the_run_takes_the_place_of_what_fails(by_hand, retries):
    def fail(event: Event) -> None:
        if event.mask == IN_CREATE:
            put(scheduler, event_of("a", IN_CLOSE_WRITE), owner)
            raise ValueError("no")

    owner = Owner(retries)
    jobs = Jobs(fail)
    scheduler = TaskScheduler(jobs, delay=1, runner=by_hand)
    put(scheduler, event_of("a"), owner)
    by_hand.advance(1)
    by_hand.advance(1)
    by_hand.advance(1000)
    assert [event.mask for event in jobs.events] == [IN_CREATE, IN_CLOSE_WRITE]
    assert owner.ends == ["done", "done"]


class BusyOwner(Owner):
    """Something happens while it is told of a failure."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__(retries=2)
        self.act = act

    def failed(self, later, exc) -> Wait | None:
        wait = super().failed(later, exc)
        self.act()
        return wait


def test_what_is_cancelled_while_its_failure_is_told_of_does_not_run_again(by_hand):
    def fail(event: Event) -> None:
        raise ValueError("no")

    owner = BusyOwner(lambda: scheduler.cancel(event_of("a")))
    jobs = Jobs(fail)
    scheduler = TaskScheduler(jobs, runner=by_hand)
    put(scheduler, event_of("a"), owner)
    by_hand.advance(1000)
    assert len(jobs.calls) == 1
    assert owner.ends == ["done"]
    assert scheduler.pending == 0


def test_a_new_event_while_a_failure_is_told_of_takes_the_place_of_that(by_hand):
    def fail(event: Event) -> None:
        if event.mask == IN_CREATE:
            raise ValueError("no")

    owner = BusyOwner(lambda: put(scheduler, event_of("a", IN_CLOSE_WRITE), owner))
    jobs = Jobs(fail)
    scheduler = TaskScheduler(jobs, runner=by_hand)
    put(scheduler, event_of("a"), owner)
    by_hand.advance(1000)
    assert [event.mask for event in jobs.events] == [IN_CREATE, IN_CLOSE_WRITE]
    assert owner.ends == ["done", "done"]
    assert scheduler.pending == 0


def test_a_job_that_asks_to_be_tried_again_is_no_failure(by_hand, caplog):
    def act(event: Event) -> None:
        if len(jobs.calls) < 5:
            raise TryAgain(3)

    owner = Owner()
    jobs = Jobs(act)
    scheduler = TaskScheduler(jobs, runner=by_hand)
    put(scheduler, event_of("a"), owner)
    by_hand.work()
    for _ in range(4):
        by_hand.advance(3)
    assert len(jobs.calls) == 5
    assert owner.ends == ["done"]
    assert caplog.messages == []


def test_a_coroutine_that_cancels_itself_and_fails_only_fails():
    async def job(event):
        asyncio.current_task().cancel()
        raise ValueError("no")

    owner = Owner()
    scheduler = TaskScheduler(job)
    put(scheduler, event_of("a"), owner)
    wait_for(lambda: owner.ends and scheduler.pending == 0)
    assert owner.ends == ["failed"]


@pytest.mark.parametrize(
    "exception", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError]
)
def test_a_coroutine_that_raises_what_ends_others_only_fails(exception):
    async def job(event):
        if event.name == "a":
            raise exception
        done.append(event.name)

    done = []
    owner = Owner()
    scheduler = TaskScheduler(job)
    put(scheduler, event_of("a"), owner)
    wait_for(lambda: owner.ends == ["failed"])
    scheduler(event_of("b"))
    wait_for(lambda: done)


def test_a_job_that_ends_the_interpreter_only_fails(by_hand, caplog):
    def act(event: Event) -> None:
        raise SystemExit(1)

    scheduler = TaskScheduler(act, runner=by_hand)
    scheduler(event_of("a"))
    by_hand.work()
    assert "job failed: SystemExit(1)" in caplog.text


def test_what_is_abandoned_never_begins_and_is_not_done_with(by_hand):
    owner = Owner()
    jobs = Jobs()
    scheduler = TaskScheduler(jobs, delay=5, runner=by_hand)
    put(scheduler, event_of("a"), owner)
    later = scheduler.defer(event_of("a"))
    assert later is not None
    later.abandon()
    by_hand.advance(1000)
    assert jobs.calls == []
    assert owner.ends == []
    scheduler(event_of("a"))
    by_hand.advance(5)
    assert jobs.names == ["a"]


def test_what_is_abandoned_during_a_run_does_not_follow_it(by_hand):
    def act(event: Event) -> None:
        later = scheduler.defer(event_of("a"))
        assert later is not None
        later.join(owner)
        later.start()
        later.abandon()

    owner = Owner()
    jobs = Jobs(act)
    scheduler = TaskScheduler(jobs, runner=by_hand)
    scheduler(event_of("a"))
    by_hand.advance(1000)
    assert jobs.names == ["a"]
    assert owner.ends == []
    assert scheduler.pending == 0


def test_what_is_ready_can_be_abandoned(by_hand):
    jobs = Jobs()
    scheduler = TaskScheduler(jobs, runner=by_hand)
    later = scheduler(event_of("a"))
    assert later is not None
    later.abandon()
    by_hand.work()
    assert jobs.names == []
    assert scheduler.pending == 0


# Options


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"delay": "5"}, "delay is '5'; it should be a number of seconds"),
        ({"delay": -1}, "delay is -1; it should be a number of seconds, 0 or above"),
        ({"files": 1}, "files is 1; it should be True or False"),
        ({"singlejob": "last"}, "singlejob is 'last'; it should be one of False, True, 'latest'"),
        ({"during_run": "drop"}, "during_run is 'drop'; it should be one of 'again', 'skip'"),
        ({"settle": True}, "settle is True, but delay is 0"),
        ({"limit": 0}, "limit is 0; it should be 1 or above, or None for any number"),
        ({"limit": True}, "limit is True; it should be a whole number, or None"),
        ({"limit": 2, "singlejob": True}, "limit is 2, but singlejob runs one job at a time"),
        ({"timeout": 0}, "timeout is 0; it should be above 0, or None for no end"),
        ({"logname": ""}, "logname is an empty text"),
        ({"logname": 1}, "logname is 1; it should be a text"),
    ],
)
def test_a_wrong_option_is_named(options, error):
    with pytest.raises((TypeError, ValueError), match=error):
        TaskScheduler(print, **options)


@pytest.mark.parametrize(
    ("job", "error"),
    [
        (None, "job is None; it should be a function"),
        (Jobs, "it should be a function"),
        (generate, "a generator, which nobody would run"),
        (generate_later, "a generator, which nobody would run"),
        (lambda: None, r"takes \(\); a job takes \(event, task_id\) or \(event\)"),
        ("nothing", "'nothing' is not a dotted path"),
        ("os.nothing", "nothing does not exist in os"),
        ("no.such", "No module named 'no'"),
    ],
)
def test_what_is_no_job_is_named(job, error):
    with pytest.raises((TypeError, ImportError), match=error):
        TaskScheduler(job)
