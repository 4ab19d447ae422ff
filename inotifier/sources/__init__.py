"""Where events come from besides the daemon's inotify: places that a script asks what is new."""

from inotifier.sources import remote, swift
from inotifier.sources.base import Poller, SourceError
from inotifier.sources.files import FilePoller
from inotifier.sources.inotify import INotifyPoller
from inotifier.sources.orm import OrmPoller
from inotifier.sources.registry import check_url, make_poller, register_poller
from inotifier.sources.remote import FsspecPoller
from inotifier.sources.swift import SwiftPoller

__all__ = [
    "FilePoller",
    "FsspecPoller",
    "INotifyPoller",
    "OrmPoller",
    "Poller",
    "SourceError",
    "SwiftPoller",
    "check_url",
    "make_poller",
    "register_poller",
]

register_poller("file")(INotifyPoller)
register_poller("file")(FilePoller)
register_poller("orm")(OrmPoller)
for _scheme in swift.SCHEMES:
    register_poller(_scheme)(SwiftPoller)
for _scheme in remote.SCHEMES:
    register_poller(_scheme)(FsspecPoller)
