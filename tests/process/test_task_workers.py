"""From a file to a task in the process of a worker: Celery's, and that of django-tasks-db."""

import os
import sqlite3
import subprocess
import sys

import pytest

from tests.process.project import succeeded
from tests.redis_server import RedisServer, need_redis
from tests.waiting import wait_for

CELERY_APP = """
import os
from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
app = Celery("app")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["app"])
"""

# Both kinds write what they get in one line for each call, which is one write.
BODIES = """
import os
from django.conf import settings
from inotifier.events import Event

def note(events):
    names = " ".join(Event.from_json(event).name for event in events)
    with (settings.BASE_DIR / "log" / "handled").open("a", errors="surrogateescape") as file:
        file.write(names + "\\n")

@task
def handle(event):
    note([event])

@task
def handle_all(events):
    note(events)
"""

CELERY_TASKS = f"from celery import shared_task as task\n{BODIES}"
DJANGO_TASKS = f"""
try:
    from django.tasks import task
except ImportError:
    from django_tasks import task
{BODIES}
"""


def entry(enqueuer, **options):
    return {
        "path": "incoming",
        "events": "IN_CLOSE_WRITE",
        "processor": f"inotifier.bridge.{enqueuer}",
        "options": options,
    }


class Handled:
    """What the tasks of a project have been called with."""

    def __init__(self, project):
        self._file = project.directory / "log" / "handled"

    @property
    def calls(self):
        if not self._file.exists():
            return []
        text = self._file.read_text(errors="surrogateescape")
        return [line.split(" ") for line in text.splitlines()]

    @property
    def names(self):
        return [name for call in self.calls for name in call]


# Celery

_ALONE = ("--pool", "solo", "--without-gossip", "--without-mingle", "--loglevel", "INFO")


@pytest.fixture
def broker():
    need_redis()
    pytest.importorskip("celery", reason="Celery is not installed; the extra celery has it")
    with RedisServer("--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


@pytest.fixture
def celery_project(broker, make_project):
    def make(**options):
        project = make_project(
            INOTIFIER_WATCH_PATHS=[entry("CeleryEnqueuer", **options)],
            CELERY_BROKER_URL=f"redis+socket://{broker.socket}",
        )
        project.write("app/celery.py", CELERY_APP)
        project.write("app/__init__.py", "from app.celery import app as celery_app\n")
        project.write("app/tasks.py", CELERY_TASKS)
        return project

    return make


def work_for_celery(project):
    """Start a worker of Celery."""
    with (project.directory / "log" / "worker").open("ab") as out:
        project.spawn(
            [sys.executable, "-W", "ignore", "-m", "celery", "-A", "app", "worker", *_ALONE],
            stdout=out,
            stderr=subprocess.STDOUT,
        )


def test_a_worker_of_celery_handles_each_file(celery_project):
    project = celery_project(task="app.tasks.handle")
    work_for_celery(project)
    project.start()
    name = os.fsdecode(b"caf\xe9")
    project.drop("first", name)
    handled = Handled(project)
    wait_for(lambda: handled.names == ["first", name], 60)
    wait_for(lambda: project.entry["delivered"] == 2)


def test_a_broker_that_is_stopped_in_a_burst_of_files_gets_all(celery_project, broker):
    project = celery_project(task="app.tasks.handle")
    project.start()
    names = [f"f{number:04}" for number in range(300)]
    project.drop(*names[:100])
    broker.stop()
    project.drop(*names[100:200])
    wait_for(lambda: "is away, events wait for their tasks" in project.errors, 30)
    broker.start()
    project.drop(*names[200:])
    handled = Handled(project)
    work_for_celery(project)
    wait_for(lambda: set(handled.names) == set(names), 60)
    assert list(dict.fromkeys(handled.names)) == names
    assert project.errors.count("is away") == project.errors.count("is back after") == 1


def test_what_the_daemon_had_not_sent_when_it_died_is_sent_by_the_next(celery_project, broker):
    project = celery_project(task="app.tasks.handle_all", batch=(100, 0.5))
    project.start()
    project.caught_up()
    broker.stop()
    names = [f"f{number:03}" for number in range(200)]
    project.drop(*names)
    wait_for(lambda: project.entry["seen"] == 200, 30)
    project.kill()
    broker.start()
    work_for_celery(project)
    project.start()
    handled = Handled(project)
    wait_for(lambda: sorted(handled.names) == names, 60)
    assert max(len(call) for call in handled.calls) <= 100
    assert len(handled.calls) < 20


# Django's tasks


@pytest.fixture
def tasks_project(make_project):
    pytest.importorskip("django_tasks_db", reason="django-tasks-db is not installed")

    def make(**options):
        project = make_project(
            INOTIFIER_WATCH_PATHS=[entry("TaskEnqueuer", **options)],
            INSTALLED_APPS=["inotifier", "app.apps.App", "django_tasks_db"],
            TASKS={"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}},
            DATABASES={
                "default": {
                    "ENGINE": "django.db.backends.sqlite3",
                    "NAME": "db.sqlite3",
                    "OPTIONS": {"timeout": 0.5, "transaction_mode": "IMMEDIATE"},
                }
            },
        )
        project.write("app/tasks.py", DJANGO_TASKS)
        succeeded(project.run("migrate", "--verbosity", "0"))
        return project

    return make


def work_for_django(project):
    """Have a worker of django-tasks-db do what there is, and end."""
    with (project.directory / "log" / "worker").open("ab") as out:
        worker = project.begin(
            "db_worker",
            *("--batch", "--interval", "0", "--no-startup-delay"),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    assert worker.wait(60) == 0


def test_a_worker_of_django_tasks_handles_each_file(tasks_project):
    project = tasks_project(task="app.tasks.handle")
    project.start()
    name = os.fsdecode(b"caf\xe9")
    project.drop("first", name)
    wait_for(lambda: project.entry["delivered"] == 2, 30)
    work_for_django(project)
    assert Handled(project).names == ["first", name]


def test_a_database_that_is_locked_in_a_burst_of_files_gets_all(tasks_project):
    project = tasks_project(task="app.tasks.handle_all", batch=(50, 0.2))
    project.start()
    names = [f"f{number:04}" for number in range(300)]
    project.drop(*names[:100])
    lock = sqlite3.connect(project.directory / "db.sqlite3", isolation_level=None, timeout=30)
    lock.execute("BEGIN EXCLUSIVE")
    project.drop(*names[100:200])
    wait_for(lambda: "is away, events wait for their tasks" in project.errors, 30)
    lock.execute("ROLLBACK")
    lock.close()
    project.drop(*names[200:])
    wait_for(lambda: project.entry["delivered"] == len(names), 60)
    work_for_django(project)
    handled = Handled(project)
    assert list(dict.fromkeys(handled.names)) == names
    assert max(len(call) for call in handled.calls) <= 50


def test_a_wrong_task_is_a_problem_of_the_settings(tasks_project):
    project = tasks_project(task="app.tasks.handle")
    project.configure(INOTIFIER_WATCH_PATHS=[entry("TaskEnqueuer", task="app.tasks.absent")])
    result = project.run("check")
    assert result.returncode == 1
    assert "cannot import the task app.tasks.absent" in result.stderr
