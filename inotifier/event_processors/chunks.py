"""Uploads that get their name when they are complete."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import takewhile
from typing import NamedTuple, TypeVar
from weakref import WeakSet

from pyinotify import IN_CREATE, IN_DELETE, IN_MOVED_FROM, IN_MOVED_TO, ProcessEvent

from inotifier import signals
from inotifier.event_processors.sending import send
from inotifier.events import Event

K = TypeVar("K")

FileId = tuple[int, int]
"""Device and inode: what stays the same when a file gets another name."""


class Part(NamedTuple):
    """An upload: which file, until when (seconds of its processor's clock), and whose suffixes."""

    file_id: FileId | None
    until: float
    suffixes: tuple[str, ...]


class PartialFiles:
    """Files that are still arriving under a temporary name.

    One record serves all entries of a daemon, since a file may be created in one of them and
    get its name in another.
    """

    def __init__(self) -> None:
        self._parts: dict[str, Part] = {}
        self._paths: dict[FileId, str] = {}
        self._moving: dict[int, Part] = {}
        self._lock = threading.Lock()

    def begin(self, path: str, part: Part) -> None:
        """Remember `path`."""
        with self._lock:
            self._drop(path)
            self._parts[path] = part
            if part.file_id is not None:
                self._paths[part.file_id] = path

    def forget(self, path: str) -> None:
        """Forget `path`, which is gone."""
        with self._lock:
            self._drop(path)

    def leave(self, path: str, cookie: int, until: float) -> None:
        """Note that `path` is on its way to another name."""
        with self._lock:
            if part := self._drop(path):
                self._moving[cookie] = part._replace(until=until)

    def arrive(self, cookie: int) -> Part | None:
        """Return what comes with `cookie`, if it was remembered when it left."""
        with self._lock:
            return self._moving.pop(cookie, None)

    def complete(self, file_id: FileId) -> bool:
        """Forget the file with `file_id`; tell whether it was remembered."""
        with self._lock:
            path = self._paths.get(file_id)
            return path is not None and self._drop(path) is not None

    def purge(self, now: float) -> None:
        """Forget the oldest while their time is over: a step for each that comes, not a search."""
        with self._lock:
            for path in list(_over(self._parts, now)):
                self._drop(path)
            for cookie in list(_over(self._moving, now)):
                del self._moving[cookie]

    def _drop(self, path: str) -> Part | None:
        part = self._parts.pop(path, None)
        if part and part.file_id is not None and self._paths.get(part.file_id) == path:
            del self._paths[part.file_id]
        return part


def _over(parts: Mapping[K, Part], now: float) -> Iterator[K]:
    return (key for key, _ in takewhile(lambda item: item[1].until < now, parts.items()))


class CreateViaChunksSignaler(ProcessEvent):
    """Send `in_create` once for a file that was uploaded under a temporary name.

    The upload is created as `x.part` and then renamed to `x`, or hard-linked as `x`. Receivers
    get the IN_MOVED_TO event (`event.src_pathname` is the temporary name), or the IN_CREATE
    event of the link. Names that were never temporary are ignored, whichever way they come.

    Options:
        suffixes: what temporary names end in.
        max_age: seconds after which an unfinished upload is forgotten.
        directories: True to treat directories like files.
    """

    mask = IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE
    required_mask = IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO
    # The mask that was documented once lacks it; a new file that gets the inode of a deleted
    # upload would pass for that upload.
    added_mask = IN_DELETE

    partial_files = PartialFiles()

    def my_init(
        self,
        suffixes: Iterable[str] = (".part",),
        max_age: float = 6 * 3600,
        directories: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if isinstance(suffixes, str):
            raise TypeError(f"suffixes is the text {suffixes!r}; it should be a list of suffixes")
        self._suffixes = tuple(suffixes)
        if not all(self._suffixes):
            raise ValueError("suffixes holds an empty text, which every name ends in")
        if not max_age > 0:
            raise ValueError(f"max_age is {max_age!r}; it should be a number of seconds above 0")
        self._max_age = max_age
        self._directories = directories
        self._clock = clock
        self._unsent: WeakSet[Event] = WeakSet()

    def unfit_for_url(self) -> str:
        """Return why it cannot be used for a place with a URL."""
        return "it waits for renames, which are a delete and a create there"

    def prepare(self, entry_path: str) -> None:
        """Remember the uploads that began before the watch stood."""
        try:
            with os.scandir(entry_path) as items:
                for item in items:
                    if self._is_temporary(item.name) and self._wants(
                        item.is_dir(follow_symlinks=False)
                    ):
                        self._begin(item.path)
        except NotADirectoryError:
            pass  # a watched file: nothing can arrive below it

    def process_IN_CREATE(self, event: Event) -> None:
        self.partial_files.purge(self._clock())
        if event in self._unsent:
            self._send(event)
            return
        if not self._wants(event.dir):
            return
        if self._is_temporary(event.name):
            self._begin(event.pathname)
            return
        file_id = _file_id(event.pathname)
        if file_id is not None and self.partial_files.complete(file_id):
            self._send(event)

    def process_IN_MOVED_FROM(self, event: Event) -> None:
        self.partial_files.leave(event.pathname, event.cookie, self._until)

    def process_IN_MOVED_TO(self, event: Event) -> None:
        self.partial_files.purge(self._clock())
        if event in self._unsent:
            self._send(event)
            return
        part = self.partial_files.arrive(event.cookie)
        if part is None and event.synthetic and self._is_temporary(event.src_pathname or ""):
            # It began before a restart, and was renamed while nobody looked.
            part = Part(None, self._until, self._suffixes)
        if part is None:
            return
        # Temporary is what this entry calls so, or the one where the upload began.
        if self._is_temporary(event.name) or event.name.endswith(part.suffixes):
            self._begin(event.pathname, part.suffixes)
        else:
            self._send(event)

    def process_IN_DELETE(self, event: Event) -> None:
        self.partial_files.forget(event.pathname)

    def _send(self, event: Event) -> None:
        # The record of the upload is gone by now. If this raises, the event comes again.
        self._unsent.add(event)
        send(signals.in_create, self, event)
        self._unsent.discard(event)

    def _begin(self, path: str, suffixes: tuple[str, ...] = ()) -> None:
        part = Part(_file_id(path), self._until, suffixes or self._suffixes)
        self.partial_files.begin(path, part)

    @property
    def _until(self) -> float:
        return self._clock() + self._max_age

    def _is_temporary(self, name: str) -> bool:
        return name.endswith(self._suffixes)

    def _wants(self, is_dir: bool) -> bool:
        return self._directories or not is_dir


def _file_id(path: str) -> FileId | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
