# pyinotify 0.9.6 ships no annotations; this is the part of it that inotifier uses or stands in for.
import select
from collections import deque
from collections.abc import Callable, Mapping
from logging import Logger
from typing import Any, TextIO, TypeAlias

_Handler: TypeAlias = Callable[[Any], Any]
_Exclude: TypeAlias = Callable[[str], bool]

log: Logger

IN_ACCESS: int
IN_MODIFY: int
IN_ATTRIB: int
IN_CLOSE_WRITE: int
IN_CLOSE_NOWRITE: int
IN_OPEN: int
IN_MOVED_FROM: int
IN_MOVED_TO: int
IN_CREATE: int
IN_DELETE: int
IN_DELETE_SELF: int
IN_MOVE_SELF: int
IN_UNMOUNT: int
IN_Q_OVERFLOW: int
IN_IGNORED: int
IN_ONLYDIR: int
IN_DONT_FOLLOW: int
IN_EXCL_UNLINK: int
IN_MASK_ADD: int
IN_ISDIR: int
IN_ONESHOT: int
ALL_EVENTS: int

class PyinotifyError(Exception): ...
class UnsupportedPythonVersionError(PyinotifyError): ...
class InotifyBindingNotFoundError(PyinotifyError): ...
class ProcessEventError(PyinotifyError): ...
class NotifierError(PyinotifyError): ...

class WatchManagerError(Exception):
    wmd: Mapping[str, int] | Mapping[int, bool]
    def __init__(self, msg: str, wmd: Mapping[str, int] | Mapping[int, bool]) -> None: ...

class ProcINotify:
    """A number below /proc/sys/fs/inotify, read and written each time."""

    value: int
    def __init__(self, attr: str) -> None: ...

max_queued_events: ProcINotify
max_user_instances: ProcINotify
max_user_watches: ProcINotify

class EventsCodes:
    FLAG_COLLECTIONS: dict[str, dict[str, int]]
    OP_FLAGS: dict[str, int]
    EVENT_FLAGS: dict[str, int]
    SPECIAL_FLAGS: dict[str, int]
    ALL_FLAGS: dict[str, int]
    ALL_VALUES: dict[int, str]
    @staticmethod
    def maskname(mask: int) -> str: ...

class _Event:
    def __init__(self, dict_: dict[str, Any]) -> None: ...

class _RawEvent(_Event):
    wd: int
    mask: int
    cookie: int
    name: str
    def __init__(self, wd: int, mask: int, cookie: int, name: str) -> None: ...

class Event(_Event):
    # An overflow has `mask` and `maskname` only.
    wd: int
    mask: int
    path: str
    name: str
    pathname: str
    dir: bool
    # Only moves have these: Any, because nothing can be said about them in general.
    cookie: Any
    src_pathname: Any
    # A plain attribute in pyinotify; nobody sets it, and a subclass may compute it.
    @property
    def maskname(self) -> str: ...
    def __init__(self, raw: dict[str, Any]) -> None: ...

class _ProcessEvent:
    def __call__(self, event: Any) -> Any: ...

class ProcessEvent(_ProcessEvent):
    pevent: _Handler | None
    def __init__(self, pevent: _Handler | None = None, **kargs: Any) -> None: ...
    # `*args` is not there at run time: it is how a checker is told that overriding methods may
    # have whatever parameters they like.
    def my_init(self, *args: Any, **kargs: Any) -> None: ...
    def nested_pevent(self) -> _Handler | None: ...
    def process_IN_Q_OVERFLOW(self, event: Any) -> Any: ...
    def process_default(self, event: Any) -> Any: ...

class PrintAllEvents(ProcessEvent):
    def my_init(self, out: TextIO | None = None) -> None: ...

class ChainIfTrue(ProcessEvent):
    def my_init(self, func: Callable[[Any], object]) -> None: ...

class Stats(ProcessEvent):
    def my_init(self) -> None: ...
    def dump(self, filename: str) -> None: ...

class Watch:
    wd: int
    path: str
    mask: int
    proc_fun: _Handler | None
    auto_add: bool
    exclude_filter: _Exclude
    dir: bool
    def __init__(
        self,
        wd: int,
        path: str,
        mask: int,
        proc_fun: _Handler | None,
        auto_add: bool,
        exclude_filter: _Exclude,
    ) -> None: ...

class ExcludeFilter:
    def __init__(self, arg_lst: str | list[str]) -> None: ...
    def __call__(self, path: str) -> bool: ...

class WatchManager:
    ignore_events: bool
    def __init__(self, exclude_filter: _Exclude = ...) -> None: ...
    def close(self) -> None: ...
    def get_fd(self) -> int: ...
    def get_watch(self, wd: int) -> Watch | None: ...
    def del_watch(self, wd: int) -> None: ...
    @property
    def watches(self) -> dict[int, Watch]: ...
    def add_watch(
        self,
        path: str | list[str],
        mask: int,
        proc_fun: _Handler | None = None,
        rec: bool = False,
        auto_add: bool = False,
        do_glob: bool = False,
        quiet: bool = True,
        exclude_filter: _Exclude | None = None,
    ) -> Mapping[str, int]: ...
    def update_watch(
        self,
        wd: int | list[int],
        mask: int | None = None,
        proc_fun: _Handler | None = None,
        rec: bool = False,
        auto_add: bool = False,
        quiet: bool = True,
    ) -> dict[int, bool]: ...
    def rm_watch(
        self, wd: int | list[int], rec: bool = False, quiet: bool = True
    ) -> dict[int, bool]: ...
    def get_wd(self, path: str) -> int | None: ...
    def get_path(self, wd: int) -> str | None: ...
    def watch_transient_file(
        self, filename: str, mask: int, proc_class: Callable[[ProcessEvent], _Handler]
    ) -> dict[str, int]: ...

class Notifier:
    # Not public, but what a sub-class has to work with.
    _eventq: deque[_RawEvent]
    _watch_manager: WatchManager
    _default_proc_fun: _Handler
    _threshold: int
    _timeout: int | None
    _coalesce: bool
    _fd: int | None
    _pollobj: select.poll
    def __init__(
        self,
        watch_manager: WatchManager,
        default_proc_fun: _Handler | None = None,
        read_freq: float = 0,
        threshold: int = 0,
        timeout: int | None = None,
    ) -> None: ...
    def append_event(self, event: _RawEvent) -> None: ...
    def proc_fun(self) -> _Handler: ...
    def coalesce_events(self, coalesce: bool = True) -> None: ...
    def check_events(self, timeout: int | None = None) -> bool | int: ...
    def read_events(self) -> None: ...
    def process_events(self) -> None: ...
    def loop(
        self,
        callback: Callable[[Notifier], object] | None = None,
        daemonize: bool = False,
        **args: Any,
    ) -> None: ...
    def stop(self) -> None: ...
