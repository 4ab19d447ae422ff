# fsspec ships no annotations; this is the part of it that inotifier uses.
from collections.abc import Mapping
from typing import Any

class AbstractFileSystem:
    protocol: str | tuple[str, ...]
    dircache: Mapping[str, list[dict[str, Any]]]
    def find(self, path: str, *, detail: bool) -> dict[str, dict[str, Any]]: ...
    def ls(self, path: str, detail: bool = True) -> list[dict[str, Any]]: ...
    def invalidate_cache(self) -> None: ...
