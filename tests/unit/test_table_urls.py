"""Which table a URL means, and what is told if there is none."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps

from inotifier.sources import OrmPoller, SourceError, make_poller
from inotifier.sources.tables import Table, read_table
from tests.rows.models import EveryOrder, Line, Order, UrgentOrder


class Router:
    def db_for_read(self, model, **hints):
        return "elsewhere" if model is Line else None


@pytest.mark.parametrize(
    ("url", "table"),
    [
        ("orm://rows.Order", Table(Order, None, "default")),
        ("ORM://rows.order", Table(Order, None, "default")),
        ("orm://rows.Order?field=version", Table(Order, "version", "default")),
        ("orm://rows.Order?using=default&field=replaces", Table(Order, "replaces_id", "default")),
        ("orm://rows.Order?field=replaces_id", Table(Order, "replaces_id", "default")),
        ("orm://rows.Order?field=modified%5Fat", Table(Order, "modified_at", "default")),
        ("orm://rows.EveryOrder?field=version", Table(EveryOrder, "version", "default")),
        ("orm://rows.UrgentOrder?field=version", Table(UrgentOrder, "version", "default")),
        ("orm://rows.Line", Table(Line, None, "elsewhere")),
        ("orm://rows.Line?using=default", Table(Line, None, "default")),
    ],
)
def test_the_table_of_a_url(url, table, settings):
    settings.DATABASE_ROUTERS = [Router()]
    assert read_table(url) == table


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("orm://rows.Ordre", r"no model 'rows.Ordre'; nearest: rows.Order\b"),
        ("orm://row.order", r"no model 'row.order'; nearest: rows.Order\b"),
        ("orm://rows.TagOrders", r"no model 'rows.TagOrders'; nearest: rows.Tag_orders\b"),
        (
            "orm://xyz.Xyz",
            r"no model 'xyz.Xyz'; there are .*rows.EveryOrder, rows.Legacy, rows.Line",
        ),
        (
            "orm://rows.Order?field=modified",
            r"no column of rows.Order 'modified'; nearest: modified_at",
        ),
        (
            "orm://rows.Order?field=zzz",
            r"no column of rows.Order 'zzz'; there are details, hidden, id",
        ),
        ("orm://rows.Order?field=", r"no column of rows.Order ''; there are details, "),
        ("orm://rows.Order?field=urgentorder", r"no column of rows.Order 'urgentorder'"),
        ("orm://rows.Tag?field=orders", r"no column of rows.Tag 'orders'"),
        ("orm://rows.Line?field=pk", r"no column of rows.Line 'pk'"),
        ("orm://rows.Order?using=defualt", r"no database in DATABASES 'defualt'; nearest: default"),
        ("orm://rows.Order?feild=version", r"no option 'feild'; nearest: field"),
        ("orm://rows.Order?password=hush", r"no option 'password'; there are field, using"),
        ("orm://rows.Order?field=id&field=id", "has an option twice"),
        ("orm://rows.Order?hush", r'after the "\?", each option needs a name and a value: orm://'),
        ("orm://rows.Order?", "should be of the form orm://app_label.Model"),
        ("orm://Order", "should be of the form orm://app_label.Model"),
        ("orm://", "should be of the form orm://app_label.Model"),
        ("orm://me:hush@rows.Order", "should be of the form orm://app_label.Model"),
        ("orm://rows.Order/1", "should be of the form orm://app_label.Model"),
        ("orm://rows.Order#hush", "should be of the form orm://app_label.Model"),
    ],
)
def test_what_means_no_table(url, message):
    with pytest.raises(ValueError, match=message) as caught:
        make_poller(url)
    assert "hush" not in str(caught.value)


def test_a_model_that_another_one_replaces(settings):
    settings.ROWS_REPLACED_MODEL = "rows.Order"
    with pytest.raises(
        ValueError, match=r"rows.Order takes the place of rows.Replaced: write orm://"
    ):
        OrmPoller("orm://rows.Replaced")


def test_models_are_not_known_while_django_starts(monkeypatch):
    monkeypatch.setattr(apps, "models_ready", False)
    with pytest.raises(SourceError, match=r"rows.Order is not known: call django.setup\(\) first"):
        OrmPoller("orm://rows.Order")


@pytest.mark.parametrize("settings", [{}, {"DJANGO_SETTINGS_MODULE": "tests.settings"}])
def test_a_script_is_told_to_set_django_up(settings):
    program = """
from inotifier.sources import SourceError, make_poller
try:
    make_poller("orm://rows.Order")
except SourceError as exc:
    print(exc)
"""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env=settings,
        timeout=60,
    )
    assert "call django.setup() first" in result.stdout
    assert result.stderr == ""
