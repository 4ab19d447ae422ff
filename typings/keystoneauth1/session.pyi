# keystoneauth1 is annotated, but what checks inotifier need not have it installed; this is the part
# of it that inotifier uses.
from typing import Protocol

from .identity import v2, v3

class _HTTP(Protocol):
    def close(self) -> None: ...

class Session:
    session: _HTTP
    def __init__(
        self, auth: v2.Password | v3.Password, *, timeout: float | None = None
    ) -> None: ...
