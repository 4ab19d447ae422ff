"""Entries that are listed again and again, and compared with what was delivered."""

from inotifier.polling.files import FIRST, FilePolling
from inotifier.polling.place import Place, PlaceDifference
from inotifier.polling.place_books import PlaceBooks
from inotifier.polling.places import PlacePolling
from inotifier.polling.rounds import Rounds

__all__ = [
    "FIRST",
    "FilePolling",
    "Place",
    "PlaceBooks",
    "PlaceDifference",
    "PlacePolling",
    "Rounds",
]
