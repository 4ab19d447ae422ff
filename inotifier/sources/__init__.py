"""Where events come from besides the daemon's inotify: places that a script asks what is new."""

from inotifier.sources.base import Poller, SourceError
from inotifier.sources.files import FilePoller
from inotifier.sources.inotify import INotifyPoller
from inotifier.sources.registry import make_poller, register_poller

__all__ = [
    "FilePoller",
    "INotifyPoller",
    "Poller",
    "SourceError",
    "make_poller",
    "register_poller",
]

register_poller("file")(INotifyPoller)
register_poller("file")(FilePoller)
