"""No table: something for the admin to list, and for a permission to belong to."""

from __future__ import annotations

from django.db import models


class _Nothing(models.Manager["Daemon"]):
    """Finds no rows, without a query: dumpdata and the admin ask for those of every model."""

    def get_queryset(self) -> models.QuerySet[Daemon]:
        return super().get_queryset().none()


class Daemon(models.Model):
    """The daemon. It is not in the database, so there is nothing to migrate."""

    pid = models.IntegerField(primary_key=True)

    objects = _Nothing()

    class Meta:
        managed = False
        base_manager_name = "objects"
        default_permissions = ()
        permissions = (("control_daemon", "Can have the daemon rescan and reload"),)
        verbose_name = "daemon"
        verbose_name_plural = "status of the daemon"

    def __str__(self) -> str:
        return f"process {self.pid}"
