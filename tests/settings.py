"""The least that Django and inotifier need; a test sets what it is about itself."""

from importlib.util import find_spec

SECRET_KEY = "only-for-the-tests"
INSTALLED_APPS = ["inotifier", "tests.rows"]
if find_spec("django_tasks_db"):
    INSTALLED_APPS.append("django_tasks_db")
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default", "files"]}}
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
USE_TZ = True
INOTIFIER_RETRIES = 0
