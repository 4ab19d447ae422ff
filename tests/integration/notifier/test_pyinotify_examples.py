"""What pyinotify's own examples show, on our classes."""

import os
import re

import pyinotify
import pytest
from pyinotify import (
    ALL_EVENTS,
    IN_ATTRIB,
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_MODIFY,
    ChainIfTrue,
    ExcludeFilter,
    ProcessEvent,
    Stats,
    WatchManagerError,
)

from inotifier.notifier import Notifier, WatchManager


class Recorder(ProcessEvent):
    """Keeps (maskname, pathname)."""

    def my_init(self, seen=None):
        self.seen = [] if seen is None else seen

    def process_default(self, event):
        self.seen.append((event.maskname, event.pathname))


@pytest.fixture
def manager():
    manager = WatchManager()
    yield manager
    manager.close()


@pytest.fixture
def start(manager):
    def make(processor=None, **keywords):
        return Notifier(manager, processor, timeout=0, **keywords)

    return make


def pump(notifier):
    """Handle all events until now."""
    while notifier.check_events():
        notifier.read_events()
        notifier.process_events()


def test_chain(manager, start, tmp_path):
    """The inner processor sees an event first; what it returns stops the outer one."""
    seen = []

    class Log(ProcessEvent):
        def process_default(self, event):
            seen.append(("log", event.name))
            return event.name == "secret"

    class Track(ProcessEvent):
        def process_IN_CREATE(self, event):
            seen.append(("track", event.name))

    notifier = start(Track(Log()))
    manager.add_watch(str(tmp_path), IN_CREATE)
    (tmp_path / "plain").touch()
    (tmp_path / "secret").touch()
    pump(notifier)
    assert seen == [("log", "plain"), ("track", "plain"), ("log", "secret")]


def test_chain_if_true(manager, start, tmp_path):
    recorder = Recorder(ChainIfTrue(func=lambda event: event.name.endswith(".txt")))
    notifier = start(recorder)
    manager.add_watch(str(tmp_path), IN_CREATE)
    (tmp_path / "a.txt").touch()
    (tmp_path / "a.jpg").touch()
    pump(notifier)
    assert recorder.seen == [("IN_CREATE", f"{tmp_path}/a.txt")]


@pytest.mark.parametrize(("coalesce", "count"), [(False, 6), (True, 1)])
def test_coalesce(manager, start, tmp_path, coalesce, count):
    recorder = Recorder()
    notifier = start(recorder)
    notifier.coalesce_events(coalesce)
    manager.add_watch(str(tmp_path), IN_MODIFY | IN_ATTRIB)
    files = [tmp_path / "one", tmp_path / "two"]
    for file in files:
        file.touch()
    pump(notifier)
    recorder.seen.clear()
    for _ in range(6):
        for file in files:  # in turn, or the kernel makes one of them by itself
            file.chmod(0o600)
    pump(notifier)
    assert recorder.seen.count(("IN_ATTRIB", f"{tmp_path}/one")) == count
    assert len(recorder.seen) == 2 * count


def test_exclude_by_a_list(manager, tmp_path):
    for name in ("keep", "skip"):
        (tmp_path / name / "below").mkdir(parents=True)
    exclude = ExcludeFilter([f"^{re.escape(str(tmp_path))}/skip"])
    result = manager.add_watch(str(tmp_path), ALL_EVENTS, rec=True, exclude_filter=exclude)
    watched = {path for path, wd in result.items() if wd > 0}
    assert watched == {f"{tmp_path}", f"{tmp_path}/keep", f"{tmp_path}/keep/below"}
    assert set(manager.watches) == {wd for wd in result.values() if wd > 0}


def test_exclude_by_a_file(manager, tmp_path):
    patterns = tmp_path / "patterns"
    patterns.write_text(f"# what nobody wants\n\n  ^{re.escape(str(tmp_path))}/skip$  \n")
    (tmp_path / "skip").mkdir()
    exclude = ExcludeFilter(str(patterns))
    result = manager.add_watch(
        [f"{tmp_path}/skip", str(tmp_path)], ALL_EVENTS, exclude_filter=exclude
    )
    assert result[f"{tmp_path}/skip"] == -2
    assert result[str(tmp_path)] > 0


def test_exclude_by_the_manager(tmp_path):
    (tmp_path / "skip").mkdir()
    manager = WatchManager(exclude_filter=lambda path: path.endswith("/skip"))
    try:
        assert manager.add_watch(f"{tmp_path}/skip", ALL_EVENTS)[f"{tmp_path}/skip"] == -2
    finally:
        manager.close()


