"""What scripts get from pollers of files: the same from both, for whatever happens to files."""

import ctypes
import logging
import mmap
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from inotifier.sources import FilePoller, INotifyPoller, SourceError
from tests.integration.notifier.elsewhere import as_nobody, in_a_child, open_to_all


class Asked:
    """A poller, asked for changes of paths relative to its root."""

    def __init__(self, poller, root):
        self.poller = poller
        self._root = str(root)

    def __call__(self):
        return [
            (kind, os.path.relpath(subject, self._root))
            for subject, kind in self.poller.get_new_events()
        ]


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def outside(tmp_path):
    path = tmp_path / "outside"
    path.mkdir()
    return path


@pytest.fixture(params=[FilePoller, INotifyPoller])
def backend(request):
    return request.param


@pytest.fixture
def polling(backend, root):
    """Make pollers of the root; they are closed at the end."""
    made = []

    def make(path=root, recurse=False, **options):
        poller = backend(path, recurse, **options)
        made.append(poller)
        return Asked(poller, path)

    yield make
    for poller in made:
        poller.close()


@pytest.fixture
def shallow(polling):
    return polling()


@pytest.fixture
def deep(polling):
    return polling(recurse=True)


@pytest.fixture(params=[False, True], ids=["shallow", "deep"])
def asked(request, polling):
    """Of both kinds, for what does not depend on it."""
    return polling(recurse=request.param)


# Files


def test_nothing_has_happened(asked):
    assert asked() == []


def test_a_file_is_created_modified_and_deleted(asked, root):
    file = root / "file"
    file.write_bytes(b"1")
    assert asked() == [("created", "file")]
    assert asked() == []
    file.write_bytes(b"12")
    assert asked() == [("modified", "file")]
    assert asked() == []
    file.unlink()
    assert asked() == [("deleted", "file")]
    assert asked() == []


def test_what_is_gone_comes_first_and_all_in_order(asked, root):
    for name in "xy":
        (root / name).touch()
    asked()
    for name in "xy":
        (root / name).unlink()
    for name in "cab":
        (root / name).touch()
    created = [("created", name) for name in "abc"]
    assert asked() == [("deleted", "x"), ("deleted", "y"), *created]


def test_several_writes_are_one_change(asked, root):
    file = root / "file"
    for size in range(3):
        file.write_bytes(b"x" * size)
    assert asked() == [("created", "file")]
    for size in range(5):
        file.write_bytes(b"x" * size)
    assert asked() == [("modified", "file")]


def test_a_file_that_is_open_over_two_calls(asked, root):
    with (root / "file").open("wb", buffering=0) as file:
        assert asked() == [("created", "file")]
        file.write(b"x")
        assert asked() == [("modified", "file")]
    assert asked() == []


def test_what_came_and_went_between_two_calls_is_not_told(asked, root):
    (root / "file").touch()
    (root / "file").unlink()
    assert asked() == []


def test_a_file_that_went_and_came_back_is_modified(asked, root):
    (root / "file").write_bytes(b"1")
    asked()
    (root / "file").unlink()
    (root / "file").write_bytes(b"2")
    assert asked() == [("modified", "file")]


def test_a_file_of_the_same_size_with_its_old_time_is_modified(asked, root):
    file = root / "file"
    file.write_bytes(b"1")
    asked()
    status = file.stat()
    file.write_bytes(b"2")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert asked() == [("modified", "file")]


def test_an_older_time_is_a_change(asked, root, outside):
    """As cp -p and rsync -t give it."""
    (root / "file").write_bytes(b"1")
    asked()
    old = outside / "old"
    old.write_bytes(b"2")
    os.utime(old, (1, 1))
    shutil.copy2(old, root / "file")
    assert asked() == [("modified", "file")]


def test_a_change_of_permissions_is_a_change(asked, root):
    (root / "file").touch(0o600)
    asked()
    (root / "file").chmod(0o640)
    assert asked() == [("modified", "file")]


def test_a_truncated_file_is_modified(asked, root):
    (root / "file").write_bytes(b"123")
    asked()
    os.truncate(root / "file", 1)
    assert asked() == [("modified", "file")]


