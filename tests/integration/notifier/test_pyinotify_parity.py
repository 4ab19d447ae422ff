"""The same calls and the same history, by pyinotify's classes and by ours."""

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pyinotify
import pytest
from pyinotify import (
    ALL_EVENTS,
    IN_ATTRIB,
    IN_CLOSE_NOWRITE,
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_DELETE_SELF,
    IN_MODIFY,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    ProcessEvent,
    WatchManagerError,
)

from inotifier import notifier as ours

BOTH = pytest.mark.parametrize("library", [pyinotify, ours], ids=["pyinotify", "ours"])


class Recorder(ProcessEvent):
    """Keeps what every handler can rely on."""

    def my_init(self):
        self.seen = []

    def process_default(self, event):
        self.seen.append((event.maskname, event.pathname))

    @property
    def names(self):
        return [(mask, Path(path).name) for mask, path in self.seen]


@pytest.fixture
def make():
    """Make a manager and a notifier of `library`; both are closed at the end."""
    notifiers = []

    def make(library, processor=None, **keywords):
        manager = library.WatchManager()
        recorder = Recorder() if processor is None else processor
        keywords.setdefault("timeout", 0)
        notifier = library.Notifier(manager, recorder, **keywords)
        notifiers.append(notifier)
        return SimpleNamespace(manager=manager, notifier=notifier, recorder=recorder)

    yield make
    for notifier in notifiers:
        notifier.stop()


def pump(notifier):
    while notifier.check_events():
        notifier.read_events()
        notifier.process_events()


def history(root):
    """Do one of everything, nothing of it in a directory that is new."""
    file = root / "file"
    file.write_bytes(b"x")
    with file.open("ab") as appended:
        appended.write(b"y")
    file.read_bytes()
    file.chmod(0o600)
    file.rename(root / "renamed")
    (root / "renamed").unlink()
    (root / "sub" / "below").write_bytes(b"x")
    (root / "sub" / "below").unlink()
    (root / "directory").mkdir()
    (root / "directory").rmdir()


@BOTH
@pytest.mark.parametrize("quiet", [True, False])
def test_results_of_add_watch(make, library, tmp_path, quiet):
    it = make(library)
    (tmp_path / "file").touch()
    paths = [str(tmp_path), str(tmp_path / "file")]
    result = it.manager.add_watch(paths, ALL_EVENTS, quiet=quiet)
    assert sorted(result) == sorted(paths)
    assert all(wd > 0 for wd in result.values())
    assert it.manager.add_watch(str(tmp_path), ALL_EVENTS)[str(tmp_path)] == result[str(tmp_path)]


@BOTH
def test_results_of_add_watch_that_are_none(make, library, tmp_path):
    it = make(library)
    absent, present = str(tmp_path / "absent"), str(tmp_path)
    assert dict(it.manager.add_watch(absent, ALL_EVENTS)) == {absent: -1}
    result = it.manager.add_watch(present, ALL_EVENTS, exclude_filter=lambda path: True)
    assert dict(result) == {present: -2}
    assert dict(it.manager.add_watch(4711, ALL_EVENTS)) == {4711: -3}


@BOTH
def test_an_error_has_the_result_until_then(make, library, tmp_path):
    it = make(library)
    absent, present = str(tmp_path / "absent"), str(tmp_path)
    with pytest.raises(WatchManagerError) as caught:
        it.manager.add_watch([present, absent], ALL_EVENTS, quiet=False)
    assert caught.value.wmd[absent] == -1
    assert caught.value.wmd[present] > 0


