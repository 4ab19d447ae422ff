"""One adapter for each peer: it sets watches, and hands every event to a recorder.

Libraries are imported when an adapter is made, so that a sub-process holds only the one that it
measures. Each is used as its documentation shows, at its defaults unless said otherwise.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Protocol

IN_MODIFY, IN_CLOSE_WRITE, IN_OPEN = 0x2, 0x8, 0x20
IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE = 0x40, 0x80, 0x100, 0x200
IN_MOVE_SELF, IN_Q_OVERFLOW = 0x800, 0x4000

NAMES = {
    IN_MODIFY: "modify",
    IN_CLOSE_WRITE: "close_write",
    IN_OPEN: "open",
    IN_MOVED_FROM: "moved_from",
    IN_MOVED_TO: "moved_to",
    IN_CREATE: "create",
    IN_DELETE: "delete",
    IN_MOVE_SELF: "move_self",
}

POLL = 0.05
"""Seconds between two looks at whether it is time to stop."""

Said = tuple[str, str]
"""What an event is, in words common to all peers: one of `NAMES`, and a path."""


class Recorder(Protocol):
    """Takes the events.

    Attributes:
        handle: a plain callback.
        receive: a receiver of Django signals.
    """

    handle: Callable[[Any], object]
    receive: Callable[..., object]


class Peer:
    """One library.

    Attributes:
        overflows: how often the library has told of an overflow, as far as it tells.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.overflows = 0

    def watch(self, path: str, mask: int, recursive: bool) -> None:
        """Set the watches; with `recursive` on all directories below, and on those to come."""
        raise NotImplementedError

    def run(self, done: Callable[[], bool]) -> None:
        """Hand on events until `done` says so; it is asked at least every `POLL` seconds."""
        raise NotImplementedError

    @staticmethod
    def said(event: Any) -> Said:
        """Return what an event is."""
        return NAMES.get(event.mask & 0xFFFF, "other"), event.pathname

    def count_overflows_logged(self, logger: str, text: str) -> None:
        """Count the overflows of a library that tells of them in its log."""

        class Counter(logging.Handler):
            def emit(handler, record: logging.LogRecord) -> None:
                self.overflows += text in record.msg

        logging.getLogger(logger).addHandler(Counter())


class ScandirLoop(Peer):
    """No library: `os.scandir`, and inotify_add_watch through ctypes. Sets watches only."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        libc = ctypes.CDLL(None)
        self._fd = libc.inotify_init()
        self._add_watch = libc.inotify_add_watch
        self._add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]
        self._paths: dict[int, bytes] = {}

    def watch(self, path: str, mask: int, recursive: bool) -> None:
        fd, add_watch, paths = self._fd, self._add_watch, self._paths
        waiting = [os.fsencode(path)]
        while waiting:
            directory = waiting.pop()
            paths[add_watch(fd, directory, mask)] = directory
            with os.scandir(directory) as items:
                waiting += [item.path for item in items if item.is_dir(follow_symlinks=False)]

    def run(self, done: Callable[[], bool]) -> None:
        while not done():
            time.sleep(POLL)


class InotifySimple(Peer):
    """inotify_simple: events are tuples without a path, and recursion is up to its user."""

    def __init__(self, recorder: Recorder) -> None:
        import inotify_simple

        super().__init__(recorder)
        self._inotify = inotify_simple.INotify()
        self._paths: dict[int, str] = {}

    def watch(self, path: str, mask: int, recursive: bool) -> None:
        for directory, _, _ in os.walk(path) if recursive else [(path, [], [])]:
            self._paths[self._inotify.add_watch(directory, mask)] = directory

    def run(self, done: Callable[[], bool]) -> None:
        handle, read, timeout = self.recorder.handle, self._inotify.read, int(POLL * 1000)
        while not done():
            for event in read(timeout):
                handle(event)

    def said(self, event: Any) -> Said:  # type: ignore[override]
        return NAMES.get(event.mask & 0xFFFF, "other"), f"{self._paths[event.wd]}/{event.name}"


class Asyncinotify(Peer):
    """asyncinotify: its `RecursiveInotify`, or its `Inotify`, iterated by a task."""

    def __init__(self, recorder: Recorder) -> None:
        import asyncinotify

        super().__init__(recorder)
        self._library = asyncinotify

    def watch(self, path: str, mask: int, recursive: bool) -> None:
        bits = self._library.Mask(mask)
        if recursive:
            self._inotify = self._library.RecursiveInotify()
            self._inotify.add_recursive_watch(Path(path), bits)
        else:
            self._inotify = self._library.Inotify()
            self._inotify.add_watch(path, bits)

    def run(self, done: Callable[[], bool]) -> None:
        asyncio.run(self._run(done))

    async def _run(self, done: Callable[[], bool]) -> None:
        task = asyncio.create_task(self._iterate())
        while not done() and not task.done():
            await asyncio.sleep(POLL)
        if task.done():
            task.result()
        task.cancel()

    async def _iterate(self) -> None:
        handle = self.recorder.handle
        async for event in self._inotify:
            handle(event)

    @staticmethod
    def said(event: Any) -> Said:
        return NAMES.get(event.mask & 0xFFFF, "other"), str(event.path)


class Pyinotify(Peer):
    """pyinotify: `WatchManager` and `Notifier`, its loop in one thread."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        library = self.library()
        self.manager = library.WatchManager()
        self.processor = self.make_processor()
        # The default one takes what belongs to no watch, an overflow, and would print it.
        self._notifier = library.Notifier(self.manager, default_proc_fun=recorder.handle)

    def library(self) -> Any:
        import pyinotify

        self.count_overflows_logged("pyinotify", "overflowed")
        return pyinotify

    def make_processor(self) -> Any:
        return self.recorder.handle

    def watch(self, path: str, mask: int, recursive: bool) -> None:
        self.manager.add_watch(
            path, mask, proc_fun=self.processor, rec=recursive, auto_add=recursive
        )

    def run(self, done: Callable[[], bool]) -> None:
        notifier, timeout = self._notifier, int(POLL * 1000)
        while not done():
            notifier.process_events()
            if notifier.check_events(timeout):
                notifier.read_events()


