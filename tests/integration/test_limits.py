"""What the kernel refuses is said with the limit and what to do, and nothing stands half."""

import subprocess
import sys
from pathlib import Path

import pytest

# A user namespace has limits of its own (namespaces(7)), so that nothing on the machine changes.
IN_A_USER_NAMESPACE = """
import ctypes, os, sys
uid, gid = os.getuid(), os.getgid()
if ctypes.CDLL(None).unshare(0x10000000):  # CLONE_NEWUSER
    sys.exit(77)
try:
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    with open("/proc/sys/user/%s", "w") as file:
        file.write("%d")
except OSError:
    sys.exit(77)
"""

WITH_FEW_DESCRIPTORS = """
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1, 1024))
"""

WATCH = """
import sys
from django.conf import settings
settings.configure(INOTIFIER_WATCH_PATHS=[(path, "IN_CREATE", print) for path in sys.argv[1:]])
from inotifier import watches
from inotifier.exceptions import WatchError
from inotifier.service import Service
entries = watches.load()
{limit}
try:
    service = Service(entries)
except WatchError as exc:
    sys.exit(str(exc))
try:
    service.watch(lambda line: None)
except WatchError as exc:
    sys.exit(str(exc))
finally:
    service.close()
"""


def watch(limit: str, *paths: Path) -> tuple[int, str]:
    """Watch `paths` in a process below `limit`; return its exit code and what it said."""
    result = subprocess.run(
        [sys.executable, "-c", WATCH.format(limit=limit), *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if result.returncode == 77:
        pytest.skip("this machine gives no user namespaces")
    return result.returncode, result.stderr.strip()


@pytest.fixture
def directories(tmp_path):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path in paths:
        path.mkdir()
    return paths


def test_the_limit_of_watches_is_named_with_the_path_and_the_remedy(directories):
    code, message = watch(IN_A_USER_NAMESPACE % ("max_inotify_watches", 2), *directories)
    assert code == 1
    assert message.startswith(
        f"cannot watch all of {directories[2]}: it needs 1 watch(es), and the limit of this user "
        "is reached (fs.inotify.max_user_watches="
    )
    assert "Raise it with 'sysctl -w fs.inotify.max_user_watches=N'" in message


def test_a_limit_that_is_just_enough_is_enough(directories):
    assert watch(IN_A_USER_NAMESPACE % ("max_inotify_watches", 3), *directories) == (0, "")


def test_one_directory_of_many_entries_needs_one_watch(tmp_path):
    limit = IN_A_USER_NAMESPACE % ("max_inotify_watches", 1)
    (tmp_path / "link").symlink_to(".")
    assert watch(limit, tmp_path, tmp_path / "link") == (0, "")


def test_the_limit_of_instances_is_named_with_the_remedy(tmp_path):
    code, message = watch(IN_A_USER_NAMESPACE % ("max_inotify_instances", 0), tmp_path)
    assert code == 1
    assert message.startswith("the kernel gives no further inotify instance")
    assert "(fs.inotify.max_user_instances=" in message


def test_the_limit_of_descriptors_is_named_with_the_remedy(tmp_path):
    code, message = watch(WITH_FEW_DESCRIPTORS, tmp_path)
    assert code == 1
    assert "the limit of the process (ulimit -n)" in message
    assert "Raise the limit, or stop other programs" in message
