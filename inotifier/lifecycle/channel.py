"""Where the daemon answers: a socket that only its user, and root, may speak to (unix(7)).

One line of JSON asks, one JSON document answers, and the connection ends.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from inotifier.exceptions import InotifierError, NotPermitted
from inotifier.lifecycle.status_file import Status

logger = logging.getLogger(__name__)

Question = dict[str, Any]
Answer = Callable[[Question], Status]

_PATIENCE = 5.0
"""Seconds to wait for an answer, or for who does not read one."""

_QUESTION_PATIENCE = 1.0
"""Seconds that a question may take: others wait meanwhile."""

_PAUSE = 1.0
"""Seconds after which a process without a free descriptor looks whether it has one."""

_LONGEST_QUESTION = 65536
_PEER = struct.Struct("3i")  # pid, uid, gid: `struct ucred`
_ELSEWHERE = 0
"""The pid of a process that is not to be seen here: it is in another container."""


class NoAnswer(InotifierError):
    """The daemon does not answer."""


class Channel:
    """Answers questions, one after the other, in a thread of its own.

    Args:
        path: of the socket.
        answer: gets each question; what it returns must be ready for JSON.

    Raises:
        OSError: the socket cannot be made.
    """

    def __init__(self, path: Path, answer: Answer) -> None:
        self.path = path
        self._answer = answer
        self._closed = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            # What is bound later has this mode from its first moment on.
            os.fchmod(self._socket.fileno(), 0o600)
            with _short(path) as address:
                path.unlink(missing_ok=True)
                self._socket.bind(address)
            self._socket.listen()
        except BaseException:
            self._socket.close()
            raise
        self._thread = threading.Thread(target=self._run, name="inotifier-channel", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer no more; who is being answered is not waited for long."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
        self._closed.set()
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._thread.join(_QUESTION_PATIENCE)
        self._socket.close()

    def _run(self) -> None:
        failing = False
        while not self._closed.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError as exc:
                if not failing and not self._closed.is_set():
                    logger.error("cannot take a question at %s: %s", self.path, exc)
                failing = True
                self._closed.wait(_PAUSE)
                continue
            failing = False
            with connection:
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            if question := _read_line(connection):
                answer = self._answer(json.loads(question))
                connection.settimeout(_PATIENCE)
                connection.sendall(json.dumps(answer).encode("ascii"))
        except OSError:
            pass  # whoever asked has gone, or takes too long
        except Exception:  # a question that is none must not end the answers
            logger.exception("a question to %s cannot be answered", self.path)


def _read_line(connection: socket.socket) -> bytes:
    """Return what comes until the end of the line, or of all.

    Raises:
        OSError: it does not come in time.
    """
    deadline = time.monotonic() + _QUESTION_PATIENCE
    line = b""
    while b"\n" not in line and len(line) < _LONGEST_QUESTION:
        connection.settimeout(max(0.0, deadline - time.monotonic()))
        piece = connection.recv(_LONGEST_QUESTION)
        if not piece:
            break
        line += piece
    return line.partition(b"\n")[0]


def ask(
    path: Path, pid: int, pid_file: Path, question: Mapping[str, Any], timeout: float = _PATIENCE
) -> Status:
    """Return what the daemon answers.

    Args:
        path: of its socket.
        pid: its process id.
        pid_file: which it holds.
        question: for it.
        timeout: seconds to wait at each step.

    Raises:
        NotPermitted: it belongs to another user.
        NoAnswer: it does not answer, or another process does.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            with _short(path) as address:
                connection.connect(address)
            _check_peer(connection, pid, pid_file, path)
            connection.sendall(json.dumps(question).encode("ascii") + b"\n")
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as file:
                answer = json.loads(file.read())
    except PermissionError as exc:
        raise NotPermitted(f"{path} belongs to another user; ask as that user or as root") from exc
    except (OSError, ValueError) as exc:
        raise NoAnswer(f"the daemon (pid {pid}) does not answer at {path}: {exc}") from exc
    return answer if isinstance(answer, dict) else {}


def _check_peer(connection: socket.socket, pid: int, pid_file: Path, path: Path) -> None:
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    other, uid, _ = _PEER.unpack(data)
    if other == _ELSEWHERE:
        if uid != (owner := pid_file.stat().st_uid):
            raise NoAnswer(f"{path} is answered by the user {uid}; the daemon's is {owner}")
    elif other != pid:
        raise NoAnswer(f"{path} is answered by the process {other}, not by the daemon (pid {pid})")


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """Give an address of `path`; the kernel takes 107 bytes, and paths may be longer."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
