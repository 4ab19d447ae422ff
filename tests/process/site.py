"""The web site of a `Project`: a server of Django's as a real process, and people who log in."""

import json
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urljoin

from tests.process.project import Project, succeeded
from tests.waiting import wait_for

ADMIN = {
    "DEBUG": True,
    "ALLOWED_HOSTS": ["127.0.0.1"],
    "ROOT_URLCONF": "urls",
    "STATIC_URL": "static/",
    "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
    "INSTALLED_APPS": [
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "django.contrib.staticfiles",
        "inotifier",
        "app.apps.App",
    ],
    "MIDDLEWARE": [
        "app.policy.content_security_policy",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    "TEMPLATES": [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
}

DATABASE = """
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "run" / "db.sqlite3"}
}
"""

URLS = """
from django.contrib import admin
from django.http import HttpResponse
from django.urls import include, path
urlpatterns = [
    path("favicon.ico", lambda request: HttpResponse(status=204)),
    path("admin/", admin.site.urls),
    path("inotifier/", include("inotifier.urls")),
]
"""

# Nothing inline, and nothing from elsewhere.
POLICY = """
def content_security_policy(get_response):
    def middleware(request):
        response = get_response(request)
        response["Content-Security-Policy"] = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
            "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        return response
    return middleware
"""

PEOPLE = """
import json
from importlib import import_module
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, BACKEND_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Permission, User

people = {
    "root": User.objects.create_superuser("root"),
    "operator": User.objects.create_user("operator", is_staff=True),
    "viewer": User.objects.create_user("viewer", is_staff=True),
    "customer": User.objects.create_user("customer"),
}
people["operator"].user_permissions.add(Permission.objects.get(codename="control_daemon"))
people["customer"].user_permissions.add(Permission.objects.get(codename="control_daemon"))
sessions = {}
for name, user in people.items():
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    sessions[name] = session.session_key
print(json.dumps(sessions))
"""


class Page(NamedTuple):
    """What the site answered."""

    code: int
    text: str
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Site:
    """The site of `project`, which has the settings ADMIN.

    Attributes:
        url: where the status page is.
        sessions: keys of people's sessions: root, operator (staff that may control), viewer
            (staff), and customer (no staff, whatever else they may).
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        project.write("urls.py", URLS)
        project.write("app/policy.py", POLICY)
        succeeded(project.run("migrate", "--verbosity", "0"))
        self.sessions: dict[str, str] = json.loads(
            succeeded(project.run("shell", "--verbosity", "0", "--command", PEOPLE)).stdout
        )
        port = free_port()
        self._log = Path(project.directory / "log" / "site")
        with self._log.open("w") as log:
            command = ("runserver", "--noreload", f"127.0.0.1:{port}")
            project.begin(*command, stdout=log, stderr=log)
        self.root = f"http://127.0.0.1:{port}"
        self.url = f"{self.root}/inotifier/"
        wait_for(lambda: is_open(port), 30, "the site")

    def get(self, path: str = "", who: str = "", **headers: str) -> Page:
        """Return what `who` gets of `path`: below the status page, or from the root."""
        return self._send(urllib.request.Request(urljoin(self.url, path)), who, headers)

    def post(self, path: str, who: str, *, token: bool = True) -> Page:
        """Press a button of the page as `who`, or send the same without the form's token."""
        fields = {}
        headers = {}
        if token:
            page = self.get("", "operator")
            [fields["csrfmiddlewaretoken"]] = set(
                re.findall('name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
            )
            cookie = re.search("csrftoken=([^;]+)", page.headers["Set-Cookie"])
            assert cookie
            headers["Cookie"] = f"csrftoken={cookie[1]}"
        request = urllib.request.Request(self.url + path, urlencode(fields).encode())
        return self._send(request, who, headers)

    def _send(self, request: urllib.request.Request, who: str, headers: dict[str, str]) -> Page:
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        if who:
            others = request.headers.get("Cookie", "").split()
            cookies = "; ".join([f"sessionid={self.sessions[who]}", *others])
            request.add_header("Cookie", cookies)
        opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))
        try:
            answer = opener.open(request, timeout=30)
        except urllib.error.HTTPError as exc:
            answer = exc
        with answer:
            return Page(answer.status or 0, answer.read().decode(), dict(answer.headers))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_open(port: int) -> bool:
    """Tell whether somebody listens at `port`."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
