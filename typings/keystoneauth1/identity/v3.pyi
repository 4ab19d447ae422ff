from typing import Any

class Password:
    def __init__(
        self, auth_url: str, *, username: str, password: str, project_name: str, **kwargs: Any
    ) -> None: ...