def test_a_file_that_is_written_as_memory_is_modified_once_it_is_closed(asked, root):
    (root / "file").write_bytes(b"1")
    asked()
    with (root / "file").open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[0] = 50
    assert asked() == [("modified", "file")]


def test_reading_is_no_change(asked, root):
    (root / "file").write_bytes(b"1")
    asked()
    (root / "file").read_bytes()
    assert asked() == []


_CLOCK_REALTIME_COARSE = 5
_CLONE_NEWNS = 0x00020000


def test_a_change_right_after_a_call_has_another_time(asked, root):
    """The clock for the times of files ticks."""
    for _ in range(20):
        (root / "file").write_bytes(b"1")
        asked()
        assert time.clock_gettime_ns(_CLOCK_REALTIME_COARSE) > (root / "file").stat().st_ctime_ns


def test_a_change_right_after_the_poller_is_made_has_another_time(polling, root):
    (root / "file").write_bytes(b"1")
    asked = polling()
    (root / "file").write_bytes(b"2")
    assert asked() == [("modified", "file")]


def mount_ramfs(directory):
    subprocess.run(["mount", "-t", "ramfs", "none", directory], check=True, capture_output=True)


def on_ramfs(directory, act):
    """Return what `act` returns while `directory` is a file system whose times only tick."""

    def mount():
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_NEWNS):
            raise OSError(ctypes.get_errno(), "unshare")
        subprocess.run(["mount", "--make-rprivate", "/"], check=True, capture_output=True)
        mount_ramfs(directory)

    try:
        in_a_child(lambda: None, mount)
    except AssertionError:
        pytest.skip("this machine lets nobody mount a ramfs here")
    return in_a_child(act, mount)


def test_no_change_is_missed_where_times_are_coarse(backend, tmp_path):
    """As everywhere before Linux 6.13: two changes of the same size within one tick."""

    def act():
        file = tmp_path / "file"
        missed = 0
        with backend(tmp_path) as poller:
            for number in range(30):
                file.write_bytes(b"%02d" % number)
                missed += not poller.get_new_events()
                file.write_bytes(b"%02d" % (number + 50))
                missed += not poller.get_new_events()
        return missed

    assert on_ramfs(tmp_path, act) == 0


# Renames


def test_a_file_renamed_into_view_is_created(asked, root, outside):
    (outside / "file").touch()
    (outside / "file").rename(root / "file")
    assert asked() == [("created", "file")]


def test_a_file_renamed_out_of_view_is_deleted(asked, root, outside):
    (root / "file").touch()
    asked()
    (root / "file").rename(outside / "file")
    assert asked() == [("deleted", "file")]


def test_a_renamed_file(asked, root):
    (root / "old").touch()
    asked()
    (root / "old").rename(root / "new")
    assert asked() == [("deleted", "old"), ("created", "new")]


def test_written_elsewhere_then_renamed(asked, root):
    (root / "file.tmp").write_bytes(b"1")
    (root / "file.tmp").rename(root / "file")
    assert asked() == [("created", "file")]


def test_a_file_that_takes_the_place_of_another_is_modified(asked, root):
    (root / "file").write_bytes(b"1")
    asked()
    (root / "file.tmp").write_bytes(b"2")
    (root / "file.tmp").replace(root / "file")
    assert asked() == [("modified", "file")]


def test_a_file_that_is_renamed_and_back_is_modified(asked, root):
    """Its ctime is another."""
    (root / "file").write_bytes(b"1")
    asked()
    (root / "file").rename(root / "other")
    (root / "other").rename(root / "file")
    assert asked() == [("modified", "file")]


# What was there before


@pytest.mark.parametrize("recurse", [False, True])
def test_what_was_there_is_ignored(polling, root, recurse):
    (root / "file").touch()
    asked = polling(recurse=recurse)
    assert asked() == []
    (root / "file").write_bytes(b"1")
    assert asked() == [("modified", "file")]


@pytest.mark.parametrize("recurse", [False, True])
def test_what_was_there_is_created_if_asked_for(polling, root, recurse):
    (root / "file").touch()
    asked = polling(recurse=recurse, initial="created")
    assert asked() == [("created", "file")]
    assert asked() == []


