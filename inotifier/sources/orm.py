"""Rows of a database: the table of a Django model.

Each listing reads the primary key and one column of every row, page by page in the order of the
key, as its index gives them. To read only rows above the last `modified_at` would be less work, and
would miss some: a time is set before its transaction is committed, so a row may appear below times
that were seen already; imports bring times of their own, clocks are set back; and nothing is left
of a deleted row.

The pages are not one snapshot, which would hold up others in a long transaction. A row that changes
meanwhile is told now or at the next call, which compares again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from django.core.exceptions import SynchronousOnlyOperation
from django.db import InterfaceError, OperationalError, ProgrammingError, connections, transaction

from inotifier.sources.base import Poller, SourceError
from inotifier.sources.credentials import hide
from inotifier.sources.tables import read_table

_PAGE = 5_000
"""Rows that are read at once, and held besides the listing."""

_MISSING = ("no such", "Unknown column")  # what SQLite and MySQL do not call a ProgrammingError


class OrmPoller(Poller):
    """Tells which rows of a model's table are created, modified or deleted.

    The subject is `orm://app_label.Model/key`, where the key is the primary key as text, quoted:
    `urllib.parse.unquote(subject.rpartition("/")[2])` gives it back, for `Model.objects.get(pk=)`.
    The parts of a composite key are quoted each, with a "/" between.

    All rows count, also those that the model's own manager hides, and with a proxy model those of
    the table. With a model that inherits from another one, `field` may be a column of either. The
    key must be unique, never NULL, and stay: a row whose key changes is a deleted and a created
    one. Within a transaction, the caller's own changes are seen, and those of others that it shows.

    The listing is held in memory: two hundred bytes or so a row, and twice that during a call.

    Args:
        url: `orm://app_label.Model?field=modified_at&using=default`. A row is modified if its
            `field`, any column, is another; without, only created and deleted rows are told.
            `using` is the database; the one that the routers have the model read from by default.
        recurse: changes nothing; what refers to a row is in other tables.
        initial: as for every poller.

    Raises:
        SourceError: the table cannot be read, or Django is not set up.
        ValueError: there is no such model, column or database, or the URL is not as above.
    """

    whole = True

    def __init__(self, url: str, recurse: bool = False, *, initial: str = "ignore") -> None:
        self._model, self._column, self._alias = read_table(url)
        super().__init__(url, recurse, initial=initial)

    def name_of(self, subject: str) -> str:
        """Return the key, as it stands in the subject."""
        return subject.removeprefix(f"orm://{self._model._meta.label}/")

    def listing(self) -> Mapping[str, Hashable]:
        """Return the value of the column of every row."""
        base = f"orm://{self._model._meta.label}/"
        try:
            with _connected(self._alias):
                return {base + _text(key): _state(*value) for key, *value in self._rows()}
        except SynchronousOnlyOperation:
            raise SourceError(
                f"{self.url} cannot be listed in an event loop: make and ask the poller in a "
                "thread, as `await asyncio.to_thread(poller.get_new_events)` does"
            ) from None
        except Exception as exc:  # whatever the database's library raises
            # It may hold what the library was called with.
            raise SourceError(f"{self.url} cannot be listed: {self._problem(exc)}") from None

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield the primary key of every row, and the value of the column if there is one."""
        columns = ("pk",) if self._column is None else ("pk", self._column)
        rows = self._model._base_manager.using(self._alias).order_by("pk").values_list(*columns)
        above: dict[str, Any] = {}
        while True:
            page = list(rows.filter(**above)[:_PAGE])
            yield from page
            if len(page) < _PAGE:
                return
            above = self._above(page[-1][0])

    def _above(self, key: Any) -> dict[str, Any]:
        """Return what a row above `key` fulfils."""
        if not isinstance(key, tuple):
            return {"pk__gt": key}
        # Where a database does not compare tuples, its index is good for the first part at least.
        return {"pk__gt": key, f"{self._model._meta.pk_fields[0].attname}__gte": key[0]}

    def _problem(self, exc: Exception) -> str:
        text = f"{type(exc).__name__}: {' '.join(str(exc).split())}"
        if isinstance(exc, ProgrammingError) or any(each in text for each in _MISSING):
            text += (
                f"; is the table {self._model._meta.db_table} there, with all of its columns "
                f"(manage.py migrate --database={self._alias})?"
            )
        elif isinstance(exc, (OperationalError, InterfaceError)):
            text += f"; see DATABASES[{self._alias!r}] in the settings; the next call tries again"
        return hide(text, _secrets(connections[self._alias].settings_dict))


@contextlib.contextmanager
def _connected(alias: str) -> Iterator[None]:
    """See to it that the thread's connection can be used, and is left as it was.

    One that the server has ended is made anew. One that was not open is closed at the end, unless
    CONN_MAX_AGE lets it live on.
    """
    connection = connections[alias]
    if connection.in_atomic_block:
        with transaction.atomic(alias):  # a failure leaves the caller's transaction as it is
            yield
        return
    if connection.connection is not None and not connection.is_usable():
        connection.close()
    was_open = connection.connection is not None
    try:
        yield
    finally:
        if not was_open:
            connection.close_if_unusable_or_obsolete()


def _text(key: Any) -> str:
    if isinstance(key, tuple):
        return "/".join(_text(part) for part in key)
    plain = _plain(key)
    return quote(plain if isinstance(plain, bytes) else str(plain), safe="")


def _state(value: Any = None) -> Hashable:
    """Return `value`, or text for one that cannot be a key (JSON) or is not equal to itself."""
    plain = _plain(value)
    return plain if isinstance(plain, Hashable) and plain == plain else repr(plain)


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value  # psycopg2's bytes


def _secrets(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield the passwords in the `settings` of a database."""
    for name, value in {**settings, **(settings.get("OPTIONS") or {})}.items():
        if isinstance(value, str) and "pass" in name.lower():
            yield value
