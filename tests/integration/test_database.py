"""Connections to the database do not go stale in a process that lives for months."""

import sqlite3

import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from inotifier.scheduling import TaskScheduler
from tests.in_process import Recorder
from tests.waiting import wait_for

ALIAS = "observed"


@pytest.fixture
def database(tmp_path_factory, django_db_blocker):
    """A database in a file: Django never closes one in memory."""
    file = tmp_path_factory.mktemp("database") / "db.sqlite3"
    values = {**connections.settings["default"], "NAME": str(file)}
    connections.settings[ALIAS] = values
    with django_db_blocker.unblock():
        yield values
    del connections.settings[ALIAS]


class Querying(Recorder):
    """A processor that asks the database, and breaks the connection at a name with "break"."""

    def __init__(self) -> None:
        super().__init__()
        self.raw: list[sqlite3.Connection] = []
        self.answers: list[str] = []

    def __call__(self, event) -> None:
        super().__call__(event)
        connection = connections[ALIAS]
        connection.ensure_connection()
        self.raw.append(connection.connection)
        if "break" in event.name:
            connection.connection.close()  # as a server that was restarted does
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        self.answers.append(event.name)


def is_open(raw: sqlite3.Connection) -> bool:
    try:
        raw.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return False
    return True


@pytest.fixture
def querying():
    return Querying()


def test_a_connection_is_closed_after_the_delivery(watching, tmp_path, database, querying):
    running = watching((tmp_path, "IN_CREATE", querying))
    (tmp_path / "file").touch()
    running.sync()
    assert querying.answers == ["file"]
    assert not is_open(querying.raw[0])


def test_a_connection_that_may_live_longer_serves_the_next_event(
    watching, tmp_path, database, querying
):
    database["CONN_MAX_AGE"] = 600
    running = watching((tmp_path, "IN_CREATE", querying))
    for name in ("a", "b"):
        (tmp_path / name).touch()
        running.sync()
    assert querying.raw[0] is querying.raw[1]
    assert is_open(querying.raw[0])
    running.stop()


def test_a_connection_that_was_left_by_the_code_of_the_start_is_not_used(
    watching, tmp_path, database, querying
):
    connections[ALIAS].ensure_connection()
    ours = connections[ALIAS].connection
    running = watching((tmp_path, "IN_CREATE", querying))
    (tmp_path / "file").touch()
    running.stop()
    connections[ALIAS].close()
    assert querying.raw[0] is not ours


def test_the_next_event_succeeds_after_the_connection_broke(watching, tmp_path, database, querying):
    running = watching((tmp_path, "IN_CREATE", querying))
    for name in ("a", "break", "b"):
        (tmp_path / name).touch()
        running.sync()
    assert querying.answers == ["a", "b"]
    assert running.handlers[0].failed == 1


def test_the_next_event_of_the_same_read_succeeds_after_the_connection_broke(
    watching, tmp_path, database, querying
):
    running = watching((tmp_path, "IN_CREATE", querying), run=False)
    for name in ("a", "break", "b", "c"):
        (tmp_path / name).touch()
    running.run()
    running.stop()
    assert querying.answers == ["a", "b", "c"]


def test_an_event_that_failed_because_of_the_connection_succeeds_at_its_retry(
    watching, tmp_path, database, querying, settings
):
    settings.INOTIFIER_RETRIES = 3
    settings.INOTIFIER_RETRY_DELAY = 0.01

    def break_once(event):
        broken.append(event.name)
        if broken.count(event.name) == 1:
            connections[ALIAS].ensure_connection()
            connections[ALIAS].connection.close()  # as a server that was restarted does
        querying(event)

    broken: list[str] = []
    running = watching((tmp_path, "IN_CREATE", break_once))
    for name in ("a", "b"):
        (tmp_path / name).touch()
    wait_for(lambda: sorted(querying.answers) == ["a", "b"])
    running.stop()
    assert broken.count("a") == broken.count("b") == 2
    assert (running.handlers[0].failed, running.handlers[0].delivered) == (0, 2)


@pytest.mark.parametrize("is_coroutine", [False, True])
def test_a_job_that_failed_because_of_the_connection_succeeds_at_its_retry(
    watching, tmp_path, database, querying, settings, is_coroutine
):
    settings.INOTIFIER_RETRIES = 1
    settings.INOTIFIER_RETRY_DELAY = 0.01

    def break_once(event):
        broken.append(event.name)
        if len(broken) == 1:
            connections[ALIAS].ensure_connection()
            connections[ALIAS].connection.close()  # as a server that was restarted does
        querying(event)

    async def break_once_later(event):
        await sync_to_async(break_once)(event)

    broken: list[str] = []
    job = break_once_later if is_coroutine else break_once
    running = watching((tmp_path, "IN_CREATE", TaskScheduler(job)))
    (tmp_path / "a").touch()
    wait_for(lambda: querying.answers == ["a"])
    running.stop()
    assert broken == ["a", "a"]
    assert running.handlers[0].delivered == 1
    # A coroutine's, when there are no more to run.
    wait_for(lambda: not is_open(querying.raw[-1]))


def test_a_connection_of_a_job_is_closed_after_it(watching, tmp_path, database, querying):
    running = watching((tmp_path, "IN_CREATE", TaskScheduler(querying)))
    (tmp_path / "a").touch()
    wait_for(lambda: querying.answers == ["a"])
    wait_for(lambda: not is_open(querying.raw[0]))
    running.stop()


def test_connections_are_closed_at_the_end(watching, tmp_path, database, querying):
    database["CONN_MAX_AGE"] = None
    running = watching((tmp_path, "IN_CREATE", querying))
    (tmp_path / "file").touch()
    running.stop()
    assert not is_open(querying.raw[0])


class Unclosable:
    """A connection whose server does not even let it go."""

    def close_if_unusable_or_obsolete(self) -> None:
        raise OSError("connection reset")

    close = close_if_unusable_or_obsolete


def test_a_connection_that_cannot_be_closed_ends_nothing(watching, tmp_path, database, caplog):
    class Poisoning(Recorder):
        def __call__(self, event) -> None:
            super().__call__(event)
            connections[ALIAS] = Unclosable()

    poisoning = Poisoning()
    running = watching((tmp_path, "IN_CREATE", poisoning))
    for name in ("a", "b"):
        (tmp_path / name).touch()
        running.sync()
    running.stop()
    assert [event.name for event in poisoning.events] == ["a", "b"]
    assert "connection reset" in caplog.text
