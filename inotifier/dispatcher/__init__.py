"""Hands events to the processors of their entries: in order, under a guard, and again."""

from inotifier.dispatcher.dispatcher import Dispatcher
from inotifier.dispatcher.figures import BOUNDS, MOST_RECENT, Figures
from inotifier.dispatcher.handler import Gathering, Handler, Retries
from inotifier.dispatcher.order import Question
from inotifier.dispatcher.own_writes import NotingMethods, OwnWrites

__all__ = [
    "BOUNDS",
    "MOST_RECENT",
    "Dispatcher",
    "Figures",
    "Gathering",
    "Handler",
    "NotingMethods",
    "OwnWrites",
    "Question",
    "Retries",
]
