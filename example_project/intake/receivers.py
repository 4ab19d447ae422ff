"""What happens when a file comes in."""

import datetime
import hashlib
import logging
from pathlib import Path

from django.dispatch import receiver

from inotifier.bridge import RedisPublisher
from inotifier.event_processors import CreateViaChunksSignaler
from inotifier.events import printable
from inotifier.signals import file_ready, in_close_write, in_create, in_moved_to
from intake.models import Arrival

logger = logging.getLogger(__name__)


@receiver(file_ready)
@receiver([in_close_write, in_moved_to], sender=RedisPublisher)  # in the consumer, with Redis
def record_arrival(event, **kwargs):
    """Keep a row for each file in incoming/."""
    name = printable(event.name)  # whatever bytes it holds, a database and a log take this
    try:
        size, sha256, lines = _measure(Path(event.pathname))
    except FileNotFoundError:
        logger.info("incoming: %s was gone before it could be read", name)
        return
    # By name, because an event may come a second time: the same file never makes two rows.
    Arrival.objects.update_or_create(
        name=name,
        defaults={
            "size": size,
            "sha256": sha256,
            "lines": lines,
            "arrived_at": datetime.datetime.fromtimestamp(event.timestamp, datetime.UTC),
        },
    )
    if lines is None:
        logger.info("incoming: %s, %d bytes", name, size)
    else:
        logger.info("incoming: %s, %d bytes, %d lines", name, size, lines)


@receiver(in_create, sender=CreateViaChunksSignaler)
def announce_upload(event, **kwargs):
    """Say that an upload is whole."""
    logger.info("uploads: %s is complete", printable(event.name))


def _measure(path: Path) -> tuple[int, str, int | None]:
    """Return the size in bytes, the SHA-256, and the number of lines of a CSV file."""
    is_csv = path.suffix.lower() == ".csv"
    digest = hashlib.sha256()
    size = lines = 0
    last = b""
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            size += len(chunk)
            lines += chunk.count(b"\n")
            last = chunk
    if last and not last.endswith(b"\n"):
        lines += 1
    return size, digest.hexdigest(), lines if is_csv else None
