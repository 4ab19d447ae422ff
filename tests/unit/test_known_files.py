"""What is remembered of files does not grow with those that come and go."""

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


def test_a_file_that_is_gone_before_it_was_sent_leaves_nothing():
    files = KnownFiles()
    files.soil("/srv/a", 0.0, is_open=True)
    files.note_inode("/srv/a", 7)
    files.forget("/srv/a")
    assert remembered(files) == 0


def test_what_has_the_inode_of_a_file_that_is_gone_is_kept():
    files = KnownFiles()
    state = FileState(7, 100, 1)
    files.note_sent("/srv/a", state)
    files.note_sent("/srv/b", state)
    files.forget("/srv/a")
    assert files.path_of(state) == "/srv/b"
