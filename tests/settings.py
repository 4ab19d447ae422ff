"""The least that Django and inotifier need; a test sets what it is about itself."""

SECRET_KEY = "only-for-the-tests"
INSTALLED_APPS = ["inotifier", "tests.rows"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
USE_TZ = True
INOTIFIER_RETRIES = 0
