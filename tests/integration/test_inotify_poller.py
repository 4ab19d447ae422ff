"""What only the poller by inotify can go through: limits, overflows, and when it may stay lazy."""

import logging
from pathlib import Path

import pytest

from inotifier.exceptions import WatchError
from inotifier.sources import FilePoller, INotifyPoller, make_poller
from inotifier.sources.listing import Listing
from tests.integration.notifier.elsewhere import limited

_QUEUE = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


class Messages(logging.Handler):
    """Keeps the warnings that are logged, in another process too."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.texts = []
        logging.getLogger("inotifier").addHandler(self)

    def emit(self, record):
        self.texts.append(record.getMessage())


def kinds(poller):
    return [(Path(subject).name, kind) for subject, kind in poller.get_new_events()]


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def listed(monkeypatch):
    """The directories that were listed."""
    walk, found = Listing.walk, []

    def noted(self, top, *, recurse):
        found.append(top)
        walk(self, top, recurse=recurse)

    monkeypatch.setattr(Listing, "walk", noted)
    return found


def test_only_what_has_changed_is_looked_at(tmp_path, listed):
    (tmp_path / "directory").mkdir()
    with INotifyPoller(tmp_path, recurse=True) as poller:
        listed.clear()
        assert poller.get_new_events() == []
        (tmp_path / "directory" / "file").touch()
        assert kinds(poller) == [("file", "created")]
        assert listed == []
        (tmp_path / "new" / "below").mkdir(parents=True)
        poller.get_new_events()
        assert listed == [str(tmp_path / "new")]


@pytest.mark.skipif(_QUEUE > 1_000_000, reason="the kernel's queue is too long here")
def test_an_overflow_loses_nothing(tmp_path, listed):
    for name in ("1", "2", "gone"):
        (tmp_path / name).touch()
    with INotifyPoller(tmp_path, recurse=True) as poller:
        for _ in range(_QUEUE // 2 + 1):
            for name in "12":
                (tmp_path / name).chmod(0o600)
        (tmp_path / "gone").unlink()
        (tmp_path / "directory").mkdir()
        (tmp_path / "directory" / "file").touch()
        listed.clear()
        gone, *others = kinds(poller)
        assert gone == ("gone", "deleted")
        assert sorted(others) == [("1", "modified"), ("2", "modified"), ("file", "created")]
        assert listed == [str(tmp_path)]
        listed.clear()
        assert poller.get_new_events() == []
        (tmp_path / "directory" / "other").touch()
        assert kinds(poller) == [("other", "created")]
        assert listed == []


def test_more_directories_than_watches(tmp_path):
    """There is no such poller then: the other one takes its place, and the reason is logged."""
    for number in range(60):
        (tmp_path / f"{number}").mkdir()

    def act():
        messages = Messages()
        with pytest.raises(WatchError, match=r"fs\.inotify\.max_user_watches"):
            INotifyPoller(tmp_path, recurse=True)
        before = descriptors()
        with make_poller(tmp_path, recurse=True) as poller:
            assert descriptors() == before
            (tmp_path / "59" / "file").touch()
            return type(poller), kinds(poller), messages.texts

    cls, answer, texts = limited("max_inotify_watches", 50, act)
    assert cls is FilePoller
    assert answer == [("file", "created")]
    [text] = [text for text in texts if text.startswith("INotifyPoller cannot be used")]
    assert "FilePoller takes its place" in text
    assert "fs.inotify.max_user_watches=" in text


def test_no_further_instance(tmp_path):
    def act():
        messages = Messages()
        with make_poller(tmp_path) as poller:
            return type(poller), messages.texts

    cls, [text] = limited("max_inotify_instances", 0, act)
    assert cls is FilePoller
    assert "INotifyPoller cannot be used, FilePoller takes its place" in text
    assert "fs.inotify.max_user_instances=" in text


def test_more_directories_than_watches_after_a_while(tmp_path):
    def act():
        Messages()
        with INotifyPoller(tmp_path, recurse=True) as poller:
            for number in range(60):
                (tmp_path / f"{number}").mkdir()
            answers = [poller.get_new_events()]
            for number in range(60):
                (tmp_path / f"{number}" / f"file{number}").touch()
            answers.append(sorted(kinds(poller)))
            (tmp_path / "59" / "file59").unlink()
            answers.append(kinds(poller))
            return answers

    nothing, created, gone = limited("max_inotify_watches", 50, act)
    assert nothing == []
    assert created == sorted((f"file{number}", "created") for number in range(60))
    assert gone == [("file59", "deleted")]


def test_a_root_that_cannot_be_watched_again_is_listed(tmp_path):
    """Its inotify instance is closed before the next one is made, which the kernel refuses."""
    root = tmp_path / "root"

    def act():
        messages = Messages()
        with INotifyPoller(root) as poller:
            root.rename(tmp_path / "old")
            root.mkdir()
            Path("/proc/sys/user/max_inotify_instances").write_text("0")
            answers = []
            for name in "ab":
                (root / name).touch()
                answers.append(kinds(poller))
            Path("/proc/sys/user/max_inotify_instances").write_text("10")
            (root / "c").touch()
            answers.append(kinds(poller))
            (root / "d").touch()
            answers.append(kinds(poller))
        return answers, messages.texts

    answers, texts = limited("max_inotify_instances", 10, act)
    assert answers == [[(name, "created")] for name in "abcd"]
    [text] = texts
    assert f"{root} is listed at each call for now" in text
