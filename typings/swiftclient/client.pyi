# python-swiftclient ships no annotations; this is the part of it that inotifier uses.
from typing import Any

from keystoneauth1.session import Session

logger_settings: dict[str, Any]

class Connection:
    url: str | None
    token: str | None
    session: Session | None
    def __init__(
        self,
        authurl: str | None = None,
        user: str | None = None,
        key: str | None = None,
        retries: int = 5,
        *,
        starting_backoff: float = 1,
        os_options: dict[str, Any] | None = None,
        auth_version: str = "1",
        timeout: float | None = None,
        session: Session | None = None,
    ) -> None: ...
    def get_container(
        self, container: str, marker: str | None = None
    ) -> tuple[dict[str, str], list[dict[str, Any]]]: ...
    def close(self) -> None: ...
