"""The connection to Redis, and what its errors mean: an outage, or a mistake in the settings."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from inotifier import redis_url
from inotifier.conf import conf
from inotifier.exceptions import ConfigurationError

logger = logging.getLogger(__name__)

_TIMEOUT = 10.0
"""Seconds that a connection or an answer may take."""

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 15.0

_PASSING = ("MISCONF", "NOREPLICAS", "UNKILLABLE", "LOADING", "BUSY ")
"""How errors begin that pass by themselves, or when somebody mends the server."""


def configured_url() -> str:
    """Return INOTIFIER_REDIS_URL.

    Raises:
        ConfigurationError: it is not set, cannot be used, or redis-py is missing.
    """
    url = conf.redis_url
    if url is None:
        raise ConfigurationError(
            "setting INOTIFIER_REDIS_URL is missing; it should be the URL of the Redis server, "
            '"redis://localhost:6379/0" for instance'
        )
    try:
        import redis  # noqa: F401
    except ImportError as exc:
        raise ConfigurationError(
            f"cannot import redis-py ({exc}); install it: pip install django-inotifier[redis]"
        ) from exc
    return url


def connect(block: float = 0.0) -> Any:
    """Return a client, a `redis.Redis`; it connects when it is used, and never tries twice.

    Args:
        block: seconds that a command may wait at the server.

    Raises:
        ConfigurationError: the settings do not say where.
    """
    url = configured_url()
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    try:
        return Redis.from_url(
            url,
            protocol=2,
            socket_timeout=_TIMEOUT + block,
            socket_connect_timeout=_TIMEOUT,
            **({} if url.startswith("unix:") else {"socket_keepalive": True}),
            retry=Retry(NoBackoff(), 0),
        )
    except (TypeError, ValueError) as exc:
        raise ConfigurationError(
            f"setting INOTIFIER_REDIS_URL cannot be used: {_scrubbed(str(exc))}"
        ) from None


def is_outage(exc: Exception) -> bool:
    """Tell whether an error of redis-py ends by itself, so that it is worth to wait."""
    from redis import exceptions as kinds

    if isinstance(exc, (kinds.AuthenticationError, kinds.AuthorizationError)):
        return False
    passing = (
        kinds.ConnectionError,
        kinds.TimeoutError,
        kinds.ReadOnlyError,
        kinds.OutOfMemoryError,
        kinds.ClusterDownError,
        kinds.TryAgainError,
        OSError,
    )
    return isinstance(exc, passing) or str(exc).startswith(_PASSING)


def explained(exc: Exception, key: str) -> ConfigurationError:
    """Return an error of redis-py that does not end by itself with what to do about it.

    Args:
        exc: what was raised.
        key: the stream or list that was used.
    """
    from redis import exceptions as kinds

    text = str(exc)
    if isinstance(exc, (kinds.AuthenticationError, kinds.AuthorizationError)):
        advice = "put the right user and password into INOTIFIER_REDIS_URL"
    elif isinstance(exc, kinds.NoPermissionError):
        advice = f"let the user of INOTIFIER_REDIS_URL use this command and {key!r} (ACL SETUSER)"
    elif text.startswith("WRONGTYPE"):
        advice = f"{key!r} holds something else: name another key, or remove that one"
    elif "unknown command" in text or "syntax error" in text:
        advice = "the server is too old: Redis 6.2 or newer is needed"
    else:
        advice = "see INOTIFIER_REDIS_URL and the server's log"
    return ConfigurationError(f"Redis refuses: {_scrubbed(text)}. What to do: {advice}.")


def described(exc: Exception) -> str:
    """Return what `exc` says on one line, without a password."""
    return _scrubbed(" ".join(str(exc).split())) or type(exc).__name__


def server() -> str:
    """Return the URL of the server as it may stand in a log."""
    return redis_url.without_password(conf.redis_url or "")


def _scrubbed(text: str) -> str:
    for password in redis_url.passwords(conf.redis_url or ""):
        text = text.replace(password, "***")
    return text


class Outage:
    """Whether the server is away: one line in the log when it goes, and one when it comes back.

    Args:
        waiting: what waits meanwhile, for the log: "events wait".
        clock: seconds that only grow.
        jitter: a number from 0 to 1, at random.
    """

    def __init__(
        self,
        waiting: str,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._waiting = waiting
        self._clock = clock
        self._jitter = jitter
        self._lock = threading.Lock()
        self._since: float | None = None
        self._delay = 0.0
        self._next = 0.0
        self.reason = ""

    @property
    def lasts(self) -> bool:
        """True while the server is away."""
        return self._since is not None

    def wait(self) -> float:
        """Return the seconds until it is worth to try, 0 if it is now."""
        if self._since is None:
            return 0.0
        with self._lock:
            return max(0.0, self._next - self._clock())

    def note(self, exc: Exception) -> float:
        """Note that the server did not answer; return the seconds until it is worth to try."""
        with self._lock:
            now = self._clock()
            if self._since is None:
                self._since, self._delay = now, _FIRST_WAIT
                self.reason = described(exc)
                logger.warning("%s is away, %s: %s", server(), self._waiting, self.reason)
            elif now >= self._next:
                self._delay = min(2 * self._delay, _LONGEST_WAIT)
            else:
                return self._next - now
            wait = self._delay * (0.5 + self._jitter() / 2)
            self._next = now + wait
            return wait

    def end(self) -> None:
        """Note that the server has answered."""
        if self._since is None:
            return
        with self._lock:
            if self._since is not None:
                lasted = self._clock() - self._since
                self._since, self.reason = None, ""
                logger.warning("%s is back after %.1f s", server(), lasted)
