"""Which table of a database a URL means."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl

from django.apps import apps
from django.db import connections, router

from inotifier.sources.base import SourceError

if TYPE_CHECKING:
    from django.db.models import Model

FORM = "orm://app_label.Model?field=modified_at&using=default"

_URL = re.compile(r"orm://(?P<label>\w+\.\w+)(\?(?P<options>.+))?", re.IGNORECASE)
_OPTIONS = ("field", "using")


class Table(NamedTuple):
    """A table: its model, the column that tells of changes, if any, and its database's alias."""

    model: type[Model]
    column: str | None
    alias: str


def read_table(url: str) -> Table:
    """Return the table that `url` means.

    Raises:
        SourceError: Django does not know any models yet.
        ValueError: there is none; the message says what is wrong and what comes nearest.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise ValueError(
            "the URL of a table cannot be read (it is not shown, it may hold a password): "
            f"it should be of the form {FORM}"
        )
    options = _options(found["options"])
    model = _model(found["label"])
    return Table(model, _column(model, options.get("field")), _alias(model, options.get("using")))


def _options(text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        raise ValueError(f'after the "?", each option needs a name and a value: {FORM}') from None
    for name, _ in pairs:
        if name not in _OPTIONS:
            raise ValueError(_unknown("option", name, _OPTIONS))
    options = dict(pairs)
    if len(options) < len(pairs):
        raise ValueError(f"the URL has an option twice: {FORM}")
    return options


def _model(label: str) -> type[Model]:
    if not apps.models_ready:
        raise SourceError(
            f"Django is not set up, so {label} is not known: call django.setup() first. "
            "What Django imports while it starts makes its pollers later"
        )
    try:
        model = apps.get_model(label)
    except LookupError:
        known = [each._meta.label for each in apps.get_models(include_auto_created=True)]
        raise ValueError(_unknown("model", label, known)) from None
    if model._meta.swapped:
        raise ValueError(
            f"{model._meta.swapped} takes the place of {label}: write orm://{model._meta.swapped}"
        )
    return model


def _column(model: type[Model], name: str | None) -> str | None:
    if name is None:
        return None
    fields = model._meta.concrete_fields
    columns = {each: field.attname for field in fields for each in (field.attname, field.name)}
    if name not in columns:
        raise ValueError(_unknown(f"column of {model._meta.label}", name, columns))
    return columns[name]


def _alias(model: type[Model], name: str | None) -> str:
    if name is None:
        return router.db_for_read(model)
    if name not in connections:
        raise ValueError(_unknown("database in DATABASES", name, connections))
    return name


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    by_lower = {each.lower(): each for each in known}
    near = get_close_matches(name.lower(), by_lower, n=5, cutoff=0.4)
    if near:
        hint = f"nearest: {', '.join(by_lower[each] for each in near)}"
    else:
        hint = f"there are {', '.join(sorted(by_lower.values())) or 'none'}"
    return f"there is no {what} {name!r}; {hint}"
