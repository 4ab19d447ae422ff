"""No table: something for the admin to list, and for a permission to belong to."""

from __future__ import annotations

from django.db import models


class Daemon(models.Model):
    """The daemon. It is not in the database, so there is nothing to migrate."""

    pid = models.IntegerField(primary_key=True)

    class Meta:
        managed = False
        default_permissions = ()
        permissions = (("control_daemon", "Can have the daemon rescan and reload"),)
        verbose_name = "daemon"
        verbose_name_plural = "status of the daemon"

    def __str__(self) -> str:
        return f"process {self.pid}"
