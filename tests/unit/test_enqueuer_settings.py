"""What `manage.py check` tells of an entry whose events become tasks."""

import importlib
import sys

import pytest

from inotifier.bridge import CeleryEnqueuer, TaskEnqueuer
from inotifier.exceptions import ConfigurationError
from tests.celery_apps import current_app, no_app
from tests.in_process import entries

TASKS = "tests.integration.bridge.example_tasks"


@pytest.fixture
def celery_app():
    with current_app("memory://") as app:
        yield app


@pytest.fixture
def no_celery_app():
    with no_app():
        yield


@pytest.fixture
def need_tasks():
    pytest.importorskip("django_tasks_db", reason="django-tasks-db is not installed")


def refused(make):
    with pytest.raises(ConfigurationError) as caught:
        make()
    return str(caught.value)


@pytest.mark.parametrize(
    "batch", [(0, 1), (-1, 1), (True, 1), (1.5, 1), (1, -1), (1, float("inf")), (1,), 5, "ab", ()]
)
def test_a_batch_that_makes_no_sense_is_refused(batch, need_tasks):
    message = refused(lambda: TaskEnqueuer(f"{TASKS}.handle_all", batch=batch))
    assert "it should be (N, seconds)" in message


@pytest.mark.parametrize("batch", [(1, 0), (100, 2.5), [10, 1]])
def test_a_batch_is_a_number_and_seconds(batch, need_tasks):
    TaskEnqueuer(f"{TASKS}.handle_all", batch=batch)


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        (f"{TASKS}.absent", {}, f"cannot import the task {TASKS}.absent: "),
        ("nowhere.tasks.handle", {}, "No module named 'nowhere'"),
        ("handle", {}, "it should be the dotted path of one"),
        (None, {}, "the task of TaskEnqueuer is None"),
        (f"{TASKS}.no_task", {}, "is no task but a function; put @task above the function"),
        (f"{TASKS}.handle_nothing", {}, "unexpected keyword argument 'event'"),
        (f"{TASKS}.handle", {"batch": (9, 1)}, "cannot be called with events=..."),
        (f"{TASKS}.handle", {"queue_name": "absent"}, "See QUEUES of the backend 'default'"),
    ],
)
def test_what_is_no_usable_task_is_refused(task, options, message, need_tasks):
    assert message in refused(lambda: TaskEnqueuer(task, **options))


def test_a_task_may_take_its_context_and_have_a_queue(need_tasks):
    TaskEnqueuer(f"{TASKS}.handle_with_context", queue_name="files")


@pytest.mark.parametrize(
    ("package", "advice"),
    [
        ("django_tasks", "install it: pip install django-inotifier[tasks]"),
        ("django.tasks", "Django 6.0 is the first that has it"),
    ],
)
def test_a_missing_package_of_tasks_is_named(tmp_path, monkeypatch, package, advice):
    (tmp_path / "tasks_of_a_user.py").write_text(f"from {package} import task\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tasks_of_a_user", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    importlib.invalidate_caches()
    assert advice in refused(lambda: TaskEnqueuer("tasks_of_a_user.handle"))


def test_missing_celery_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "celery", None)
    message = refused(lambda: CeleryEnqueuer("files.import_file"))
    assert "pip install django-inotifier[celery]" in message


@pytest.mark.parametrize("task", [None, "", print])
def test_a_task_of_celery_has_a_name(task, celery_app):
    assert "it should be the name of one" in refused(lambda: CeleryEnqueuer(task))


def test_a_project_without_an_app_is_told_to_make_one(no_celery_app):
    message = refused(lambda: CeleryEnqueuer("files.import_file"))
    assert "there is no Celery app in 'tests'" in message
    assert "make one in celery.py" in message


def test_the_app_of_the_package_of_the_settings_is_found(
    no_celery_app, settings, tmp_path, monkeypatch
):
    package = tmp_path / "site_of_a_user"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "celery.py").write_text(
        "from celery import Celery\napp = Celery('found', broker='memory://', set_as_current=False)"
    )
    monkeypatch.syspath_prepend(tmp_path)
    settings.SETTINGS_MODULE = "site_of_a_user.settings"
    assert CeleryEnqueuer("files.import_file")._app.main == "found"


def test_a_queue_that_the_app_does_not_have_is_refused(celery_app):
    celery_app.conf.task_create_missing_queues = False
    message = refused(lambda: CeleryEnqueuer("files.import_file", queue="absent"))
    assert "the task files.import_file cannot be sent" in message
    assert "absent" in message


def test_a_password_of_the_broker_is_not_shown(celery_app):
    celery_app.conf.broker_url = "redis://user:the-secret-one@127.0.0.1:1/0"
    enqueuer = CeleryEnqueuer("files.import_file")
    assert "the-secret-one" not in enqueuer._outage._server()


def test_options_of_the_broker_that_the_project_sets_stay(celery_app):
    from inotifier.bridge.celery_enqueuer import _connection

    celery_app.conf.broker_url = "amqp://127.0.0.1:1//"
    celery_app.conf.broker_transport_options = {"confirm_publish": False, "max_retries": 7}
    options = _connection(celery_app).transport_options
    assert options["confirm_publish"] is False
    assert options["max_retries"] == 7
    assert options["read_timeout"] == 10


def test_an_entry_names_the_task_in_its_options(tmp_path, need_tasks):
    fields = {
        "path": tmp_path,
        "processor": "inotifier.bridge.TaskEnqueuer",
        "options": {"task": f"{TASKS}.handle_all", "batch": (100, 2.0)},
    }
    [entry] = entries(fields)
    assert isinstance(entry.processor, TaskEnqueuer)
    fields["options"]["task"] = f"{TASKS}.absent"
    with pytest.raises(ConfigurationError, match="cannot be made: ConfigurationError"):
        entries(fields)
