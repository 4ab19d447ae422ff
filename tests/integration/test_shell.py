"""Commands that run for events: what they get, what they write, and how they end."""

import logging
import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from inotifier.events import IN_CLOSE_WRITE, Event
from inotifier.exceptions import CommandFailed
from inotifier.scheduling import ShellScheduler, running
from inotifier.scheduling.running import Command, end_all, run
from tests.waiting import wait_for


class Log:
    """Keeps what a command writes."""

    def __init__(self) -> None:
        self.records: list[tuple[int, str]] = []

    def __call__(self, level: int, line: str) -> None:
        self.records.append((level, line))

    @property
    def lines(self) -> list[str]:
        return [line for _, line in self.records]


def shell(command: str, **options) -> Command:
    return Command(arguments=["/bin/sh", "-c", command], environment=os.environ, **options)


def event_of(path: Path) -> Event:
    return Event(mask=IN_CLOSE_WRITE, path=str(path.parent), name=path.name)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def pid_in(path: Path) -> int:
    return wait_for(
        lambda: path.exists() and int(path.read_text() or 0), message=f"a pid in {path}"
    )


# Output


def test_output_and_errors_go_to_the_log_line_by_line():
    log = Log()
    run(shell("echo one; echo two; echo three >&2"), log)
    assert [line for level, line in log.records if level == logging.INFO] == ["one", "two"]
    assert (logging.WARNING, "three") in log.records


def test_output_comes_while_the_command_runs(tmp_path):
    log, go = Log(), tmp_path / "go"
    command = shell(f"echo first; until [ -e {go} ]; do sleep 0.01; done; echo last")
    thread = threading.Thread(target=run, args=(command, log))
    thread.start()
    wait_for(lambda: log.lines == ["first"])
    go.touch()
    thread.join(10)
    assert log.lines == ["first", "last"]


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        ("printf 'no newline'", ["no newline"]),
        ("printf 'a\\n\\nb\\n'", ["a", "", "b"]),
        ("printf 'dos\\r\\n'", ["dos"]),
        ("printf 'caf\\351 \\033[1m \\000'", ["caf\\xe9 \\x1b[1m \\x00"]),
        ("true", []),
    ],
)
def test_whatever_a_command_writes_can_be_logged(command, lines):
    log = Log()
    run(shell(command), log)
    assert log.lines == lines


def test_a_line_without_end_is_logged_in_parts_and_all_of_it():
    log = Log()
    run(shell("head -c 3000000 /dev/zero | tr '\\0' x"), log)
    assert "".join(log.lines) == "x" * 3_000_000
    assert max(map(len, log.lines)) <= 16 * 1024


def test_a_command_that_writes_much_on_both_ways_is_not_held_up():
    log = Log()
    run(
        shell("i=0; while [ $i -lt 20000 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done"), log
    )
    assert len(log.lines) == 40_000


def test_a_process_in_the_background_does_not_hold_up_its_command_but_is_told_of(tmp_path):
    log, pid = Log(), tmp_path / "pid"
    began = time.monotonic()
    run(shell(f"sleep 60 & echo $! > {pid}; echo done"), log)
    assert time.monotonic() - began < 10
    left = pid_in(pid)
    try:
        assert is_alive(left)
        assert log.records == [
            (logging.INFO, "done"),
            (logging.WARNING, "it has ended, but left a process in the background"),
        ]
    finally:
        os.kill(left, signal.SIGKILL)


def test_a_command_reads_nothing():
    log = Log()
    run(shell("cat; echo read"), log)
    assert log.lines == ["read"]


# The end


def test_an_exit_code_is_a_failure_with_the_last_error():
    with pytest.raises(CommandFailed, match="it ended with exit code 3: why not"):
        run(shell("echo why not >&2; exit 3"), Log())


def test_a_signal_is_a_failure():
    with pytest.raises(CommandFailed, match="it ended with signal SIGKILL"):
        run(shell("kill -9 $$"), Log())


def test_a_program_that_is_not_there_is_a_failure():
    with pytest.raises(FileNotFoundError, match="/no/such/program"):
        run(Command(arguments=["/no/such/program"], environment={}), Log())


def test_without_descriptors_of_processes_the_end_is_seen_as_well(monkeypatch):
    monkeypatch.delattr(os, "pidfd_open")
    log = Log()
    run(shell("echo out; sleep 0.05; echo more"), log)
    assert log.lines == ["out", "more"]
    with pytest.raises(CommandFailed, match=r"took longer than 0\.05 s"):
        run(shell("sleep 60", timeout=0.05), log)


def test_a_timeout_ends_all_that_the_command_has_started(tmp_path):
    log, pid = Log(), tmp_path / "pid"
    with pytest.raises(CommandFailed, match=r"it took longer than 0.3 s, and was ended"):
        run(shell(f"(sleep 60; true) & echo $! > {pid}; sleep 60", timeout=0.3), log)
    assert not is_alive(pid_in(pid))


