"""Django signals for file events: a daemon around inotify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inotifier.decorators import on_file
    from inotifier.watches import Watch

__version__ = "0.1.0"
__all__ = ["Watch", "on_file"]


def __getattr__(name: str) -> Any:
    # Late, so that `inotifier.signals` imports where pyinotify is not installed.
    if name == "Watch":
        from inotifier.watches import Watch

        return Watch
    if name == "on_file":
        from inotifier.decorators import on_file

        return on_file
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
