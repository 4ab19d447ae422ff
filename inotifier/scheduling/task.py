"""One run of a job: it waits for its time, then for its turn, runs, and has ended."""

from __future__ import annotations

import enum
import os
import uuid
from typing import TYPE_CHECKING

from inotifier.events import Event
from inotifier.later import Later

if TYPE_CHECKING:
    from inotifier.scheduling.tasks import Tasks

Look = tuple[int, int] | None


class State(enum.Enum):
    """What a task waits for, if at all."""

    WAITING = "its time"
    READY = "its turn"
    RUNNING = "the end of its job"
    ENDED = "nothing"


class Task(Later):
    """One run of a scheduler's job. Whoever holds the lock of `tasks` may change it.

    Attributes:
        tasks: to which it belongs.
        key: what identifies it there.
        path: that of its events, whatever a job does to them.
        event: the last one that came.
        state: what it waits for.
        when: the time before which it does not run, of the scheduler's clock.
        in_heap: True while it stands in the heap of timers.
        is_retry: True if the job has failed on this event, and runs again.
        is_cancelled: True if it does not run again, since it was cancelled while it ran.
        next: the one that runs when this one has ended.
        look: size and time of change of the file, where it has to stay the same.
    """

    __slots__ = (
        "_id",
        "event",
        "in_heap",
        "is_cancelled",
        "is_retry",
        "key",
        "look",
        "next",
        "path",
        "state",
        "tasks",
        "when",
    )

    def __init__(self, tasks: Tasks, key: str, event: Event, task_id: str = "") -> None:
        super().__init__()
        self.tasks = tasks
        self.key = key
        self.path = event.pathname
        self.event = event
        self.state = State.WAITING
        self.when = 0.0
        self.in_heap = False
        self.is_retry = False
        self.is_cancelled = False
        self.next: Task | None = None
        self.look: Look = None
        self._id = task_id

    @property
    def id(self) -> str:
        """Its identity in logs, which the job gets as well."""
        if not self._id:  # it is made when it is asked for: most that wait are never asked
            self._id = str(uuid.uuid4())
        return self._id

    # As a Later

    @property
    def due(self) -> float | None:
        """The time before which it does not run, None if it may be running."""
        return self.when if self.state is State.WAITING else None

    def start(self) -> None:
        """Let its time count."""
        self.tasks.start(self)

    def abandon(self) -> None:
        """Forget it, if it has not begun."""
        self.tasks.abandon(self)

    # As something in the heap

    @property
    def is_wanted(self) -> bool:
        """False if it does not wait for its time any more."""
        return self.state is State.WAITING

    def fire(self, now: float) -> float | None:
        """Go on, or return the time to wait for."""
        return self.tasks.fire(self, now)


def look_at(path: str) -> Look:
    """Return size and time of change of what is at `path`, None if nothing is."""
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns
