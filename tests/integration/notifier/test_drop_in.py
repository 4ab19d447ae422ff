"""`WatchManager` and `Notifier` in the place of pyinotify's, for code written for those."""

import os
from collections.abc import Iterator
from pathlib import Path

import pyinotify
import pytest
from pyinotify import IN_CLOSE_WRITE, IN_CREATE, IN_DELETE, IN_OPEN, ProcessEvent

from inotifier.notifier import Notifier, WatchManager

EVENTS = IN_CREATE | IN_CLOSE_WRITE


class Keep(ProcessEvent):
    """Keeps what it gets, as (maskname, name)."""

    def my_init(self) -> None:
        self.got: list[tuple[str, str]] = []

    def process_default(self, event) -> None:
        self.got.append((event.maskname, event.name))


@pytest.fixture
def manager() -> Iterator[WatchManager]:
    manager = WatchManager()
    yield manager
    manager.close()


def pump(notifier: Notifier) -> None:
    """Handle everything that has happened until now."""
    while notifier.check_events(timeout=0):
        notifier.read_events()
        notifier.process_events()
    notifier.process_events()


def test_events_go_to_the_processor_of_their_watch_or_to_the_default(manager, tmp_path):
    own, default = Keep(), Keep()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    manager.add_watch(str(tmp_path / "a"), EVENTS, proc_fun=own)
    manager.add_watch(str(tmp_path / "b"), EVENTS)
    notifier = Notifier(manager, default)
    (tmp_path / "a" / "x").touch()
    (tmp_path / "b" / "y").touch()
    pump(notifier)
    assert own.got == [("IN_CREATE", "x"), ("IN_CLOSE_WRITE", "x")]
    assert default.got == [("IN_CREATE", "y"), ("IN_CLOSE_WRITE", "y")]


def test_add_watch_tells_what_became_of_each_path(tmp_path):
    (tmp_path / "dir").mkdir()
    manager = WatchManager(exclude_filter=pyinotify.ExcludeFilter([f"{tmp_path}/left.*"]))
    (tmp_path / "left out").mkdir()
    paths = [str(tmp_path / "dir"), str(tmp_path / "left out"), str(tmp_path / "none"), 3]
    result = manager.add_watch(paths, EVENTS)
    assert [result[path] > 0 for path in paths] == [True, False, False, False]
    assert [result[path] for path in paths[1:]] == [-2, -1, -3]
    manager.close()


def test_a_path_may_be_bytes_or_a_path(manager, tmp_path):
    assert manager.add_watch(tmp_path, EVENTS)[str(tmp_path)] > 0
    assert manager.add_watch(os.fsencode(tmp_path), EVENTS)[str(tmp_path)] > 0


def test_a_refusal_raises_unless_quiet(manager, tmp_path):
    with pytest.raises(pyinotify.WatchManagerError, match="No such file") as caught:
        manager.add_watch([str(tmp_path), str(tmp_path / "none")], EVENTS, quiet=False)
    assert caught.value.wmd[str(tmp_path)] > 0
    assert caught.value.wmd[str(tmp_path / "none")] == -1


@pytest.mark.parametrize("call", ["rm_watch", "update_watch"])
def test_an_unknown_descriptor_is_refused(manager, call):
    assert getattr(manager, call)(77) == {77: False}
    with pytest.raises(pyinotify.WatchManagerError):
        getattr(manager, call)(77, quiet=False)


