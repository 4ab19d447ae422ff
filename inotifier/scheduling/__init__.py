"""Later, once, or not at all: jobs that run for events."""

from inotifier.scheduling.scheduler import TaskScheduler

__all__ = ["TaskScheduler"]
