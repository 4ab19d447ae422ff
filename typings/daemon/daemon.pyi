# python-daemon 3.x ships no annotations; this is the part of it that inotifier uses.
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from os import PathLike
from types import FrameType, TracebackType
from typing import IO, Any, Self, TypeAlias

class DaemonError(Exception): ...
class DaemonOSEnvironmentError(DaemonError, OSError): ...
class DaemonProcessDetachError(DaemonError, OSError): ...

# None ignores the signal, a str names a method of the context.
_SignalAction: TypeAlias = str | int | Callable[[int, FrameType | None], Any] | None

class DaemonContext:
    chroot_directory: str | PathLike[str] | None
    working_directory: str | PathLike[str]
    umask: int
    uid: int
    gid: int
    initgroups: bool
    prevent_core: bool
    detach_process: bool
    files_preserve: Iterable[int | IO[Any]] | None
    pidfile: AbstractContextManager[Any] | None
    stdin: IO[Any] | None
    stdout: IO[Any] | None
    stderr: IO[Any] | None
    signal_map: Mapping[int, _SignalAction]

    def __init__(
        self,
        chroot_directory: str | PathLike[str] | None = None,
        working_directory: str | PathLike[str] = "/",
        umask: int = 0,
        uid: int | None = None,
        gid: int | None = None,
        initgroups: bool = False,
        prevent_core: bool = True,
        detach_process: bool | None = None,
        files_preserve: Iterable[int | IO[Any]] | None = None,
        pidfile: AbstractContextManager[Any] | None = None,
        stdin: IO[Any] | None = None,
        stdout: IO[Any] | None = None,
        stderr: IO[Any] | None = None,
        signal_map: Mapping[int, _SignalAction] | None = None,
    ) -> None: ...
    @property
    def is_open(self) -> bool: ...
    def open(self) -> None: ...
    def close(self) -> None: ...
    def terminate(self, signal_number: int, stack_frame: FrameType | None) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