def test_another_initial_is_refused(polling, root):
    with pytest.raises(ValueError, match="initial is 'emit'"):
        polling(initial="emit")


# What is no file


def test_directories_are_not_told(asked, root):
    (root / "directory").mkdir()
    assert asked() == []
    (root / "directory").chmod(0o700)
    assert asked() == []
    (root / "directory").rmdir()
    assert asked() == []


def test_fifos_and_sockets_are_not_told(asked, root, monkeypatch):
    os.mkfifo(root / "fifo")
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    assert asked() == []
    (root / "fifo").unlink()
    assert asked() == []


def test_a_file_becomes_a_fifo(asked, root):
    (root / "name").touch()
    asked()
    (root / "name").unlink()
    os.mkfifo(root / "name")
    assert asked() == [("deleted", "name")]
    (root / "name").unlink()
    (root / "name").touch()
    assert asked() == [("created", "name")]


# Links


def test_a_link_to_a_file_is_told_like_the_file(asked, root, outside):
    target = outside / "target"
    target.write_bytes(b"1")
    (root / "link").symlink_to(target)
    assert asked() == [("created", "link")]
    target.write_bytes(b"12")
    assert asked() == [("modified", "link")]
    target.unlink()
    assert asked() == [("deleted", "link")]
    target.touch()
    assert asked() == [("created", "link")]
    (root / "link").unlink()
    assert asked() == [("deleted", "link")]
    target.write_bytes(b"1")
    assert asked() == []


def test_a_link_and_its_target(asked, root):
    (root / "a").write_bytes(b"1")
    (root / "b").symlink_to("a")
    assert asked() == [("created", "a"), ("created", "b")]
    (root / "a").write_bytes(b"12")
    assert asked() == [("modified", "a"), ("modified", "b")]
    (root / "a").unlink()
    assert asked() == [("deleted", "a"), ("deleted", "b")]


def test_a_link_that_leads_elsewhere_is_modified(asked, root, outside):
    for name in "12":
        (outside / name).touch()
    (root / "link").symlink_to(outside / "1")
    asked()
    (root / "new").symlink_to(outside / "2")
    (root / "new").replace(root / "link")
    assert asked() == [("modified", "link")]


def test_links_to_nothing(asked, root):
    (root / "nowhere").symlink_to("not there")
    (root / "itself").symlink_to("itself")
    (root / "too long").symlink_to("x" * 300)
    assert asked() == []


def test_a_link_to_a_directory_is_not_followed(asked, root, outside):
    (root / "link").symlink_to(outside)
    (root / "up").symlink_to(root)
    (outside / "file").touch()
    assert asked() == []


def test_a_file_takes_the_place_of_a_directory_and_a_link_that_of_a_file(deep, root, outside):
    (outside / "file").touch()
    (root / "name").mkdir()
    (root / "name" / "file").touch()
    assert deep() == [("created", "name/file")]
    shutil.rmtree(root / "name")
    (root / "name").touch()
    assert deep() == [("deleted", "name/file"), ("created", "name")]
    (root / "name").unlink()
    (root / "name").symlink_to(outside)
    assert deep() == [("deleted", "name")]
    (root / "name").unlink()
    (root / "name").mkdir()
    (root / "name" / "file").touch()
    assert deep() == [("created", "name/file")]
    shutil.rmtree(root / "name")
    (root / "name").symlink_to(outside)
    assert deep() == [("deleted", "name/file")]


def test_a_file_with_several_names(asked, root, outside):
    (root / "a").write_bytes(b"1")
    asked()
    os.link(root / "a", root / "b")
    assert asked() == [("modified", "a"), ("created", "b")]
    (root / "a").write_bytes(b"12")
    assert asked() == [("modified", "a"), ("modified", "b")]
    os.link(root / "b", outside / "c")
    assert asked() == [("modified", "a"), ("modified", "b")]
    (outside / "c").write_bytes(b"123")
    assert asked() == [("modified", "a"), ("modified", "b")]
    (root / "a").unlink()
    assert asked() == [("deleted", "a"), ("modified", "b")]


