"""What the daemon tells of itself: the last ten minutes, lag, watches, events."""

import json
import os
import threading
from dataclasses import dataclass

import pytest

from inotifier.lifecycle.history import STEPS, History
from inotifier.lifecycle.report import Report
from inotifier.watches import Watch
from tests.in_process import Recorder
from tests.waiting import wait_for


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Counter:
    seen: int = 0


@pytest.fixture
def clock() -> Clock:
    return Clock()


# History.


def test_events_are_counted_in_steps_of_ten_seconds(clock):
    counter = Counter()
    history = History([counter], clock)
    for number in (5, 0, 7):
        counter.seen += number
        clock.now += 10
        history.sample()
    counter.seen += 1
    counts = history.counts(0)
    assert len(counts) == STEPS
    assert counts[-4:] == [5, 0, 7, 1]
    assert sum(counts) == 13


def test_a_step_that_was_slept_through_is_empty(clock):
    counter = Counter()
    history = History([counter], clock)
    counter.seen = 4
    clock.now += 35
    history.sample()
    counter.seen = 6
    assert history.counts(0)[-4:] == [4, 0, 0, 2]


def test_only_ten_minutes_are_kept(clock):
    counter = Counter(100)
    history = History([counter], clock)
    for _ in range(200):
        counter.seen += 1
        clock.now += 10
        history.sample()
    assert history.counts(0) == [1] * (STEPS - 1) + [0]
    clock.now += 86400
    history.sample()
    assert sum(history.counts(0)) == 0


def test_the_rate_is_that_of_the_last_seconds(clock):
    counter = Counter()
    history = History([counter], clock)
    assert history.rate(0) == 0
    counter.seen = 30
    clock.now += 5
    assert history.rate(0) == 6  # no step is over yet
    clock.now += 5
    history.sample()
    clock.now += 5
    assert history.rate(0) == 2
    clock.now += 5
    history.sample()
    assert history.rate(0) == 0


# The report.


def test_the_report_is_ready_for_json_whatever_files_are_called(watching, tmp_path):
    odd = tmp_path / os.fsdecode(b"caf\xe9\n")
    running = watching((tmp_path, "IN_CREATE", Recorder()))
    odd.touch()
    running.sync()
    report = json.loads(json.dumps(Report(running.service).page({})))
    assert report["entries"][0]["masks"] == {"IN_CREATE": 1}
    assert str(odd) in [event["pathname"] for event in report["events"]]


def test_the_newest_event_comes_first(watching, tmp_path):
    running = watching((tmp_path, "IN_CREATE", Recorder()))
    for name in "abc":
        (tmp_path / name).touch()
    running.sync()
    events = Report(running.service).page({"entry": 0})["events"]
    assert [event["pathname"][-1] for event in events] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("text", "found"),
    [("", 2), ("order", 1), ("ORDER", 1), ("in_create", 2), ("\\n", 1), ("nothing", 0)],
)
def test_events_are_found_by_what_is_shown_of_them(watching, tmp_path, text, found):
    running = watching((tmp_path, "IN_CREATE", Recorder()))
    (tmp_path / "Order").touch()
    (tmp_path / "a\nb").touch()
    running.sync()
    assert len(Report(running.service).page({"entry": 0, "text": text})["events"]) == found


def test_watches_are_counted_for_each_entry(watching, tmp_path):
    for path in ("deep/a/b", "flat/a", "polled/a", "partly/a", "partly/.git/x"):
        (tmp_path / path).mkdir(parents=True)
    running = watching(
        Watch(tmp_path / "deep", "IN_CREATE", Recorder(), recursive=True),
        Watch(tmp_path / "flat", "IN_CREATE", Recorder()),
        Watch(tmp_path / "polled", "IN_CREATE", Recorder(), backend="polling"),
        Watch(
            tmp_path / "partly",
            "IN_CREATE",
            Recorder(),
            recursive=True,
            ignore_directories=[".git"],
        ),
        Watch(tmp_path / "absent", "IN_CREATE", Recorder(), missing="wait"),
    )
    clock = Clock()
    report = Report(running.service, clock)
    numbers = [entry["watches"] for entry in report.figures()["entries"]]
    assert numbers[:5] == [3, 1, None, 2, 0]
    (tmp_path / "deep/a/c").mkdir()
    (tmp_path / "absent").mkdir()

    def counted_again() -> list[int | None]:
        clock.now += 60
        return [entry["watches"] for entry in report.figures()["entries"]]

    wait_for(lambda: counted_again()[:5] == [4, 1, None, 2, 1])
    assert [one["backend"] for one in report.figures()["entries"]][1:3] == ["inotify", "polling"]


def test_lag_is_the_age_of_what_is_delivered_now(watching, tmp_path):
    gate = threading.Event()
    running = watching((tmp_path, "IN_CREATE", lambda event: gate.wait(30)))
    try:
        assert running.service.lag == 0
        (tmp_path / "a").touch()
        wait_for(lambda: running.service.lag > 0.05)
        assert Report(running.service).figures()["lag"] > 0.05
    finally:
        gate.set()
    running.sync()
    wait_for(lambda: running.service.lag == 0)


def test_what_sleeps_until_it_is_tried_again_is_no_lag(watching, tmp_path, settings):
    settings.INOTIFIER_RETRIES = 1
    settings.INOTIFIER_RETRY_DELAY = 0.2
    failed = threading.Event()

    def process(event) -> None:
        if not failed.is_set():
            failed.set()
            raise ValueError

    running = watching((tmp_path, "IN_CREATE", process))
    (tmp_path / "a").touch()
    assert failed.wait(30)
    wait_for(lambda: running.service.lag == 0)
    assert running.service.queue_depth <= 1


def test_the_main_thread_is_known_to_go_round(watching, tmp_path, clock):
    running = watching((tmp_path, "IN_CREATE", Recorder()))
    report = Report(running.service, clock)
    clock.now += 40
    assert report.figures()["since_tick"] == 40
    report.tick()
    assert report.figures()["since_tick"] == 0
