"""URLs of Redis servers: checked without redis-py, and shown without their passwords."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

_SCHEMES = ("redis", "rediss", "unix")


def problem_of(url: str) -> str:
    """Return what is wrong with `url`, "" if nothing is."""
    if _holds_separator(url):
        return "its user or password should be quoted: # as %23, / as %2F, ? as %3F"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        # It may quote what follows a colon, and that may be a password.
        return "its port is no number" if "port" in str(exc).lower() else "it cannot be read"
    if parts.scheme not in _SCHEMES:
        return f"it should begin with {', '.join(f'{one}://' for one in _SCHEMES)}"
    if parts.scheme == "unix":
        return "" if parts.path.strip("/") else "it names no socket"
    if not parts.hostname:
        return "it names no host"
    if port == 0:
        return "its port is 0"
    database = dict(parse_qsl(parts.query)).get("db", parts.path.strip("/"))
    if database and not (database.isascii() and database.isdigit()):
        return "its database is no number"
    return ""


def _holds_separator(url: str) -> bool:
    """Tell whether a part of `url` ends too early: what comes after it may be a password."""
    scheme, _, rest = url.partition("://")
    authority = re.split("[/?]", rest, maxsplit=1)[0]
    return "#" in url or (scheme != "unix" and "@" in rest[len(authority) :])


def without_password(url: str) -> str:
    """Return `url` as it may stand in a log."""
    url = re.sub(r"(?s)//.*@", "//***@", url)
    return re.sub(r"(?i)(password=)[^&]*", r"\1***", url)


def passwords(url: str) -> list[str]:
    """Return what must not be shown of a valid `url`, as it stands there and as it is meant."""
    parts = urlsplit(url)
    found = [parts.password or "", dict(parse_qsl(parts.query)).get("password", "")]
    return [form for one in found if one for form in (one, unquote(one))]
