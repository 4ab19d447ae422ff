from django.db import models


class Arrival(models.Model):
    """A file that came in."""

    # A file name has up to 255 bytes, each of which may be shown as four characters (\xff).
    name = models.CharField(max_length=1020, unique=True)
    size = models.PositiveBigIntegerField(help_text="in bytes")
    sha256 = models.CharField("SHA-256", max_length=64)
    lines = models.PositiveBigIntegerField(null=True, blank=True, help_text="of a CSV file")
    arrived_at = models.DateTimeField()

    class Meta:
        ordering = ("-arrived_at",)

    def __str__(self) -> str:
        return self.name
