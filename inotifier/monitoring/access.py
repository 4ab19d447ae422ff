"""Who may see what, and who may do what."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import NoReverseMatch, reverse

from inotifier.conf import conf

View = Callable[..., HttpResponseBase]

CONTROL = "inotifier.control_daemon"
"""The permission to have the daemon rescan and reload."""


def staff_only(view: View) -> View:
    """Let staff in; others are asked to log in, or refused if they have."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **options: Any) -> HttpResponseBase:
        if is_staff(request):
            return view(request, *args, **options)
        if _user(request).is_authenticated:
            raise PermissionDenied("The status of the daemon is for staff.")
        from django.contrib.auth.views import redirect_to_login

        return redirect_to_login(request.get_full_path(), _login_url())

    return guarded


def may_control(request: HttpRequest) -> bool:
    """Tell whether who asks may have the daemon rescan and reload."""
    return is_staff(request) and bool(_user(request).has_perm(CONTROL))


def metrics_only(view: View) -> View:
    """Let staff in, and whoever sends INOTIFIER_METRICS_TOKEN."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **options: Any) -> HttpResponseBase:
        if _has_token(request) or is_staff(request):
            return view(request, *args, **options)
        text = "Metrics are for staff, and for who sends INOTIFIER_METRICS_TOKEN as a bearer token."
        return HttpResponse(
            text, status=401, content_type="text/plain", headers={"WWW-Authenticate": "Bearer"}
        )

    return guarded


def is_staff(request: HttpRequest) -> bool:
    """Tell whether who asks is active staff."""
    user = _user(request)
    return bool(user.is_active and user.is_staff)


def _has_token(request: HttpRequest) -> bool:
    token = conf.metrics_token
    given = request.headers.get("Authorization", "")
    return bool(token) and hmac.compare_digest(given.encode(), f"Bearer {token}".encode())


def _user(request: HttpRequest) -> Any:
    user = getattr(request, "user", None)
    if user is None:
        raise PermissionDenied(
            "Nobody can log in here: the status page needs django.contrib.auth and its middleware."
        )
    return user


def _login_url() -> str | None:
    """Return the admin's log-in, None for LOGIN_URL if there is no admin."""
    try:
        return reverse("admin:login")
    except NoReverseMatch:
        return None