class PyinotifyReceiver(Pyinotify):
    """The same with this project's `AllEventsSignaler`, and one receiver of each signal."""

    def make_processor(self) -> Any:
        return signaler()

    def watch(self, path: str, mask: int, recursive: bool) -> None:
        connect(self.recorder, mask)
        super().watch(path, mask, recursive)


class Notifier(Pyinotify):
    """This project's `WatchManager` and `Notifier`, used as pyinotify's."""

    def library(self) -> Any:
        from inotifier import notifier

        return notifier

    def run(self, done: Callable[[], bool]) -> None:
        def look() -> bool:
            self.overflows = self.manager.keeper.overflows
            return done()

        super().run(look)


class NotifierReceiver(Notifier, PyinotifyReceiver):
    """The same with `AllEventsSignaler`, and one receiver of each signal."""


class Service(Peer):
    """This project's `Service`, as the daemon runs it: reader, tree-keeper, dispatcher.

    To one receiver of each signal, through `AllEventsSignaler`.
    """

    def __init__(self, recorder: Recorder) -> None:
        from django.conf import settings

        from inotifier import service, watches

        super().__init__(recorder)
        settings.configure()
        self._make_service = service.Service
        self._watches = watches
        self._processor = signaler()

    def watch(self, path: str, mask: int, recursive: bool) -> None:
        connect(self.recorder, mask)
        entry = self._watches.Entry(
            watch=self._watches.Watch(path, mask, self._processor, recursive=recursive),
            path=path,
            mask=mask,
            processor=self._processor,
            processor_name=type(self._processor).__name__,
            origin=type(self._processor),
        )
        self._service = self._make_service([entry], state=self.make_state())
        self._service.watch(announce=lambda line: None)

    def make_state(self) -> Any:
        """Return what keeps what was delivered, None to keep nothing."""
        return None

    def run(self, done: Callable[[], bool]) -> None:
        self._service.run()
        self.serve(done)

    def serve(self, done: Callable[[], bool]) -> None:
        """Let it run until `done`, then end it."""
        while not done():
            self.overflows = self._service.overflows
            time.sleep(POLL)
        self._service.finish()
        self._service.drained(timeout=10)


class Recording(Service):
    """The same with state: what has been delivered is written, a second later at the latest."""

    def make_state(self) -> Any:
        """Return a new state."""
        from inotifier.state import State

        self._directory = tempfile.TemporaryDirectory()
        self._state = State(Path(self._directory.name) / "state.sqlite3")
        self._state.open()
        return self._state

    def watch(self, path: str, mask: int, recursive: bool) -> None:
        super().watch(path, mask, recursive)
        self._service.run()
        while self._service.catching_up:
            time.sleep(POLL)

    def run(self, done: Callable[[], bool]) -> None:
        self.serve(done)
        self._state.close()
        self._directory.cleanup()


def signaler() -> Any:
    """Return the processor that sends a Django signal for every event."""
    from inotifier.event_processors import AllEventsSignaler

    return AllEventsSignaler()


def connect(recorder: Recorder, mask: int) -> None:
    """Connect one receiver to the signal of each event in `mask`."""
    from inotifier import signals

    for bit, name in NAMES.items():
        if mask & bit:
            getattr(signals, f"in_{name}").connect(recorder.receive)


