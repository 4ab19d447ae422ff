"""From the daemon to other processes, on this machine and on others, and back into signals.

Nothing here imports pyinotify, so that what consumes runs anywhere; the libraries of the extras
are imported when they are used.
"""

from inotifier.bridge.publisher import RedisPublisher

__all__ = ["RedisPublisher"]

# Messages, logs and settings name it by the package, wherever it is defined.
RedisPublisher.__module__ = __name__
