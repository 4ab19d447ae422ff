from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register


class InotifierConfig(AppConfig):
    name = "inotifier"
    verbose_name = "Inotifier"

    def ready(self) -> None:
        from inotifier.checks import check_metrics, check_settings

        register(check_settings, "inotifier")
        register(check_metrics, "inotifier")
