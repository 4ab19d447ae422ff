"""Files that are complete, whichever way they came."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakKeyDictionary

from pyinotify import (
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_ISDIR,
    IN_MODIFY,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    ProcessEvent,
)

from inotifier import options, signals
from inotifier.event_processors.known_files import FileState, KnownFiles, Pending
from inotifier.event_processors.ready_names import TEMPORARY, ReadyNames
from inotifier.event_processors.sending import send
from inotifier.events import Event
from inotifier.exceptions import ReceiversFailed, TryAgain
from inotifier.locations import is_url
from inotifier.writers import Writers, writers_of

_SOON = 0.1
_LATER = 0.5
_PATIENCE = 60.0
"""Seconds between two looks at a new file that is written under another name, and all in all."""


class FileReadySignaler(ProcessEvent):
    """Send `file_ready` once for each complete regular file, whichever way it came.

    It may have been written and closed, renamed, linked, moved in with its directory, or found
    by inotifier at the start, in a new directory or after an overflow. A file that changes is
    ready another time when it is complete again; one that is only touched, opened and closed, or
    renamed, is not. Receivers get the event that completed the file.

    Options:
        settle: seconds that size, time of change and inode must stay the same before a file is
            ready; 0 for at once.
        temporary: suffixes (".part") and patterns ("~$*") of names that are never ready.
        dotfiles: False if names that begin with a dot are never ready.
        marker: a suffix or a list of suffixes. With ".done", the file x is ready when it and
            x.done are complete. Receivers get an event of x; x.done itself is never ready.
        min_size: bytes below which a file is not ready.
    """

    mask = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE
    # A mask without one of these would leave out a way to arrive. The others send nothing by
    # themselves, so that nobody is surprised by their being added.
    required_mask = IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO
    added_mask = IN_MODIFY | IN_MOVED_FROM | IN_DELETE

    def my_init(
        self,
        settle: float = 0,
        temporary: Iterable[str] = TEMPORARY,
        dotfiles: bool = True,
        marker: str | Iterable[str] | None = None,
        min_size: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settle = options.seconds("settle", settle)
        self._names = ReadyNames(temporary, dotfiles, marker)
        self._min_size = _size(min_size)
        self._clock = clock
        self._files = KnownFiles()
        # Events that are to come again, each with those sent for it by path; None is itself.
        self._unsent: WeakKeyDictionary[Event, dict[str, Event | None]] = WeakKeyDictionary()
        # Events and what was sent for them of other paths.
        self._told: WeakKeyDictionary[Event, list[tuple[str, FileState]]] = WeakKeyDictionary()
        self._sending: set[str] = set()
        self._lock = threading.Lock()

    def tell(self, ready: Event) -> None:
        """Send the signal for the complete file of `ready`."""
        send(signals.file_ready, self, ready)

    def unfit_for_url(self) -> str:
        """Return why it cannot be used for a place with a URL, "" if it can."""
        if self._settle or self._min_size or self._names.markers:
            return "settle, marker and min_size are for files of this machine"
        return ""

    def process_IN_CREATE(self, event: Event) -> None:
        if not (event.dir or is_url(event.pathname) or self._offered_again(event)):
            self._arrived(event)

    def process_IN_MODIFY(self, event: Event) -> None:
        if is_url(event.pathname) or self._offered_again(event):
            return
        path = event.pathname
        first = not self._files.is_pending(path)
        self._files.soil(path, self._clock(), is_open=True)
        # truncate(2) changes a file that nobody opens: no IN_CLOSE_WRITE will follow.
        if first or event.synthetic:
            self._arrived(event)

    def process_IN_CLOSE_WRITE(self, event: Event) -> None:
        if is_url(event.pathname):  # whose place says that it is complete
            if not self._names.is_temporary(event.pathname):
                self.tell(event)
            return
        if self._offered_again(event):
            return
        path = event.pathname
        if event.synthetic or self._files.is_pending(path):
            self._completed(event, path)
        # A file without a name (O_TMPFILE in open(2)) is called "#" and its inode until it is
        # closed, even if it has got a name in between.
        if event.name.startswith("#") and (named := self._files.take_open(event.name[1:])):
            self._completed(event, named)

    def process_IN_MOVED_FROM(self, event: Event) -> None:
        self._files.leave(event.pathname, event.cookie, is_dir=event.dir)

    def process_IN_MOVED_TO(self, event: Event) -> None:
        if self._offered_again(event):
            return
        path, source = event.pathname, event.src_pathname
        waiting: list[str] = []
        if source is not None or not event.synthetic:
            now = self._clock()
            waiting = self._files.arrive(path, event.cookie, source, now, is_dir=event.dir)
        if event.dir:
            # What their own events wait for is not to be found at their old names.
            readies = [_event_of(event, one) for one in waiting]
            self._offer_all(event, [one for one in readies if self._is_closed(one)])
        elif event.synthetic or not self._files.is_unchanged(path):
            self._arrived(event)

    def process_IN_DELETE(self, event: Event) -> None:
        self._files.forget(event.pathname)

    def expect_end(self, path: str) -> None:
        """Take the next IN_CLOSE_WRITE of `path` for the end of a change that began unseen."""
        self._files.soil(path, self._clock(), is_open=True)

    def is_done_with(self, path: str) -> bool:
        """Tell whether the file was sent as it is, or is none to send."""
        return not self._files.is_pending(path)

    def take_told(self, event: Event) -> list[tuple[str, FileState]]:
        """Return what was sent for `event` of other paths than its own, and how it was then."""
        return self._told.pop(event, [])

    def take_as_told(self, event: Event, status: os.stat_result) -> None:
        """Take the file with `status`, which `event` renames, as sent under its old name.

        Not if it may have been there at the first start, and was none to send under that name.
        """
        source = event.src_pathname
        if source is None or self._names.markers or self._names.is_temporary(source):
            return
        if stat.S_ISREG(status.st_mode):
            state = FileState(status.st_ino, status.st_size, status.st_mtime_ns)
            self._files.note_sent(event.pathname, state)

    # Is it complete?

    def _arrived(self, event: Event) -> None:
        """Take a file that may be complete already, or still be written."""
        path = event.pathname
        self._files.soil(path, self._clock(), is_open=True)
        if self._names.is_temporary(path):
            return
        try:
            status = os.lstat(path)
        except OSError:
            return  # its end, or its new name or that of its directory, is yet to be told
        if stat.S_ISLNK(status.st_mode) or (
            stat.S_ISREG(status.st_mode) and self._is_complete(event, status)
        ):
            self._completed(event, path)

    def _is_closed(self, event: Event) -> bool:
        """Tell whether a file that came with its directory is not being written."""
        path = event.pathname
        if self._files.is_open(path):
            # Its events may have come when it was not under its old name any more.
            if writers_of(os.fsencode(path)) is not Writers.NONE:
                return False
            self._files.soil(path, self._clock(), is_open=False)
        return True

    def _is_complete(self, event: Event, status: os.stat_result) -> bool:
        self._files.note_inode(event.pathname, status.st_ino)
        if event.synthetic == "poll" and not event.mask & IN_MOVED_TO and status.st_nlink == 1:
            return False  # who writes it may not be known here
        if (
            event.mask & IN_CREATE
            and status.st_size == 0
            and status.st_nlink == 1
            and status.st_ctime_ns == status.st_mtime_ns
        ):
            # The kernel tells of a new file before it counts the one who opens it. What was
            # linked here from elsewhere, and lost its first name, has changed its status since.
            return False
        writers = writers_of(os.fsencode(event.pathname))
        if writers is Writers.UNKNOWN:
            return bool(
                event.mask & IN_MOVED_TO
                or (event.mask & IN_CREATE and status.st_nlink > 1)
                or (event.synthetic and self._settle)
            )
        if writers is Writers.SOME and event.mask & IN_CREATE and not event.synthetic:
            self._await_other_name(event.pathname, status)
        return writers is Writers.NONE

    def _await_other_name(self, path: str, status: os.stat_result) -> None:
        """Come again if the new file may be written under a name that nobody watches.

        So may a hard link, and a file without a name that got one: its status was changed by
        that, after its content. Whoever writes to this name changes both at once.

        Raises:
            TryAgain: it may.
        """
        now = self._clock()
        waited = now - self._files.soil(path, now, is_open=True).since
        is_link = status.st_nlink > 1 or status.st_ctime_ns > status.st_mtime_ns
        if is_link and waited < _PATIENCE:
            raise TryAgain(min(max(_SOON, waited), _LATER))

    def _completed(self, event: Event, path: str) -> None:
        """Offer the file at `path`, which `event` has completed, or what it marks."""
        self._files.soil(path, self._clock(), is_open=False)
        suffixes = [suffix for suffix in self._names.markers if path.endswith(suffix)]
        if not suffixes:
            self._offer(event, event if path == event.pathname else _event_of(event, path))
            return
        marked = [path.removesuffix(suffix) for suffix in suffixes]
        self._offer_all(
            event, [_event_of(event, one) for one in marked if not self._is_written(one)]
        )
        self._files.forget(path)

    def _is_written(self, path: str) -> bool:
        """Tell whether a file that was there before its marker awaits its own IN_CLOSE_WRITE."""
        if not Path(path).is_file():
            return False
        writers = writers_of(os.fsencode(path))
        if writers is Writers.SOME:
            self._files.soil(path, self._clock(), is_open=True)
        return writers is not Writers.NONE and self._files.is_open(path)

    # Is it ready?

    def _offered_again(self, event: Event) -> bool:
        """Offer what `event` could not send when it came before; tell whether it has come."""
        unsent = self._unsent.get(event)
        if unsent is None:
            return False
        self._offer_all(event, [ready or event for ready in unsent.values()])
        return True

    def _offer_all(self, event: Event, readies: Iterable[Event]) -> None:
        problems: list[ReceiversFailed | TryAgain] = []
        for ready in readies:
            try:
                self._offer(event, ready)
            except (ReceiversFailed, TryAgain) as exc:
                problems.append(exc)
        if problems:
            raise min(problems, key=_urgency)

    def _offer(self, event: Event, ready: Event) -> None:
        """Send `ready` if all that is asked of its file holds; `event` has led to it.

        Raises:
            TryAgain: it may hold later.
            ReceiversFailed: a receiver raised.
        """
        path = ready.pathname
        unsent = self._unsent.setdefault(event, {})
        unsent[path] = None if ready is event else ready
        if not self._names.is_temporary(path):
            pending = self._files.look(path, self._clock())
            state = self._state(path)
            if state is None:
                # What is gone is kept for its new name, or that of its directory.
                if os.path.lexists(path):
                    self._files.forget_unsent(path)
            elif state == self._files.sent(path) or self._has_come_from_view(ready, state):
                self._files.clean(path, state)
            elif self._is_marked(path):
                self._check_settled(pending, state)
                self._send(ready, state)
                if ready is not event and not Path(path).is_symlink():
                    self._told.setdefault(event, []).append((path, state))
        del unsent[path]
        if not unsent:
            del self._unsent[event]

    def _has_come_from_view(self, ready: Event, state: FileState) -> bool:
        """Tell whether a file in a new directory is one that was sent at a path where it is not.

        Its move there was not told: the new directory was not watched yet.
        """
        if ready.synthetic != "new-directory":
            return False
        before = self._files.path_of(state)
        if before is None or os.path.lexists(before):
            return False
        try:
            return os.lstat(ready.pathname).st_nlink == 1  # a second link is another file
        except OSError:
            return False

    def _send(self, ready: Event, state: FileState) -> None:
        path = ready.pathname
        with self._alone(path):
            if state != self._files.sent(path):
                self.tell(ready)
            self._files.clean(path, state)

    @contextmanager
    def _alone(self, path: str) -> Iterator[None]:
        """Send no file in two threads: its own end and its marker may come together."""
        with self._lock:
            if path in self._sending:
                raise TryAgain(_SOON)
            self._sending.add(path)
        try:
            yield
        finally:
            with self._lock:
                self._sending.discard(path)

    def _state(self, path: str) -> FileState | None:
        """Return the state of a regular file, or what a link leads to, that is large enough."""
        try:
            status = Path(path).stat()
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode) or status.st_size < self._min_size:
            return None
        return FileState(status.st_ino, status.st_size, status.st_mtime_ns)

    def _check_settled(self, pending: Pending, state: FileState) -> None:
        if not self._settle:
            return
        now = self._clock()
        if pending.looked_at != state:
            pending.looked_at, pending.looked = state, now
        if (rest := pending.looked + self._settle - now) > 0:
            raise TryAgain(rest)

    def _is_marked(self, path: str) -> bool:
        return not self._names.markers or any(
            Path(path + suffix).is_file() and not self._files.is_open(path + suffix)
            for suffix in self._names.markers
        )


def _event_of(event: Event, pathname: str) -> Event:
    """Return an event of the file at `pathname`, which `event` has completed."""
    path, name = pathname, ""
    if event.name:
        head, _, name = pathname.rpartition("/")
        path = head or "/"
    ready = Event(
        mask=event.mask & ~IN_ISDIR,
        path=path,
        name=name,
        wd=event.wd if path == event.path else -1,
        synthetic=event.synthetic,
        watch=event.watch,
        timestamp=event.timestamp,
    )
    ready.take_id_of(event)
    return ready


def _urgency(problem: ReceiversFailed | TryAgain) -> float:
    return problem.after if isinstance(problem, TryAgain) else 0


def _size(min_size: object) -> int:
    if isinstance(min_size, bool) or not isinstance(min_size, int):
        raise TypeError(f"min_size is {min_size!r}; it should be a number of bytes")
    if min_size < 0:
        raise ValueError(f"min_size is {min_size!r}; it should be a number of bytes, 0 or above")
    return min_size
