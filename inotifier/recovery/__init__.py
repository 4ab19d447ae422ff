"""Finds what was missed: compares what is recorded as delivered with what is there.

A comparison only finds differences. Each becomes a question among the events, which is answered
when its turn has come.
"""

from inotifier.recovery.comparison import Comparison, Difference, dividing_moment
from inotifier.recovery.missed import mark, questions, subscribed
from inotifier.recovery.recovery import Recovery

__all__ = [
    "Comparison",
    "Difference",
    "Recovery",
    "dividing_moment",
    "mark",
    "questions",
    "subscribed",
]
