"""From the daemon to Celery."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from inotifier.bridge.enqueuer import Batch, Enqueuer
from inotifier.exceptions import ConfigurationError

_TIMEOUT = 10.0
"""Seconds that the broker may take to answer."""

# The pipeline tries again; kombu must not, as it sleeps in between.
_ONE_TRY = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
_OPTIONS: dict[str, dict[str, Any]] = {
    # A frozen server would hold the thread for ever.
    "redis": {"socket_timeout": _TIMEOUT, "socket_connect_timeout": _TIMEOUT},
    # Without it a message counts as sent that is still in a buffer of this machine.
    "amqp": {"confirm_publish": True, "read_timeout": _TIMEOUT, "write_timeout": _TIMEOUT},
}


class CeleryEnqueuer(Enqueuer):
    """A processor that sends tasks by Celery, over a connection of its own.

    The task is called with `event`, a dict; `Event.from_json` makes the event of it. With `batch`
    it is called with `events`, a list of such dicts. The tasks are sent in the order of the events;
    an event is done with when the broker has its task. Nobody here waits for a result.

    The app is the current one, which the package of the settings makes when it follows Celery's
    guide for Django; otherwise what `celery -A` finds in that package.

    Args:
        task: name of the task. It need not be known here, only to the workers.
        queue: the queue; what the app's routes say by default.
        batch: (N, seconds): a task gets N events at most, and none waits longer for others.

    Raises:
        ConfigurationError: Celery is missing, there is no app, or it has no such queue.
    """

    def __init__(self, task: str, *, queue: str | None = None, batch: Batch | None = None) -> None:
        if not isinstance(task, str) or not task:
            raise ConfigurationError(
                f"the task of CeleryEnqueuer is {task!r}; it should be the name of one, "
                '"app.tasks.import_file" for instance'
            )
        self._app = _project_app()
        self._task = task
        self._options = {"queue": queue} if queue is not None else {}
        _check_route(self._app, task, self._options)
        self._connection: Any = None
        super().__init__(f"Celery's broker {_address(self._app)}", batch)

    def _enqueue(self, arguments: dict[str, Any]) -> None:
        if self._connection is None:
            self._connection = _connection(self._app)
        self._app.send_task(
            self._task,
            kwargs=arguments,
            connection=self._connection,
            retry=False,
            # The first has nothing wait for a result here, the second leaves it to the workers
            # whether they store it.
            ignore_result=True,
            headers={"ignore_result": None},
            **self._options,
        )

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()


def _project_app() -> Any:
    try:
        from celery import current_app
        from celery.app.utils import find_app
    except ImportError as exc:
        raise ConfigurationError(
            f"cannot import Celery ({exc}); install it: pip install django-inotifier[celery]"
        ) from exc
    app = current_app._get_current_object()
    # Celery makes up an app of this name where there is none.
    if app.main != "default" or app.set_as_current:
        return app
    package = str(getattr(settings, "SETTINGS_MODULE", "")).partition(".")[0]
    try:
        return find_app(package)
    except (ImportError, AttributeError, ValueError) as exc:
        raise ConfigurationError(
            f"there is no Celery app in {package or 'the settings'!r} ({exc}); make one in "
            "celery.py beside the settings and import it in the __init__.py there, as Celery's "
            "guide for Django says"
        ) from exc


def _check_route(app: Any, task: str, options: dict[str, str]) -> None:
    from celery.exceptions import QueueNotFound

    try:
        app.amqp.router.route(dict(options), task)
    except QueueNotFound as exc:
        raise ConfigurationError(
            f"the task {task} cannot be sent: {exc}. Name a queue of the Celery setting "
            "task_queues, or add it there"
        ) from exc


def _address(app: Any) -> str:
    """Return where the broker is, without a password."""
    with app.connection_for_write() as connection:
        return str(connection.as_uri())


def _connection(app: Any) -> Any:
    """Return a connection to the broker that does not wait for long."""
    kind = app.connection_for_write().get_transport_cls().driver_type
    options = {**_ONE_TRY, **_OPTIONS.get(kind, {})}
    for name in app.conf.broker_transport_options:
        options.pop(name, None)
    return app.connection_for_write(transport_options=options)
