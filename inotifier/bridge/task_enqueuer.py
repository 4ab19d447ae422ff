"""From the daemon to the tasks of Django."""

from __future__ import annotations

import inspect
from typing import Any

from django.utils.module_loading import import_string

from inotifier.bridge.enqueuer import Batch, Enqueuer
from inotifier.connections import close_connections, refresh_after_rest
from inotifier.exceptions import ConfigurationError


class TaskEnqueuer(Enqueuer):
    """A processor that enqueues a task of `django.tasks`, or of the package django-tasks.

    The task is called with `event`, a dict; `Event.from_json` makes the event of it. With `batch`
    it is called with `events`, a list of such dicts. The tasks are enqueued in the order of the
    events; an event is done with when the backend has its task.

    Args:
        task: dotted path of the task.
        queue_name: the queue; that of the task by default.
        batch: (N, seconds): a task gets N events at most, and none waits longer for others.

    Raises:
        ConfigurationError: there is no such task, or it cannot be used so.
    """

    def __init__(
        self, task: str, *, queue_name: str | None = None, batch: Batch | None = None
    ) -> None:
        super().__init__(f"the backend of the task {task}", batch)
        self._task = _found(task)
        _try_call(self._task, task, "event" if batch is None else "events")
        if queue_name is not None:
            self._task = _put_into(self._task, task, queue_name)

    def _enqueue(self, arguments: dict[str, Any]) -> None:
        refresh_after_rest()
        self._task.enqueue(**arguments)

    def _disconnect(self) -> None:
        close_connections()


def _found(path: str) -> Any:
    if not isinstance(path, str) or "." not in path:
        raise ConfigurationError(
            f"the task of TaskEnqueuer is {path!r}; it should be the dotted path of one, "
            '"app.tasks.import_file" for instance'
        )
    try:
        found = import_string(path)
    except ImportError as exc:
        raise ConfigurationError(f"cannot import the task {path}: {exc}{_advice(exc)}") from exc
    if not (hasattr(found, "enqueue") and hasattr(found, "using")):
        raise ConfigurationError(
            f"{path} is no task but a {type(found).__name__}; put @task above the function, of "
            "django.tasks (Django 6.0 and newer) or of django_tasks"
        )
    return found


def _advice(exc: ImportError) -> str:
    if exc.name == "django.tasks":
        return (
            "; Django 6.0 is the first that has it. For older ones: "
            "pip install django-inotifier[tasks], and import from django_tasks"
        )
    if exc.name == "django_tasks":
        return "; install it: pip install django-inotifier[tasks]"
    return ""


def _try_call(task: Any, path: str, argument: str) -> None:
    context = (None,) if task.takes_context else ()
    try:
        inspect.signature(task.func).bind(*context, **{argument: None})
    except TypeError as exc:
        raise ConfigurationError(
            f"the task {path} cannot be called with {argument}=...: {exc}; it should take "
            "event, or with batch events"
        ) from None


def _put_into(task: Any, path: str, queue_name: str) -> Any:
    try:
        return task.using(queue_name=queue_name)
    except Exception as exc:  # each package has its own
        raise ConfigurationError(
            f"the task {path} cannot be put into the queue {queue_name!r}: {exc} See QUEUES of "
            f"the backend {task.backend!r} in the setting TASKS."
        ) from exc