def test_a_recursive_watch_lists_all_directories(manager, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    result = manager.add_watch(str(tmp_path), EVENTS, rec=True, auto_add=True)
    assert sorted(result) == [str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a" / "b")]
    assert len(manager.watches) == len(result) == 3
    assert eval(repr(result)) == dict(result)
    inner = result[str(tmp_path / "a" / "b")]
    assert manager.get_path(inner) == str(tmp_path / "a" / "b")
    assert manager.get_wd(tmp_path / "a" / "b") == inner
    assert manager.get_wd(tmp_path / "a" / "none") is None
    assert manager.get_wd("/") is None
    assert manager.get_watch(inner).mask == EVENTS
    assert manager.get_watch(999) is manager.get_path(999) is None


def test_an_excluded_directory_takes_no_watch_with_all_below_it(manager, tmp_path):
    (tmp_path / ".git" / "objects").mkdir(parents=True)
    (tmp_path / "src").mkdir()
    keep = Keep()
    manager.add_watch(
        str(tmp_path),
        EVENTS,
        proc_fun=keep,
        rec=True,
        auto_add=True,
        exclude_filter=lambda path: path.endswith(".git"),
    )
    assert len(manager.watches) == 2
    notifier = Notifier(manager)
    (tmp_path / "src" / ".git" / "objects").mkdir(parents=True)
    pump(notifier)
    assert len(manager.watches) == 2


def test_recursion_without_auto_add_ends_at_what_is_there(manager, tmp_path):
    (tmp_path / "old").mkdir()
    keep = Keep()
    manager.add_watch(str(tmp_path), EVENTS, proc_fun=keep, rec=True)
    notifier = Notifier(manager)
    (tmp_path / "new").mkdir()
    pump(notifier)
    (tmp_path / "new" / "unseen").touch()
    (tmp_path / "old" / "seen").touch()
    pump(notifier)
    assert keep.got == [
        ("IN_CREATE|IN_ISDIR", "new"),
        ("IN_CREATE", "seen"),
        ("IN_CLOSE_WRITE", "seen"),
    ]


def test_globs_are_expanded_on_demand(manager, tmp_path):
    for name in ("a1", "a2", "b"):
        (tmp_path / name).mkdir()
    result = manager.add_watch(str(tmp_path / "a*"), EVENTS, do_glob=True)
    assert sorted(Path(path).name for path in result) == ["a1", "a2"]


def test_a_second_watch_on_a_path_adds_a_subscriber(manager, tmp_path):
    first, second = Keep(), Keep()
    one = manager.add_watch(str(tmp_path), IN_CREATE, proc_fun=first)
    two = manager.add_watch(str(tmp_path), IN_DELETE, proc_fun=second)
    assert one[str(tmp_path)] == two[str(tmp_path)]
    notifier = Notifier(manager)
    (tmp_path / "x").touch()
    (tmp_path / "x").unlink()
    pump(notifier)
    assert (first.got, second.got) == ([("IN_CREATE", "x")], [("IN_DELETE", "x")])


def test_a_watch_takes_another_mask_and_processor(manager, tmp_path):
    (tmp_path / "sub").mkdir()
    old, new = Keep(), Keep()
    [wd] = manager.add_watch(str(tmp_path), IN_CREATE, proc_fun=old).values()
    assert manager.update_watch(wd, mask=IN_DELETE, proc_fun=new, rec=True, auto_add=True) == {
        wd: True
    }
    notifier = Notifier(manager)
    (tmp_path / "sub" / "x").touch()
    (tmp_path / "sub" / "x").unlink()
    pump(notifier)
    assert (old.got, new.got) == ([], [("IN_DELETE", "x")])


def test_one_directory_of_a_tree_takes_another_processor(manager, tmp_path):
    (tmp_path / "sub").mkdir()
    tree, sub = Keep(), Keep()
    result = manager.add_watch(str(tmp_path), IN_CREATE, proc_fun=tree, rec=True, auto_add=True)
    manager.update_watch(result[str(tmp_path / "sub")], proc_fun=sub)
    notifier = Notifier(manager)
    (tmp_path / "sub" / "x").touch()
    (tmp_path / "y").touch()
    pump(notifier)
    assert (tree.got, sub.got) == ([("IN_CREATE", "y")], [("IN_CREATE", "x")])


@pytest.mark.parametrize("rec", [False, True])
def test_a_watch_is_removed_alone_or_with_all_below_it(manager, tmp_path, rec):
    (tmp_path / "sub").mkdir()
    keep = Keep()
    result = manager.add_watch(str(tmp_path), IN_CREATE, proc_fun=keep, rec=True, auto_add=True)
    removed = manager.rm_watch(result[str(tmp_path)], rec=rec)
    assert len(removed) == 1 + rec
    assert all(removed.values())
    notifier = Notifier(manager)
    (tmp_path / "x").touch()
    (tmp_path / "sub" / "y").touch()
    pump(notifier)
    assert keep.got == ([] if rec else [("IN_CREATE", "y")])
    assert len(manager.watches) == (0 if rec else 1)


def test_a_forgotten_watch_is_described_no_more(manager, tmp_path):
    [wd] = manager.add_watch(str(tmp_path), IN_CREATE).values()
    manager.del_watch(wd)
    manager.del_watch(wd)
    assert manager.watches == {}


def test_ignored_events_do_not_come_later(manager, tmp_path):
    keep = Keep()
    manager.add_watch(str(tmp_path), IN_CREATE, proc_fun=keep)
    notifier = Notifier(manager)
    manager.ignore_events = True
    (tmp_path / "x").touch()
    pump(notifier)
    manager.ignore_events = False
    (tmp_path / "y").touch()
    pump(notifier)
    assert keep.got == [("IN_CREATE", "y")]


def test_equal_events_of_a_batch_are_coalesced_on_demand(manager, tmp_path):
    keep = Keep()
    manager.add_watch(str(tmp_path), IN_OPEN | IN_CLOSE_WRITE, proc_fun=keep)
    notifier = Notifier(manager)
    notifier.coalesce_events()
    for _ in range(3):
        (tmp_path / "x").write_text("x")
    pump(notifier)
    assert keep.got == [("IN_OPEN", "x"), ("IN_CLOSE_WRITE", "x")]


def test_a_threshold_holds_back_what_is_too_little(manager, tmp_path):
    keep = Keep()
    manager.add_watch(str(tmp_path), IN_CREATE, proc_fun=keep)
    notifier = Notifier(manager, threshold=100)
    (tmp_path / "x").touch()
    notifier.read_events()
    notifier.process_events()
    assert keep.got == []
    for number in range(10):
        (tmp_path / str(number)).touch()
    notifier.read_events()
    notifier.process_events()
    assert len(keep.got) == 11


def test_an_event_that_is_appended_is_handled_behind_the_others(manager, tmp_path):
    keep = Keep()
    [wd] = manager.add_watch(str(tmp_path), IN_CREATE, proc_fun=keep).values()
    notifier = Notifier(manager)
    (tmp_path / "x").touch()
    notifier.read_events()
    notifier.append_event(pyinotify._RawEvent(wd, IN_CREATE, 0, "made up"))
    notifier.process_events()
    assert [name for _, name in keep.got] == ["x", "made up"]


def test_the_loop_ends_when_its_callback_says_so(manager, tmp_path):
    keep = Keep()
    manager.add_watch(str(tmp_path), IN_CREATE, proc_fun=keep)
    notifier = Notifier(manager, timeout=10)
    (tmp_path / "x").touch()
    notifier.loop(callback=lambda it: bool(keep.got))
    assert keep.got == [("IN_CREATE", "x")]


def test_a_transient_file_is_seen_whenever_it_appears(manager, tmp_path):
    seen = []

    class Transient(ProcessEvent):
        def process_default(self, event) -> None:
            seen.append(event.name)

    manager.watch_transient_file(str(tmp_path / "wanted"), IN_CREATE, Transient)
    notifier = Notifier(manager)
    for _ in range(2):
        (tmp_path / "wanted").touch()
        (tmp_path / "other").touch()
        (tmp_path / "wanted").unlink()
        (tmp_path / "other").unlink()
    pump(notifier)
    assert seen == ["wanted"] * 4


def test_chained_processors_are_called_in_turn(manager, tmp_path):
    stats, keep = pyinotify.Stats(), Keep()
    keep.pevent = stats
    manager.add_watch(str(tmp_path), EVENTS, proc_fun=keep)
    notifier = Notifier(manager)
    (tmp_path / "x").touch()
    pump(notifier)
    assert stats._stats == {"IN_CREATE": 1, "IN_CLOSE_WRITE": 1}
    assert len(keep.got) == 2