def test_what_is_ended_may_put_its_things_in_order(tmp_path):
    log, tidy = Log(), tmp_path / "tidy"
    child = f"trap 'sleep 0.2; touch {tidy}; exit' TERM; echo ready; while :; do sleep 0.01; done"
    (tmp_path / "child.sh").write_text(child)
    # The first one ends at once; what it has started takes its time.
    command = shell(f"sh {tmp_path}/child.sh > /dev/null & sleep 60", timeout=0.3)
    with pytest.raises(CommandFailed):
        run(command, log)
    assert tidy.exists()


def test_what_does_not_end_when_it_is_told_to_is_killed(monkeypatch):
    monkeypatch.setattr(running, "_GRACE", 0.2)
    began = time.monotonic()
    with pytest.raises(CommandFailed, match="took longer"):
        run(shell("trap '' TERM; while :; do sleep 0.01; done", timeout=0.1), Log())
    assert time.monotonic() - began < 10


def test_commands_end_with_the_daemon(monkeypatch, tmp_path):
    monkeypatch.setattr(running, "_GRACE", 0.3)
    failures = []

    def attempt(command):
        try:
            run(command, Log())
        except CommandFailed as exc:
            failures.append(str(exc))

    pids = [tmp_path / "one", tmp_path / "two"]
    commands = [
        f"echo $$ > {pids[0]}; sleep 60; true",
        f"trap '' TERM; echo $$ > {pids[1]}; while :; do sleep 0.01; done",
    ]
    threads = [threading.Thread(target=attempt, args=(shell(command),)) for command in commands]
    for thread in threads:
        thread.start()
    alive = [pid_in(pid) for pid in pids]
    end_all()
    for thread in threads:
        thread.join(10)
    assert not any(map(is_alive, alive))
    assert failures == ["it was ended, because the daemon stops"] * 2


def test_a_command_of_another_user_keeps_no_other_from_its_end(monkeypatch, tmp_path):
    monkeypatch.setattr(running, "_GRACE", 0.2)
    killpg, others = os.killpg, set()

    def refused(group: int, number: int) -> None:
        if group in others:
            raise PermissionError
        killpg(group, number)

    monkeypatch.setattr(os, "killpg", refused)
    log, gate, pids = Log(), tmp_path / "gate", [tmp_path / "one", tmp_path / "two"]
    commands = [
        f"echo $$ > {pids[0]}; until [ -e {gate} ]; do sleep 0.01; done",
        f"echo $$ > {pids[1]}; sleep 60; true",
    ]

    def attempt(command: str) -> None:
        with pytest.raises(CommandFailed, match="because the daemon stops"):
            run(shell(command), log)

    threads = [threading.Thread(target=attempt, args=(command,)) for command in commands]
    threads[0].start()
    others.add(pid_in(pids[0]))
    threads[1].start()
    own = pid_in(pids[1])
    end_all()
    threads[1].join(10)
    assert not is_alive(own)
    assert "it runs as another user, and cannot be ended" in log.lines
    gate.touch()
    threads[0].join(10)
    assert not threads[0].is_alive()


def test_a_process_of_another_user_in_the_background_is_told_of(monkeypatch):
    def refused(group: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "killpg", refused)
    log = Log()
    run(shell("true"), log)
    assert log.lines == ["it has ended, but left a process in the background"]


