"""Entries of INOTIFIER_WATCH_PATHS: read in every accepted form, and what is wrong with them.

Every problem is found here, once. `manage.py check` shows it, and `inotifier_start` raises it.
"""

from inotifier.watches.declared import watches_of
from inotifier.watches.entry import make_entry, read_entry
from inotifier.watches.problems import FORMS, SHAPE, Problem
from inotifier.watches.setting import inspect_settings, load, make_entries
from inotifier.watches.watch import ALL_EVENTS_SIGNALER, IN_SETTING, Entry, Processor, Watch

__all__ = [
    "ALL_EVENTS_SIGNALER",
    "FORMS",
    "IN_SETTING",
    "SHAPE",
    "Entry",
    "Problem",
    "Processor",
    "Watch",
    "inspect_settings",
    "load",
    "make_entries",
    "make_entry",
    "read_entry",
    "watches_of",
]