# Directories


def test_files_in_new_directories(deep, root):
    (root / "1" / "2").mkdir(parents=True)
    (root / "1" / "file").touch()
    (root / "1" / "2" / "file").touch()
    assert deep() == [("created", "1/2/file"), ("created", "1/file")]
    (root / "1" / "2" / "other").touch()
    assert deep() == [("created", "1/2/other")]
    (root / "1" / "2" / "file").write_bytes(b"1")
    assert deep() == [("modified", "1/2/file")]


def test_many_new_directories(deep, root):
    """More than are looked through apart."""
    for number in range(150):
        (root / f"{number}").mkdir()
        (root / f"{number}" / "file").touch()
    assert len(deep()) == 150
    (root / "149" / "file").unlink()
    assert deep() == [("deleted", "149/file")]


def test_an_empty_directory_gets_a_file_later(deep, root):
    (root / "directory").mkdir()
    assert deep() == []
    (root / "directory" / "file").touch()
    assert deep() == [("created", "directory/file")]


def test_a_directory_is_removed(deep, root):
    (root / "1" / "2").mkdir(parents=True)
    (root / "1" / "2" / "file").touch()
    deep()
    shutil.rmtree(root / "1")
    assert deep() == [("deleted", "1/2/file")]


def test_a_directory_is_renamed(deep, root):
    (root / "old" / "1").mkdir(parents=True)
    (root / "old" / "1" / "file").touch()
    deep()
    (root / "old").rename(root / "new")
    assert deep() == [("deleted", "old/1/file"), ("created", "new/1/file")]
    (root / "new" / "1" / "file").write_bytes(b"1")
    assert deep() == [("modified", "new/1/file")]


def test_names_that_begin_alike(deep, root):
    for name in ("a", "a-", "a0"):
        (root / name).mkdir()
        (root / name / "file").touch()
    deep()
    shutil.rmtree(root / "a")
    assert deep() == [("deleted", "a/file")]


def test_a_directory_is_renamed_into_view_and_out(deep, root, outside):
    (outside / "directory").mkdir()
    (outside / "directory" / "file").touch()
    (outside / "directory").rename(root / "directory")
    assert deep() == [("created", "directory/file")]
    (root / "directory" / "file").write_bytes(b"1")
    (root / "directory").rename(outside / "directory")
    assert deep() == [("deleted", "directory/file")]
    (outside / "directory" / "file").write_bytes(b"12")
    assert deep() == []


def test_without_recurse_directories_below_do_not_count(shallow, root):
    (root / "directory").mkdir()
    (root / "directory" / "file").touch()
    assert shallow() == []
    assert shallow() == []
    (root / "directory" / "file").rename(root / "file")
    assert shallow() == [("created", "file")]


# The root


@pytest.mark.parametrize("recurse", [False, True])
def test_a_missing_root_is_made(polling, root, recurse):
    missing = root / "not" / "there"
    asked = polling(missing, recurse)
    assert missing.is_dir()
    (missing / "file").touch()
    assert asked() == [("created", "file")]


def test_the_root_is_removed_and_made_again(asked, root):
    (root / "file").touch()
    asked()
    shutil.rmtree(root)
    assert asked() == [("deleted", "file")]
    assert asked() == []
    root.mkdir()
    assert asked() == []
    (root / "file").touch()
    assert asked() == [("created", "file")]
    (root / "file").unlink()
    assert asked() == [("deleted", "file")]


def test_the_root_is_removed_and_made_again_between_two_calls(asked, root):
    (root / "same").touch()
    (root / "other").touch()
    asked()
    shutil.rmtree(root)
    root.mkdir()
    (root / "same").write_bytes(b"1")
    (root / "new").touch()
    assert asked() == [("deleted", "other"), ("created", "new"), ("modified", "same")]


def test_another_directory_takes_the_place_of_the_root(asked, root, outside):
    (root / "1").touch()
    (outside / "2").touch()
    asked()
    root.rename(root.with_name("old"))
    outside.rename(root)
    assert asked() == [("deleted", "1"), ("created", "2")]
    (root.with_name("old") / "3").touch()
    assert asked() == []
    (root / "4").touch()
    assert asked() == [("created", "4")]


