"""The examples of pyinotifyd's documentation, as they stand there, with real files.

What differs is said in the examples: its own paths and program are those of the test, and one name
of an event is put right (IN_WRITE_CLOSE). `Pyinotifyd`, its watches and its shutdown timeout are
entries and settings here.
"""

import logging
import stat
from pathlib import Path

import pytest

from inotifier import Watch
from inotifier.scheduling import (
    Cancel,
    EventMap,
    FileManagerRule,
    FileManagerScheduler,
    ShellScheduler,
    TaskScheduler,
)
from tests.by_hand import ByHand
from tests.waiting import wait_for


@pytest.fixture
def src_path(tmp_path):
    path = tmp_path / "src_path"
    (path / "sub").mkdir(parents=True)
    return path


@pytest.fixture
def dst_path(tmp_path):
    path = tmp_path / "dst_path"
    path.mkdir()
    return path


@pytest.fixture
def task_sh(tmp_path):
    """A program that writes down its arguments."""
    program = tmp_path / "task.sh"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$#" "$@" >> {tmp_path}/arguments\n')
    program.chmod(0o755)
    return program


def arguments(task_sh: Path) -> list[str]:
    path = task_sh.with_name("arguments")
    return path.read_text().splitlines() if path.exists() else []


def test_schedule_a_python_method_for_all_events_on_files_and_directories(
    watching, src_path, caplog
):
    caplog.set_level(logging.INFO)

    async def custom_job(event, task_id):
        logging.info(f"{task_id}: execute example task: {event}")

    task_sched = TaskScheduler(job=custom_job, files=True, dirs=True)
    event_map = EventMap(default_sched=task_sched)
    running = watching(Watch(src_path, processor=event_map, recursive=True, auto_add=True))
    (src_path / "sub" / "new").mkdir()
    (src_path / "file").touch()
    running.stop()
    told = [line for line in caplog.messages if ": execute example task: <Event" in line]
    for path in ("sub/new", "file"):
        assert any(f"pathname={src_path}/{path} " in line for line in told)


def test_schedule_shell_commands_for_specific_events_on_files(watching, src_path, task_sh):
    shell_sched = ShellScheduler(cmd=f"{task_sh} {{pathname}}", files=True, dirs=False)
    event_map = {"IN_CLOSE_WRITE": shell_sched}  # there: IN_WRITE_CLOSE, which is no event
    processor = EventMap(event_map)
    running = watching(Watch(src_path, processor=processor, recursive=True, auto_add=True))
    (src_path / "new").mkdir()
    (src_path / "new" / "a file's").touch()
    running.stop()
    assert arguments(task_sh) == ["1", f"{src_path}/new/a file's"]


def test_the_event_name_that_is_wrong_there_is_refused_with_the_right_one():
    """Fault 5 of pyinotifyd: its document has names that its code does not take."""
    with pytest.raises(ValueError, match=r"IN_WRITE_CLOSE.*IN_CLOSE_WRITE"):
        EventMap({"IN_WRITE_CLOSE": ShellScheduler(cmd="true")})


def test_the_command_of_the_section_on_shell_schedulers(watching, src_path, task_sh):
    shell_sched = ShellScheduler(cmd=f"{task_sh} {{maskname}} {{pathname}} {{src_pathname}}")
    event_map = EventMap({"IN_MOVED_TO": shell_sched, "IN_MOVED_FROM": None, "IN_CREATE": None})
    running = watching((src_path, "IN_MOVED_TO|IN_MOVED_FROM", event_map))
    (src_path.parent / "unseen").touch()
    (src_path.parent / "unseen").rename(src_path / "one")
    running.sync()
    wait_for(lambda: len(arguments(task_sh)) == 4)
    # If it is not present, the command line argument will be an empty string.
    assert arguments(task_sh) == ["3", "IN_MOVED_TO", f"{src_path}/one", ""]
    (src_path / "one").rename(src_path / "two")
    running.stop()
    assert arguments(task_sh)[4:] == ["3", "IN_MOVED_TO", f"{src_path}/two", f"{src_path}/one"]


