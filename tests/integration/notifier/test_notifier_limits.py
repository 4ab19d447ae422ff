"""The kernel's limits: what is said, and what goes on."""

import logging

import pytest
from pyinotify import IN_CREATE

from inotifier.exceptions import WatchError
from inotifier.notifier import Inotify
from tests.integration.notifier.driving import TREE, driven
from tests.integration.notifier.elsewhere import limited


class Errors(logging.Handler):
    """Keeps the errors that are logged."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.messages = []
        logging.getLogger("inotifier").addHandler(self)

    def emit(self, record):
        self.messages.append(record.getMessage())


@pytest.fixture
def tree(tmp_path):
    for number in range(100):
        (tmp_path / f"{number}").mkdir()
    return tmp_path


def test_too_many_directories(tree):
    def act():
        errors = Errors()
        with driven() as drive:
            subscription = drive.watch(tree, IN_CREATE, **TREE)
            (tree / "file").touch()
            drive.settle()
            created = drive.of(subscription).created
            return errors.messages, subscription.problem, created, len(drive.watched)

    messages, problem, created, watched = limited("max_inotify_watches", 50, act)
    [message] = messages
    assert str(tree) in message
    assert "fs.inotify.max_user_watches=" in message
    assert "101" in message
    assert problem == message
    assert created == [f"{tree}/file"]
    assert 40 <= watched <= 50


def test_one_directory_too_many(tree):
    """It comes while the rest is watched: one message, however many there are."""

    def act():
        errors = Errors()
        with driven() as drive:
            subscription = drive.watch(tree, IN_CREATE, **TREE)
            before = subscription.problem
            for number in range(30):
                (tree / f"new{number}").mkdir()
            drive.settle()
            return errors.messages, before, subscription.problem

    messages, before, problem = limited("max_inotify_watches", 110, act)
    assert before == ""
    assert len(messages) == 1
    assert str(tree) in problem
    assert "fs.inotify.max_user_watches=" in problem


def test_no_watch_left_for_a_root(tree):
    def act():
        with driven() as drive:
            try:
                drive.watch(tree / "0")
                for number in range(1, 10):
                    drive.watch(tree / f"{number}")
            except WatchError as exc:
                return str(exc)
        return ""

    message = limited("max_inotify_watches", 5, act)
    assert "fs.inotify.max_user_watches=" in message
    assert str(tree) in message


def test_no_instance_left(tree):
    def act():
        kept = []
        try:
            for _ in range(5):
                kept.append(Inotify())
        except WatchError as exc:
            return str(exc)
        finally:
            for one in kept:
                one.close()
        return ""

    message = limited("max_inotify_instances", 2, act)
    assert "fs.inotify.max_user_instances=" in message
    assert "ulimit -n" in message