def test_a_directory_above_the_root_is_renamed(polling, tmp_path):
    above = tmp_path / "above"
    asked = polling(above / "root", recurse=True)
    (above / "root" / "file").touch()
    asked()
    above.rename(tmp_path / "elsewhere")
    assert asked() == [("deleted", "file")]
    (tmp_path / "elsewhere").rename(above)
    assert asked() == [("created", "file")]
    (above / "root" / "file").write_bytes(b"1")
    assert asked() == [("modified", "file")]


def test_the_root_is_renamed_and_back_between_two_calls(asked, root):
    (root / "file").touch()
    asked()
    root.rename(root.with_name("elsewhere"))
    root.with_name("elsewhere").rename(root)
    assert asked() == []
    (root / "new").touch()
    assert asked() == [("created", "new")]


def test_the_root_becomes_a_file_and_a_directory_again(asked, root):
    (root / "file").touch()
    asked()
    shutil.rmtree(root)
    root.touch()
    assert asked() == [("deleted", "file"), ("created", ".")]
    root.unlink()
    root.mkdir()
    (root / "file").touch()
    assert asked() == [("deleted", "."), ("created", "file")]


@pytest.mark.parametrize("recurse", [False, True])
def test_a_root_that_is_a_file(polling, root, recurse):
    file = root / "file"
    file.touch()
    asked = polling(file, recurse)
    assert asked() == []
    (root / "other").touch()
    assert asked() == []
    file.write_bytes(b"1")
    assert asked() == [("modified", ".")]
    (root / "other").replace(file)
    assert asked() == [("modified", ".")]
    file.unlink()
    assert asked() == [("deleted", ".")]
    file.touch()
    assert asked() == [("created", ".")]


def test_a_root_that_is_a_link(polling, root, outside):
    link = root / "link"
    link.symlink_to(outside)
    asked = polling(link, recurse=True)
    (outside / "file").touch()
    assert asked() == [("created", "file")]
    (root / "other").mkdir()
    link.unlink()
    link.symlink_to(root / "other")
    assert asked() == [("deleted", "file")]
    (root / "other" / "file").touch()
    assert asked() == [("created", "file")]


def test_a_root_that_is_neither_directory_nor_file_is_refused(backend, root):
    os.mkfifo(root / "fifo")
    with pytest.raises(SourceError, match="fifo is neither a directory nor a regular file"):
        backend(root / "fifo")


def test_a_root_that_cannot_be_made_is_refused(backend, root):
    (root / "file").touch()
    with pytest.raises(SourceError, match="directory cannot be read: Not a directory"):
        backend(root / "file" / "directory")
    (root / "link").symlink_to("nowhere")
    with pytest.raises(SourceError, match="link cannot be made: File exists"):
        backend(root / "link")


def test_of_a_root_that_is_not_mounted_any_more_nothing_is_known_to_be_gone(backend, tmp_path):
    def act():
        for name in "ab":
            (tmp_path / name).write_bytes(b"1")
        with backend(tmp_path) as poller:
            asked = Asked(poller, tmp_path)
            answers = [asked()]
            subprocess.run(["umount", tmp_path], check=True)
            for _ in range(2):
                with pytest.raises(SourceError, match="is not mounted any more"):
                    asked()
            mount_ramfs(tmp_path)
            (tmp_path / "b").write_bytes(b"12")
            answers.append(asked())
            (tmp_path / "c").touch()
            return [*answers, asked()]

    assert on_ramfs(tmp_path, act) == [
        [],
        [("deleted", "a"), ("modified", "b")],
        [("created", "c")],
    ]


# Names


ODD_NAMES = [
    b"caf\xe9",
    b"\xff",
    "grüße".encode(),
    b"a#b",
    b"a?b",
    b"100%25",
    b" ",
    b"a\nb",
    b"-",
    b"*[a]",
    b"x" * 255,
]


