"""Django's settings with a little logic: each read when it is used."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings

from inotifier import redis_url
from inotifier.exceptions import ConfigurationError

# The daemon changes its directory later; relative paths must not move with it.
try:
    _START_DIRECTORY = Path.cwd()
except FileNotFoundError:  # it was removed
    _START_DIRECTORY = Path("/")


class Settings:
    """The settings of inotifier, one property each. Paths are absolute."""

    @property
    def watch_paths(self) -> Any:
        """INOTIFIER_WATCH_PATHS: what to watch, an iterable of entries.

        Required, unless functions with `on_file` say what to watch.
        """
        value = getattr(settings, "INOTIFIER_WATCH_PATHS", None)
        if isinstance(value, Iterator):
            # A generator can be read once, but the setting is read more than once.
            value = list(value)
            settings.INOTIFIER_WATCH_PATHS = value
        return value

    @property
    def base_dir(self) -> Path:
        """BASE_DIR, or the directory of the start: where relative paths begin."""
        return _START_DIRECTORY / (self._base_dir or ".")

    @property
    def _base_dir(self) -> str | os.PathLike[str] | None:
        value = getattr(settings, "BASE_DIR", None) or None
        if value is not None and not isinstance(value, (str, os.PathLike)):
            raise ConfigurationError(f"setting BASE_DIR is {value!r}; it should be a path")
        return value

    @property
    def project_path(self) -> Path | None:
        """PROJECT_PATH: the directory of the pid file, the status and the state, or None."""
        return self._path("PROJECT_PATH")

    @property
    def project_name(self) -> str:
        """A name for this project on this host: two check-outs have two names."""
        module = os.environ.get("DJANGO_SETTINGS_MODULE", "django")
        if getattr(settings, "BASE_DIR", None):
            home = str(self.base_dir)
        else:
            # Not the current directory: start and stop may be called from two of them.
            home = getattr(sys.modules.get(module), "__file__", None) or "/"
        digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:8]
        return f"{module.split('.')[0]}-{digest}"

    @property
    def pid_file(self) -> Path:
        """INOTIFIER_PID_FILE: the pid file, or `inotifier.pid` in PROJECT_PATH.

        Without PROJECT_PATH it lies in a private directory of the user and project below /tmp.
        """
        return self._path("INOTIFIER_PID_FILE") or (
            (self.project_path or self.runtime_dir) / "inotifier.pid"
        )

    @property
    def runtime_dir(self) -> Path:
        """The private directory of this user and project, which need not exist yet."""
        # Not tempfile.gettempdir(): TMPDIR may differ between start and stop.
        return Path(f"/tmp/inotifier-{self._daemon_uid}") / self.project_name  # noqa: S108

    @property
    def _daemon_uid(self) -> int:
        owner = self.owner
        return owner[0] if owner else os.geteuid()

    @property
    def state_dir(self) -> Path:
        """INOTIFIER_STATE_DIR: the directory of what was delivered, and of the status.

        Or PROJECT_PATH, or `$XDG_STATE_HOME/inotifier/<project>`, where `~/.local/state` stands for
        a variable that is not set. A user without a home, as in some containers, has the private
        directory of the pid file.
        """
        if given := self._path("INOTIFIER_STATE_DIR") or self.project_path:
            return given
        home = self._state_home
        return home / "inotifier" / self.project_name if home else self.runtime_dir

    @property
    def _state_home(self) -> Path | None:
        """Where the daemon's user keeps state, None if it has no home."""
        if self.owner:
            # Not $HOME, which is that of whoever calls the command.
            home = Path(pwd.getpwuid(self._daemon_uid).pw_dir)
            return home / ".local" / "state" if home.is_dir() else None
        given = Path(os.environ.get("XDG_STATE_HOME", ""))
        if given.is_absolute():
            return given
        try:
            return Path("~/.local/state").expanduser()
        except RuntimeError:
            return None

    @property
    def status_file(self) -> Path:
        """Where the daemon writes how it is."""
        return self.state_dir / "inotifier.status.json"

    @property
    def daemon_stdout(self) -> Path:
        """INOTIFIER_DAEMON_STDOUT: the file that standard output is appended to, or /dev/null."""
        return self._path("INOTIFIER_DAEMON_STDOUT") or Path(os.devnull)

    @property
    def daemon_stderr(self) -> Path:
        """INOTIFIER_DAEMON_STDERR: the file that standard error is appended to, or /dev/null."""
        return self._path("INOTIFIER_DAEMON_STDERR") or Path(os.devnull)

    @property
    def log_files(self) -> list[Path]:
        """Files that handlers of LOGGING write, in the daemon's working directory."""
        handlers = (getattr(settings, "LOGGING", None) or {}).get("handlers", {})
        names = [handler.get("filename") for handler in handlers.values()]
        paths = [name for name in names if isinstance(name, (str, os.PathLike))]
        return [self.working_directory / path for path in paths]

    @property
    def working_directory(self) -> Path:
        """INOTIFIER_WORKING_DIRECTORY: the daemon's current directory, or BASE_DIR, or /."""
        given = self._path("INOTIFIER_WORKING_DIRECTORY")
        return given or (self.base_dir if self._base_dir else Path("/"))

    @property
    def umask(self) -> int:
        """INOTIFIER_UMASK: bits that the files of the daemon do not get, or 0o022."""
        value = getattr(settings, "INOTIFIER_UMASK", 0o022)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 0o777:
            raise ConfigurationError(
                f"setting INOTIFIER_UMASK is {value!r}; it should be an int from 0 to 0o777"
            )
        return value

    @property
    def owner(self) -> tuple[int, int] | None:
        """INOTIFIER_USER and INOTIFIER_GROUP: who a daemon that root starts becomes, or None.

        Names or numbers. The group is that of the user, if only the user is set.
        """
        user, group = self._account("INOTIFIER_USER"), self._account("INOTIFIER_GROUP")
        if user is None and group is None:
            return None
        uid, gid = os.geteuid(), os.getegid()
        try:
            if user is not None:
                account = pwd.getpwuid(user) if isinstance(user, int) else pwd.getpwnam(user)
                uid, gid = account.pw_uid, account.pw_gid
            if group is not None:
                found = grp.getgrgid(group) if isinstance(group, int) else grp.getgrnam(group)
                gid = found.gr_gid
        except KeyError as exc:
            raise ConfigurationError(
                f"INOTIFIER_USER {user!r} with INOTIFIER_GROUP {group!r} is not known here: {exc}"
            ) from None
        return uid, gid

    @property
    def shutdown_timeout(self) -> float:
        """INOTIFIER_SHUTDOWN_TIMEOUT: seconds to deliver, at a stop, what was read, or 30."""
        return self._number("INOTIFIER_SHUTDOWN_TIMEOUT", 30.0)

    @property
    def catch_up(self) -> bool:
        """INOTIFIER_CATCH_UP: whether entries deliver at the start what they missed, or True."""
        value = getattr(settings, "INOTIFIER_CATCH_UP", True)
        if not isinstance(value, bool):
            raise ConfigurationError(
                f"setting INOTIFIER_CATCH_UP is {value!r}; it should be True or False"
            )
        return value

    @property
    def state_file(self) -> Path:
        """Where the daemon keeps what it has delivered."""
        return self.state_dir / "inotifier.state.sqlite3"

    @property
    def workers(self) -> int:
        """INOTIFIER_WORKERS: threads that call processors, or 1."""
        return self._count("INOTIFIER_WORKERS", 1, least=1)

    @property
    def queue_size(self) -> int:
        """INOTIFIER_QUEUE_SIZE: events held in memory before reading stops, or 1,000,000."""
        return self._count("INOTIFIER_QUEUE_SIZE", 1_000_000, least=1)

    @property
    def retries(self) -> int:
        """INOTIFIER_RETRIES: how often an event is delivered again after a failure, or 3."""
        return self._count("INOTIFIER_RETRIES", 3, least=0)

    @property
    def retry_delay(self) -> float:
        """INOTIFIER_RETRY_DELAY: seconds before the first of them, then doubled, or 1."""
        return self._number("INOTIFIER_RETRY_DELAY", 1.0)

    @property
    def redis_url(self) -> str | None:
        """INOTIFIER_REDIS_URL, or None; nothing that shows it shows its password."""
        value = getattr(settings, "INOTIFIER_REDIS_URL", None)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise ConfigurationError(
                f"setting INOTIFIER_REDIS_URL is a {type(value).__name__}; it should be a str"
            )
        if problem := redis_url.problem_of(value):
            raise ConfigurationError(
                f"setting INOTIFIER_REDIS_URL is {redis_url.without_password(value)!r}: {problem}"
            )
        return value

    @property
    def redis_stream(self) -> str:
        """INOTIFIER_REDIS_STREAM: the key of the stream, or "inotifier"."""
        value = getattr(settings, "INOTIFIER_REDIS_STREAM", "inotifier")
        if not isinstance(value, str) or not value:
            raise ConfigurationError(
                f"setting INOTIFIER_REDIS_STREAM is {value!r}; it should be the key of a stream"
            )
        return value

    @property
    def redis_maxlen(self) -> int:
        """INOTIFIER_REDIS_MAXLEN: events that the stream keeps, about, or 1,000,000."""
        return self._count("INOTIFIER_REDIS_MAXLEN", 1_000_000, least=1)

    @property
    def redis_claim_idle(self) -> float:
        """INOTIFIER_REDIS_CLAIM_IDLE: seconds of silence after which a consumer is dead, or 60."""
        value = self._number("INOTIFIER_REDIS_CLAIM_IDLE", 60.0)
        if value < 0.1:
            raise ConfigurationError(
                f"setting INOTIFIER_REDIS_CLAIM_IDLE is {value!r}; it should be 0.1 s or more"
            )
        return value

    @property
    def redis_message_size(self) -> int:
        """INOTIFIER_REDIS_MESSAGE_SIZE: bytes that a message may have, or 1,000,000."""
        return self._count("INOTIFIER_REDIS_MESSAGE_SIZE", 1_000_000, least=1)

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """INOTIFIER_METRICS_PORT: host and port where the daemon shows its metrics, or None.

        A port alone is one of this machine's own; "host:port" is open to others.
        """
        value = getattr(settings, "INOTIFIER_METRICS_PORT", None)
        if value is None or value == "":
            return None
        host, _, port = str(value).rpartition(":")
        is_text = isinstance(value, (int, str)) and not isinstance(value, bool)
        if not (is_text and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise ConfigurationError(
                f"setting INOTIFIER_METRICS_PORT is {value!r}; it should be a port, or "
                '"host:port" to let other machines in'
            )
        return host.strip("[]") or "127.0.0.1", int(port)

    @property
    def metrics_token(self) -> str:
        """INOTIFIER_METRICS_TOKEN: who sends it may read the metrics in the project's URLs."""
        value = getattr(settings, "INOTIFIER_METRICS_TOKEN", None) or ""
        if not isinstance(value, str):
            raise ConfigurationError("setting INOTIFIER_METRICS_TOKEN should be a str")
        return value

    def _number(self, name: str, default: float) -> float:
        value = getattr(settings, name, default)
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not 0 <= value < float("inf")
        ):
            raise ConfigurationError(
                f"setting {name} is {value!r}; it should be a number of seconds, 0 or more"
            )
        return float(value)

    def _count(self, name: str, default: int, *, least: int) -> int:
        value = getattr(settings, name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigurationError(
                f"setting {name} is {value!r}; it should be a whole number, {least} or more"
            )
        return value

    def _path(self, name: str) -> Path | None:
        value = getattr(settings, name, None)
        if value is None or value == "":
            return None
        if not isinstance(value, (str, os.PathLike)):
            raise ConfigurationError(f"setting {name} is {value!r}; it should be a path")
        return absolute(value, self.base_dir)

    def _account(self, name: str) -> str | int | None:
        value = getattr(settings, name, None)
        if value is None or (isinstance(value, (str, int)) and not isinstance(value, bool)):
            return value
        raise ConfigurationError(f"setting {name} is {value!r}; it should be a name or a number")


def absolute(path: str | os.PathLike[str], base: Path) -> Path:
    """Return `path` with `~` and $VARIABLES replaced, normalized, relative ones below `base`."""
    expanded = os.path.expanduser(os.path.expandvars(path))  # noqa: PTH111 - never raises
    return Path(os.path.normpath(base / expanded))


conf = Settings()