class Pyinotifyd(Peer):
    """pyinotifyd: a `Watch` with a `TaskScheduler` for each event. It watches for all events."""

    def __init__(self, recorder: Recorder) -> None:
        import pyinotifyd

        super().__init__(recorder)
        self.count_overflows_logged("pyinotify", "overflowed")
        # It has a say at every step, and nobody listens.
        logging.getLogger("sched").addHandler(logging.NullHandler())
        self._library = pyinotifyd
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)

    def watch(self, path: str, mask: int, recursive: bool) -> None:
        async def job(event: Any, task_id: str) -> None:
            self.recorder.handle(event)

        # One for each: a scheduler skips a path that it is busy with.
        schedulers = {
            f"IN_{name.upper()}": self._library.TaskScheduler(job=job, files=True, dirs=True)
            for bit, name in NAMES.items()
            if mask & bit
        }
        event_map = self._library.EventMap(event_map=schedulers)
        self._watch = self._library.Watch(
            path=path, event_map=event_map, rec=recursive, auto_add=recursive
        )
        self._watch.start()

    def run(self, done: Callable[[], bool]) -> None:
        self._loop.run_until_complete(self._until(done))

    @staticmethod
    async def _until(done: Callable[[], bool]) -> None:
        while not done():
            await asyncio.sleep(POLL)


class Watchdog(Peer):
    """watchdog: an `Observer` with the event classes that were asked for."""

    def __init__(self, recorder: Recorder) -> None:
        from watchdog import events
        from watchdog.observers import Observer

        super().__init__(recorder)
        self.count_overflows_logged("watchdog", "overflowed")
        self._events = events
        self._observer = Observer()

    def watch(self, path: str, mask: int, recursive: bool) -> None:
        handler = self._events.FileSystemEventHandler()
        handler.on_any_event = self.recorder.handle
        self._observer.schedule(handler, path, recursive=recursive, event_filter=self._filter(mask))
        self._observer.start()

    def _filter(self, mask: int) -> list[type]:
        events = self._events
        classes = {
            IN_CREATE: [events.FileCreatedEvent, events.DirCreatedEvent],
            IN_OPEN: [events.FileOpenedEvent],
            IN_MODIFY: [events.FileModifiedEvent],
            IN_CLOSE_WRITE: [events.FileClosedEvent],
            IN_DELETE: [events.FileDeletedEvent, events.DirDeletedEvent],
            IN_MOVED_TO: [events.FileMovedEvent, events.DirMovedEvent],
        }
        return [one for bit, ones in classes.items() if mask & bit for one in ones]

    def run(self, done: Callable[[], bool]) -> None:
        while not done():
            time.sleep(POLL)
        self._observer.stop()
        self._observer.join()

    _KINDS: ClassVar[dict[str, str]] = {
        "created": "create",
        "opened": "open",
        "modified": "modify",
        "closed": "close_write",
        "deleted": "delete",
        "moved": "moved_to",
    }

    @classmethod
    def said(cls, event: Any) -> Said:
        return cls._KINDS.get(event.event_type, "other"), event.dest_path or event.src_path


class Watchfiles(Peer):
    """watchfiles: `watch()` without a filter. It gives sets of changes, and no close_write."""

    timing: ClassVar[dict[str, int]] = {}

    def __init__(self, recorder: Recorder) -> None:
        import watchfiles

        super().__init__(recorder)
        self._library = watchfiles

    def watch(self, path: str, mask: int, recursive: bool) -> None:
        self._changes = self._library.watch(
            path,
            watch_filter=None,
            recursive=recursive,
            yield_on_timeout=True,
            **{"rust_timeout": int(POLL * 1000), **self.timing},
        )
        next(self._changes)  # only now does it set the watches

    def run(self, done: Callable[[], bool]) -> None:
        handle = self.recorder.handle
        for changes in self._changes:
            for change in changes:
                handle(change)
            if done():
                break

    @staticmethod
    def said(event: Any) -> Said:
        return {1: "create", 2: "modify", 3: "delete"}[event[0]], event[1]


class WatchfilesFastest(Watchfiles):
    """The same with the shortest times that it can wait."""

    timing: ClassVar[dict[str, int]] = {"debounce": 1, "step": 1, "rust_timeout": 1}


C = "C reader"
"""This one is no class here but a program of its own, reader.c."""

PEERS: dict[str, type[Peer]] = {
    "scandir loop": ScandirLoop,
    "inotify_simple": InotifySimple,
    "asyncinotify": Asyncinotify,
    "pyinotify": Pyinotify,
    "pyinotify, receiver": PyinotifyReceiver,
    "pyinotifyd": Pyinotifyd,
    "watchdog": Watchdog,
    "watchfiles": Watchfiles,
    "watchfiles, fastest": WatchfilesFastest,
    "django-inotifier": Notifier,
    "django-inotifier, receiver": NotifierReceiver,
    "django-inotifier, service": Service,
    "django-inotifier, service with state": Recording,
}
