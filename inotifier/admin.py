"""The admin's index links to the status page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse

from inotifier.models import Daemon


@admin.register(Daemon)
class DaemonAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not so at run time
    """Sends who asks for the list of daemons to the status page."""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead to the status page."""
        return HttpResponseRedirect(reverse("inotifier:status"))

    def has_view_permission(self, request: HttpRequest, obj: Daemon | None = None) -> bool:
        """Tell whether there is a status page; who sees the admin's index is staff."""
        try:
            reverse("inotifier:status")
        except NoReverseMatch:
            return False
        return True

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Tell whether it is listed."""
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds one."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Daemon | None = None) -> bool:
        """Nobody changes one."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Daemon | None = None) -> bool:
        """Nobody deletes one."""
        return False
