"""What has surely been delivered, kept over restarts in one SQLite file.

Delivering threads only put a record into a dict. One thread writes them, a second after the
first of them at the latest; what is not written when the process is killed is delivered again.
"""

from inotifier.state.ledger import Ledger
from inotifier.state.memory import MemoryLedger
from inotifier.state.seen import Seen
from inotifier.state.state import State, Unreadable

AnyLedger = Ledger | MemoryLedger

__all__ = ["AnyLedger", "Ledger", "MemoryLedger", "Seen", "State", "Unreadable"]
