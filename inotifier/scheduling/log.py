"""What schedulers log: each line tells of which event, and of which task."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from inotifier.events import Event, printable

if TYPE_CHECKING:
    from inotifier.scheduling.task import Task


class TaskLog:
    """The log of one scheduler.

    Args:
        logname: what follows "inotifier." in the name of its logger.
    """

    def __init__(self, logname: str) -> None:
        self.logger = logging.getLogger(f"inotifier.{logname}")

    def task(
        self,
        level: int,
        task: Task,
        message: str,
        *args: object,
        exc_info: BaseException | None = None,
    ) -> None:
        """Log `message` of a task, with mask, path and task_id."""
        if self.logger.isEnabledFor(level):
            self.event(level, task.event, task.id, message, *args, exc_info=exc_info)

    def event(
        self,
        level: int,
        event: Event,
        task_id: str,
        message: str,
        *args: object,
        exc_info: BaseException | None = None,
    ) -> None:
        """Log `message`, with mask and path of `event`, and with `task_id`."""
        self.logger.log(
            level,
            f"{message}, mask=%s, path=%s, task_id=%s",
            *args,
            event.maskname,
            printable(event.pathname),
            task_id,
            exc_info=exc_info,
        )
