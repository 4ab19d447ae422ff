"""Which deliveries wait for which."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyinotify import IN_CREATE, IN_ISDIR, IN_MODIFY, IN_MOVED_FROM, IN_MOVED_TO

from inotifier.dispatcher import Question
from inotifier.dispatcher.order import Delivery, Order
from inotifier.events import Event


class Owner:
    """Whose events they are."""


class Line:
    """An order, and what may be handled by now."""

    def __init__(self) -> None:
        self.order = Order()
        self.handler = Owner()
        self.free: list[Delivery] = []

    def add(self, path: str, mask: int = IN_MODIFY, source: str | None = None, handler=None):
        event = Event(mask=mask, path="/", name=path, src_pathname=source and f"/{source}")
        return self.put(event, handler)

    def put(self, event: Event, handler=None) -> Delivery:
        delivery = Delivery(handler or self.handler, event)
        self.order.add(delivery)
        if delivery.is_free:
            self.free.append(delivery)
        return delivery

    def rename(self, source: str, target: str) -> Delivery:
        return self.add(target, IN_MOVED_TO, source)

    def rename_directory(self, source: str, target: str) -> Delivery:
        return self.add(target, IN_MOVED_TO | IN_ISDIR, source)

    def end(self, delivery: Delivery) -> None:
        self.free.remove(delivery)
        self.free += self.order.end(delivery)

    def replace(self, question: Delivery, *events: Event) -> None:
        self.free.remove(question)
        self.free += self.order.replace(question, events)

    def sleep(self, delivery: Delivery) -> None:
        self.free.remove(delivery)
        self.free += self.order.sleep(delivery)

    def wake(self, delivery: Delivery) -> None:
        self.order.wake(delivery)
        self.free.append(delivery)

    def is_empty(self) -> bool:
        return (
            not self.order.number
            and self.order.only_sleeps
            and not (self.order._last or self.order._content)
            and not (self.order._moves or self.order._asleep)
            and not self.order._number_loose
        )


@pytest.fixture
def line():
    line = Line()
    yield line
    assert line.is_empty()


def end_all(line: Line) -> list[Delivery]:
    ended = []
    while line.free:
        ended.append(line.free[0])
        line.end(line.free[0])
    return ended


def event_of(path: str) -> Event:
    return Event(mask=IN_CREATE, path="/", name=path)


def test_different_paths_do_not_wait(line):
    deliveries = [line.add(path) for path in ("a", "b", "ab", "a/b")]
    assert line.free == deliveries
    end_all(line)


def test_the_same_path_of_another_handler_does_not_wait(line):
    other = Owner()
    assert line.free == [line.add("a"), line.add("a", handler=other)]
    end_all(line)


def test_events_of_a_path_come_one_after_the_other(line):
    first, second, third = (line.add("a") for _ in range(3))
    assert line.free == [first]
    line.end(first)
    assert line.free == [second]
    line.end(second)
    assert line.free == [third]
    line.end(third)


def test_a_path_is_forgotten_with_its_last_event(line):
    line.end(line.add("a"))
    assert line.is_empty()
    assert line.free == []
    line.end(line.add("a"))


def test_a_rename_waits_for_both_names_and_both_for_it(line):
    old, new, rename = line.add("a"), line.add("b"), line.rename("a", "b")
    after_old, after_new = line.add("a"), line.add("b")
    assert line.free == [old, new]
    line.end(new)
    assert line.free == [old]
    line.end(old)
    assert line.free == [rename]
    line.end(rename)
    assert line.free == [after_old, after_new]
    end_all(line)


def test_a_rename_of_one_that_waits_waits_once(line):
    first, there, back = line.add("a"), line.rename("a", "b"), line.rename("b", "a")
    assert end_all(line) == [first, there, back]


def test_a_rename_to_the_same_name_waits_once(line):
    first, rename = line.add("a"), line.rename("a", "a")
    assert end_all(line) == [first, rename]


def test_an_event_is_free_if_nothing_is_before_it(line):
    line.add("a")
    assert not line.order.is_free(line.handler, event_of("a"))
    assert line.order.is_free(line.handler, event_of("b"))
    assert line.order.is_free(Owner(), event_of("a"))
    end_all(line)
    assert line.order.is_free(line.handler, event_of("a"))


def test_a_rename_is_free_if_nothing_is_before_either_name(line):
    line.add("a")
    rename = Event(mask=IN_MOVED_TO, path="/", name="b", src_pathname="/a")
    assert not line.order.is_free(line.handler, rename)
    end_all(line)
    assert line.order.is_free(line.handler, rename)


# Directories.


def test_what_comes_below_a_renamed_directory_waits_for_what_was_below_it(line):
    old = line.add("d/x")
    line.sleep(old)
    rename = line.rename_directory("d", "e")
    assert line.free == [rename]
    line.end(rename)
    new, other = line.add("e/x"), line.add("e/y")
    assert line.free == [other]
    line.end(other)
    line.wake(old)
    line.end(old)
    assert line.free == [new]
    line.end(new)


def test_a_path_follows_through_two_renames(line):
    old = line.add("d/c/x")
    line.sleep(old)
    line.end(line.rename_directory("d", "e"))
    line.end(line.rename_directory("e/c", "f"))
    new = line.add("f/x")
    assert line.free == []
    line.wake(old)
    line.end(old)
    assert line.free == [new]
    line.end(new)


def test_a_name_that_was_taken_before_waits_for_both(line):
    """What was below the new name is not overtaken by what was below the old one."""
    old, taken = line.add("d/x"), line.add("e/x")
    line.sleep(old)
    line.sleep(taken)
    line.end(line.rename_directory("d", "e"))
    new = line.add("e/x")
    for one in (old, taken):
        assert line.free == []
        line.wake(one)
        line.end(one)
    assert line.free == [new]
    line.end(new)


def test_the_old_name_is_free_for_another_directory(line):
    old = line.add("d/x")
    line.sleep(old)
    line.end(line.rename_directory("d", "e"))
    again, moved = line.add("d/x"), line.add("e/x")
    line.wake(old)
    line.end(old)
    assert line.free == [again, moved]
    end_all(line)


def test_a_move_waits_for_what_is_under_way_below(line):
    old = line.add("d/x")
    start, rename = line.add("d", IN_MOVED_FROM | IN_ISDIR), line.rename_directory("d", "e")
    new, beside = line.add("e/x"), line.add("f")
    assert line.free == [old, beside]
    line.end(beside)
    assert end_all(line) == [old, start, rename, new]


def test_what_comes_below_waits_for_the_move(line):
    rename = line.rename_directory("d", "e")
    new, again, beside = line.add("e/x"), line.add("d/x"), line.add("ee")
    assert line.free == [rename, beside]
    line.end(rename)
    assert line.free == [beside, new, again]
    end_all(line)


@pytest.mark.parametrize("late", [False, True])
def test_a_move_does_not_wait_for_what_sleeps_nor_for_what_waits_for_that(line, late):
    first, second = line.add("d/x"), line.add("d/x")
    if not late:
        line.sleep(first)
    rename = line.rename_directory("d", "e")
    new = line.add("e/y")
    if late:
        assert line.free == [first]
        line.sleep(first)
    assert line.free == [rename]
    line.end(rename)
    assert line.free == [new]
    line.end(new)
    line.wake(first)
    assert end_all(line) == [first, second]


def test_nothing_below_waits_for_a_move_that_sleeps(line):
    rename, new = line.rename_directory("d", "e"), line.add("e/x")
    line.sleep(rename)
    later, behind = line.add("e/y"), line.add("e")
    assert line.free == [new, later]
    line.wake(rename)
    assert end_all(line) == [new, later, rename, behind]


def test_nothing_below_waits_for_a_move_behind_what_sleeps(line):
    first = line.add("d")
    line.sleep(first)
    rename, new = line.rename_directory("d", "e"), line.add("e/x")
    assert line.free == [new]
    line.wake(first)
    assert end_all(line) == [new, first, rename]


def test_a_move_is_never_simply_free(line):
    sleeper = line.add("d/x")
    line.sleep(sleeper)
    rename = Event(mask=IN_MOVED_TO | IN_ISDIR, path="/", name="e", src_pathname="/d")
    assert not line.order.is_free(line.handler, rename)
    line.wake(sleeper)
    line.end(sleeper)


def test_below_a_move_nothing_is_free(line):
    rename = line.rename_directory("d", "e")
    assert not line.order.is_free(line.handler, event_of("e/x"))
    assert line.order.is_free(Owner(), event_of("e/x"))
    line.end(rename)


def test_a_move_may_be_changed_by_who_handles_it(line):
    """A processor may do with its event what it likes."""
    rename, after = line.rename_directory("d", "e"), line.add("e/x")
    rename.event.mask = rename.event.dir = rename.event.pathname = None
    rename.event.src_pathname = 3
    assert end_all(line) == [rename, after]


# Questions.


def test_a_question_is_replaced_by_its_answer(line):
    before, question, after = line.add("a"), line.put(Question(mask=0, path="/a")), line.add("a")
    line.end(before)
    assert line.free == [question]
    events = [event_of("a") for _ in range(3)]
    line.replace(question, *events)
    assert line.order.number == 4
    *answers, last = end_all(line)
    assert [delivery.event for delivery in answers] == events
    assert last is after


def test_a_question_without_an_answer_ends(line):
    question, after = line.put(Question(mask=0, path="/a")), line.add("a")
    line.replace(question)
    assert line.free == [after]
    line.end(after)


def test_what_comes_after_the_answer_waits_for_it(line):
    question = line.put(Question(mask=0, path="/b", src_pathname="/a"))
    line.replace(question, event_of("a"), event_of("b"))
    old, new = line.add("a"), line.add("b")
    first, second, *rest = end_all(line)
    assert (first.event.name, second.event.name, rest) == ("a", "b", [old, new])


def test_an_answer_stands_in_the_way_of_a_move_as_its_question_did(line):
    question, rename = line.put(Question(mask=0, path="/d/x")), line.rename_directory("d", "e")
    line.replace(question, event_of("d/x"), event_of("d/x"))
    assert len(end_all(line)) == 3
    assert rename not in line.free


class Mark(Question):
    is_mark = True


def test_a_mark_waits_for_all_that_is_under_way_and_not_for_what_sleeps(line):
    under_way, asleep, after = line.add("in/a/x"), line.add("in/y"), line.add("in/y")
    line.sleep(asleep)
    elsewhere = line.add("in/a/x", handler=Owner())
    mark = line.put(Mark(mask=0, path="/in"))
    assert mark not in line.free
    line.end(under_way)
    assert mark in line.free
    line.end(mark)
    line.wake(asleep)
    line.end(asleep)
    assert end_all(line) == [elsewhere, after]


# Whether there is anything to do.


def test_only_what_sleeps_and_what_waits_for_it_is_left(line):
    first, second = line.add("a"), line.add("a")
    assert not line.order.only_sleeps
    line.sleep(first)
    assert line.order.only_sleeps
    other = line.add("b")
    assert not line.order.only_sleeps
    line.end(other)
    line.wake(first)
    line.end(first)
    assert not line.order.only_sleeps
    line.end(second)


# Against a model.

_NAMES = st.sampled_from(["a", "b", "a/x", "a/y", "b/x", "b/y", "a/x/p", "b/x/p"])
_EVENTS = st.one_of(
    st.tuples(st.just("plain"), _NAMES, st.none()),
    st.tuples(st.just("rename"), _NAMES, _NAMES),
    st.tuples(st.just("directory"), _NAMES, _NAMES),
    st.tuples(st.just("away"), _NAMES, st.none()),
    st.tuples(st.just("question"), _NAMES, st.none() | _NAMES),
)
_SCRIPT = st.lists(st.tuples(_EVENTS, st.sampled_from("pq")), max_size=12)


class Model:
    """The obvious rule: an event waits for each earlier one that has a file in common with it.

    `strictly` holds for each delivery the earlier ones of its paths, `loosely` those between
    the move of a directory and what is below it.
    """

    def __init__(self) -> None:
        self.added: list[tuple[Delivery, list[set[str]]]] = []
        self.strictly: dict[Delivery, set[Delivery]] = {}
        self.loosely: dict[Delivery, set[Delivery]] = {}

    def add(self, delivery: Delivery, living: set[Delivery]) -> None:
        event = delivery.event
        paths = {event.pathname, event.src_pathname} - {None}
        earlier = [
            (one, names)
            for one, names in self.added
            if one in living and one.handler is delivery.handler
        ]
        self.strictly[delivery] = {one for one, names in earlier if names & paths}
        self.loosely[delivery] = {
            one
            for one, names in earlier
            if (_moves(one) and _is_below(paths, _own(one)))
            or (_moves(delivery) and _is_below(names, paths))
        }
        if event.dir and event.src_pathname is not None:
            for _, names in earlier:
                names |= {
                    event.pathname + name.removeprefix(event.src_pathname)
                    for name in names
                    if name.startswith(f"{event.src_pathname}/")
                }
        self.added.append((delivery, set(paths)))


def _own(delivery: Delivery) -> set[str]:
    return {delivery.event.pathname, delivery.event.src_pathname} - {None}


def _moves(delivery: Delivery) -> bool:
    return delivery.event.dir and bool(delivery.event.mask & (IN_MOVED_FROM | IN_MOVED_TO))


def _is_below(paths: set[str], directories: set[str]) -> bool:
    return any(path.startswith(f"{top}/") for path in paths for top in directories)


def make(kind: str, name: str, other: str | None) -> Event:
    source = other and f"/{other}"
    if kind == "question":
        return Question(mask=0, path=f"/{name}", src_pathname=source)
    mask = {
        "plain": IN_MODIFY,
        "rename": IN_MOVED_TO,
        "directory": IN_MOVED_TO | IN_ISDIR,
        "away": IN_MOVED_FROM | IN_ISDIR,
    }[kind]
    return Event(mask=mask, path="/", name=name, src_pathname=source)


class Play:
    """Adds, ends and lets sleep in any order, and compares with the model."""

    def __init__(self, chance: random.Random, *, sleeps: bool) -> None:
        self.line, self.model = Line(), Model()
        self.handlers = {name: Owner() for name in "pq"}
        self.chance = chance
        self.sleeps = self.tires = sleeps
        self.living: set[Delivery] = set()
        self.asleep: list[Delivery] = []

    def add(self, event: Event, handler: str) -> None:
        delivery = self.line.put(event, self.handlers[handler])
        self.model.add(delivery, self.living)
        self.living.add(delivery)
        self.compare()

    def step(self) -> None:
        """End, put to sleep, or wake one."""
        if self.asleep and (not self.line.free or self.chance.random() < 0.3):
            self.line.wake(self.asleep.pop(self.chance.randrange(len(self.asleep))))
        elif self.line.free:
            delivery = self.chance.choice(self.line.free)
            if self.tires and self.chance.random() < 0.4:
                self.line.sleep(delivery)
                self.asleep.append(delivery)
            elif isinstance(delivery.event, Question) and self.chance.random() < 0.7:
                self.answer(delivery)
            else:
                self.line.end(delivery)
                self.living.remove(delivery)
        self.compare()

    def answer(self, question: Delivery) -> None:
        """Replace it; the last event of the answer stands for it from then on."""
        self.line.replace(question, event_of("1"), event_of("2"))
        first = self.line.free[-1]
        self.line.end(first)
        second = self.line.free[-1]
        assert second.event.name == "2"
        self.living.remove(question)
        self.living.add(second)
        for known in (self.model.strictly, self.model.loosely):
            known[second] = known.pop(question)
            for waits in known.values():
                if question in waits:
                    waits.remove(question)
                    waits.add(second)
        self.model.added = [
            (second if one is question else one, names) for one, names in self.model.added
        ]

    def compare(self) -> None:
        strictly, loosely = self.model.strictly, self.model.loosely
        assert len(self.line.free) == len(set(self.line.free))
        for delivery in self.living:
            is_free = delivery in self.line.free or delivery in self.asleep
            if strictly[delivery] & self.living:
                assert not is_free
            elif not loosely[delivery] & self.living:
                assert is_free
            elif not self.sleeps:
                assert not is_free
        assert self.line.order.number == len(self.living)
        assert self.line.order.only_sleeps == (not self.line.free)


@given(_SCRIPT, st.randoms(use_true_random=False), st.booleans())
def test_deliveries_of_a_path_end_in_their_order(script, chance, sleeps):
    play = Play(chance, sleeps=sleeps)
    for event, handler in script:
        play.add(make(*event), handler)
        while chance.random() < 0.4:
            play.step()
    play.tires = False
    while play.living:
        # Something sleeps, or may go on: nothing waits for ever.
        assert play.line.free or play.asleep
        play.step()
    assert play.line.is_empty()


@given(st.lists(_NAMES, unique=True), st.lists(_NAMES))
def test_without_a_rename_different_paths_never_wait_for_each_other(firsts, more):
    line = Line()
    deliveries = [line.add(name) for name in firsts]
    for name in more:
        line.add(name)
    assert [one for one in line.free if one in deliveries] == deliveries
    heads = {one.event.name for one in line.free}
    assert heads == {*firsts, *more}
    assert len(line.free) == len(heads)
