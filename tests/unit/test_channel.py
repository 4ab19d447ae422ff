"""The socket where the daemon answers."""

import contextlib
import logging
import os
import resource
import socket
import stat
import threading

import pytest

from inotifier.exceptions import NotPermitted
from inotifier.lifecycle import channel
from inotifier.lifecycle.channel import Channel, NoAnswer
from tests.waiting import wait_for

HERE = os.getpid()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "inotifier.sock"


@contextlib.contextmanager
def answering(path, answer=lambda question: question):
    with contextlib.closing(Channel(path, answer)):
        yield


def ask(path, pid, question, **options):
    """Ask a daemon of this container, whose pid file does not matter."""
    return channel.ask(path, pid, path / "absent", question, **options)


def test_a_question_is_answered(path):
    with answering(path, lambda question: {"got": question["ask"]}):
        assert ask(path, HERE, {"ask": "figures"}) == {"got": "figures"}
        assert ask(path, HERE, {"ask": "again"}) == {"got": "again"}


def test_any_name_and_any_length_pass_through(path):
    names = {"names": ["caf\udce9\n" * 100_000]}
    with answering(path, lambda question: names):
        assert ask(path, HERE, {}) == names


def test_the_path_may_be_longer_than_the_kernel_takes(tmp_path):
    directory = tmp_path.joinpath(*["d" * 100] * 4)
    directory.mkdir(parents=True)
    with answering(directory / "inotifier.sock"):
        assert ask(directory / "inotifier.sock", HERE, {"ask": "x"}) == {"ask": "x"}


def test_it_is_for_its_user_alone(path):
    before = os.umask(0)
    try:
        with answering(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user_is_refused(path):
    path.parent.chmod(0o755)
    for directory in path.parents[1:4]:
        if directory.stat().st_uid == 0 and directory != directory.parent:
            directory.chmod(directory.stat().st_mode | 0o011)
    with answering(path):
        os.seteuid(65534)
        try:
            with pytest.raises(NotPermitted, match="belongs to another user"):
                ask(path, HERE, {})
        finally:
            os.seteuid(0)


def test_what_a_dead_daemon_left_is_replaced(path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(NoAnswer, match="does not answer"):
        ask(path, HERE, {})
    with answering(path):
        assert ask(path, HERE, {}) == {}


def test_nothing_is_left_at_the_end(path):
    with answering(path):
        assert path.exists()
    assert not path.exists()
    with pytest.raises(NoAnswer, match="does not answer"):
        ask(path, HERE, {})


def test_another_process_is_not_believed(path):
    with answering(path), pytest.raises(NoAnswer, match=f"by the process {HERE}, not by"):
        ask(path, 1, {})


def test_who_does_not_answer_is_not_waited_for(path):
    gate = threading.Event()
    with answering(path, lambda question: {"late": gate.wait(30)}):
        with pytest.raises(NoAnswer, match="timed out"):
            ask(path, HERE, {}, timeout=0.05)
        gate.set()


@contextlib.contextmanager
def connected(path):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        yield connection


@contextlib.contextmanager
def trickling(path):
    """Send a byte now and then, but no question."""
    end = threading.Event()

    def trickle() -> None:
        with contextlib.suppress(OSError):  # nobody listens any more
            while not end.wait(0.05):
                connection.send(b"x")

    with connected(path) as connection:
        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()


def test_who_does_not_come_to_an_end_holds_nobody_up_for_long(path):
    with answering(path), trickling(path):
        assert ask(path, HERE, {"a": 1}) == {"a": 1}


def test_who_says_nothing_holds_nobody_up_for_long(path):
    with answering(path), connected(path), connected(path):
        assert ask(path, HERE, {"a": 1}) == {"a": 1}


@pytest.mark.parametrize("sent", [b"", b"\n"])
def test_who_asks_nothing_is_nobody(path, sent, caplog):
    with answering(path):
        with connected(path) as connection:
            connection.sendall(sent)
        assert ask(path, HERE, {"a": 1}) == {"a": 1}
    assert not caplog.records


def test_an_answer_that_hangs_does_not_hold_up_the_end(path):
    asked, gate, late = threading.Event(), threading.Event(), threading.Event()

    def answer(question):
        asked.set()
        if not gate.wait(10):
            late.set()
        return {}

    with answering(path, answer):
        with connected(path) as connection:
            connection.sendall(b"{}\n")
        asked.wait(10)
    assert not late.is_set()
    gate.set()


def test_without_a_free_descriptor_questions_wait(path, caplog):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with answering(path):
        with connected(path):
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            # accept(2) takes its descriptor before it waits: the next one finds none.
            wait_for(lambda: "Too many open files" in caplog.text)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert ask(path, HERE, {"a": 1}) == {"a": 1}
    assert len(caplog.records) == 1


@pytest.mark.parametrize("sent", [b"nonsense\n", b"[]\n", b"\xff\xfe\n", b"{}"])
def test_nonsense_does_not_end_the_answers(path, sent, caplog):
    caplog.set_level(logging.CRITICAL)
    with answering(path, lambda question: {"keys": list(question.keys())}):
        with connected(path) as connection:
            connection.sendall(sent)
        assert ask(path, HERE, {"a": 1}) == {"keys": ["a"]}


def test_who_hangs_up_does_not_end_the_answers(path):
    with answering(path, lambda question: {"much": "x" * 1_000_000}):
        for _ in range(3):
            with connected(path) as connection:
                connection.sendall(b"{}\n")
        assert len(ask(path, HERE, {})["much"]) == 1_000_000


def test_where_no_socket_can_be_the_error_is_the_systems(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        Channel(tmp_path / "absent" / "inotifier.sock", dict)
