"""For tests of people who write receivers: events as the daemon sends them, and the daemon itself.

* `capture_events` records what signals deliver;
* `emit` sends one event as a processor does, in this thread;
* `RunningNotifier`, `NotifierMixin` and pytest's fixture `running_notifier` watch real files, and
  `sync` returns when all that happened until then has been delivered.
"""

from inotifier.testing.capturing import CapturedEvents, capture_events
from inotifier.testing.case import NotifierMixin
from inotifier.testing.emitting import emit
from inotifier.testing.running import RunningNotifier

__all__ = ["CapturedEvents", "NotifierMixin", "RunningNotifier", "capture_events", "emit"]