def test_commands_end_with_the_interpreter(tmp_path):
    program = f"""
import os, threading
from inotifier.scheduling.running import Command, run
command = Command(
    arguments=["/bin/sh", "-c", "echo $$ > {tmp_path}/pid; sleep 60; true"], environment=os.environ
)
threading.Thread(target=run, args=(command, print), daemon=True).start()
while not os.path.exists("{tmp_path}/pid"):
    pass
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30, capture_output=True)
    assert not is_alive(pid_in(tmp_path / "pid"))


# The scheduler


def test_a_command_gets_the_facts_of_its_event(watching, tmp_path):
    inbox, out = tmp_path / "in", tmp_path / "out"
    inbox.mkdir()
    scheduler = ShellScheduler(
        'printf "%s\\n" {maskname} {pathname} {src_pathname} {name} {path} {watch} '
        f'"$INOTIFIER_MASKNAME" "$INOTIFIER_WATCH" > {out}.new; mv {out}.new {out}'
    )
    running = watching((inbox, "IN_MOVED_TO", scheduler, {"name": "inbox"}))
    (tmp_path / "x").write_text("x")
    (tmp_path / "x").rename(inbox / "it's")
    wait_for(out.exists)
    running.stop()
    path = f"{inbox}/it's"
    assert out.read_text().split("\n")[:-1] == [
        *("IN_MOVED_TO", path, "", "it's", str(inbox), "inbox"),
        *("IN_MOVED_TO", "inbox"),
    ]


@pytest.mark.parametrize(
    "name",
    [b"; touch PWNED;", b"-rf", b"a\nb", b"caf\xe9", b"$(touch PWNED)", b"~root", b"a b", b"'\"\\"],
)
@pytest.mark.parametrize("as_list", [True, False])
def test_any_name_arrives(watching, tmp_path, name, as_list):
    inbox = tmp_path / "in"
    inbox.mkdir()
    program = tmp_path / "task.sh"
    out = tmp_path / "out"
    program.write_text(f'#!/bin/sh\nprintf %s "$1" > {out}.new; mv {out}.new {out}\n')
    program.chmod(0o755)
    cmd = [str(program), "{pathname}"] if as_list else f"{program} {{pathname}}"
    running = watching((inbox, "IN_CLOSE_WRITE", ShellScheduler(cmd, cwd=inbox)))
    path = inbox / os.fsdecode(name)
    path.touch()
    wait_for(out.exists)
    running.stop()
    assert out.read_bytes() == os.fsencode(path)
    assert list(inbox.iterdir()) == [path]


def test_what_it_writes_is_logged_with_event_and_task(caplog, tmp_path):
    caplog.set_level(logging.INFO)
    scheduler = ShellScheduler("echo out; echo err >&2", logname="task")
    scheduler(event_of(tmp_path / "x"))
    wait_for(lambda: scheduler.pending == 0)
    lines = {
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.name == "inotifier.task"
    }
    [task_id] = {line.rpartition("task_id=")[2] for _, line in lines}
    about = f"mask=IN_CLOSE_WRITE, path={tmp_path}/x, task_id={task_id}"
    assert ("INFO", f"out, {about}") in lines
    assert ("WARNING", f"err, {about}") in lines


def test_a_command_that_fails_is_run_again(watching, tmp_path, settings, caplog):
    settings.INOTIFIER_RETRIES = 2
    settings.INOTIFIER_RETRY_DELAY = 0.01
    inbox = tmp_path / "in"
    inbox.mkdir()
    scheduler = ShellScheduler(f"echo >> {tmp_path}/runs; test $(wc -l < {tmp_path}/runs) = 3")
    running = watching((inbox, "IN_CLOSE_WRITE", scheduler))
    (inbox / "x").touch()
    running.stop()
    [handler] = running.handlers
    assert (handler.retried, handler.delivered, handler.failed) == (2, 1, 0)
    assert "it ended with exit code 1" in caplog.text


def test_a_timeout_is_a_failure(tmp_path, caplog):
    scheduler = ShellScheduler("sleep 60", timeout=0.1)
    scheduler(event_of(tmp_path / "x"))
    wait_for(lambda: scheduler.pending == 0)
    assert "it took longer than 0.1 s, and was ended" in caplog.text


def test_directory_and_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("LEFT_OUT", "1")
    monkeypatch.setenv("KEPT", "kept")
    scheduler = ShellScheduler(
        'echo "$KEPT $GIVEN ${LEFT_OUT-none}" > new; mv new out',
        cwd=tmp_path,
        env={"GIVEN": "given", "LEFT_OUT": None},
    )
    scheduler(event_of(tmp_path / "x"))
    wait_for((tmp_path / "out").exists)
    assert (tmp_path / "out").read_text() == "kept given none\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    scheduler = ShellScheduler('id -u; id -g; echo "$USER $HOME"; umask', user="nobody", cwd="/")
    scheduler(event_of(tmp_path / "x"))
    wait_for(lambda: scheduler.pending == 0)
    said = [record.getMessage().partition(",")[0] for record in caplog.records]
    account = pwd.getpwnam("nobody")
    assert {str(account.pw_uid), f"nobody {account.pw_dir}"} <= set(said)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"cmd": 5}, TypeError, "cmd is 5; it should be a list of arguments, or a text"),
        ({"cmd": b"ls"}, TypeError, "cmd is b'ls'"),
        ({"cmd": "echo '{name}'"}, ValueError, "inside single quotes"),
        ({"cmd": "ls", "timeout": -1}, ValueError, "timeout is -1"),
        ({"cmd": "ls", "env": ["A=1"]}, TypeError, "env is"),
        ({"cmd": "ls", "env": {"A": 1}}, TypeError, r"env\['A'\] is 1; it should be a text"),
        ({"cmd": "ls", "env": {"A=B": "1"}}, ValueError, "no name of a variable"),
        ({"cmd": "ls", "user": "no-such-user"}, ValueError, "no user of this machine"),
        ({"cmd": "ls", "user": True}, TypeError, "user is True"),
        ({"cmd": "ls", "delay": -1}, ValueError, "delay is -1"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        ShellScheduler(**options)


def test_a_user_that_the_daemon_cannot_become_is_refused(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ValueError, match="the daemon is user 1000; only root can act for others"):
        ShellScheduler("ls", user="root")


def test_a_daemon_that_gives_up_being_root_cannot_either(settings):
    settings.INOTIFIER_USER = "nobody"
    with pytest.raises(ValueError, match="without INOTIFIER_USER"):
        ShellScheduler("ls", user="root")
