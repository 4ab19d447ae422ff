"""Later, once, or not at all: jobs that run for events, and what starts them."""

from inotifier.scheduling.event_map import Cancel, EventMap
from inotifier.scheduling.file_manager import FileManagerScheduler
from inotifier.scheduling.file_rules import FileManagerRule
from inotifier.scheduling.scheduler import TaskScheduler
from inotifier.scheduling.shell import ShellScheduler

__all__ = [
    "Cancel",
    "EventMap",
    "FileManagerRule",
    "FileManagerScheduler",
    "ShellScheduler",
    "TaskScheduler",
]

# Logs, the status and settings name them by the package, wherever they are defined.
for _public in (
    Cancel,
    EventMap,
    FileManagerRule,
    FileManagerScheduler,
    ShellScheduler,
    TaskScheduler,
):
    _public.__module__ = __name__
