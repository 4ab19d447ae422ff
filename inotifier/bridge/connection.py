"""The connection to Redis, and what its errors mean: an outage, or a mistake in the settings."""

from __future__ import annotations

import re
from typing import Any

from inotifier import redis_url
from inotifier.bridge.outage import Outage, one_line
from inotifier.conf import conf
from inotifier.exceptions import ConfigurationError

_TIMEOUT = 10.0
"""Seconds that a connection or an answer may take."""

_PASSING = ("MISCONF", "NOREPLICAS", "UNKILLABLE", "LOADING", "BUSY ", "UNBLOCKED")
"""How errors begin that pass by themselves, or when somebody mends the server."""

_PIPELINED = re.compile(
    r"Command # \d+ \((?:\S+ (?P<key>\S+))?.*\) of pipeline caused error: ", re.DOTALL
)
"""What redis-py puts before the words of the server if the command was one of several."""


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
    return isinstance(exc, passing) or reason_of(exc).startswith(_PASSING)


def is_gone(exc: Exception) -> bool:
    """Tell whether an error of redis-py means that somebody has removed the stream or its group."""
    reason = reason_of(exc)
    return reason.startswith("NOGROUP") or reason.startswith("UNBLOCKED the stream key")


def reason_of(exc: Exception) -> str:
    """Return what the server said, without the command that a pipeline puts before it."""
    return _PIPELINED.sub("", str(exc), count=1)


def explained(exc: Exception, key: str) -> ConfigurationError:
    """Return an error of redis-py that does not end by itself with what to do about it.

    Args:
        exc: what was raised.
        key: the stream or list that was used, unless the exception names another.
    """
    from redis import exceptions as kinds

    text = reason_of(exc)
    if pipelined := _PIPELINED.match(str(exc)):
        key = pipelined["key"] or key
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
    return _scrubbed(_PIPELINED.sub("", one_line(exc), count=1))


def server() -> str:
    """Return the URL of the server as it may stand in a log."""
    return redis_url.without_password(conf.redis_url or "")


def _scrubbed(text: str) -> str:
    for password in redis_url.passwords(conf.redis_url or ""):
        text = text.replace(password, "***")
    return text


def redis_outage(waiting: str) -> Outage:
    """Return what tells whether Redis is away, while `waiting`, "events wait" for instance."""
    return Outage(server, waiting, described)