def test_not_quiet(manager, tmp_path):
    present, absent = str(tmp_path), str(tmp_path / "absent")
    with pytest.raises(WatchManagerError) as caught:
        manager.add_watch([present, absent, f"{present}/."], ALL_EVENTS, quiet=False)
    assert caught.value.wmd[present] > 0
    assert caught.value.wmd[absent] == -1
    with pytest.raises(WatchManagerError) as caught:
        manager.update_watch(4711, ALL_EVENTS, quiet=False)
    assert dict(caught.value.wmd) == {4711: False}
    with pytest.raises(WatchManagerError) as caught:
        manager.rm_watch(4711, quiet=False)
    assert dict(caught.value.wmd) == {4711: False}


def test_quiet(manager, tmp_path):
    absent = str(tmp_path / "absent")
    assert dict(manager.add_watch(absent, ALL_EVENTS)) == {absent: -1}
    assert manager.update_watch(4711, ALL_EVENTS) == {4711: False}
    assert manager.rm_watch([4711, 4712]) == {4711: False, 4712: False}


def test_stats(manager, start, tmp_path):
    stats = Stats()
    notifier = start(stats)
    manager.add_watch(str(tmp_path), IN_CREATE | IN_CLOSE_WRITE, rec=True, auto_add=True)
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    pump(notifier)
    assert stats._stats_copy() == {"IN_CREATE": 2, "IN_ISDIR": 1, "IN_CLOSE_WRITE": 1}
    assert "IN_CREATE=2" in repr(stats)
    assert "IN_CREATE" in str(stats)


def test_transient_file(manager, start, tmp_path):
    seen = []

    class Transient(ProcessEvent):
        def process_IN_CREATE(self, event):
            seen.append(("create", event.name))

        def process_IN_MODIFY(self, event):
            seen.append(("modify", event.name))

        def process_IN_DELETE(self, event):
            seen.append(("delete", event.name))

    notifier = start()
    file = tmp_path / "transient"
    manager.watch_transient_file(str(file), IN_MODIFY, Transient)
    for _ in range(2):
        file.touch()
        (tmp_path / "other").write_bytes(b"x")
        with file.open("ab") as appended:
            appended.write(b"x")
        file.unlink()
    pump(notifier)
    assert seen == [(what, "transient") for what in ("create", "modify", "delete")] * 2


def test_transient_file_beside_a_watch_of_its_directory(manager, start, tmp_path):
    """In pyinotify, one of the two takes the other's place."""
    recorder = Recorder()
    transient = []

    class Transient(ProcessEvent):
        def process_default(self, event):
            transient.append((event.maskname, event.name))

    notifier = start(recorder)
    manager.watch_transient_file(str(tmp_path / "file"), IN_CREATE, Transient)
    manager.add_watch(str(tmp_path), IN_CREATE)
    for name in ("file", "other"):
        (tmp_path / name).touch()
    (tmp_path / "file").unlink()
    pump(notifier)
    assert transient == [("IN_CREATE", "file"), ("IN_DELETE", "file")]
    assert [name for _, name in recorder.seen] == [f"{tmp_path}/file", f"{tmp_path}/other"]


@pytest.mark.parametrize("name", ["привет", "日本語", "na\u0308ive", "mit Leer zeichen", "x" * 255])
def test_unicode(manager, start, tmp_path, name):
    recorder = Recorder()
    notifier = start(recorder)
    if len(os.fsencode(name)) > 255:
        pytest.skip("too long for a file name")
    directory = tmp_path / name
    directory.mkdir()
    manager.add_watch(str(directory), IN_CREATE | IN_DELETE)
    (directory / name).touch()
    (directory / name).unlink()
    pump(notifier)
    path = f"{directory}/{name}"
    assert recorder.seen == [("IN_CREATE", path), ("IN_DELETE", path)]


def test_loop_with_a_callback(tmp_path):
    """The callback comes after every turn, once before any event, and True ends the loop."""
    manager = WatchManager()
    recorder = Recorder()
    notifier = Notifier(manager, recorder)
    manager.add_watch(str(tmp_path), IN_CREATE)
    calls = []

    def callback(given):
        assert given is notifier
        calls.append(len(recorder.seen))
        if len(calls) == 3:
            return True
        (tmp_path / f"{len(calls)}").touch()
        return None

    notifier.loop(callback=callback)
    assert calls == [0, 1, 2]


def test_print_all_events(manager, tmp_path, capsys):
    notifier = Notifier(manager, pyinotify.PrintAllEvents(), timeout=0)
    result = manager.add_watch(str(tmp_path), IN_CREATE)
    (tmp_path / "a").touch()
    pump(notifier)
    assert capsys.readouterr().out == (
        f"<Event dir=False mask=0x100 maskname=IN_CREATE name=a path={tmp_path} "
        f"pathname={tmp_path}/a wd={result[str(tmp_path)]} >\n"
    )