@pytest.mark.parametrize("raw", ODD_NAMES, ids=repr)
def test_any_name(deep, root, raw):
    name = os.fsdecode(raw)
    (root / name).mkdir()
    assert deep() == []
    (root / name / name).write_bytes(b"1")
    assert deep() == [("created", f"{name}/{name}")]
    (root / name / name).unlink()
    assert deep() == [("deleted", f"{name}/{name}")]


@pytest.mark.parametrize("raw", ODD_NAMES, ids=repr)
def test_a_root_of_any_name(backend, root, raw):
    path = root / os.fsdecode(raw)
    path.mkdir()
    with backend(path) as poller, backend(path.as_uri()) as by_url:
        (path / "file").write_bytes(b"content")
        [(subject, kind)] = poller.get_new_events()
        assert by_url.get_new_events() == [(subject, kind)]
    assert (subject, kind) == (str(path / "file"), "created")
    with open(subject, "rb") as file:  # noqa: PTH123 -- as a script does
        assert file.read() == b"content"


def test_a_relative_path(backend, root, monkeypatch):
    monkeypatch.chdir(root)
    with backend("directory/../") as poller:
        monkeypatch.chdir("/")
        (root / "file").touch()
        assert poller.get_new_events() == [(str(root / "file"), "created")]


# What cannot be read


class Warned(logging.Handler):
    """Keeps the messages of pollers, in another process too."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.messages = []
        logging.getLogger("inotifier.sources").addHandler(self)

    def emit(self, record):
        self.messages.append(record.getMessage())


def test_of_what_cannot_be_read_the_last_that_is_known_holds(backend):
    def act():
        locked = root / "locked"
        locked.mkdir(parents=True)
        (locked / "file").touch()
        (root / "link").symlink_to(locked / "file")
        warned = Warned()
        with backend(root, recurse=True) as poller:
            asked = Asked(poller, root)
            locked.chmod(0)
            answers = [asked(), asked()]
            locked.chmod(0o700)
            (locked / "file").write_bytes(b"1")
            (locked / "new").touch()
            locked.chmod(0o400)
            answers.append(asked())
            locked.chmod(0o700)
            answers += [asked(), asked()]
            locked.chmod(0)
            answers.append(asked())
            locked.rename(root / "renamed")
            answers.append(asked())
        (root / "renamed").chmod(0o700)
        return warned.messages, answers

    with open_to_all() as path:
        root = path / "root"
        messages, answers = as_nobody(act)
    changed = [("modified", "link"), ("modified", "locked/file"), ("created", "locked/new")]
    gone = [("deleted", "link"), ("deleted", "locked/file"), ("deleted", "locked/new")]
    assert answers == [[], [], [], changed, [], [], gone]
    first = f"{root}/locked cannot be read: Permission denied; the last that is known of it holds"
    assert messages.count(first) == 2


def test_a_root_that_cannot_be_read_is_an_error_that_changes_nothing(backend):
    def act():
        root.mkdir()
        (root / "file").touch()
        with backend(root) as poller:
            asked = Asked(poller, root)
            (root / "new").touch()
            root.chmod(0)
            errors = []
            for ask in [poller.get_new_events, poller.get_new_events, lambda: backend(root)]:
                try:
                    ask()
                except Exception as exc:
                    errors.append(f"{type(exc).__name__}: {exc}")
            root.chmod(0o700)
            return errors, [asked(), asked()]

    with open_to_all() as path:
        root = path / "root"
        errors, answers = as_nobody(act)
    refused = f"SourceError: {root} cannot be read: Permission denied"
    assert errors[:2] == [refused, refused]
    assert "Permission denied" in errors[2]
    assert answers == [[("created", "new")], []]


# The end


def test_a_closed_poller_says_so(backend, root):
    poller = backend(root)
    poller.close()
    poller.close()
    with pytest.raises(ValueError, match="the poller is closed"):
        poller.get_new_events()


def test_a_poller_that_nobody_has_any_more_gives_everything_back(backend, root):
    before = len(list(Path("/proc/self/fd").iterdir()))
    poller = backend(root, True)
    poller.get_new_events()
    del poller
    assert len(list(Path("/proc/self/fd").iterdir())) == before
