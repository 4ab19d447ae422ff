"""From the daemon to other processes, on this machine and on others, and back into signals.

Nothing here imports pyinotify, so that what consumes runs anywhere; the libraries of the extras
are imported when they are used.
"""

from inotifier.bridge.celery_enqueuer import CeleryEnqueuer
from inotifier.bridge.publisher import RedisPublisher
from inotifier.bridge.task_enqueuer import TaskEnqueuer

__all__ = ["CeleryEnqueuer", "RedisPublisher", "TaskEnqueuer"]

# Messages, logs and settings name them by the package, wherever they are defined.
for _public in (CeleryEnqueuer, RedisPublisher, TaskEnqueuer):
    _public.__module__ = __name__
