"""`CeleryEnqueuer` against a real broker without a worker, and `TaskEnqueuer` with a table."""

import base64
import contextlib
import json
import os
import sqlite3
import threading

import pytest
from django.core.management import call_command
from django.db import connections

from inotifier.bridge import CeleryEnqueuer, TaskEnqueuer
from inotifier.events import IN_CREATE, Event
from tests.celery_apps import current_app
from tests.waiting import wait_for


def event_of(name="a"):
    return Event(mask=IN_CREATE, path="/srv", name=name)


def enqueue(enqueuer, *events):
    """Enqueue events, and wait until they have been taken."""
    laters = [enqueuer(event) for event in events]
    wait_for(lambda: all(later.has_ended for later in laters))


def names(tasks):
    return [event["name"] for task in tasks for event in task.get("events", [task.get("event")])]


# Celery


@pytest.fixture
def app(own_server, caplog):
    with current_app(f"redis+socket://{own_server.socket}") as app:
        yield app
        caplog.clear()  # its exceptions hold what polls sockets


@pytest.fixture
def sent(own_server):
    """Return what each task of a queue is to be called with, the oldest first."""

    def read(queue="celery"):
        raw = own_server.client().lrange(queue, 0, -1)[::-1]
        return [json.loads(base64.b64decode(json.loads(one)["body"]))[1] for one in raw]

    return read


@pytest.fixture
def enqueuer(app):
    enqueuer = CeleryEnqueuer("files.import_file")
    yield enqueuer
    enqueuer.close()


@pytest.fixture
def batching(app):
    made = []

    def make(most, within):
        made.append(CeleryEnqueuer("files.import_files", batch=(most, within)))
        return made[-1]

    yield make
    for enqueuer in made:
        enqueuer.close()


def test_each_event_is_a_task_of_celery_in_its_order(enqueuer, sent):
    events = [event_of(str(number)) for number in range(300)]
    enqueue(enqueuer, *events)
    found = sent()
    assert [task["event"]["id"] for task in found] == [event.id for event in events]
    assert {task["event"]["processor"] for task in found} == {"inotifier.bridge.CeleryEnqueuer"}


def test_a_message_names_the_task_and_leaves_results_to_the_worker(enqueuer, own_server):
    enqueue(enqueuer, event_of())
    [raw] = own_server.client().lrange("celery", 0, -1)
    headers = json.loads(raw)["headers"]
    assert headers["task"] == "files.import_file"
    assert headers["ignore_result"] is None


def test_a_task_of_celery_makes_an_event_of_what_it_gets(enqueuer, sent):
    event = event_of(os.fsdecode(b"caf\xe9"))
    enqueue(enqueuer, event)
    [task] = sent()
    again = Event.from_json(task["event"])
    assert os.fsencode(again.pathname) == b"/srv/caf\xe9"
    assert again.id == event.id


def test_the_queue_may_be_named(app, sent):
    enqueuer = CeleryEnqueuer("files.import_file", queue="files")
    enqueue(enqueuer, event_of())
    enqueuer.close()
    assert names(sent("files")) == ["a"]
    assert sent() == []


def test_the_routes_of_the_app_are_followed(app, sent):
    app.conf.task_routes = {"files.*": {"queue": "routed"}}
    enqueuer = CeleryEnqueuer("files.import_file")
    enqueue(enqueuer, event_of())
    enqueuer.close()
    assert names(sent("routed")) == ["a"]


def test_a_full_batch_goes_at_once(batching, sent):
    enqueuer = batching(10, 3600.0)
    laters = [enqueuer(event_of(str(number))) for number in range(25)]
    wait_for(lambda: all(later.has_ended for later in laters[:20]))
    assert [len(task["events"]) for task in sent()] == [10, 10]
    assert not any(later.has_ended for later in laters[20:])
    assert laters[20].due is not None


def test_a_batch_goes_when_its_first_event_has_waited_long_enough(batching, sent):
    enqueuer = batching(1000, 0.05)
    enqueue(enqueuer, *(event_of(str(number)) for number in range(25)))
    assert names(sent()) == [str(number) for number in range(25)]


def test_events_wait_while_the_broker_is_away_and_the_log_tells_once(
    enqueuer, own_server, sent, caplog
):
    enqueue(enqueuer, event_of("before"))
    own_server.stop()
    laters = [enqueuer(event_of(str(number))) for number in range(100)]
    wait_for(lambda: "is away" in caplog.text)
    assert not any(later.has_ended for later in laters)
    own_server.start()
    wait_for(lambda: all(later.has_ended for later in laters), 30)
    assert names(sent()) == ["before", *map(str, range(100))]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2, lines
    assert f"Celery's broker redis+socket://{own_server.socket}" in lines[0]
    assert "is away, events wait for their tasks" in lines[0]
    assert "is back after" in lines[1]


def test_a_broker_killed_in_the_middle_of_a_burst_loses_nothing(batching, own_server, sent):
    enqueuer = batching(7, 0.01)
    laters = []
    for number in range(3000):
        laters.append(enqueuer(event_of(str(number))))
        if number % 1000 == 999:
            own_server.kill()
            own_server.start()
    wait_for(lambda: all(later.has_ended for later in laters), 60)
    assert list(dict.fromkeys(names(sent()))) == list(map(str, range(3000)))


