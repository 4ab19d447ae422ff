"""The status page: path("inotifier/", include("inotifier.urls"))."""

from __future__ import annotations

from django.urls import path

from inotifier.monitoring import views

app_name = "inotifier"

urlpatterns = [
    path("", views.status, name="status"),
    path("live", views.live, name="live"),
    path("rescan", views.rescan, name="rescan"),
    path("reload", views.reload, name="reload"),
    path("health", views.health, name="health"),
    path("metrics", views.metrics, name="metrics"),
]
