"""Tables of every kind, for the poller of rows."""

from __future__ import annotations

from django.db import models


class Visible(models.Manager["Order"]):
    def get_queryset(self) -> models.QuerySet[Order]:
        return super().get_queryset().filter(hidden=False)


class Order(models.Model):
    id = models.BigAutoField(primary_key=True)
    version = models.IntegerField(default=1)
    modified_at = models.DateTimeField(auto_now=True)
    hidden = models.BooleanField(default=False)
    details = models.JSONField(null=True)
    weight = models.FloatField(null=True)
    seal = models.BinaryField(null=True)
    replaces = models.ForeignKey("self", models.SET_NULL, null=True)

    objects = Visible()

    class Meta:
        ordering = ("-modified_at",)


class EveryOrder(Order):
    """The same table."""

    class Meta:
        proxy = True


class UrgentOrder(Order):
    """A table of its own, whose key is that of the order."""

    deadline = models.DateField(null=True)


class Token(models.Model):
    id = models.UUIDField(primary_key=True)


class Named(models.Model):
    name = models.CharField(max_length=50, primary_key=True)
    value = models.IntegerField(default=0)


class Sealed(models.Model):
    seal = models.BinaryField(max_length=50, primary_key=True)


class Line(models.Model):
    """A composite key."""

    pk = models.CompositePrimaryKey("book", "number")
    book = models.CharField(max_length=50)
    number = models.IntegerField()
    text = models.CharField(max_length=50, default="")


class Tag(models.Model):
    id = models.BigAutoField(primary_key=True)
    orders = models.ManyToManyField(Order)


class Legacy(models.Model):
    """A table that other programs make."""

    code = models.CharField(max_length=50, primary_key=True)

    class Meta:
        managed = False
        db_table = "legacy"


class Replaced(models.Model):
    id = models.BigAutoField(primary_key=True)

    class Meta:
        swappable = "ROWS_REPLACED_MODEL"


MODELS = (Order, UrgentOrder, Token, Named, Sealed, Line, Tag)
"""Those whose tables a test has; `Legacy` has one if the test makes it."""
