"""From a command in a terminal to a daemon: python-daemon's context, logs opened anew."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from daemon import DaemonContext
from daemon.daemon import DaemonError
from django.conf import settings
from django.utils.log import configure_logging

from inotifier.conf import conf
from inotifier.exceptions import InotifierError
from inotifier.lifecycle.streams import STREAMS

logger = logging.getLogger(__name__)


def detach(owner: tuple[int, int] | None, keep: Iterable[int]) -> None:
    """Become a daemon, in a process that its parent waits for.

    Args:
        owner: (uid, gid) to change to, or None.
        keep: descriptors that stay open.

    Raises:
        InotifierError: a stream cannot be opened, or the process cannot become what it should.
    """
    # Handlers would go on writing to descriptors that are about to be closed.
    logging.shutdown()
    with _daemon_streams() as streams:
        _enter(owner, keep, streams, detach_process=True, prevent_core=True)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def open_logs() -> None:
    """Set up LOGGING anew, with descriptors of this process.

    Raises:
        InotifierError: a log cannot be opened.
    """
    try:
        # A second time: the default would silence every logger that stands since the first.
        logging_settings = settings.LOGGING and {
            **settings.LOGGING,
            "disable_existing_loggers": False,
        }
        configure_logging(settings.LOGGING_CONFIG, logging_settings)
    except Exception as exc:  # what dictConfig raises depends on the handlers
        # It names the handler; what it comes from says why.
        reason = f"{exc}: {exc.__cause__}" if exc.__cause__ else exc
        raise InotifierError(f"LOGGING cannot be set up in the daemon: {reason}") from exc


def stay(owner: tuple[int, int] | None) -> None:
    """Take directory, umask and user of a daemon, but keep the terminal and all descriptors."""
    streams = {name: getattr(sys, name) for name in STREAMS}
    _enter(owner, open_descriptors(), streams, detach_process=False, prevent_core=False)


def resume() -> None:
    """Do what `detach` did, after an exec: logs are opened anew if that can be done."""
    try:
        with _daemon_streams() as streams:
            _enter(None, open_descriptors(), streams, detach_process=False, prevent_core=True)
    except InotifierError as exc:
        # A log that only root can open, and root is who we were: the old one stays.
        logger.warning("the daemon goes on with its old standard streams: %s", exc)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def open_descriptors() -> set[int]:
    """Return the numbers of all open descriptors of this process."""
    return {int(fd.name) for fd in Path("/proc/self/fd").iterdir()}


def _enter(
    owner: tuple[int, int] | None,
    keep: Iterable[int],
    streams: dict[str, IO[Any]],
    *,
    detach_process: bool,
    prevent_core: bool,
) -> None:
    uid, gid = owner or (None, None)
    context = DaemonContext(
        working_directory=str(conf.working_directory),
        umask=conf.umask,
        uid=uid,
        gid=gid,
        initgroups=owner is not None,
        files_preserve=list(keep),
        detach_process=detach_process,
        prevent_core=prevent_core,
        signal_map={},
        stdin=streams["stdin"],
        stdout=streams["stdout"],
        stderr=streams["stderr"],
    )
    try:
        if gid is not None:
            # With initgroups, python-daemon leaves this process the group that it had.
            os.setgid(gid)
        context.open()
    except (DaemonError, OSError) as exc:
        raise InotifierError(f"cannot become a daemon: {exc}") from exc


@contextlib.contextmanager
def _daemon_streams() -> Iterator[dict[str, IO[Any]]]:
    with contextlib.ExitStack() as stack:
        yield {
            "stdin": stack.enter_context(open(os.devnull, "rb")),  # noqa: PTH123
            "stdout": stack.enter_context(_appended(conf.daemon_stdout, "INOTIFIER_DAEMON_STDOUT")),
            "stderr": stack.enter_context(_appended(conf.daemon_stderr, "INOTIFIER_DAEMON_STDERR")),
        }


def _appended(path: Path, setting: str) -> IO[Any]:
    try:
        return path.open("ab")
    except OSError as exc:
        raise InotifierError(
            f"cannot append to {path}: {exc.strerror}. Change {setting} or the permissions."
        ) from exc
