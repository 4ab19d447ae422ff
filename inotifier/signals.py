"""One signal for each event of inotify(7).

Each is sent with `sender` the class of the event processor, `event` the
`inotifier.events.Event`, and `processor` the processor itself. This module imports nothing
but Django's dispatcher, so that any process can connect receivers.
"""

from __future__ import annotations

from django.dispatch import Signal

in_access = Signal()
in_attrib = Signal()
in_close_nowrite = Signal()
in_close_write = Signal()
in_create = Signal()
in_delete = Signal()
in_delete_self = Signal()
in_ignored = Signal()
in_modify = Signal()
in_move_self = Signal()
in_moved_from = Signal()
in_moved_to = Signal()
in_open = Signal()
in_q_overflow = Signal()
in_unmount = Signal()
