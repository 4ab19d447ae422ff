"""pyinotifyd's examples with tasks, and the faults that it has with them."""

import asyncio
import logging
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from inotifier.events import IN_CREATE, IN_Q_OVERFLOW, Event
from inotifier.scheduling import Cancel, EventMap, TaskScheduler
from tests.by_hand import ByHand
from tests.in_process import Running
from tests.waiting import wait_for


@pytest.fixture
def start(watching, tmp_path):
    """Start an entry below which files of the test are made."""

    def start_entry(event_map: EventMap, **fields) -> Running:
        return watching((tmp_path, None, event_map, fields), state=tmp_path.with_suffix(".state"))

    return start_entry


# Its examples, as its documentation has them but for names that it has wrong


def test_example_python_method_for_all_events_on_files_and_directories(start, tmp_path, caplog):
    caplog.set_level(logging.INFO)

    async def custom_job(event, task_id):
        logging.info(f"{task_id}: execute example task: {event}")

    task_sched = TaskScheduler(job=custom_job, files=True, dirs=True)
    event_map = EventMap(default_sched=task_sched)
    running = start(event_map, recursive=True, auto_add=True)
    (tmp_path / "directory").mkdir()
    running.sync()
    (tmp_path / "directory" / "file").write_text("x")
    wait_for(lambda: "execute example task: <Event dir=False" in caplog.text)
    wait_for(lambda: "execute example task: <Event dir=True" in caplog.text)


def test_example_task_scheduler_with_all_its_arguments(start, tmp_path, caplog):
    caplog.set_level(logging.INFO)

    async def custom_job(event, task_id):
        await asyncio.sleep(0.01)
        logging.info(f"{task_id}: execute example task: {event}")

    task_sched = TaskScheduler(
        job=custom_job,
        files=True,
        dirs=False,
        delay=0,
        logname="sched",
        global_vars=globals(),
        singlejob=False,
    )
    start(EventMap({"IN_CLOSE_WRITE": task_sched}))
    (tmp_path / "file").write_text("x")
    wait_for(lambda: "execute example task: <Event dir=False mask=0x8" in caplog.text)


def test_example_tasks_for_new_files_that_are_not_modified_moved_or_deleted(start, tmp_path):
    names = []
    task_sched = TaskScheduler(lambda event: names.append(event.name), delay=0.5)
    event_map = {
        "IN_ACCESS": None,
        "IN_ATTRIB": None,
        "IN_CLOSE_NOWRITE": None,
        "IN_CLOSE_WRITE": task_sched,
        "IN_CREATE": task_sched,
        "IN_DELETE": Cancel(task_sched),
        "IN_DELETE_SELF": Cancel(task_sched),
        "IN_IGNORED": None,
        "IN_MODIFY": Cancel(task_sched),
        "IN_MOVE_SELF": None,
        "IN_MOVED_FROM": Cancel(task_sched),
        "IN_MOVED_TO": task_sched,
        "IN_OPEN": None,
        "IN_Q_OVERFLOW": None,
        "IN_UNMOUNT": Cancel(task_sched),
    }
    running = start(EventMap(event_map))
    (tmp_path / "kept").write_text("x")
    (tmp_path / "deleted").write_text("x")
    (tmp_path / "deleted").unlink()
    (tmp_path / "moved").write_text("x")
    (tmp_path / "moved").rename(tmp_path / "renamed")
    with (tmp_path / "modified").open("w") as file:
        file.write("x")
        file.flush()
        wait_for(lambda: len(names) == 2)
        assert sorted(names) == ["kept", "renamed"]
    wait_for(lambda: len(names) == 3)
    assert names[2] == "modified"
    wait_for(lambda: running.service.queue_depth == 0)


# Its faults


def test_fault_an_event_when_the_timer_fires_neither_runs_twice_nor_is_lost():
    """There, the job runs twice, and a KeyError follows."""
    runner = ByHand()
    runs: list[Event] = []
    scheduler = TaskScheduler(runs.append, delay=1, runner=runner)
    first, second = (Event(mask=IN_CREATE, path="/", name="a") for _ in range(2))
    scheduler(first)
    runner.pass_time(1)  # the timer has fired, and the job has not begun
    scheduler(second)
    runner.work()
    assert runs == []
    runner.advance(1)
    assert runs == [second]