@BOTH
def test_recursion(make, library, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    it = make(library)
    result = it.manager.add_watch(str(tmp_path), ALL_EVENTS, rec=True)
    assert sorted(result) == [str(tmp_path), f"{tmp_path}/a", f"{tmp_path}/a/b"]
    assert len(set(result.values())) == 3
    assert sorted(it.manager.watches) == sorted(result.values())
    assert {it.manager.get_path(wd): wd for wd in it.manager.watches} == dict(result)


@BOTH
def test_globs(make, library, tmp_path):
    for name in ("a1", "a2", "b1"):
        (tmp_path / name).mkdir()
    it = make(library)
    result = it.manager.add_watch(f"{tmp_path}/a*", ALL_EVENTS, do_glob=True)
    assert sorted(result) == [f"{tmp_path}/a1", f"{tmp_path}/a2"]
    assert dict(it.manager.add_watch(f"{tmp_path}/a*", ALL_EVENTS)) == {f"{tmp_path}/a*": -1}


@BOTH
def test_descriptors_and_paths(make, library, tmp_path):
    it = make(library)
    wd = it.manager.add_watch(str(tmp_path), IN_CREATE)[str(tmp_path)]
    assert it.manager.get_wd(str(tmp_path)) == wd
    assert it.manager.get_path(wd) == str(tmp_path)
    assert it.manager.get_wd(str(tmp_path / "other")) is None
    assert it.manager.get_path(wd + 1000) is None
    watch = it.manager.get_watch(wd)
    assert (watch.wd, watch.path, watch.mask, watch.auto_add) == (
        wd,
        str(tmp_path),
        IN_CREATE,
        False,
    )
    assert it.manager.get_watch(wd + 1000) is None


@pytest.mark.parametrize(
    "mask",
    [
        ALL_EVENTS,
        IN_CREATE | IN_DELETE,
        IN_MOVED_FROM | IN_MOVED_TO,
        IN_CLOSE_WRITE | IN_CLOSE_NOWRITE | IN_MODIFY | IN_ATTRIB,
    ],
)
@pytest.mark.parametrize("rec", [True, False])
def test_the_same_history(make, tmp_path, mask, rec):
    got = []
    for name, library in (("theirs", pyinotify), ("ours", ours)):
        root = tmp_path / name
        (root / "sub").mkdir(parents=True)
        it = make(library)
        it.manager.add_watch(str(root), mask, rec=rec)
        pump(it.notifier)
        it.recorder.seen.clear()  # pyinotify's own listing
        history(root)
        pump(it.notifier)
        got.append([(what, path.removeprefix(str(root))) for what, path in it.recorder.seen])
    assert got[0] == got[1] != []


@BOTH
def test_attributes(make, library, tmp_path):
    events = []
    it = make(library, events.append)
    wd = it.manager.add_watch(str(tmp_path), IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO)[str(tmp_path)]
    (tmp_path / "a").mkdir()
    (tmp_path / "a").rename(tmp_path / "b")
    pump(it.notifier)
    create, from_, to = events
    assert (create.wd, create.mask, create.maskname) == (wd, 0x40000100, "IN_CREATE|IN_ISDIR")
    assert (create.path, create.name, create.pathname) == (str(tmp_path), "a", f"{tmp_path}/a")
    assert create.dir is True
    assert from_.cookie == to.cookie
    assert to.src_pathname == from_.pathname == f"{tmp_path}/a"


@BOTH
def test_each_watch_has_its_processor(make, library, tmp_path):
    it = make(library)
    own = Recorder()
    for name in ("own", "default"):
        (tmp_path / name).mkdir()
    it.manager.add_watch(f"{tmp_path}/own", IN_CREATE, proc_fun=own)
    it.manager.add_watch(f"{tmp_path}/default", IN_CREATE)
    for name in ("own", "default"):
        (tmp_path / name / "file").touch()
    pump(it.notifier)
    assert own.seen == [("IN_CREATE", f"{tmp_path}/own/file")]
    assert it.recorder.seen == [("IN_CREATE", f"{tmp_path}/default/file")]


@BOTH
def test_the_choice_of_a_method(make, library, tmp_path):
    calls = []

    class Choosy(ProcessEvent):
        def process_IN_CREATE(self, event):
            calls.append("IN_CREATE")

        def process_IN_CLOSE(self, event):
            calls.append("IN_CLOSE")

        def process_IN_DELETE(self, event):
            calls.append("IN_DELETE")

        def process_default(self, event):
            calls.append("default")

    it = make(library, Choosy())
    mask = IN_CREATE | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_ATTRIB
    (tmp_path / "a").mkdir()
    it.manager.add_watch(f"{tmp_path}/a", mask)
    (tmp_path / "a" / "file").touch()
    (tmp_path / "a" / "file").chmod(0o600)
    (tmp_path / "a" / "file").unlink()
    (tmp_path / "a").rmdir()
    pump(it.notifier)
    # IN_ATTRIB; IN_DELETE_SELF goes by the family's name; IN_IGNORED.
    assert calls == ["IN_CREATE", "IN_CLOSE", "default", "IN_DELETE", "default"]


@BOTH
def test_update_watch(make, library, tmp_path):
    it = make(library)
    wd = it.manager.add_watch(str(tmp_path), IN_CREATE)[str(tmp_path)]
    other = Recorder()
    assert it.manager.update_watch(wd, IN_DELETE, proc_fun=other) == {wd: True}
    (tmp_path / "a").touch()
    (tmp_path / "a").unlink()
    pump(it.notifier)
    assert it.recorder.seen == []
    assert other.names == [("IN_DELETE", "a")]


@BOTH
def test_update_watch_downwards(make, library, tmp_path):
    (tmp_path / "a").mkdir()
    it = make(library)
    result = it.manager.add_watch(str(tmp_path), IN_CREATE, rec=True)
    updated = it.manager.update_watch(result[str(tmp_path)], IN_DELETE, rec=True)
    assert set(updated.values()) == {True}
    (tmp_path / "a" / "file").touch()
    (tmp_path / "a" / "file").unlink()
    pump(it.notifier)
    assert it.recorder.names == [("IN_DELETE", "file")]


@BOTH
def test_update_watch_of_one_level(make, library, tmp_path):
    (tmp_path / "a").mkdir()
    it = make(library)
    result = it.manager.add_watch(str(tmp_path), IN_CREATE, rec=True)
    it.manager.update_watch(result[f"{tmp_path}/a"], IN_DELETE)
    for directory in (tmp_path, tmp_path / "a"):
        (directory / "file").touch()
        (directory / "file").unlink()
    pump(it.notifier)
    assert it.recorder.seen == [
        ("IN_CREATE", f"{tmp_path}/file"),
        ("IN_DELETE", f"{tmp_path}/a/file"),
    ]


@BOTH
def test_update_watch_of_no_watch(make, library):
    it = make(library)
    with pytest.raises(WatchManagerError):
        it.manager.update_watch(4711, IN_CREATE, quiet=False)


@BOTH
def test_rm_watch(make, library, tmp_path):
    (tmp_path / "a").mkdir()
    it = make(library)
    result = it.manager.add_watch(str(tmp_path), IN_CREATE, rec=True)
    wd, below = result[str(tmp_path)], result[f"{tmp_path}/a"]
    assert it.manager.rm_watch(wd) == {wd: True}
    assert list(it.manager.watches) == [below]
    (tmp_path / "file").touch()
    (tmp_path / "a" / "file").touch()
    pump(it.notifier)
    assert it.recorder.seen == [("IN_CREATE", f"{tmp_path}/a/file")]


def test_rm_watch_downwards(make, tmp_path):
    """pyinotify raises RuntimeError."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    it = make(ours)
    result = dict(it.manager.add_watch(str(tmp_path), IN_CREATE, rec=True))
    removed = it.manager.rm_watch(result[str(tmp_path)], rec=True)
    assert removed == dict.fromkeys(result.values(), True)
    assert it.manager.watches == {}
    (tmp_path / "a" / "file").touch()
    pump(it.notifier)
    assert it.recorder.seen == []


@BOTH
def test_rm_watch_of_several(make, library, tmp_path):
    it = make(library)
    for name in "ab":
        (tmp_path / name).mkdir()
    result = it.manager.add_watch([f"{tmp_path}/a", f"{tmp_path}/b"], IN_CREATE)
    wds = list(result.values())
    assert it.manager.rm_watch([*wds, 4711]) == {wds[0]: True, wds[1]: True, 4711: False}
    assert dict(it.manager.watches) == {}


@BOTH
def test_ignored_events_are_dropped(make, library, tmp_path):
    it = make(library)
    it.manager.add_watch(str(tmp_path), IN_CREATE)
    it.manager.ignore_events = True
    (tmp_path / "a").touch()
    pump(it.notifier)
    it.manager.ignore_events = False
    (tmp_path / "b").touch()
    pump(it.notifier)
    assert it.recorder.names == [("IN_CREATE", "b")]


def test_a_tree_goes_on_while_events_are_ignored(make, tmp_path):
    it = make(ours)
    it.manager.add_watch(str(tmp_path), IN_CREATE, rec=True, auto_add=True)
    it.manager.ignore_events = True
    (tmp_path / "a").mkdir()
    pump(it.notifier)
    it.manager.ignore_events = False
    (tmp_path / "a" / "b").touch()
    pump(it.notifier)
    assert it.recorder.names == [("IN_CREATE", "b")]


@BOTH
def test_threshold(make, library, tmp_path):
    it = make(library, threshold=100)
    it.manager.add_watch(str(tmp_path), IN_CREATE)
    (tmp_path / "a").touch()  # 32 bytes
    assert it.notifier.check_events()
    it.notifier.read_events()
    it.notifier.process_events()
    assert it.recorder.seen == []
    for name in "bcd":
        (tmp_path / name).touch()
    it.notifier.read_events()
    it.notifier.process_events()
    assert [name for _, name in it.recorder.names] == list("abcd")


@BOTH
def test_read_freq(make, library, tmp_path):
    it = make(library, read_freq=1, timeout=None)
    it.manager.add_watch(str(tmp_path), IN_CREATE)
    (tmp_path / "a").touch()
    began = time.monotonic()
    turns = []

    def callback(notifier):
        turns.append(time.monotonic() - began)
        return len(turns) == 2

    it.notifier.loop(callback=callback)
    assert turns[0] < 0.9
    assert turns[1] >= 0.9
    assert it.recorder.names == [("IN_CREATE", "a")]


@BOTH
def test_timeout(make, library, tmp_path):
    it = make(library, timeout=50)
    it.manager.add_watch(str(tmp_path), IN_CREATE)
    began = time.monotonic()
    assert not it.notifier.check_events()
    assert 0.04 <= time.monotonic() - began < 5
    (tmp_path / "a").touch()
    assert it.notifier.check_events(timeout=10_000)


@BOTH
def test_append_event(make, library, tmp_path):
    it = make(library)
    wd = it.manager.add_watch(str(tmp_path), IN_CREATE)[str(tmp_path)]
    raw = SimpleNamespace(wd=wd, mask=IN_CREATE, cookie=0, name="made-up")
    it.notifier.append_event(raw)
    it.notifier.process_events()
    assert it.recorder.seen == [("IN_CREATE", f"{tmp_path}/made-up")]


@BOTH
def test_an_error_in_a_processor_leaves_the_other_events(make, library, tmp_path):
    seen = []

    def fail_once(event):
        seen.append(event.name)
        if len(seen) == 1:
            raise ZeroDivisionError

    it = make(library, fail_once)
    it.manager.add_watch(str(tmp_path), IN_CREATE)
    for name in "abc":
        (tmp_path / name).touch()
    it.notifier.read_events()
    with pytest.raises(ZeroDivisionError):
        it.notifier.process_events()
    it.notifier.process_events()
    assert seen == list("abc")


@BOTH
def test_stop_closes_everything(library, tmp_path):
    manager = library.WatchManager()
    notifier = library.Notifier(manager, Recorder())
    manager.add_watch(str(tmp_path), IN_CREATE)
    fd = manager.get_fd()
    notifier.stop()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


@BOTH
def test_an_overflow_is_told_once(make, library, tmp_path):
    limit = pyinotify.max_queued_events.value
    if limit > 100_000:
        pytest.skip("the kernel's queue is too long here")
    overflows = []

    class Overflows(ProcessEvent):
        def process_IN_Q_OVERFLOW(self, event):
            overflows.append(event.maskname)

        def process_default(self, event):
            pass

    it = make(library, Overflows())
    it.manager.add_watch(str(tmp_path), IN_ATTRIB)
    files = [tmp_path / "a", tmp_path / "b"]
    for file in files:
        file.touch()
    for _ in range(limit // 2 + 1):
        for file in files:
            file.chmod(0o600)
    pump(it.notifier)
    assert overflows == ["IN_Q_OVERFLOW"]


# Where ours differs


def test_any_kind_of_path_is_a_path(make, tmp_path):
    it = make(ours)
    for path in (str(tmp_path), os.fsencode(tmp_path), tmp_path):
        assert it.manager.add_watch(path, IN_CREATE)[str(tmp_path)] > 0


def test_a_second_watch_does_not_take_the_place_of_the_first(make, tmp_path):
    it = make(ours)
    first, second = Recorder(), Recorder()
    it.manager.add_watch(str(tmp_path), IN_CREATE, proc_fun=first)
    it.manager.add_watch(str(tmp_path), IN_DELETE, proc_fun=second)
    (tmp_path / "a").touch()
    (tmp_path / "a").unlink()
    pump(it.notifier)
    assert (first.names, second.names) == ([("IN_CREATE", "a")], [("IN_DELETE", "a")])


def test_what_is_below_an_excluded_directory_is_excluded(make, tmp_path):
    (tmp_path / "skip" / "below").mkdir(parents=True)
    it = make(ours)
    result = it.manager.add_watch(
        str(tmp_path), IN_CREATE, rec=True, exclude_filter=lambda path: path.endswith("/skip")
    )
    assert [path for path, wd in result.items() if wd > 0] == [str(tmp_path)]


def test_auto_add_shows_nothing_that_was_not_asked_for(make, tmp_path):
    it = make(ours)
    it.manager.add_watch(str(tmp_path), IN_DELETE, rec=True, auto_add=True)
    (tmp_path / "a" / "b").mkdir(parents=True)
    pump(it.notifier)
    (tmp_path / "a" / "b" / "c").touch()
    (tmp_path / "a" / "b" / "c").unlink()
    pump(it.notifier)
    assert it.recorder.names == [("IN_DELETE", "c")]
