"""What is done for which event."""

import re

import pytest
from django.test import override_settings
from pyinotify import ALL_EVENTS, ExcludeFilter

from inotifier import watches
from inotifier.event_processors import FileReadySignaler
from inotifier.events import (
    EVENT_BITS,
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_DELETE_SELF,
    IN_ISDIR,
    IN_MODIFY,
    IN_Q_OVERFLOW,
    Event,
)
from inotifier.scheduling import Cancel, EventMap, TaskScheduler
from inotifier.watches import Watch
from tests.by_hand import ByHand

runner = ByHand()
seen: list[str] = []


def job(event: Event) -> None:
    seen.append(event.name)


task_sched = TaskScheduler(job, delay=5, runner=runner)


@pytest.fixture(autouse=True)
def nothing_seen():
    seen.clear()
    yield
    runner.advance(100)


def event_of(name: str, mask: int) -> Event:
    return Event(mask=mask, path="/src_path", name=name)


def test_each_kind_of_event_has_its_own_scheduler():
    names = []
    event_map = EventMap(
        {
            "IN_CREATE": TaskScheduler(lambda event: names.append("create"), runner=runner),
            "IN_DELETE": TaskScheduler(lambda event: names.append("delete"), runner=runner),
            "IN_MODIFY": None,
        }
    )
    for mask in (IN_CREATE, IN_MODIFY, IN_CLOSE_WRITE, IN_DELETE):
        event_map(event_of("a", mask))
    runner.work()
    assert names == ["create", "delete"]


def test_names_may_lack_their_prefix():
    assert EventMap({"CREATE": task_sched, "IN_DELETE": task_sched}).mask == IN_CREATE | IN_DELETE


def test_a_default_is_for_all_that_is_not_named():
    event_map = EventMap({"IN_MODIFY": None, "IN_DELETE": Cancel(task_sched)}, task_sched)
    assert event_map.mask & ALL_EVENTS == ALL_EVENTS & ~IN_MODIFY
    event_map(event_of("a", IN_CREATE))
    event_map(event_of("b", IN_CREATE))
    event_map(event_of("c", IN_MODIFY))
    event_map(event_of("b", IN_DELETE))
    runner.advance(5)
    assert seen == ["a"]


def test_directories_are_a_matter_of_the_scheduler():
    event_map = EventMap({"IN_CREATE": task_sched, "IN_DELETE": Cancel(task_sched)})
    event_map(event_of("d", IN_CREATE | IN_ISDIR))
    event_map(event_of("a", IN_CREATE))
    runner.advance(5)
    assert seen == ["a"]


def test_a_list_is_begun_in_its_order():
    names = []
    event_map = EventMap(
        {
            "IN_CREATE": task_sched,
            "IN_CLOSE_WRITE": [
                Cancel(task_sched),
                TaskScheduler(lambda event: names.append("first"), runner=runner),
                TaskScheduler(lambda event: names.append("second"), runner=runner),
            ],
        }
    )
    event_map(event_of("a", IN_CREATE))
    event_map(event_of("a", IN_CLOSE_WRITE))
    runner.advance(5)
    assert names == ["first", "second"]
    assert seen == []


def test_the_mask_holds_what_something_is_done_for():
    assert EventMap({"IN_CREATE": task_sched, "IN_MODIFY": None}).mask == IN_CREATE
    assert EventMap({"IN_DELETE": Cancel(task_sched)}).mask == IN_DELETE
    assert EventMap(default_sched=task_sched).mask == sum(EVENT_BITS.values())


def test_a_map_of_what_the_kernel_tells_unasked_is_given_something_to_ask_for():
    event_map = EventMap({"IN_Q_OVERFLOW": task_sched})
    assert event_map.mask == IN_Q_OVERFLOW | IN_DELETE_SELF


@pytest.mark.parametrize("name", ["IN_WRITE_CLOSE", "WRITE_CLOSE", "IN_CLOSE_WRTIE"])
def test_a_name_that_is_no_event_is_refused_with_what_may_be_meant(name):
    with pytest.raises(ValueError, match=f"{name}', which is no event; is IN_CLOSE_WRITE meant"):
        EventMap({name: task_sched})


def test_a_name_far_from_any_event_is_refused_with_all_that_are_known():
    with pytest.raises(ValueError, match="which is no event; known are IN_ACCESS, IN_MODIFY"):
        EventMap({"XYZ": task_sched})


