"""One command at a time: its output as it comes, its end, and the end of all that it started."""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

from inotifier.exceptions import CommandFailed
from inotifier.scheduling.lines import Lines

Log = Callable[[int, str], object]
"""Takes a level of `logging` and a line."""

_GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL; inotifier_stop itself waits five at the end."""

_LOOK = 0.02
"""Seconds between two looks whether a group of processes has ended."""

_CHUNK = 64 * 1024
"""Bytes read at once: what a pipe holds."""


class Owner(NamedTuple):
    """Who a command runs as."""

    uid: int
    gid: int
    groups: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Command:
    """What to run.

    Attributes:
        arguments: the program and its arguments; names in them are as by `os.fsdecode`.
        environment: all variables that it gets.
        directory: where it runs; None for this process's own.
        owner: who it runs as; None for whoever this is.
        timeout: seconds that it may take; None for any number.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: str | None = None
    owner: Owner | None = None
    timeout: float | None = None


def run(command: Command, log: Log) -> None:
    """Run `command` to its end, with all it writes given to `log` line by line.

    Standard output is logged as INFO, standard error as WARNING. A process that it has left
    in the background does not hold this up; a warning tells of it.

    Raises:
        OSError: it cannot be started.
        CommandFailed: it did not end by itself with exit code 0.
    """
    running = _commands.begin(lambda: _Running(_process(command), command.timeout, log))
    try:
        with running.process:
            running.follow()
    finally:
        _commands.forget(running)


def end_all() -> None:
    """End all commands that run now: SIGTERM, and SIGKILL for what is left after three seconds."""
    _commands.end()


def _process(command: Command) -> subprocess.Popen[bytes]:
    owner = command.owner
    return subprocess.Popen(  # noqa: S603
        list(command.arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd=command.directory,
        env=dict(command.environment),
        start_new_session=True,
        user=owner.uid if owner else None,
        group=owner.gid if owner else None,
        extra_groups=list(owner.groups) if owner else None,
    )


@dataclass(eq=False)
class _Running:
    """A command that runs.

    Its process is the first of a group of its own. It is not waited for before the group has been
    dealt with: until then the number of the group cannot become somebody else's.
    """

    process: subprocess.Popen[bytes]
    timeout: float | None
    log: Log
    _ending: str = ""
    _outputs: dict[IO[bytes], Lines] = field(default_factory=dict)
    _reaping: threading.Lock = field(default_factory=threading.Lock)

    def follow(self) -> None:
        """Return when it has ended well, raise CommandFailed if it did not."""
        errors = Lines(functools.partial(self.log, logging.WARNING))
        outputs = (Lines(functools.partial(self.log, logging.INFO)), errors)
        pipes = (self.process.stdout, self.process.stderr)
        self._outputs = {pipe: out for pipe, out in zip(pipes, outputs, strict=True) if pipe}
        try:
            self._read_until_end()
        except BaseException:
            self.kill()
            raise
        for pipe, output in self._outputs.items():
            self._read(pipe)
            output.end()
        if self._ending:
            self._end_group()
        with self._reaping:
            code = self.process.wait()
        if self._ending:
            raise CommandFailed(f"it {self._ending}")
        self._tell_of_others()
        if code:
            how = f"exit code {code}" if code > 0 else f"signal {_signal_name(-code)}"
            raise CommandFailed(f"it ended with {how}" + (errors.last and f": {errors.last}"))

    def end(self) -> None:
        """Have it end because the daemon does; from any thread."""
        self._ending = self._ending or "was ended, because the daemon stops"
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and what it has started at once; from any thread."""
        self._signal(signal.SIGKILL)

    def _read_until_end(self) -> None:
        with contextlib.ExitStack() as stack:
            selector = stack.enter_context(selectors.DefaultSelector())
            for pipe in self._outputs:
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ)
            end = _end_descriptor(self.process.pid)
            if end is not None:
                stack.callback(os.close, end)
                selector.register(end, selectors.EVENT_READ)
            deadline = None if self.timeout is None else time.monotonic() + self.timeout
            while True:
                wait = None if end is not None else _LOOK
                if deadline is not None:
                    left = max(0.0, deadline - time.monotonic())
                    wait = left if wait is None else min(wait, left)
                ready = [key.fileobj for key, _ in selector.select(wait)]
                for pipe in self._outputs:
                    if pipe in ready and not self._read(pipe):
                        selector.unregister(pipe)
                if end in ready or (end is None and self._has_ended()):
                    return
                if deadline is not None and time.monotonic() >= deadline:
                    if self._ending:
                        self.kill()
                        deadline = None
                    else:
                        self._ending = f"took longer than {self.timeout:g} s, and was ended"
                        self._signal(signal.SIGTERM)
                        deadline = time.monotonic() + _GRACE

    def _has_ended(self) -> bool:
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, how) is not None

    def _read(self, pipe: IO[bytes]) -> bool:
        """Read what is there, once; False at the end of the pipe."""
        data: bytes | None = pipe.read(_CHUNK)
        if data:
            self._outputs[pipe].feed(data)
        return data != b""

    def _end_group(self) -> None:
        """Wait for the end of what its first process has started, which has been told to end."""
        _wait_until(lambda: not _has_members(self.process.pid), _GRACE)
        self.kill()

    def _signal(self, number: signal.Signals) -> None:
        with self._reaping:
            if self.process.returncode is not None:
                return
            try:
                os.killpg(self.process.pid, number)
            except PermissionError:  # of sudo, for instance
                self.log(logging.WARNING, "it runs as another user, and cannot be ended")

    def _tell_of_others(self) -> None:
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return
        except PermissionError:  # it is there, as another user
            pass
        self.log(logging.WARNING, "it has ended, but left a process in the background")


def _end_descriptor(pid: int) -> int | None:
    """Return a descriptor that can be read once `pid` has ended; None where there is none."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # Linux 5.3, and a Python that was built with it
        return None


def _has_members(group: int) -> bool:
    """Tell whether a process of `group` is alive."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            state, _, its_group, *_ = stat.read_bytes().rpartition(b")")[2].split()
            if int(its_group) == group and state not in b"ZX":
                return True
    return False


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time one
        return str(number)


class _Commands:
    """All commands that run in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[_Running] = set()
        self._beginning = 0
        self._is_closed = False

    def begin(self, make: Callable[[], _Running]) -> _Running:
        """Return what `make` begins, and end that if the process ends before it is forgotten."""
        _end_with_interpreter()
        with self._lock:
            if self._is_closed:
                raise CommandFailed("it has not begun, because the daemon stops")
            self._beginning += 1
        running = None
        try:
            running = make()
        finally:
            with self._lock:
                self._beginning -= 1
                if running is not None:
                    self._running.add(running)
        return running

    def forget(self, running: _Running) -> None:
        with self._lock:
            self._running.discard(running)

    def close(self) -> None:
        """End all, and let none begin."""
        with self._lock:
            self._is_closed = True
        self.end()

    def end(self) -> None:
        """End those that have begun."""
        _wait_until(lambda: not self._beginning, _GRACE)
        with self._lock:
            ending = list(self._running)
        for running in ending:
            running.end()
        for seconds in (_GRACE, 1.0):
            _wait_until(lambda: self._running.isdisjoint(ending), seconds)
            for running in ending:
                running.kill()


def _wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(_LOOK)


_commands = _Commands()


@functools.cache
def _end_with_interpreter() -> None:
    """Have what still runs end with this process: nobody would notice how it ends."""
    here = os.getpid()
    atexit.register(lambda: _commands.close() if os.getpid() == here else None)
