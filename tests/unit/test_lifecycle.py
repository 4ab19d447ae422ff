"""The smaller parts of the lifecycle: processes, pipes, plans, the status file, signals."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from inotifier.dispatcher import Handler
from inotifier.exceptions import ConfigurationError, InotifierError, NotRunning, StartFailed
from inotifier.lifecycle import os_signals
from inotifier.lifecycle.plan import (
    Handover,
    Plan,
    environment_of_check,
    make_plan,
    new_owner,
    refuse_to_move,
    take_handover,
)
from inotifier.lifecycle.process import Process
from inotifier.lifecycle.readiness import PipeReporter, Reporter, Waiting
from inotifier.lifecycle.settings_check import SettingsCheck
from inotifier.lifecycle.status import describe
from inotifier.lifecycle.status_file import StatusFile, ensure_directory, read_status
from inotifier.watches import Watch
from tests.in_process import Recorder
from tests.waiting import wait_for

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


# Processes.


@pytest.fixture
def start():
    """Start Python programs; those that still run at the end are killed."""
    started = []

    def run(program: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.append(process)
        assert process.stdout.readline() == b"ready\n"
        return process

    yield run
    for process in started:
        process.kill()
        process.wait(10)
        process.stdin.close()
        process.stdout.close()


IDLE = "import sys; print('ready', flush=True); sys.stdin.read()"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {IDLE}"


def test_sigterm_is_enough_for_most(start):
    child = start(IDLE)
    with Process(child.pid) as process:
        assert process.end(timeout=10)
    assert child.wait(10) == -signal.SIGTERM


def test_sigkill_follows_for_what_does_not_end(start):
    child = start(DEAF)
    with Process(child.pid) as process:
        assert not process.end(timeout=0.05)
    assert child.wait(10) == -signal.SIGKILL


def test_waiting_ends_with_the_process(start):
    child = start(IDLE)
    with Process(child.pid) as process:
        assert not process.wait(0)
        child.stdin.close()
        assert process.wait(10)


def test_a_process_that_has_ended_is_not_there(start):
    child = start(IDLE)
    child.communicate(timeout=10)
    with pytest.raises(NotRunning, match=f"no process with id {child.pid}"):
        Process(child.pid)


def test_a_signal_to_a_process_that_ended_meanwhile_is_no_error(start):
    child = start(IDLE)
    with Process(child.pid) as process:
        child.communicate(timeout=10)
        process.signal(signal.SIGTERM)
        assert process.end(timeout=0)


def test_a_number_that_is_of_no_process_is_an_error():
    with pytest.raises(InotifierError, match="cannot watch the process -1"):
        Process(-1)


def test_it_is_known_whether_a_process_has_a_file_open(start, tmp_path):
    (tmp_path / "held").touch()
    (tmp_path / "other").touch()
    child = start(f"held = open({str(tmp_path / 'held')!r}); {IDLE}")
    with Process(child.pid) as process:
        assert process.has_open(tmp_path / "held") is True
        assert process.has_open(tmp_path / "other") is False
        assert process.has_open(tmp_path / "absent") is None


@needs_root
def test_it_is_not_known_what_processes_of_other_users_have_open(start):
    child = start(IDLE)
    with Process(child.pid) as process:
        assert process.has_open(Path("/etc/passwd")) is False
        os.seteuid(65534)
        try:
            assert process.has_open(Path("/etc/passwd")) is None
        finally:
            os.seteuid(0)


@pytest.mark.parametrize("timeout", [1e10, 1e300])
def test_waiting_may_be_as_long_as_one_likes(start, timeout):
    child = start(IDLE)
    child.stdin.close()
    with Process(child.pid) as process:
        assert process.wait(timeout)


# Readiness.


@pytest.fixture
def pipe():
    """A reporter and the one who waits."""
    read_fd, write_fd = os.pipe()
    reporter = PipeReporter(write_fd)
    yield reporter, Waiting(read_fd)
    os.close(read_fd)
    if reporter._open:
        os.close(write_fd)


def test_what_the_daemon_says_reaches_the_one_who_waits(pipe):
    reporter, waiting = pipe
    lines = []
    reporter.hello()
    reporter.announce("Adding watch on /caf\\xe9")
    reporter.announce("a line with\na break, and é")
    reporter.ready()
    waiting.until_ready(lines.append, timeout=10)
    assert lines == [
        "Adding watch on /caf\\xe9",
        "a line with\na break, and é",
        "File monitoring started",
    ]
    assert waiting.pid == os.getpid()


def test_what_is_said_bit_by_bit_arrives_whole(pipe):
    reporter, waiting = pipe
    lines = []
    thread = threading.Thread(target=waiting.until_ready, args=(lines.append, 10))
    thread.start()
    for byte in b'{"line": "one"}\n{"line": "two"}\n{"ready": true}\n':
        os.write(reporter.fd, bytes([byte]))
    thread.join(10)
    assert lines == ["one", "two"]


def test_more_than_a_pipe_holds_arrives_whole(pipe):
    reporter, waiting = pipe
    lines = []
    thread = threading.Thread(target=waiting.until_ready, args=(lines.append, 10))
    thread.start()
    for number in range(5000):
        reporter.announce(f"Adding watch on /some/place/{number}")
    reporter.ready()
    thread.join(10)
    assert len(lines) == 5001


def test_the_reason_of_a_failure_is_raised_whole(pipe):
    reporter, waiting = pipe
    reporter.failed("no\nroom for \udce9")
    with pytest.raises(StartFailed) as error:
        waiting.until_ready(print, timeout=10)
    assert str(error.value) == "no\nroom for \udce9"


def test_the_silent_end_of_a_daemon_is_a_failure():
    read_fd, write_fd = os.pipe()
    os.close(write_fd)
    with pytest.raises(StartFailed, match="ended before its watches stood and gave no reason"):
        Waiting(read_fd).until_ready(print, timeout=10)
    os.close(read_fd)


def test_a_daemon_that_takes_too_long_is_a_failure(pipe):
    reporter, waiting = pipe
    reporter.hello()
    with pytest.raises(StartFailed, match=r"the daemon was not ready within 0.05 s"):
        waiting.until_ready(print, timeout=0.05)
    assert waiting.pid == os.getpid()


def test_the_pid_can_be_learned_after_the_start_was_given_up(pipe):
    reporter, waiting = pipe
    with pytest.raises(StartFailed, match="was not ready within 0 s"):
        waiting.until_ready(print, timeout=0)
    assert waiting.pid is None
    thread = threading.Thread(target=waiting.learn_pid, args=[10])
    thread.start()
    reporter.hello()
    thread.join(10)
    assert waiting.pid == os.getpid()


@pytest.mark.parametrize("last_words", [b"", b'{"error": "no"}\n', b'{"pi'])
def test_there_is_no_pid_to_learn_of_a_daemon_that_has_ended(last_words):
    read_fd, write_fd = os.pipe()
    os.write(write_fd, last_words)
    os.close(write_fd)
    waiting = Waiting(read_fd)
    waiting.learn_pid(10)
    assert waiting.pid is None
    os.close(read_fd)


def test_a_daemon_whose_parent_is_gone_goes_on():
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    reporter = PipeReporter(write_fd)
    reporter.hello()
    reporter.ready()
    reporter.failed("nobody hears it")


def test_in_the_foreground_the_lines_go_straight_out():
    lines = []
    reporter = Reporter(lines.append)
    reporter.announce("line")
    reporter.ready()
    reporter.failed("the exception says it")
    assert lines == ["line", "File monitoring started"]


# Plan and handover.


@pytest.fixture
def plan(tmp_path) -> Plan:
    return Plan(
        pid_file=tmp_path / "pid\udce9",
        status_file=tmp_path / "status",
        command=[sys.executable, "manage.py"],
        arguments=["--settings=site.settings"],
        directory=str(tmp_path),
        foreground=False,
    )


def test_a_plan_calls_other_commands_of_the_project(plan):
    assert plan.call("inotifier_start", "--check") == [
        sys.executable,
        "manage.py",
        "inotifier_start",
        "--check",
        "--settings=site.settings",
    ]


def test_a_handover_comes_back_as_it_was(plan, monkeypatch):
    read_fd, write_fd = os.pipe()
    handover = Handover(
        plan=plan, pid_file_fd=read_fd, inotify_fd=write_fd, started=1234.5, reloads=3
    )
    os.set_inheritable(read_fd, True)
    monkeypatch.setattr(os, "environ", dict(handover.environment()))
    assert take_handover() == handover
    assert not os.get_inheritable(read_fd)
    assert take_handover() is None, "children must not find it"
    os.close(read_fd)
    os.close(write_fd)


def test_a_handover_leaves_the_environment_as_it_is(plan):
    handover = Handover(plan=plan, pid_file_fd=0, inotify_fd=0, started=0.0, reloads=0)
    environment = handover.environment()
    assert {name: environment[name] for name in os.environ} == dict(os.environ)
    assert len(environment) == len(os.environ) + 1


def test_without_a_predecessor_there_is_no_handover():
    assert take_handover() is None


def test_a_plan_holds_what_the_settings_say(settings, tmp_path, monkeypatch):
    settings.PROJECT_PATH = tmp_path
    monkeypatch.chdir(tmp_path)
    plan = make_plan({"settings": "a.b", "pythonpath": None, "verbosity": 1}, foreground=True)
    assert plan.pid_file == tmp_path / "inotifier.pid"
    assert plan.status_file == tmp_path / "inotifier.status.json"
    assert plan.directory == str(tmp_path)
    assert plan.arguments == ["--settings=a.b", "--verbosity=1"]
    assert plan.foreground


SHOW_COMMAND = """
import sys
from inotifier.lifecycle.plan import _own_command
print(_own_command()[1:])
"""


@pytest.mark.parametrize(
    ("call", "command"),
    [
        (["script.py", "inotifier_start", "--foreground"], ["script.py"]),
        (["-X", "utf8", "script.py", "inotifier_start"], ["-X", "utf8", "script.py"]),
        (["-m", "script", "inotifier_start"], ["-m", "script"]),
        (["script.py", "other"], ["-m", "django"]),
        (["script.py"], ["-m", "django"]),
    ],
)
def test_a_plan_knows_how_the_program_was_called(tmp_path, call, command):
    (tmp_path / "script.py").write_text(SHOW_COMMAND)
    said = subprocess.check_output([sys.executable, *call], cwd=tmp_path, text=True, timeout=60)
    assert said.strip() == repr(command)


def test_without_user_and_group_the_daemon_stays_who_it_is():
    assert new_owner() is None


@needs_root
def test_the_user_that_one_is_already_needs_no_change(settings):
    settings.INOTIFIER_USER = 0
    assert new_owner() is None


@needs_root
def test_root_may_become_another_user(settings):
    settings.INOTIFIER_USER, settings.INOTIFIER_GROUP = 65534, 65534
    assert new_owner() == (65534, 65534)


@needs_root
def test_nobody_else_may_become_another_user():
    program = (
        "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "from django.conf import settings; settings.configure(INOTIFIER_USER='root')\n"
        "try: new_owner()\n"
        "except Exception as exc: print(type(exc).__name__, exc)\n"
    )
    program = f"from inotifier.lifecycle.plan import new_owner\n{program}"
    said = subprocess.check_output([sys.executable, "-c", program], text=True, timeout=60)
    assert said.startswith(f"{ConfigurationError.__name__} only root can start the daemon as")


# The status file.


@pytest.fixture
def status_file(tmp_path) -> StatusFile:
    return StatusFile(tmp_path / "status.json")


def test_a_status_comes_back_as_it_was(status_file):
    status = {"pid": 1, "entries": [{"name": "caf\udce9 → 文"}]}
    status_file.write(status)
    assert read_status(status_file.path) == status


def test_a_status_is_json_that_any_program_reads(status_file):
    status_file.write({"name": "caf\udce9"})
    assert json.loads(status_file.path.read_bytes()) == {"name": "caf\udce9"}


def test_a_status_is_for_its_owner_alone(status_file):
    status_file.write({})
    assert stat.S_IMODE(status_file.path.stat().st_mode) == 0o600


def test_a_status_is_written_when_something_has_changed(status_file):
    status_file.write({"pid": 1})
    inode = status_file.path.stat().st_ino
    kept = status_file.path.open()  # so that the inode stays in use
    status_file.write({"pid": 1})
    assert status_file.path.stat().st_ino == inode
    status_file.write({"pid": 2})
    assert status_file.path.stat().st_ino != inode
    assert json.load(kept) == {"pid": 1}, "a reader sees the old one or the new one, whole"
    kept.close()


def test_a_reader_never_sees_half_a_status(status_file):
    status_file.write({"number": 0})
    end = threading.Event()
    seen = []

    def read() -> None:
        while not end.is_set():
            seen.append(read_status(status_file.path))

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(1000):
        status_file.write({"number": number, "entries": ["x" * 1000] * 10})
    end.set()
    thread.join(10)
    assert seen
    assert {} not in seen


def test_a_link_in_the_place_of_the_new_status_is_not_followed(status_file, tmp_path):
    (tmp_path / "precious").write_text("text")
    (tmp_path / "status.json.new").symlink_to("precious")
    status_file.write({"pid": 1})
    assert (tmp_path / "precious").read_text() == "text"
    assert read_status(status_file.path) == {"pid": 1}


def test_a_status_that_cannot_be_written_is_logged_once_and_tried_again(tmp_path, caplog):
    directory = tmp_path / "later"
    status_file = StatusFile(directory / "status.json")
    for _ in range(3):
        status_file.write({"pid": 1})
    assert caplog.text.count("cannot write the status file") == 1
    directory.mkdir()
    status_file.write({"pid": 1})
    assert read_status(status_file.path) == {"pid": 1}


def test_a_status_is_removed_at_the_end(status_file):
    status_file.write({"pid": 1})
    status_file.remove()
    assert not status_file.path.exists()
    status_file.remove()


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"5", b"\xff"])
def test_what_is_no_status_is_an_empty_one(status_file, content):
    if content is not None:
        status_file.path.write_bytes(content)
    assert read_status(status_file.path) == {}


def test_the_status_describes_each_entry(watching, tmp_path):
    def fail(event):
        raise ValueError

    odd = tmp_path / "caf\udce9"
    odd.mkdir()
    running = watching(Watch(odd, "IN_CREATE", Recorder(), name="mine"), (odd, "IN_DELETE", fail))
    (odd / "file").touch()
    (odd / "file").unlink()
    running.stop()
    status = json.loads(json.dumps(describe(running.service)))
    mine, failing, _ = status["entries"]
    assert mine.pop("last_event").pop("timestamp") > 0
    assert mine == {
        "name": "mine",
        "path": str(odd),
        "processor": "tests.in_process.Recorder",
        "declared": "INOTIFIER_WATCH_PATHS",
        "seen": 1,
        "delivered": 1,
        "failed": 0,
        "retried": 0,
        "problem": "",
    }
    assert failing["failed"] == 1
    assert failing["last_event"]["maskname"] == "IN_DELETE"
    assert failing["last_event"]["pathname"] == str(odd / "file")
    assert status["overflows"] == status["queue_depth"] == 0


def test_an_entry_without_events_has_no_last_event(watching, tmp_path):
    running = watching((tmp_path, "IN_CREATE", Recorder()))
    handler = running.handlers[0]
    assert isinstance(handler, Handler)
    assert describe(running.service)["entries"][0]["last_event"] is None


def test_the_directory_of_the_status_is_made_private(tmp_path):
    directory = tmp_path / "a" / "b"
    ensure_directory(directory, None)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_directory_that_is_there_stays_as_it_is(tmp_path):
    tmp_path.chmod(0o755)
    ensure_directory(tmp_path, (1, 1))
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert tmp_path.stat().st_uid == os.geteuid()


# The check of new settings.


def check_by(program: str, tmp_path: Path) -> Plan:
    """Return a plan whose commands run `program`."""
    (tmp_path / "manage.py").write_text(program)
    return Plan(
        pid_file=tmp_path / "pid",
        status_file=tmp_path / "status",
        command=[sys.executable, "manage.py"],
        arguments=[],
        directory=str(tmp_path),
        foreground=False,
    )


@pytest.mark.parametrize(
    ("program", "good", "text"),
    [
        ("import sys; print(*sys.argv[1:])", True, "inotifier_start --check"),
        ("import sys; sys.exit('wrong')", False, "wrong"),
        ("import os; os.write(1, b'caf\\xe9'); os._exit(1)", False, "caf\N{REPLACEMENT CHARACTER}"),
        ("import os, signal; os.kill(os.getpid(), 9)", False, "the check ended with -9"),
        ("print('x' * 200_000)", True, "x" * 200_000),
    ],
)
def test_the_check_is_what_the_command_says(tmp_path, program, good, text):
    check = SettingsCheck(check_by(program, tmp_path))
    outcome = wait_for(check.outcome)
    assert (outcome.good, outcome.text) == (good, text)


def test_the_check_keeps_nobody_waiting(tmp_path):
    check = SettingsCheck(check_by("import signal; signal.pause()", tmp_path))
    assert check.outcome() is None
    check.cancel()


def test_a_check_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("inotifier.lifecycle.settings_check._PATIENCE", 0.05)
    check = SettingsCheck(check_by("import signal; signal.pause()", tmp_path))
    outcome = wait_for(check.outcome)
    assert not outcome.good
    assert outcome.text == "the check did not end within 0.05 s"


def test_cancelling_ends_the_children_of_the_check_as_well(tmp_path):
    program = (
        "import os, signal\n"
        "child = os.fork()\n"
        "if child: open('child.new', 'w').write(str(child)); os.rename('child.new', 'child')\n"
        "signal.pause()\n"
    )
    check = SettingsCheck(check_by(program, tmp_path))
    wait_for((tmp_path / "child").exists)
    with Process(int((tmp_path / "child").read_text())) as child:
        check.cancel()
        assert child.wait(10)


def test_a_check_that_cannot_run_is_an_os_error(tmp_path):
    plan = check_by("", tmp_path)
    (tmp_path / "manage.py").unlink()
    tmp_path.rmdir()
    with pytest.raises(FileNotFoundError):
        SettingsCheck(plan)


# Signals of the operating system.


def send_to_this_thread(number: signal.Signals) -> None:
    """Send a signal that no other thread of the tests can take instead."""
    signal.pthread_kill(threading.get_ident(), number)


@pytest.mark.parametrize("number", os_signals.HANDLED)
def test_a_signal_becomes_an_item_of_the_queue(number):
    with os_signals.queued() as requests:
        os.kill(os.getpid(), number)
        assert requests.get(timeout=10) == number


def test_a_signal_wakes_whoever_waits_for_the_queue():
    with os_signals.queued() as requests:
        timer = threading.Timer(0.02, os.kill, [os.getpid(), signal.SIGTERM])
        timer.start()
        assert requests.get(timeout=10) == signal.SIGTERM
        timer.join()


def test_the_handlers_of_before_come_back():
    before = [signal.getsignal(number) for number in os_signals.HANDLED]
    with os_signals.queued():
        assert [signal.getsignal(number) for number in os_signals.HANDLED] != before
    assert [signal.getsignal(number) for number in os_signals.HANDLED] == before


def test_the_handlers_come_back_after_an_exception():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), os_signals.queued():
        _ = 1 / 0
    assert signal.getsignal(signal.SIGTERM) == before


def test_what_is_held_back_comes_when_it_is_let_through():
    with os_signals.queued() as requests:
        os_signals.hold_back()
        send_to_this_thread(signal.SIGHUP)
        assert requests.empty()
        os_signals.let_through()
        assert requests.get(timeout=10) == signal.SIGHUP


def test_what_was_held_back_before_comes_to_the_new_queue():
    os_signals.hold_back()
    send_to_this_thread(signal.SIGTERM)
    with os_signals.queued() as requests:
        assert requests.get(timeout=10) == signal.SIGTERM


FORKING = """
import os, signal, time
from inotifier.lifecycle import os_signals
with os_signals.queued():
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(tell, b".")
        while True:
            time.sleep(0.01)
    os.read(ready, 1)  # what comes before, Python's own clean-up after a fork may drop
    os.kill(child, signal.SIGTERM)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_dies_of_the_signal_as_any_process_does():
    # In a process of its own: forking the test's would take its threads' locks along.
    result = subprocess.run(
        [sys.executable, "-c", FORKING], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.strip() == str(-signal.SIGTERM)


FORKING_RECEIVER = """
import os, sys, tempfile
import django
from django.conf import settings
top = tempfile.mkdtemp()
def fork(event):
    if event.name == "first":
        child = os.fork()
        if child == 0:
            sys.exit(3)
        print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print(event.name, flush=True)
settings.configure(INOTIFIER_WATCH_PATHS=[(top, "IN_CREATE", fork)])
django.setup()
from inotifier import watches
from inotifier.service import Service
service = Service(watches.load())
service.watch(lambda line: None)
for name in ("first", "second"):
    open(os.path.join(top, name), "w").close()
service.run()
service.finish()
service.drained(30)
service.close()
"""


def test_a_child_that_a_handler_forks_delivers_nothing():
    result = subprocess.run(
        [sys.executable, "-c", FORKING_RECEIVER],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert result.stdout.splitlines() == ["child 3", "first", "second"]


def test_a_reload_may_not_move_the_daemons_files(tmp_path, settings, monkeypatch):
    settings.PROJECT_PATH = tmp_path
    plan = make_plan({}, foreground=False)
    monkeypatch.setattr(os, "environ", environment_of_check(plan))
    refuse_to_move()
    settings.PROJECT_PATH = tmp_path / "elsewhere"
    with pytest.raises(ConfigurationError, match="takes a restart"):
        refuse_to_move()
