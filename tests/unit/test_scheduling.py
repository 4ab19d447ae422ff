"""When jobs run, and for what: schedulers without a daemon."""

import asyncio
import logging
import threading

import pytest

from inotifier.events import IN_CLOSE_WRITE, IN_CREATE, IN_ISDIR, Event
from inotifier.scheduling import TaskScheduler
from tests.waiting import wait_for


def event_of(name: str, mask: int = IN_CREATE) -> Event:
    return Event(mask=mask, path="/srv/in", name=name)


class Jobs:
    """A job that keeps what it was called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Event, str]] = []

    def __call__(self, event: Event, task_id: str) -> None:
        self.calls.append((event, task_id))

    @property
    def names(self) -> list[str]:
        return [event.name for event, _ in self.calls]


def test_a_job_runs_in_a_thread_of_its_own():
    threads = []
    TaskScheduler(lambda event: threads.append(threading.current_thread()))(event_of("a"))
    wait_for(lambda: threads)
    assert threads[0] is not threading.current_thread()


def test_a_coroutine_runs_on_a_loop():
    names = []

    async def job(event, task_id):
        await asyncio.sleep(0)
        names.append((event.name, len(task_id)))

    TaskScheduler(job)(event_of("a"))
    wait_for(lambda: names)
    assert names == [("a", 36)]


def test_a_new_event_starts_the_delay_again_and_keeps_the_task_id(caplog):
    caplog.set_level(logging.INFO, "inotifier.sched")
    jobs = Jobs()
    scheduler = TaskScheduler(jobs, delay=0.05)
    scheduler(event_of("a"))
    scheduler(last := event_of("a", IN_CLOSE_WRITE))
    wait_for(lambda: len(scheduler) == 0)
    [(event, task_id)] = jobs.calls
    assert event is last
    assert [record.getMessage() for record in caplog.records] == [
        f"schedule task, delay=0.05, mask=IN_CREATE, path=/srv/in/a, task_id={task_id}",
        f"re-schedule task, delay=0.05, mask=IN_CLOSE_WRITE, path=/srv/in/a, task_id={task_id}",
        f"start task, mask=IN_CLOSE_WRITE, path=/srv/in/a, task_id={task_id}",
    ]


def test_a_task_that_is_cancelled_does_not_run():
    jobs = Jobs()
    scheduler = TaskScheduler(jobs, delay=0.02)
    scheduler(event_of("a"))
    scheduler(event_of("b"))
    scheduler.cancel(event_of("a"))
    wait_for(lambda: len(scheduler) == 0)
    assert jobs.names == ["b"]


@pytest.mark.parametrize(
    ("options", "names"),
    [({}, ["file"]), ({"dirs": True}, ["file", "dir"]), ({"files": False, "dirs": True}, ["dir"])],
)
def test_files_and_directories_are_told_apart(options, names):
    jobs = Jobs()
    scheduler = TaskScheduler(jobs, limit=1, **options)
    scheduler(event_of("file"))
    scheduler(event_of("dir", IN_CREATE | IN_ISDIR))
    wait_for(lambda: len(scheduler) == 0)
    assert jobs.names == names


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
        ({"limit": 2, "singlejob": True}, "limit is 2, but singlejob runs one job at a time"),
        ({"timeout": 0}, "timeout is 0; it should be above 0, or None for no end"),
        ({"logname": ""}, "logname is an empty text"),
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
        (lambda: None, r"takes \(\); a job takes \(event, task_id\) or \(event\)"),
        ("nothing", "'nothing' is not a dotted path"),
        ("os.nothing", "nothing does not exist in os"),
        ("no.such", "No module named 'no'"),
    ],
)
def test_what_is_no_job_is_named(job, error):
    with pytest.raises((TypeError, ImportError), match=error):
        TaskScheduler(job)


def test_a_job_may_be_a_dotted_path():
    assert TaskScheduler("tests.unit.test_scheduling.event_of").wants(event_of("a"))
