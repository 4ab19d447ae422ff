"""A hundred thousand random steps do what a simple model says."""

import random
from dataclasses import dataclass, field

import pytest

from inotifier.events import IN_CREATE, Event
from inotifier.later import Later, Wait
from inotifier.scheduling import TaskScheduler
from tests.by_hand import ByHand

STEPS = 100_000
PATHS = 40
DELAY = 5.0
RETRIES, RETRY_DELAY = 2, 2.0


@dataclass
class Path:
    """What the model knows of a path: the event that waits and its time, and what runs."""

    waiting: Event | None = None
    when: float = 0.0
    tried: int = 0
    is_retry: bool = False
    running: Event | None = None
    is_cancelled: bool = False


@dataclass
class Engine:
    """Owns every Later, and counts how often each has ended."""

    ended: dict[Later, int] = field(default_factory=dict)

    def guard(self, later):
        return Later.guard(Later())

    def done(self, later) -> None:
        self.ended[later] += 1

    def failed(self, later, exc) -> Wait | None:
        if later.tried < RETRIES:
            return Wait(RETRY_DELAY, failed=True)
        self.ended[later] += 1
        return None


class Model:
    """Takes random steps, and checks each run against what is to run by then."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.runner = ByHand()
        self.scheduler = TaskScheduler(self.job, delay=DELAY, limit=3, runner=self.runner)
        self.engine = Engine()
        self.paths = {f"p{number}": Path() for number in range(PATHS)}
        self.steps = self.runs = self.failures = self.depth = 0
        self.wrong: list[str] = []  # what a job raises would only be a failure of it

    def schedule(self, name: str) -> None:
        event = Event(mask=IN_CREATE, path="/srv", name=name)
        later = self.scheduler.defer(event)
        assert later is not None
        if self.engine not in later.owners:
            assert later not in self.engine.ended
            self.engine.ended[later] = 0
            later.join(self.engine)
        later.start()
        path = self.paths[name]
        soonest = path.when if path.waiting and path.is_retry else 0.0
        path.waiting, path.tried, path.is_retry = event, 0, False
        path.when = max(soonest, self.runner.now + DELAY)

    def cancel(self, name: str) -> None:
        self.scheduler.cancel(Event(mask=IN_CREATE, path="/srv", name=name))
        path = self.paths[name]
        path.waiting = None
        path.is_cancelled = path.running is not None

    def job(self, event: Event) -> None:
        """Check that it is this job's time; do as much as it fits in meanwhile; maybe fail."""
        path = self.paths[event.name]
        if path.running is not None:
            self.wrong.append("two at a time")
        if path.waiting is not event:
            self.wrong.append("not what waits; or what was cancelled, or has run before")
        if path.when > self.runner.now:
            self.wrong.append("too early")
        tried = path.tried
        path.running, path.waiting, path.is_cancelled = event, None, False
        self.runs += 1
        self.depth += 1
        while self.depth < 4 and self.random.random() < 0.6:
            self.step()
        self.depth -= 1
        path.running = None
        if self.random.random() < 0.2:
            self.failures += 1
            if tried < RETRIES and path.waiting is None and not path.is_cancelled:
                path.waiting, path.when = event, self.runner.now + RETRY_DELAY
                path.tried, path.is_retry = tried + 1, True
            raise ValueError("no")

    def step(self) -> None:
        self.steps += 1
        kind = self.random.random()
        name = self.random.choice([*self.paths])
        if kind < 0.5:
            self.schedule(name)
        elif kind < 0.65:
            self.cancel(name)
        elif kind < 0.85:
            self.runner.pass_time(self.random.choice([0.0, 0.5, 1.0, DELAY]))
        elif self.runner.calls:
            self.runner.calls.popleft()()

    def end(self) -> None:
        """Let everything run that has to, and check that nothing is left, and none was lost."""
        for _ in range(100):
            self.runner.advance(DELAY)
        assert not any(path.waiting for path in self.paths.values())
        assert self.scheduler.pending == 0
        assert set(self.engine.ended.values()) == {1}


@pytest.mark.parametrize("seed", range(3))
def test_random_steps_do_what_the_model_says(seed, caplog):
    caplog.set_level("CRITICAL")
    model = Model(seed)
    worked = 0
    while model.steps < STEPS:
        model.step()
        assert model.wrong == []
        if model.steps - worked > 1000:
            worked = model.steps
            model.runner.work()
            waiting = [one for one in model.paths.values() if one.waiting]
            assert all(one.when > model.runner.now for one in waiting), "what is due has not run"
    model.end()
    assert model.wrong == []
    assert model.runs > STEPS / 30
    assert model.failures
