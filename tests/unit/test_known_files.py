"""What is remembered of files does not grow with those that come and go."""

import pytest

from inotifier.event_processors import known_files
from inotifier.event_processors.known_files import FileState, KnownFiles


def remembered(files: KnownFiles) -> int:
    return sum(len(records) for records in vars(files).values() if isinstance(records, dict))


def test_a_file_that_is_gone_leaves_nothing():
    files = KnownFiles()
    state = FileState(7, 100, 1)
    files.soil("/srv/a", 0.0, is_open=True)
    files.note_inode("/srv/a", 7)
    files.look("/srv/a", 0.0)
    files.clean("/srv/a", state)
    assert files.path_of(state) == "/srv/a"
    files.forget("/srv/a")
    assert remembered(files) == 0


def test_what_has_the_inode_of_a_file_that_is_gone_is_kept():
    files = KnownFiles()
    state = FileState(7, 100, 1)
    files.note_sent("/srv/a", state)
    files.note_sent("/srv/b", state)
    files.forget("/srv/a")
    assert files.path_of(state) == "/srv/b"


def test_a_file_that_is_renamed_and_deleted_leaves_nothing():
    files = KnownFiles()
    state = FileState(7, 100, 1)
    files.note_sent("/srv/a", state)
    files.leave("/srv/a", 1, is_dir=False)
    files.arrive("/srv/b", 1, "/srv/a", 0.0, is_dir=False)
    assert files.path_of(state) == "/srv/b"
    files.forget("/srv/b")
    assert remembered(files) == 0


def test_a_file_that_replaces_another_one_and_is_deleted_leaves_nothing():
    files = KnownFiles()
    files.note_sent("/srv/a", FileState(7, 100, 1))
    files.note_sent("/srv/b", FileState(8, 100, 1))
    files.leave("/srv/a", 1, is_dir=False)
    files.arrive("/srv/b", 1, "/srv/a", 0.0, is_dir=False)
    files.forget("/srv/b")
    assert remembered(files) == 0


def test_a_file_that_is_renamed_while_it_is_open_is_found_by_its_inode():
    files = KnownFiles()
    files.soil("/srv/a", 0.0, is_open=True)
    files.note_inode("/srv/a", 7)
    files.leave("/srv/a", 1, is_dir=False)
    files.arrive("/srv/b", 1, "/srv/a", 0.0, is_dir=False)
    assert files.take_open("7") == "/srv/b"
    files.forget("/srv/b")
    assert remembered(files) == 0


def test_a_file_that_is_written_again_and_deleted_leaves_nothing():
    files = KnownFiles()
    files.note_sent("/srv/a", FileState(7, 100, 1))
    files.note_sent("/srv/a", FileState(7, 200, 2))
    files.forget("/srv/a")
    assert remembered(files) == 0


@pytest.mark.parametrize("ends", [KnownFiles.forget, KnownFiles.forget_unsent])
def test_a_file_that_is_none_to_send_leaves_nothing(ends):
    files = KnownFiles()
    files.soil("/srv/a", 0.0, is_open=True)
    files.note_inode("/srv/a", 7)
    ends(files, "/srv/a")
    assert remembered(files) == 0


def test_directories_that_leave_for_good_leave_little(monkeypatch):
    monkeypatch.setattr(known_files, "MAX_MOVING", 10)
    files = KnownFiles()
    for number in range(100):
        files.note_sent(f"/srv/{number}/a", FileState(number, 100, 1))
        files.soil(f"/srv/{number}/b", 0.0, is_open=True)
        files.note_inode(f"/srv/{number}/b", 1000 + number)
        files.leave(f"/srv/{number}", number + 1, is_dir=True)
    assert remembered(files) == 10 * 3
    assert files.path_of(FileState(99, 100, 1)) == "/srv/99/a"
