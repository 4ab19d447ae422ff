"""Which file systems do not tell inotify of all that happens in them."""

from __future__ import annotations

import os
import re
from pathlib import Path

UNSEEN = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "fakeowner",  # Docker Desktop
        "fuse.ceph",
        "fuse.davfs2",
        "fuse.gcsfuse",
        "fuse.glusterfs",
        "fuse.grpcfuse",  # Docker Desktop
        "fuse.osxfs",  # Docker Desktop
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "fuse.vmhgfs-fuse",
        "gfs2",
        "lustre",
        "nfs",
        "nfs4",
        "ocfs2",
        "prl_fs",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
        "vmhgfs",
    }
)
"""File systems on which others than this kernel change files (inotify(7), limitations)."""


def type_of(path: str) -> str:
    """Return the type of the file system that holds `path`, or what is above it; "" if unknown.

    It is what proc_pid_mountinfo(5) says of the last mount that covers the path.
    """
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return ""
    real = os.fsencode(os.path.realpath(path))
    found, longest = b"", -1
    for line in lines:
        fields, _, rest = line.partition(b" - ")
        point = _unescaped(fields.split(b" ")[4])
        if _is_at_or_below(real, point) and len(point) >= longest:
            found, longest = rest.split(b" ")[0], len(point)
    return os.fsdecode(found)


def _is_at_or_below(path: bytes, directory: bytes) -> bool:
    return path == directory or path.startswith(directory.rstrip(b"/") + b"/")


def _unescaped(text: bytes) -> bytes:
    """Return `text` with its octal escapes, those of spaces for instance, replaced."""
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), text)
