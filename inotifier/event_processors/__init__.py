"""The bundled event processors.

A processor is an instance of `pyinotify.ProcessEvent`: `process_IN_CREATE` and its like first,
then the family (`process_IN_CLOSE`), then `process_default`; options arrive in `my_init`. It may
have

* `mask`: what an entry without a mask of its own watches for;
* `required_mask`: bits that the mask of its entry must hold;
* `added_mask`: bits that are added to the mask of its entry;
* `prepare(entry_path)`: called once, after the watch stands and before the first event.
"""

from __future__ import annotations

from inotifier.event_processors.chunks import CreateViaChunksSignaler, PartialFiles
from inotifier.event_processors.file_ready import FileReadySignaler
from inotifier.event_processors.printer import AllEventsPrinter
from inotifier.event_processors.ready_names import TEMPORARY
from inotifier.event_processors.sending import send
from inotifier.event_processors.signalers import AllEventsSignaler, CreateSignaler

__all__ = [
    "TEMPORARY",
    "AllEventsPrinter",
    "AllEventsSignaler",
    "CreateSignaler",
    "CreateViaChunksSignaler",
    "FileReadySignaler",
    "PartialFiles",
    "send",
]

# Logs, the status and settings name them by the package, wherever they are defined.
for _processor in (
    AllEventsPrinter,
    AllEventsSignaler,
    CreateSignaler,
    CreateViaChunksSignaler,
    FileReadySignaler,
):
    _processor.__module__ = __name__
