"""File rules in the daemon: first match, failures, and events of their own doing."""

import logging
import os
import shutil
import stat
import time
from pathlib import Path

import pytest

from inotifier.event_processors import FileReadySignaler
from inotifier.events import IN_CLOSE_WRITE, IN_CREATE, IN_MOVED_FROM, IN_MOVED_TO, Event
from inotifier.scheduling import EventMap, FileManagerRule, FileManagerScheduler, workshop
from inotifier.scheduling.own_files import OwnFiles
from inotifier.scheduling.places import place_of
from tests.by_hand import ByHand
from tests.in_process import Receiver, Recorder, Running
from tests.waiting import wait_for

ARRIVALS = "IN_CREATE|IN_CLOSE_WRITE|IN_MOVED_TO"
MEMORY = Path("/dev/shm")


@pytest.fixture
def inbox(tmp_path):
    path = tmp_path / "in"
    path.mkdir()
    return path


@pytest.fixture
def outbox(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    return path


def settled(running: Running) -> None:
    """Return when everything that happened, and what came of it, is done with."""
    for _ in range(3):
        running.sync()
        wait_for(lambda: running.service.queue_depth == 0, 10, "the jobs")


def files(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): path.read_text()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_the_first_rule_that_matches_wins(watching, inbox, outbox):
    scheduler = FileManagerScheduler(
        [
            {"action": "delete", "src_re": ".*/tmp-"},
            {"action": "move", "src_re": f"{inbox}/(.*)", "dst_re": rf"{outbox}/\1"},
            {"action": "delete", "src_re": ".*"},
        ]
    )
    running = watching((inbox, "IN_CLOSE_WRITE", scheduler))
    (inbox / "tmp-a").write_text("a")
    (inbox / "b").write_text("b")
    settled(running)
    assert files(inbox.parent) == {"out/b": "b"}


def test_what_no_rule_matches_is_left_alone(watching, inbox, caplog):
    caplog.set_level(logging.DEBUG, "inotifier.files")
    rules = [FileManagerRule("delete", ".*/x$")]
    running = watching((inbox, "IN_CLOSE_WRITE", FileManagerScheduler(rules, logname="files")))
    (inbox / "a").write_text("a")
    settled(running)
    assert files(inbox) == {"a": "a"}
    assert "no rule matches, mask=IN_CLOSE_WRITE" in caplog.text
    assert "schedule task" not in caplog.text


def test_what_has_been_done_is_logged(watching, inbox, outbox, caplog):
    caplog.set_level(logging.INFO, "inotifier.files")
    rules = [FileManagerRule("move", f"{inbox}/(.*)", rf"{outbox}/\1")]
    running = watching((inbox, "IN_CLOSE_WRITE", FileManagerScheduler(rules, logname="files")))
    (inbox / "a").write_text("a")
    settled(running)
    assert f"moved to {outbox}/a, mask=IN_CLOSE_WRITE, path={inbox}/a, task_id=" in caplog.text


def test_a_rule_that_fails_is_tried_again(watching, inbox, outbox, settings):
    settings.INOTIFIER_RETRIES = 1000
    settings.INOTIFIER_RETRY_DELAY = 0.001
    rules = [FileManagerRule("move", f"{inbox}/(.*)", rf"{outbox}/\1")]
    running = watching((inbox, "IN_CLOSE_WRITE", FileManagerScheduler(rules)))
    (outbox / "a").write_text("old")
    (inbox / "a").write_text("new")
    [handler] = running.handlers
    wait_for(lambda: handler.retried)
    assert files(inbox) == {"a": "new"}
    (outbox / "a").unlink()
    settled(running)
    assert files(inbox.parent) == {"out/a": "new"}


def test_another_transfer_to_the_same_place_is_waited_for(
    watching, inbox, outbox, settings, monkeypatch, caplog
):
    settings.INOTIFIER_RETRIES = 0
    monkeypatch.setattr(workshop, "_BUSY", 0.01)
    caplog.set_level(logging.INFO, "inotifier.sched")
    rules = [FileManagerRule("copy", f"{inbox}/(.*)", rf"{outbox}/\1")]
    running = watching((inbox, "IN_CLOSE_WRITE", FileManagerScheduler(rules)))
    with (
        place_of(str(outbox / "a")) as place,
        workshop.workshop_for(place, workshop.Purpose.MAKE),
    ):
        (inbox / "a").write_text("new")
        wait_for(lambda: "is to be tried again" in caplog.text)
    settled(running)
    assert files(outbox) == {"a": "new"}
    assert running.handlers[0].failed == 0


def test_singlejob_is_taken(watching, inbox):
    """Fault 11 of pyinotifyd: it was a TypeError."""
    rules = [FileManagerRule("delete", ".*")]
    running = watching((inbox, "IN_CLOSE_WRITE", FileManagerScheduler(rules, singlejob=True)))
    for number in range(20):
        (inbox / str(number)).touch()
    settled(running)
    assert files(inbox) == {}


def test_a_directory_that_stands_where_a_file_was_is_left_alone(watching, inbox, caplog):
    by_hand = ByHand()
    rules = [FileManagerRule("delete", ".*", rec=True)]
    scheduler = FileManagerScheduler(rules, delay=5, runner=by_hand)
    running = watching((inbox, "IN_CLOSE_WRITE", scheduler))
    (inbox / "a").touch()
    running.sync()
    (inbox / "a").unlink()
    (inbox / "a").mkdir()
    by_hand.advance(5)
    assert (inbox / "a").is_dir()
    assert "is not a file any more, left alone" in caplog.text


# What rules write themselves


def test_what_rules_write_does_not_start_them_again(watching, inbox):
    rules = [FileManagerRule("move", f"({inbox})/(.*)$", r"\1/done/\2", auto_create=True)]
    scheduler = FileManagerScheduler(rules, dirs=True)
    running = watching((inbox, ARRIVALS, scheduler, {"recursive": True}))
    (inbox / "a").write_text("a")
    settled(running)
    assert files(inbox) == {"done/a": "a"}


def test_unless_that_is_asked_for(watching, inbox):
    rules = [
        FileManagerRule("move", f"({inbox})/one/(.*)$", r"\1/two/\2"),
        FileManagerRule("move", f"({inbox})/two/(.*)$", r"\1/three/\2"),
    ]
    for name in ("one", "two", "three"):
        (inbox / name).mkdir()
    scheduler = FileManagerScheduler(rules, ignore_self=False)
    running = watching((inbox, ARRIVALS, scheduler, {"recursive": True}))
    (inbox / "one" / "a").write_text("a")
    settled(running)
    assert files(inbox) == {"three/a": "a"}


def test_rules_of_another_scheduler_are_started(watching, inbox):
    (inbox / "one").mkdir()
    (inbox / "two").mkdir()
    first = FileManagerScheduler([FileManagerRule("copy", "(.*)/one/(.*)$", r"\1/two/\2")])
    second = FileManagerScheduler([FileManagerRule("move", "(.*)/two/(.*)$", r"\1/\2")])
    running = watching(
        (inbox, "IN_CLOSE_WRITE|IN_MOVED_TO", first, {"recursive": True}),
        (inbox, "IN_CLOSE_WRITE|IN_MOVED_TO", second, {"recursive": True}),
    )
    (inbox / "one" / "a").write_text("a")
    settled(running)
    assert files(inbox) == {"one/a": "a", "a": "a"}


@pytest.mark.parametrize("action", ["move", "copy"])
@pytest.mark.parametrize("elsewhere", ["same", "other"])
def test_whole_trees_do_not_start_them_again_either(
    watching, inbox, tmp_path, request, action, elsewhere
):
    """From a directory that is not watched, or from another file system."""
    source = tmp_path / "source"
    if elsewhere == "other":
        if not MEMORY.is_dir() or MEMORY.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("there is no other file system")
        source = MEMORY / f"inotifier-files-{os.getpid()}"
        request.addfinalizer(lambda: shutil.rmtree(source))
    source.mkdir()
    rules = [
        FileManagerRule(action, f"{source}/(.*)$", rf"{inbox}/\1"),
        FileManagerRule("delete", f"{inbox}/", rec=True),
    ]
    scheduler = FileManagerScheduler(rules, dirs=True)
    running = watching(
        (source, "IN_MOVED_TO", scheduler),
        (inbox, f"{ARRIVALS}|IN_DELETE|IN_MOVED_FROM|IN_ATTRIB", scheduler, {"recursive": True}),
    )
    tree = tmp_path / "d"
    (tree / "sub").mkdir(parents=True)
    for number in range(20):
        (tree / "sub" / str(number)).write_text("x")
    shutil.copytree(tree, source.parent / "new-tree")
    (source.parent / "new-tree").rename(source / "d")
    settled(running)
    assert len(files(inbox)) == 20


def test_what_others_write_at_the_target_does(watching, inbox):
    (inbox / "done").mkdir()
    rules = [
        FileManagerRule("move", f"({inbox})/([^/]*)$", r"\1/done/\2"),
        FileManagerRule("delete", f"{inbox}/done/"),
    ]
    running = watching((inbox, ARRIVALS, FileManagerScheduler(rules), {"recursive": True}))
    (inbox / "a").write_text("a")
    settled(running)
    assert files(inbox) == {"done/a": "a"}
    (inbox / "done" / "a").write_text("of others")
    settled(running)
    assert files(inbox) == {}


def test_what_comes_again_at_the_source_does(watching, inbox, outbox):
    rules = [FileManagerRule("move", f"{inbox}/(.*)$", rf"{outbox}/\1", overwrite=True)]
    running = watching((inbox, ARRIVALS, FileManagerScheduler(rules)))
    for number in range(50):
        (inbox / "a").write_text(str(number))
        settled(running)
        assert files(inbox.parent) == {"out/a": str(number)}


def test_an_entry_that_leaves_out_what_handlers_write_sees_nothing_of_it(watching, inbox, outbox):
    (outbox / "made").mkdir()
    rules = [FileManagerRule("copy", f"{inbox}/(.*)$", rf"{outbox}/made/\1")]
    recorder = Recorder()
    running = watching(
        (inbox, "IN_CLOSE_WRITE", FileManagerScheduler(rules)),
        (outbox / "made", "ALL_EVENTS", recorder, {"ignore_self": True}),
    )
    (inbox / "a").write_text("a")
    settled(running)
    (outbox / "made" / "b").mkdir()
    settled(running)
    others = {Path(path).name for path in recorder.pathnames} - {"made", "b"}
    assert not {name for name in others if not name.startswith(".inotifier-")}


@pytest.mark.parametrize("action", ["move", "copy"])
def test_a_file_that_a_rule_brings_is_ready_once(watching, inbox, outbox, action):
    rules = [FileManagerRule(action, f"{inbox}/(.*)$", rf"{outbox}/\1")]
    running = watching(
        (inbox, "IN_CLOSE_WRITE", FileManagerScheduler(rules)),
        {"path": outbox, "processor": FileReadySignaler(), "recursive": True},
    )
    with Receiver("file_ready") as ready:
        for number in range(20):
            (inbox / str(number)).write_text("x")
        settled(running)
    assert sorted(ready.pathnames) == sorted(str(outbox / str(number)) for number in range(20))


def event(path: Path, mask: int, timestamp: float) -> Event:
    return Event(mask=mask, path=str(path.parent), name=path.name, timestamp=timestamp)


def test_what_is_removed_is_known_by_what_can_happen_to_it(tmp_path):
    own = OwnFiles(lambda: 1000.0)
    own.removes(str(tmp_path / "a"))
    assert own.made(event(tmp_path / "a", IN_MOVED_FROM, 1000.5))
    assert not own.made(event(tmp_path / "a", IN_CREATE, 1000.5))
    assert not own.made(event(tmp_path / "a", IN_CLOSE_WRITE, 1000.5))
    assert not own.made(event(tmp_path / "a", IN_MOVED_FROM, 999.0))
    assert not own.made(event(tmp_path / "a", IN_MOVED_FROM, 1010.0))


def test_what_could_not_be_written_is_of_others(tmp_path):
    own = OwnFiles()
    with pytest.raises(OSError, match="full"), own.writing(str(tmp_path / "a")):
        raise OSError("full")
    (tmp_path / "a").touch()
    status = (tmp_path / "a").stat()
    assert not own.made(event(tmp_path / "a", IN_MOVED_TO, status.st_ctime))


def test_what_others_put_into_a_directory_that_was_made_is_theirs(tmp_path):
    own = OwnFiles()
    with own.writing(str(tmp_path / "d")):
        (tmp_path / "d").mkdir()
    path = tmp_path / "d" / "a"
    path.touch()
    assert own.made(event(tmp_path / "d", IN_CREATE, time.time()))
    assert not own.made(event(path, IN_CREATE, time.time()))


def test_what_others_change_in_a_directory_that_was_moved_is_theirs(tmp_path):
    own = OwnFiles()
    (tmp_path / "from").mkdir()
    old, new = tmp_path / "to" / "old", tmp_path / "to" / "new"
    (tmp_path / "from" / "old").touch()
    with own.writing(str(tmp_path / "to"), is_whole=True):
        (tmp_path / "from").rename(tmp_path / "to")
    moved = time.time()

    def time_of_a_file() -> float:
        (tmp_path / "clock").touch()
        return (tmp_path / "clock").stat().st_ctime

    wait_for(lambda: time_of_a_file() > moved)  # it goes in steps
    new.touch()
    assert own.made(event(old, IN_CREATE, time.time()))
    assert not own.made(event(new, IN_CREATE, time.time()))
    old.write_text("changed")
    assert not own.made(event(old, IN_CLOSE_WRITE, time.time()))


def test_the_oldest_is_forgotten(tmp_path, monkeypatch):
    own = OwnFiles(lambda: 1000.0)
    for number in range(10_100):
        own.removes(f"/{number}")
    assert not own.made(event(Path("/50"), IN_MOVED_FROM, 1000.0))
    assert own.made(event(Path("/10050"), IN_MOVED_FROM, 1000.0))


def test_a_settings_file_can_say_it_all(watching, inbox, outbox):
    rules = [
        {
            "action": "copy",
            "src_re": rf"^{inbox}/(?P<path>.*)\.to_copy$",
            "dst_re": rf"{outbox}/a/\g<path>",
            "auto_create": True,
            "filemode": "0640",
            "dirmode": "0750",
        }
    ]
    entry = {
        "path": str(inbox),
        "events": "IN_CLOSE_WRITE",
        "processor": "inotifier.scheduling.FileManagerScheduler",
        "options": {"rules": rules, "logname": "files"},
    }
    running = watching(entry)
    (inbox / "x.to_copy").write_text("x")
    settled(running)
    assert files(outbox) == {"a/x": "x"}
    assert stat.S_IMODE((outbox / "a" / "x").stat().st_mode) == 0o640
    assert stat.S_IMODE((outbox / "a").stat().st_mode) == 0o750


def test_two_schedulers_for_one_event(watching, inbox, outbox):
    copy = FileManagerScheduler([FileManagerRule("copy", f"{inbox}/(.*)", rf"{outbox}/\1")])
    seen = []
    processor = EventMap({"IN_CLOSE_WRITE": [copy, seen.append]})
    running = watching((inbox, None, processor))
    (inbox / "a").write_text("a")
    settled(running)
    assert files(outbox) == {"a": "a"}
    assert [event.name for event in seen] == ["a"]
