import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from inotifier.exceptions import AlreadyRunning, InotifierError, NotPermitted
from inotifier.lifecycle.pid_file import PidFile, make_private, read_pid, remove_left_over
from tests.waiting import wait_for

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "inotifier.pid"


@pytest.fixture
def held(path) -> Iterator[PidFile]:
    """The pid file, held by this process."""
    pid_file = PidFile(path)
    pid_file.acquire()
    pid_file.write(os.getpid())
    yield pid_file
    pid_file.abandon()


@contextmanager
def locked(path: Path, text: str = "") -> Iterator[None]:
    """Hold `path` under the lock, as another program might."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(text)
        file.flush()
        yield


# Acquire.


def test_the_file_holds_the_pid_for_its_owner_alone(held, path):
    assert path.read_text() == f"{os.getpid()}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_mode_does_not_depend_on_the_umask(path):
    before = os.umask(0)
    try:
        pid_file = PidFile(path)
        pid_file.acquire()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    pid_file.release()


def test_a_second_daemon_is_told_the_pid_of_the_first(held, path):
    with pytest.raises(AlreadyRunning) as error:
        PidFile(path).acquire()
    assert error.value.pid == os.getpid()
    assert f"already running (pid {os.getpid()}), it holds {path}." in str(error.value)


def test_a_second_daemon_waits_for_the_pid_of_one_that_is_starting(path):
    first = PidFile(path)
    first.acquire()
    begun = threading.Event()
    answers = []

    def second() -> None:
        begun.set()
        try:
            PidFile(path).acquire()
        except AlreadyRunning as exc:
            answers.append(exc.pid)

    thread = threading.Thread(target=second)
    thread.start()
    begun.wait(10)
    first.write(4711)
    thread.join(10)
    first.release()
    assert answers == [4711]


def test_a_daemon_that_never_says_its_pid_runs_nevertheless(path, monkeypatch):
    monkeypatch.setattr("inotifier.lifecycle.pid_file._PATIENCE", 0.05)
    with locked(path), pytest.raises(AlreadyRunning, match=r"\(its pid is not known yet\)"):
        PidFile(path).acquire()


@pytest.mark.parametrize(
    "left",
    ["", "garbage", "4711\n", pytest.param(f"{os.getpid()}\n", id="this one"), "-1", "1" * 40],
)
def test_what_a_dead_daemon_left_is_replaced(path, left):
    path.write_text(left)
    inode = path.stat().st_ino
    kept = path.open()  # so that the inode stays in use
    pid_file = PidFile(path)
    pid_file.acquire()
    assert path.read_text() == ""
    assert path.stat().st_ino != inode
    pid_file.release()
    kept.close()


@pytest.mark.parametrize("target", ["there", "absent"])
def test_a_symbolic_link_is_refused(path, tmp_path, target):
    (tmp_path / "there").write_text("precious")
    path.symlink_to(target)
    with pytest.raises(InotifierError, match=f"cannot read the pid file {path}"):
        PidFile(path).acquire()
    assert path.is_symlink()
    assert (tmp_path / "there").read_text() == "precious"
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_not_a_regular_file_is_refused(path, make):
    make(path)
    with pytest.raises(InotifierError, match=f"the pid file {path} is not a regular file"):
        PidFile(path).acquire()


def test_a_directory_that_is_missing_is_named(tmp_path):
    path = tmp_path / "absent" / "inotifier.pid"
    with pytest.raises(InotifierError, match=f"cannot open {path.parent}, the directory of"):
        PidFile(path).acquire()


def test_a_file_that_cannot_be_made_is_named():
    with pytest.raises(InotifierError, match=r"cannot make the pid file /proc/inotifier.pid"):
        PidFile(Path("/proc/inotifier.pid")).acquire()


def test_acquiring_waits_for_another_start_at_the_same_directory(path, tmp_path):
    directory = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    pid_file = PidFile(path)
    thread = threading.Thread(target=pid_file.acquire)
    thread.start()
    assert not path.exists()
    os.close(directory)
    thread.join(10)
    assert path.exists()
    pid_file.release()


def test_a_directory_that_stays_locked_is_named(path, tmp_path, monkeypatch):
    monkeypatch.setattr("inotifier.lifecycle.pid_file._PATIENCE", 0.05)
    directory = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    with pytest.raises(InotifierError, match=f"{tmp_path} stays locked by another process"):
        PidFile(path).acquire()
    os.close(directory)


RACE = """
import sys
from pathlib import Path
from inotifier.exceptions import AlreadyRunning
from inotifier.lifecycle.pid_file import PidFile
pid_file = PidFile(Path(sys.argv[1]))
sys.stdin.read(1)
try:
    pid_file.acquire()
    pid_file.write(__import__("os").getpid())
    print("won", flush=True)
    sys.stdin.read()
    pid_file.release()
