"""From the kernel's queue to `Event`s: system calls, watches, and the thread that reads."""

from inotifier.notifier.inotify import Inotify
from inotifier.notifier.reader import Reader
from inotifier.notifier.watch_table import Batch, Subscription, WatchTable

__all__ = ["Batch", "Inotify", "Reader", "Subscription", "WatchTable"]
