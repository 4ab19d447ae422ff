"""Files, by listing their directory: works on any file system, and sees what is there."""

from __future__ import annotations

import logging
import os
import stat
from typing import TYPE_CHECKING

from inotifier.events import printable
from inotifier.locations import Location, path_of, text_of
from inotifier.sources.base import Poller, SourceError
from inotifier.sources.listing import Listing, State

logger = logging.getLogger(__name__)


class FilePoller(Poller):
    """Tells which files of a directory are new, changed or gone, by listing it at each call.

    Subjects are absolute paths: `str` that `open()` takes, whatever bytes a name holds
    (`os.fsdecode`). All that counts is what differs between two calls:

    * Files are regular files and symbolic links to such. A link looks like what it leads to; one
      that leads to nothing, or to anything else, is not there. Directories, FIFOs, sockets and
      devices are never told.
    * A file is modified if its inode, size, mtime or ctime is another: older times count (`cp -p`),
      so does a file put in its place by a rename, and a change of owner, permissions or number of
      names. A file that is still being written is told as it grows.
    * A rename is a deleted and a created file, also that of a directory with files in it; into
      view, it is a created one, out of view a deleted one. What came and went between two calls
      is not told.
    * With `recurse`, directories below count as well, from the moment that they appear, with what
      is in them. Symbolic links to directories are not followed. Without, they do not count.
    * Of what cannot be read (permissions, errors of a disk or server), the last that was known
      holds. That is logged once. What vanishes while it is listed is gone.
    * `url` may lead to a file, which is then all there is. What is missing is made, as a
      directory. If it is removed later, its files are gone, and whatever stands there again is
      listed again. If it is a mount point and is unmounted, that is a `SourceError` until it is
      mounted again: nothing says that its files are gone.

    A call that finds files that have changed within the last milliseconds takes some itself: the
    clock for the times of files ticks, and a change within the same tick would not show later.

    Args:
        url: the path of a directory or file, or a file URL.
        recurse: True for what is in directories below as well.
        initial: "ignore" what is there when the poller is made, or tell at the first call that it
            was "created".

    Raises:
        SourceError: it cannot be listed or made, or is neither a directory nor a file.
        TypeError, ValueError: `url` is no path, or `initial` is something else.
    """

    recurses = True

    if TYPE_CHECKING:
        _known: dict[str, State]

    def __init__(self, url: Location, recurse: bool = False, *, initial: str = "ignore") -> None:
        self.path = path_of(url)
        self._unread: set[str] = set()
        self._was_mounted = False
        make_missing(self.path)
        super().__init__(text_of(url), recurse, initial=initial)

    def listing(self) -> dict[str, State]:
        """Return what the files look like, by path.

        Raises:
            SourceError: `path` itself cannot be listed.
        """
        found = self._list()
        found.settle()
        found.keep(self._known)
        self._report(found)
        return found.files

    def _list(self) -> Listing:
        found = Listing()
        self._raise_unmounted()
        try:
            status = os.stat(self.path)
        except OSError as exc:
            found.failed(self.path, exc)
        else:
            if stat.S_ISDIR(status.st_mode):
                found.walk(self.path, recurse=self.recurse)
            else:
                found.take(self.path, status)
        if reason := found.unread.get(self.path):
            raise SourceError(_cannot("be read", self.path, reason)) from reason
        return found

    def _raise_unmounted(self) -> None:
        is_mounted = os.path.ismount(self.path)
        if self._was_mounted and not is_mounted:
            raise SourceError(
                f"{printable(self.path)} is not mounted any more, so what is in it is unknown: "
                "mount it again, or make another poller"
            )
        self._was_mounted = is_mounted

    def _report(self, found: Listing) -> None:
        """Log what cannot be read and could be before."""
        for path in sorted(found.unread.keys() - self._unread):
            logger.warning(
                "%s; the last that is known of it holds",
                _cannot("be read", path, found.unread[path]),
            )
        self._unread = set(found.unread)


def make_missing(path: str) -> None:
    """Make the directory `path` if nothing is there.

    Raises:
        SourceError: that is not possible, or something is there that cannot be listed.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        try:
            os.makedirs(path, exist_ok=True)
        except OSError as exc:
            raise SourceError(_cannot("be made", path, exc)) from exc
    except OSError as exc:
        raise SourceError(_cannot("be read", path, exc)) from exc
    else:
        if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            raise SourceError(
                f"{printable(path)} is neither a directory nor a regular file: give one of these"
            )


def _cannot(what: str, path: str, exc: OSError) -> str:
    return f"{printable(path)} cannot {what}: {exc.strerror or exc}"
