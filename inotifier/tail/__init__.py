"""What happens now, shown in a terminal, with an inotify instance of its own."""

from inotifier.tail.lines import Columns, Format
from inotifier.tail.live import Live, entries_of
from inotifier.tail.stats import Stats, shown_live
from inotifier.tail.watching import TIMED_OUT, Shower, follow

__all__ = [
    "TIMED_OUT",
    "Columns",
    "Format",
    "Live",
    "Shower",
    "Stats",
    "entries_of",
    "follow",
    "shown_live",
]
