"""Handlers that raise, databases that break: the daemon goes on."""

import sqlite3
from pathlib import Path

import pytest

from tests.process.project import SIGNALER, Project
from tests.waiting import wait_for

pytestmark = pytest.mark.long

EVERY_SECOND_RAISES = """
from django.dispatch import receiver
from inotifier.signals import in_close_write

count = 0

@receiver(in_close_write)
def picky(event, **kwargs):
    global count
    count += 1
    if count % 2:
        raise ValueError("odd one out")

@receiver(in_close_write)
def record(event, **kwargs):
    print("got", event.name, flush=True)
"""

PROCESSORS = """
def function(event):
    print("function", event.name, flush=True)
    if event.name == "bad":
        raise LookupError("never heard of it")
"""

COROUTINE = """
import asyncio
from django.dispatch import receiver
from inotifier.signals import in_close_write

@receiver(in_close_write)
async def record(event, **kwargs):
    await asyncio.sleep(0)
    if event.name == "bad":
        raise ValueError("not awaited for")
    print("got", event.name, flush=True)
"""

CONNECTED_EARLY = """
from django.db import connection
from django.dispatch import receiver
from inotifier.signals import in_close_write

connection.ensure_connection()

@receiver(in_close_write)
def record(event, **kwargs):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO files VALUES (%s)", [event.name])
"""

# As the backends of database servers do it: a connection is tried once it has failed.
BACKEND = """
from django.db.backends.sqlite3 import base

class DatabaseWrapper(base.DatabaseWrapper):
    def is_usable(self):
        try:
            self.connection.execute("SELECT 1")
        except self.Database.Error:
            return False
        return True
"""

BREAKS_ITS_CONNECTION = (
    CONNECTED_EARLY
    + """
    if event.name == "last words":
        connection.connection.close()
"""
)


def database(project: Project, engine: str = "django.db.backends.sqlite3", **fields) -> None:
    """Give the project a database with an empty table."""
    path = project.directory / "db.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE files (name TEXT)")
    connection.close()
    project.configure(DATABASES={"default": {"ENGINE": engine, "NAME": str(path), **fields}})


def rows(project: Project) -> list[str]:
    connection = sqlite3.connect(project.directory / "db.sqlite3")
    try:
        return [name for (name,) in connection.execute("SELECT name FROM files")]
    finally:
        connection.close()


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """A daemon whose receiver has raised on every second of ten events."""
    project = Project(
        tmp_path_factory.mktemp("failing"),
        receivers=EVERY_SECOND_RAISES,
        INOTIFIER_WATCH_PATHS=[
            ("incoming", "IN_CLOSE_WRITE", SIGNALER, {"name": "the inbox"}),
        ],
    )
    try:
        project.start()
        project.drop(*(f"file-{number}" for number in range(10)))
        wait_for(lambda: project.entry["delivered"] + project.entry["failed"] == 10)
        yield project
    finally:
        project.end()


def test_events_on_which_a_receiver_raises_are_counted(failing):
    entry = failing.entry
    assert (entry["seen"], entry["delivered"], entry["failed"]) == (10, 5, 5)


def test_other_receivers_and_other_events_are_not_harmed(failing):
    assert failing.got == [f"file-{number}" for number in range(10)]


def test_failure_is_logged_with_path_and_watch_and_traceback(failing):
    assert failing.errors.count("odd one out") >= 5
    path = failing.incoming / "file-0"
    expected = f"receiver picky failed on IN_CLOSE_WRITE of {path} (watch the inbox): ValueError("
    assert expected in failing.errors
    assert "Traceback" in failing.errors


def test_processor_that_raises_harms_neither_its_other_events_nor_other_entries(make_project):
    project = make_project(
        processors=PROCESSORS,
        INOTIFIER_WATCH_PATHS=[
            ("incoming", "IN_CLOSE_WRITE", "app.processors.function"),
            ("incoming", "IN_CLOSE_WRITE", SIGNALER),
        ],
    )
    project.start()
    project.drop("bad", "good")
    wait_for(lambda: project.got == ["bad", "good"])
    wait_for(lambda: project.entry["delivered"] == 1)
    assert project.entry["failed"] == 1
    assert "function good" in project.output
    assert (
        f"processor app.processors.function failed on IN_CLOSE_WRITE of {project.incoming}/bad"
        in (project.errors)
    )


def test_receiver_may_be_a_coroutine_function(make_project):
    project = make_project(receivers=COROUTINE)
    project.start()
    project.drop("bad", "good")
    wait_for(lambda: project.entry["delivered"] == 1)
    assert project.got == ["good"]
    assert project.entry["failed"] == 1
    assert "not awaited for" in project.errors


def test_connection_that_was_opened_before_the_fork_is_closed(make_project):
    project = make_project(receivers=CONNECTED_EARLY)
    database(project)
    pid = project.start()
    files = [str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()]
    assert not [file for file in files if "sqlite" in file and "inotifier.state" not in file]


def test_receivers_use_the_database(make_project):
    project = make_project(receivers=CONNECTED_EARLY)
    database(project)
    project.start()
    project.drop("one", "two")
    wait_for(lambda: rows(project) == ["one", "two"])


def test_connection_that_broke_is_replaced_for_the_next_events(make_project):
    project = make_project(receivers=BREAKS_ITS_CONNECTION)
    (project.directory / "app" / "backend").mkdir()
    project.write("app/backend/__init__.py", "")
    project.write("app/backend/base.py", BACKEND)
    database(project, engine="app.backend", CONN_MAX_AGE=None)
    project.start()
    project.drop("last words")
    wait_for(lambda: project.entry["delivered"] == 1)
    project.drop("lost")
    wait_for(lambda: project.entry["failed"] == 1)
    project.drop("found")
    wait_for(lambda: project.entry["delivered"] == 2)
    assert rows(project) == ["last words", "found"]
