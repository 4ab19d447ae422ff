"""An event processor of the project's own."""

import csv
import datetime
import logging
from pathlib import Path

import pyinotify

logger = logging.getLogger(__name__)


class ArchiveLedger(pyinotify.ProcessEvent):
    """Write down, in a CSV file, what is put into a directory and what leaves it.

    The method for an event is found by its name: ``process_IN_DELETE``, or that of a family such
    as ``process_IN_MOVED``, for IN_MOVED_FROM and IN_MOVED_TO.
    """

    def my_init(self, ledger):
        # The "options" of the entry arrive here.
        self.ledger = Path(ledger)

    def process_IN_CLOSE_WRITE(self, event):
        self.enter("stored", event)

    def process_IN_MOVED(self, event):
        self.enter("stored" if event.mask & pyinotify.IN_MOVED_TO else "removed", event)

    def process_IN_DELETE(self, event):
        self.enter("removed", event)

    def enter(self, what, event):
        when = datetime.datetime.fromtimestamp(event.timestamp, datetime.UTC)
        # surrogateescape keeps file names that are not UTF-8 as they are.
        with self.ledger.open("a", newline="", errors="surrogateescape") as file:
            csv.writer(file).writerow([when.isoformat(), what, event.name])
        logger.info("archive: %s %r", what, event.name)
