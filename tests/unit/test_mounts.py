"""Which file system a path lies on."""

import os
from pathlib import Path

import pytest

from inotifier import mounts, watches
from inotifier.watches import Watch

MOUNTS = b"""\
22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/root rw
23 22 0:21 / /proc rw - proc proc rw
30 22 0:40 / /srv/nfs rw shared:5 master:2 - nfs4 host:/export rw,vers=4.2
31 30 0:41 / /srv/nfs/local rw - tmpfs tmpfs rw
32 22 0:42 / /srv/with\\040space rw - cifs //host/share rw
33 22 0:43 / /srv/twice rw - ext4 /dev/sda rw
34 33 0:44 / /srv/twice rw - fuse.sshfs user@host: rw
"""


@pytest.fixture
def mounted(monkeypatch):
    """Let the kernel tell of `MOUNTS`."""
    read_bytes = Path.read_bytes

    def tell(path):
        return MOUNTS if str(path) == "/proc/self/mountinfo" else read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", tell)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/srv", "ext4"),
        ("/srv/nfs", "nfs4"),
        ("/srv/nfs/a/b", "nfs4"),
        ("/srv/nfsx", "ext4"),
        ("/srv/nfs/local/a", "tmpfs"),
        ("/srv/with space/a", "cifs"),
        ("/srv/twice/a", "fuse.sshfs"),
    ],
)
def test_the_mount_that_covers_a_path_tells(mounted, path, kind):
    assert mounts.type_of(path) == kind


def test_this_machine_has_an_answer(tmp_path):
    assert mounts.type_of(str(tmp_path))
    assert mounts.type_of("/proc") == "proc"


def test_a_link_leads_to_where_it_points(mounted, tmp_path):
    (tmp_path / "link").symlink_to("/srv/nfs")
    assert mounts.type_of(str(tmp_path / "link" / "a")) == "nfs4"


@pytest.mark.parametrize(
    ("backend", "kind", "polls", "problems"),
    [
        ("auto", "ext4", False, []),
        ("auto", "nfs4", True, []),
        ("inotify", "ext4", False, []),
        ("inotify", "nfs4", False, ["inotifier.W003"]),
        ("polling", "ext4", True, []),
        ("polling", "nfs4", True, []),
    ],
)
def test_auto_polls_where_others_change_files(
    settings, monkeypatch, tmp_path, backend, kind, polls, problems
):
    monkeypatch.setattr(mounts, "type_of", lambda path: kind)
    settings.INOTIFIER_WATCH_PATHS = [Watch(os.fspath(tmp_path), backend=backend)]
    [entry], found = watches.inspect_settings()
    assert entry.polls is polls
    assert [problem.id for problem in found] == problems