def test_fault_a_cancel_when_the_timer_fires_cancels():
    """There, the job runs anyway, and a KeyError follows."""
    runner = ByHand()
    runs: list[Event] = []
    scheduler = TaskScheduler(runs.append, delay=1, runner=runner)
    scheduler(event := Event(mask=IN_CREATE, path="/", name="a"))
    runner.pass_time(1)
    scheduler.cancel(event)
    runner.advance(1)
    assert runs == []
    assert scheduler.pending == 0


def test_fault_threads_that_schedule_and_cancel_while_timers_fire_break_nothing():
    running: Counter[str] = Counter()
    together = []
    last: dict[str, Event] = {}

    def job(event: Event) -> None:
        running[event.name] += 1
        if running[event.name] > 1:
            together.append(event.name)
        last[event.name] = event
        running[event.name] -= 1

    scheduler = TaskScheduler(job, delay=0.0005)
    wanted: dict[str, Event] = {}

    def work(name: str) -> None:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            for _ in range(5):
                scheduler(Event(mask=IN_CREATE, path="/", name=name))
            scheduler.cancel(Event(mask=IN_CREATE, path="/", name=name))
            time.sleep(0.0005)
            wanted[name] = Event(mask=IN_CREATE, path="/", name=name)
            scheduler(wanted[name])

    threads = [threading.Thread(target=work, args=(f"p{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lambda: scheduler.pending == 0)
    assert together == []
    assert last == wanted


def test_fault_a_default_scheduler_works(start, tmp_path):
    """There, it is an AttributeError, and `EventMap` is a NameError in its configuration."""
    names = []
    start(EventMap(default_sched=TaskScheduler(lambda event: names.append(event.maskname))))
    (tmp_path / "file").touch()
    wait_for(lambda: "IN_CLOSE_WRITE" in names)


def test_fault_a_name_of_its_documentation_that_is_no_event_is_refused():
    with pytest.raises(ValueError, match="'IN_WRITE_CLOSE', which is no event; is IN_CLOSE_WRITE"):
        EventMap({"IN_WRITE_CLOSE": TaskScheduler(print)})


def test_fault_what_is_mapped_to_an_overflow_is_called(start, tmp_path):
    """There, it never is."""
    names = []
    running = start(EventMap({"IN_Q_OVERFLOW": TaskScheduler(lambda event: names.append(event))}))
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    running.service.pause()
    for number in range(limit + 10):
        path = tmp_path / str(number)
        path.touch()
        path.unlink()
    running.service.go_on()
    wait_for(lambda: names, 60)
    assert names[0].mask == IN_Q_OVERFLOW


def test_fault_a_job_that_raises_is_logged_with_its_path_and_traceback(caplog):
    """There, it is reported when it is collected, as an exception that nobody retrieved."""

    async def fail(event: Event) -> None:
        raise ValueError("reason")

    scheduler = TaskScheduler(fail)
    scheduler(Event(mask=IN_CREATE, path="/srv", name="a"))
    wait_for(lambda: scheduler.pending == 0)
    [record] = [record for record in caplog.records if record.name == "inotifier.sched"]
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert "mask=IN_CREATE, path=/srv/a, task_id=" in record.getMessage()


def test_fault_a_path_that_comes_after_a_pause_works():
    """There, it leaves a task of None, and the next event is an AttributeError."""
    runner = ByHand()
    runs: list[Event] = []
    scheduler = TaskScheduler(runs.append, delay=1, runner=runner)
    task = scheduler.defer(event := Event(mask=IN_CREATE, path="/", name="a"))
    assert task is not None
    task.abandon()
    scheduler(event)
    scheduler(event)
    runner.advance(1)
    assert runs == [event]


def test_fault_a_fraction_of_a_second_is_a_delay():
    """There, it is refused, if assertions are."""
    TaskScheduler(print, delay=0.5)
    with pytest.raises(TypeError, match="delay is '1'"):
        TaskScheduler(print, delay="1")  # type: ignore[arg-type]
