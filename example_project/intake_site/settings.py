"""Settings of the example project: for trying things out, not for a server."""

import os
from pathlib import Path

from inotifier import Watch

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = "only-for-trying-the-example"
DEBUG = os.environ.get("DJANGO_DEBUG", "1") == "1"
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "inotifier",
    "intake",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

ROOT_URLCONF = "intake_site.urls"
STATIC_URL = "static/"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "var" / "db.sqlite3",
        # The daemon and the admin write to the same file: wait for each other.
        "OPTIONS": {"timeout": 20},
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TIME_ZONE = "UTC"
USE_TZ = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "console": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"},
    },
    "root": {"handlers": ["console"], "level": "INFO"},
}

# The daemon's own files. They must not lie in a directory that it watches.
PROJECT_PATH = BASE_DIR / "var"
INOTIFIER_DAEMON_STDOUT = BASE_DIR / "var" / "daemon.log"
INOTIFIER_DAEMON_STDERR = BASE_DIR / "var" / "daemon.log"

# One entry for each directory, in three of the forms that an entry may have.
INOTIFIER_WATCH_PATHS = [
    # A tuple: path, events (None: what the processor needs), processor, further fields. What is
    # there before the daemon runs for the first time is handled, too. The receiver is in
    # intake/receivers.py.
    (
        BASE_DIR / "incoming",
        None,
        "inotifier.event_processors.FileReadySignaler",
        {"initial": "emit", "options": {"dotfiles": False}},
    ),
    # A dict: the processor is the project's own, in intake/event_processors.py.
    {
        "path": BASE_DIR / "archive",
        "events": ["IN_CLOSE_WRITE", "IN_MOVED_FROM", "IN_MOVED_TO", "IN_DELETE"],
        "processor": "intake.event_processors.ArchiveLedger",
        "options": {"ledger": BASE_DIR / "var" / "archive-ledger.csv"},
        "name": "archive",
    },
    # A Watch: uploads that are written under a temporary name and renamed when they are whole.
    # The processor knows which events it needs.
    Watch(
        path=BASE_DIR / "uploads",
        processor="inotifier.event_processors.CreateViaChunksSignaler",
        options={"suffixes": [".part", ".tmp"]},
        name="uploads",
    ),
]

# With Redis (`make run-redis`), the daemon only publishes what comes into incoming/, and another
# process, `manage.py inotifier_consume`, makes the rows.
INOTIFIER_REDIS_URL = os.environ.get("INTAKE_REDIS_URL")
if INOTIFIER_REDIS_URL:
    INOTIFIER_WATCH_PATHS[0] = {
        "path": BASE_DIR / "incoming",
        "events": ["IN_CLOSE_WRITE", "IN_MOVED_TO"],
        "processor": "inotifier.bridge.RedisPublisher",
    }