def test_a_function_may_stand_for_a_scheduler_the_same_for_all_events():
    event_map = EventMap({"IN_CREATE": job, "IN_DELETE": job})
    [create] = event_map._targets[IN_CREATE]
    assert isinstance(create, TaskScheduler)
    assert event_map._targets[IN_DELETE] == (create,)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, "neither event_map nor default_sched has anything done"),
        ({"event_map": {"CREATE": None}}, "neither event_map nor default_sched"),
        ({"event_map": [task_sched]}, "event_map is .*; it should be a dict"),
        ({"event_map": {"CREATE": 5}}, r"event_map\['CREATE'\] is 5; it should be a scheduler"),
        ({"event_map": {"CREATE": FileReadySignaler()}}, "needs every event of its files"),
        ({"event_map": {"CREATE": [job, 5]}}, r"event_map\['CREATE'\]\[1\] is 5"),
        ({"default_sched": TaskScheduler}, "default_sched is <class .*; it should be a scheduler"),
        ({"event_map": {"CREATE": {"job": job}}}, "it should have 'processor', the class of"),
        ({"event_map": {"CREATE": {"processor": "os.path.join"}}}, "it should have 'processor'"),
        ({"event_map": {"CREATE": {"cancel": job, "more": 1}}}, "it should have 'processor'"),
        ({"event_map": {"CREATE": "nothing"}}, "'nothing' is not a dotted path"),
        ({"default_sched": job, "exclude_filter": ["("]}, "holds '\\(', which is no regular expr"),
        ({"default_sched": job, "exclude_filter": 5}, "exclude_filter is 5; it should be a list"),
        ({"default_sched": job, "exclude_filter": "/no/file"}, "No such file"),
    ],
)
def test_what_cannot_be_used_is_named(arguments, error):
    with pytest.raises((TypeError, ValueError, ImportError, OSError), match=error):
        EventMap(**arguments)


def test_cancel_is_of_a_scheduler():
    with pytest.raises(TypeError, match=r"Cancel is given .*; it should be a scheduler"):
        Cancel(job)  # type: ignore[arg-type]


# Paths that are ignored


@pytest.mark.parametrize("form", ["list", "file", "callable"])
def test_paths_that_match_a_filter_are_ignored(tmp_path, form):
    regexes = ["^/src_path/subpath$", "/src_path/.*tmp"]
    file = tmp_path / "excluded"
    file.write_text("# comment\n\n^/src_path/subpath$\n  /src_path/.*tmp\n")
    exclude_filter = {"list": regexes, "file": str(file), "callable": ExcludeFilter(regexes)}[form]
    event_map = EventMap({"IN_CREATE": task_sched}, exclude_filter=exclude_filter)
    for name in ("subpath", "subpath2", "a.tmp", "b"):
        event_map(event_of(name, IN_CREATE))
    runner.advance(5)
    assert seen == ["subpath2", "b"]


# Plain data, as it comes from a file


def test_settings_may_be_plain_data():
    watch = Watch(
        "/",
        processor="inotifier.scheduling.EventMap",
        options={
            "schedulers": {
                "tasks": {
                    "processor": "inotifier.scheduling.TaskScheduler",
                    "options": {"job": f"{__name__}.job", "delay": 60},
                }
            },
            "event_map": {
                "IN_CREATE": "tasks",
                "IN_DELETE": {"cancel": "tasks"},
                "IN_MODIFY": {"cancel": f"{__name__}.task_sched"},
                "IN_ATTRIB": f"{__name__}.job",
                "IN_OPEN": None,
            },
        },
    )
    with override_settings(INOTIFIER_WATCH_PATHS=[watch]):
        [entry] = watches.load()
    assert entry.processor_name == "inotifier.scheduling.EventMap"
    assert entry.mask == EVENT_BITS["IN_ATTRIB"] | IN_CREATE | IN_DELETE | IN_MODIFY
    targets = entry.processor._targets
    [scheduler], [cancel] = targets[IN_CREATE], targets[IN_DELETE]
    assert isinstance(scheduler, TaskScheduler)
    assert cancel.scheduler is scheduler
    assert targets[IN_MODIFY][0].scheduler is task_sched


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"job": f"{__name__}.job", "delay": "5"}, "delay is '5'"),
        ({"job": f"{__name__}.nothing"}, "nothing does not exist"),
        ({"job": f"{__name__}.job", "dealy": 5}, "unexpected keyword.*dealy"),
        ({}, "missing 1 required positional argument: 'job'"),
    ],
)
def test_a_wrong_option_is_a_problem_of_the_check(options, error):
    watch = Watch("/", processor="inotifier.scheduling.TaskScheduler", options=options)
    with override_settings(INOTIFIER_WATCH_PATHS=[watch]):
        _, [problem] = watches.inspect_settings()
    assert problem.id == "inotifier.E008"
    assert "inotifier.scheduling.TaskScheduler of entry 1 cannot be made" in problem.message
    assert re.search(error, problem.message)