def test_a_broker_that_does_not_answer_is_away(app, own_server, caplog, monkeypatch):
    options = {"socket_timeout": 0.2, "socket_connect_timeout": 0.2}
    monkeypatch.setattr("inotifier.bridge.celery_enqueuer._OPTIONS", {"redis": options})
    enqueuer = CeleryEnqueuer("files.import_file")
    enqueue(enqueuer, event_of("before"))
    own_server.freeze()
    later = enqueuer(event_of())
    wait_for(lambda: "is away" in caplog.text)
    assert not later.has_ended
    own_server.thaw()
    wait_for(lambda: later.has_ended, 30)
    enqueuer.close()


def test_a_broker_of_another_kind_that_is_away_is_told_without_its_password(app, caplog):
    app.conf.broker_url = "amqp://user:the-secret-one@127.0.0.1:1//"
    enqueuer = CeleryEnqueuer("files.import_file")
    later = enqueuer(event_of())
    wait_for(lambda: "is away" in caplog.text)
    assert not later.has_ended
    assert "amqp://user:**@127.0.0.1:1//" in caplog.text
    assert "the-secret-one" not in caplog.text
    enqueuer.close()


def test_nothing_is_asked_of_where_results_go(app, sent, caplog):
    app.conf.result_backend = "redis://127.0.0.1:1/0"
    enqueuer = CeleryEnqueuer("files.import_file")
    enqueue(enqueuer, event_of())
    enqueuer.close()
    assert names(sent()) == ["a"]
    assert not caplog.records


def test_an_entry_of_the_daemon_is_done_with_when_the_broker_has_the_task(
    app, own_server, sent, watching, tmp_path
):
    own_server.stop()
    running = watching((tmp_path, "IN_CREATE", CeleryEnqueuer("files.import_file")))
    (tmp_path / "file").touch()
    running.sync()
    assert running.handlers[0].pending == 1
    own_server.start()
    wait_for(lambda: running.handlers[0].delivered == 1, 30)
    assert names(sent()) == ["file"]
    running.handlers[0].entry.processor.close()


def test_events_that_cannot_be_sent_fail_and_the_next_go_on(app, sent, watching, tmp_path):
    app.conf.task_serializer = "nonsense"
    processor = CeleryEnqueuer("files.import_file")
    running = watching((tmp_path, "IN_CREATE", processor))
    (tmp_path / "first").touch()
    wait_for(lambda: running.handlers[0].failed == 1)
    app.conf.task_serializer = "json"
    app.amqp.__dict__.pop("send_task_message", None)
    (tmp_path / "second").touch()
    wait_for(lambda: running.handlers[0].delivered == 1)
    assert names(sent()) == ["second"]
    processor.close()


# Django's tasks


@pytest.fixture
def table(tmp_path, settings, django_db_blocker):
    """A database in a file with the table of tasks; return what is in it, the oldest first."""
    pytest.importorskip("django_tasks_db", reason="django-tasks-db is not installed")
    file = tmp_path / "db.sqlite3"
    # The database of other tests is in memory: it is open until the end.
    before, connection = connections.settings["default"], connections["default"]
    values = {**before, "NAME": str(file), "OPTIONS": {"timeout": 0.1}}
    connections.settings["default"] = values
    del connections["default"]  # so that the next use makes one of the new settings
    with django_db_blocker.unblock():
        call_command("migrate", verbosity=0)
        connections.close_all()

        def read():
            with contextlib.closing(sqlite3.connect(file)) as connection:
                query = "SELECT args_kwargs FROM django_tasks_database_dbtaskresult ORDER BY rowid"
                return [json.loads(row[0])["kwargs"] for row in connection.execute(query)]

        read.file = file
        yield read
        connections.close_all()
    connections.settings["default"] = before
    connections["default"] = connection


def task_enqueuer(name="handle", **options):
    return TaskEnqueuer(f"tests.integration.bridge.example_tasks.{name}", **options)


def test_each_event_is_a_task_of_django_in_its_order(table):
    enqueuer = task_enqueuer()
    events = [event_of(str(number)) for number in range(50)]
    enqueue(enqueuer, *events)
    enqueuer.close()
    assert [Event.from_json(task["event"]).id for task in table()] == [e.id for e in events]


def test_a_batch_is_one_task_of_django(table):
    enqueuer = task_enqueuer("handle_all", batch=(20, 0.05))
    enqueue(enqueuer, *(event_of(str(number)) for number in range(50)))
    enqueuer.close()
    found = table()
    assert names(found) == list(map(str, range(50)))
    assert max(len(task["events"]) for task in found) <= 20


def test_events_wait_while_the_database_is_locked(table, caplog):
    enqueuer = task_enqueuer()
    lock = sqlite3.connect(table.file, isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    laters = [enqueuer(event_of(str(number))) for number in range(10)]
    wait_for(lambda: "is away" in caplog.text)
    assert not any(later.has_ended for later in laters)
    lock.execute("ROLLBACK")
    lock.close()
    wait_for(lambda: all(later.has_ended for later in laters), 30)
    assert names(table()) == list(map(str, range(10)))
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2, lines
    assert "is away, events wait for their tasks: database is locked" in lines[0]
    enqueuer.close()


def test_the_thread_ends_when_it_rests_and_leaves_no_connection(table, monkeypatch):
    monkeypatch.setattr("inotifier.bridge.pipeline._REST", 0.05)
    enqueuer = task_enqueuer()
    for _ in range(2):
        enqueue(enqueuer, event_of())
        wait_for(lambda: "inotifier-enqueuer" not in [t.name for t in threading.enumerate()])
    assert len(table()) == 2
