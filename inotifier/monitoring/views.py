"""The views of the status page. What they tell, the daemon is asked at each request."""

from __future__ import annotations

import re
import time
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    JsonResponse,
)
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_POST, require_safe

from inotifier.exceptions import InotifierError
from inotifier.monitoring.access import CONTROL, may_control, metrics_only, staff_only
from inotifier.monitoring.daemon import RUNNING, Answer, ask_daemon
from inotifier.monitoring.metrics import registry_of
from inotifier.monitoring.page import describe

_NUMBER = re.compile("[0-9]{1,9}")
_LONGEST_TEXT = 4096
"""Characters; no path has more bytes (PATH_MAX)."""

_DONE = {
    "rescan": "The daemon compares what is there with what it has delivered.",
    "reload": "The daemon checks the new settings; if they are good, it takes them.",
    "unanswered": "The daemon did not answer, so nothing was asked of it.",
}


@require_safe
@never_cache
@csrf_protect
@staff_only
def status(request: HttpRequest) -> HttpResponse:
    """Show the page."""
    context = {
        **_described(request),
        "may_control": may_control(request),
        "done": _DONE.get(request.GET.get("done", "")),
        "admin_url": _admin_url(),
    }
    return render(request, "inotifier/status.html", context)


@require_safe
@never_cache
@staff_only
def live(request: HttpRequest) -> HttpResponse:
    """Show the part of the page that changes."""
    return render(request, "inotifier/live.html", _described(request))


@require_POST
@csrf_protect
@staff_only
def rescan(request: HttpRequest) -> HttpResponseBase:
    """Have the daemon look for what it missed."""
    return _request(request, "rescan")


@require_POST
@csrf_protect
@staff_only
def reload(request: HttpRequest) -> HttpResponseBase:
    """Have the daemon take new settings and code."""
    return _request(request, "reload")


@login_not_required
@require_safe
@never_cache
def health(request: HttpRequest) -> JsonResponse:
    """Tell anybody whether the daemon is well: numbers only, no path and no name."""
    answer = ask_daemon("figures")
    return JsonResponse(_health(answer), status=200 if answer.is_healthy else 503)


@login_not_required
@require_safe
@never_cache
@metrics_only
def metrics(request: HttpRequest) -> HttpResponse:
    """Show the metrics, in a format that the reader accepts."""
    answer = ask_daemon("figures")
    try:
        registry = registry_of(lambda: answer.figures if answer.state == RUNNING else None)
    except InotifierError as exc:
        return HttpResponse(str(exc), status=501, content_type="text/plain")
    from prometheus_client.exposition import choose_encoder

    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type)


def _described(request: HttpRequest) -> dict[str, Any]:
    number, text = request.GET.get("entry", ""), request.GET.get("text", "")[:_LONGEST_TEXT]
    entry = int(number) if _NUMBER.fullmatch(number) else None
    return describe(ask_daemon("page", entry=entry, text=text), entry, text, time.time())


def _request(request: HttpRequest, wanted: str) -> HttpResponseBase:
    if not may_control(request):
        raise PermissionDenied(f"This takes the permission {CONTROL}.")
    answer = ask_daemon(wanted)
    done = wanted if answer.state == RUNNING else "unanswered"
    return HttpResponseRedirect(f"{reverse('inotifier:status')}?done={done}")


def _health(answer: Answer) -> dict[str, Any]:
    status = "ok" if answer.is_healthy else "stuck" if answer.state == RUNNING else "down"
    told: dict[str, Any] = {"status": status, "state": answer.state}
    if answer.state == RUNNING:
        figures = answer.figures
        entries = figures["entries"]
        told |= {
            "uptime": round(figures["time"] - figures["started"], 3),
            "entries": len(entries),
            "degraded": sum(bool(entry["problem"]) for entry in entries)
            + bool(figures["state_problem"]),
            "queue_depth": figures["queue_depth"],
            "lag": round(figures["lag"], 3),
            "overflows": figures["overflows"],
            "delivered": sum(entry["delivered"] for entry in entries),
            "failed": sum(entry["failed"] for entry in entries),
        }
    return told


def _admin_url() -> str | None:
    try:
        return reverse("admin:index")
    except NoReverseMatch:
        return None
