"""From the kernel's queue to `Event`s: system calls, watches, and the thread that reads."""

from inotifier.notifier.inotify import Inotify
from inotifier.notifier.keeper import Keeper
from inotifier.notifier.manager import Notifier, WatchManager
from inotifier.notifier.methods import Methods
from inotifier.notifier.reader import Reader
from inotifier.notifier.stage import KeeperStage
from inotifier.notifier.subscription import Batch, Subscription

__all__ = [
    "Batch",
    "Inotify",
    "Keeper",
    "KeeperStage",
    "Methods",
    "Notifier",
    "Reader",
    "Subscription",
    "WatchManager",
]