def test_move_copy_or_delete_newly_created_files_after_a_delay(watching, src_path, dst_path):
    by_hand = ByHand()
    move_rule = FileManagerRule(
        action="move",
        src_re=rf"^{src_path}/(?P<path>.*)\.to_move$",
        dst_re=rf"{dst_path}/\g<path>",
        auto_create=True,
        filemode=0o644,
        dirmode=0o755,
    )
    copy_rule = FileManagerRule(
        action="copy",
        src_re=rf"^{src_path}/(?P<path>.*)\.to_copy$",
        dst_re=rf"{dst_path}/\g<path>",
        auto_create=True,
        filemode=0o644,
        dirmode=0o755,
    )
    delete_rule = FileManagerRule(
        action="delete", src_re=rf"^{src_path}/(?P<path>.*)\.to_delete$", rec=False
    )
    file_sched = FileManagerScheduler(
        rules=[move_rule, copy_rule, delete_rule],
        delay=60,
        files=True,
        dirs=False,
        runner=by_hand,
    )
    event_map = {
        "IN_CLOSE_WRITE": file_sched,
        "IN_CREATE": file_sched,
        "IN_DELETE": Cancel(file_sched),
        "IN_DELETE_SELF": Cancel(file_sched),
        "IN_MODIFY": Cancel(file_sched),
        "IN_MOVED_FROM": Cancel(file_sched),
        "IN_MOVED_TO": file_sched,
        "IN_UNMOUNT": Cancel(file_sched),
    }
    processor = EventMap(event_map)
    running = watching(Watch(src_path, processor=processor, recursive=True, auto_add=True))
    for name in ("a.to_move", "sub/b.to_copy", "c.to_delete", "d.other", "e.to_delete"):
        (src_path / name).write_text(name)
        (src_path / name).chmod(0o600)
    running.sync()
    by_hand.advance(59)
    assert list(dst_path.iterdir()) == []
    (src_path / "e.to_delete").rename(src_path / "e.kept")
    with (src_path / "c.to_delete").open("a") as file:
        file.write("again")
        file.flush()
        running.sync()
        by_hand.advance(60)  # it is still being written
        assert (src_path / "c.to_delete").exists()
    running.sync()
    by_hand.advance(60)
    found = {str(path.relative_to(dst_path)): path for path in dst_path.rglob("*")}
    assert set(found) == {"a", "sub", "sub/b"}
    assert found["a"].read_text() == "a.to_move"
    assert found["sub/b"].read_text() == "sub/b.to_copy"
    assert {stat.S_IMODE(found[name].stat().st_mode) for name in ("a", "sub/b")} == {0o644}
    assert stat.S_IMODE(found["sub"].stat().st_mode) == 0o755
    left = {str(path.relative_to(src_path)) for path in src_path.rglob("*")}
    assert left == {"sub", "sub/b.to_copy", "d.other", "e.kept"}


def test_the_rules_of_the_section_on_file_managers(watching, src_path, dst_path):
    move_rule = FileManagerRule(
        action="move",
        src_re=f"^{src_path}/(?P<path>.*).to_move$",
        dst_re=rf"{dst_path}/\g<path>",
        auto_create=False,
        rec=False,
        filemode=None,
        dirmode=None,
        user=None,
        group=None,
        override=False,
    )
    delete_rule = FileManagerRule(
        action="delete", src_re=f"^{src_path}/(?P<path>.*).to_delete$", rec=False
    )
    file_sched = FileManagerScheduler(rules=[move_rule, delete_rule])
    running = watching((src_path, "IN_CLOSE_WRITE", file_sched))
    (src_path / "a.to_move").write_text("a")
    (src_path / "b.to_delete").write_text("b")
    (src_path / "c").write_text("c")
    running.stop()
    assert {path.name for path in src_path.iterdir()} == {"sub", "c"}
    assert {path.name for path in dst_path.iterdir()} == {"a"}