except AlreadyRunning as exc:
    print("running", exc.pid, flush=True)
"""


@pytest.mark.parametrize("left", [None, "4711\n"])
def test_of_many_starts_at_once_exactly_one_wins(path, left):
    if left:
        path.write_text(left)
    command = [sys.executable, "-c", RACE, str(path)]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    for racer in racers:
        racer.stdin.write(".")
        racer.stdin.flush()
    said = {racer: racer.stdout.readline().strip() for racer in racers}
    [winner] = [racer for racer in racers if said[racer] == "won"]
    assert read_pid(path) == winner.pid
    for racer in racers:
        racer.communicate(timeout=10)
    assert sorted(said.values()) == [f"running {winner.pid}"] * 7 + ["won"]
    assert not path.exists()


# Read.


def test_the_pid_is_that_of_the_holder(held, path):
    assert read_pid(path) == os.getpid()


def test_without_a_file_nobody_runs(path):
    assert read_pid(path) is None


def test_a_file_that_nobody_holds_is_of_nobody(path):
    path.write_text(f"{os.getpid()}\n")
    assert read_pid(path) is None


def test_reading_does_not_disturb_a_start(held, path):
    for _ in range(100):
        assert read_pid(path) == os.getpid()
    with pytest.raises(AlreadyRunning):
        PidFile(path).acquire()


def test_a_lock_without_a_pid_is_said(path, monkeypatch):
    monkeypatch.setattr("inotifier.lifecycle.pid_file._PATIENCE", 0.05)
    with locked(path, "no number"), pytest.raises(InotifierError, match="has written no pid"):
        read_pid(path)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("absent")])
def test_reading_what_is_no_pid_file_is_refused(path, make):
    make(path)
    with pytest.raises(InotifierError, match=f"the pid file {path}"):
        read_pid(path)


@needs_root
def test_the_file_of_another_user_is_told_apart(path, tmp_path):
    path.touch(mode=0o600)
    for directory in [tmp_path, *list(tmp_path.parents)[:2]]:
        directory.chmod(0o755)
    program = (
        "import os, sys; from pathlib import Path\n"
        "from inotifier.lifecycle.pid_file import read_pid\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: read_pid(Path(sys.argv[1]))\n"
        "except Exception as exc: print(type(exc).__name__, exc)\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    said = subprocess.check_output(command, text=True, timeout=60)
    assert said.startswith(f"{NotPermitted.__name__} {path} belongs to another user")


# Hold, release.


def test_a_forked_child_does_not_keep_the_lock(path):
    pid_file = PidFile(path)
    pid_file.acquire()
    pid_file.write(os.getpid())
    ready_read, ready_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready_write, b".")
        signal.pause()
        os._exit(0)
    os.read(ready_read, 1)
    try:
        # As when this process is killed: the lock goes with its last descriptor.
        pid_file.abandon()
        assert read_pid(path) is None
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready_read)
        os.close(ready_write)


def test_another_program_does_not_inherit_the_lock(held):
    assert not os.get_inheritable(held.fd)


def test_release_removes_the_file_and_gives_up_the_lock(path):
    pid_file = PidFile(path)
    pid_file.acquire()
    pid_file.release()
    assert not path.exists()
    pid_file.release()  # a second time does nothing


def test_release_leaves_the_file_of_another_daemon_alone(held, path, tmp_path):
    path.rename(tmp_path / "ours")
    path.write_text("4711\n")
    held.release()
    assert path.read_text() == "4711\n"


def test_release_of_a_file_that_is_gone_is_no_error(held, path):
    path.unlink()
    held.release()


def test_a_descriptor_kept_over_an_exec_is_the_same_lock(held, path):
    successor = PidFile(path, os.dup(held.fd))
    held.abandon()
    assert read_pid(path) == os.getpid()
    successor.write(4711)
    assert read_pid(path) == 4711
    successor.release()
    assert read_pid(path) is None


def test_a_shorter_pid_leaves_nothing_of_the_longer_one(held, path):
    held.write(123456)
    held.write(7)
    assert read_pid(path) == 7


def test_refresh_makes_the_file_look_fresh(held, path):
    os.utime(path, (0, 0))
    held.refresh()
    assert path.stat().st_mtime > 0


def test_the_descriptor_of_a_file_that_is_not_held_is_an_error(path):
    with pytest.raises(InotifierError, match=f"{path} is not locked by this process"):
        _ = PidFile(path).fd


@needs_root
def test_the_file_can_be_given_to_another_user(held, path):
    held.give_to(65534, 65534)
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)


# Left-overs.


def test_a_left_over_is_removed(path):
    path.write_text("4711\n")
    assert remove_left_over(path)
    assert not path.exists()


def test_a_file_that_is_held_is_no_left_over(held, path):
    assert not remove_left_over(path)
    assert path.exists()


@pytest.mark.parametrize("directory", [".", "absent"])
def test_nothing_is_no_left_over(tmp_path, directory):
    assert not remove_left_over(tmp_path / directory / "inotifier.pid")


# Private directories.


def test_a_private_directory_is_made(tmp_path):
    make_private(tmp_path / "private")
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o700
    make_private(tmp_path / "private")


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o750, 0o777, 0o1777])
def test_a_directory_that_is_open_to_others_is_refused(tmp_path, mode):
    directory = tmp_path / "open"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(InotifierError, match=f"{directory} is not a private directory of this"):
        make_private(directory)


@pytest.mark.parametrize("target", ["there", "absent"])
def test_a_link_to_a_directory_is_refused(tmp_path, target):
    (tmp_path / "there").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(InotifierError, match=f"the directory {tmp_path}/link|is not a private"):
        make_private(tmp_path / "link")
    assert not (tmp_path / "absent").exists()


def test_a_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "file").touch(mode=0o600)
    with pytest.raises(InotifierError, match=f"{tmp_path}/file is not a private directory"):
        make_private(tmp_path / "file")


@needs_root
def test_a_directory_of_another_user_is_refused(tmp_path):
    directory = tmp_path / "theirs"
    directory.mkdir(mode=0o700)
    os.chown(directory, 65534, 65534)
    with pytest.raises(InotifierError, match="is not a private directory of this user"):
        make_private(directory)


def test_the_lock_of_a_killed_process_is_free_at_once(path):
    command = [sys.executable, "-c", RACE, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdin.write(b".")
        holder.stdin.flush()
        assert holder.stdout.readline() == b"won\n"
        wait_for(lambda: read_pid(path) == holder.pid)
        holder.kill()
        holder.wait(10)
    assert read_pid(path) is None
    pid_file = PidFile(path)
    pid_file.acquire()
    pid_file.release()


# A file that somebody removes.


def test_a_file_that_was_removed_is_made_again(tmp_path):
    file = PidFile(tmp_path / "inotifier.pid")
    file.acquire()
    file.write(os.getpid())
    file.path.unlink()
    file.keep()
    assert read_pid(file.path) == os.getpid()
    file.release()
    assert not file.path.exists()


def test_a_file_that_another_daemon_has_taken_is_left_to_it(tmp_path):
    first, second = (PidFile(tmp_path / "inotifier.pid") for _ in range(2))
    first.acquire()
    first.path.unlink()
    second.acquire()
    second.write(1)
    with pytest.raises(AlreadyRunning):
        first.keep()
    first.release()
    assert read_pid(second.path) == 1
    second.release()
