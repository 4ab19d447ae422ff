"""OrmPoller against real databases: SQLite, and a PostgreSQL of its own where there is one."""

import asyncio
import contextlib
import datetime
import threading
import traceback
import uuid
from urllib.parse import unquote, unquote_to_bytes

import pytest
from django.db import DatabaseError, connection, connections, transaction
from hypothesis import given
from hypothesis import strategies as st

from inotifier.sources import OrmPoller, SourceError, make_poller, orm
from tests.in_process import Recorder
from tests.postgres_server import PASSWORD, running_postgres
from tests.rows.models import (
    MODELS,
    EveryOrder,
    Line,
    Named,
    Order,
    Sealed,
    Tag,
    Token,
    UrgentOrder,
)
from tests.waiting import wait_for

# The poller's connection, and that of the others, who change what is there.
OURS, THEIRS = "ours", "theirs"
MODIFIED = f"orm://rows.Order?field=modified_at&using={OURS}"
VERSION = f"orm://rows.Order?field=version&using={OURS}"

orders = EveryOrder._base_manager.using(THEIRS)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request, tmp_path_factory):
    if request.param == "postgresql":
        with running_postgres() as settings:
            yield settings
    else:
        yield {"NAME": str(tmp_path_factory.mktemp("rows") / "db.sqlite3")}


in_postgresql_only = pytest.mark.parametrize(
    "server", ["postgresql"], indirect=True, scope="module"
)


@pytest.fixture
def settings_of_it(server, django_db_blocker):
    """The settings of both connections, which are closed at the end."""
    for alias in (OURS, THEIRS):
        connections.settings[alias] = {**connections.settings["default"], **server}
    with django_db_blocker.unblock():
        yield connections.settings
        for alias in (OURS, THEIRS):
            connections[alias].close()
    for alias in (OURS, THEIRS):
        del connections[alias]
        del connections.settings[alias]


@pytest.fixture
def database(settings_of_it):
    """Empty tables."""
    tables = contextlib.ExitStack()
    for model in MODELS:
        with connections[THEIRS].schema_editor() as editor:
            editor.create_model(model)
        tables.callback(drop, model)
    with tables:
        yield settings_of_it


def drop(model):
    with contextlib.suppress(DatabaseError), connections[THEIRS].schema_editor() as editor:
        editor.delete_model(model)


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(orm, "_PAGE", 3)


@contextlib.contextmanager
def between_pages(change):
    """Call `change` before each page, with the number of those that have been read."""
    pages = 0

    def wrapper(execute, sql, *args):
        nonlocal pages
        if "LIMIT" in sql:
            change(pages)
            pages += 1
        return execute(sql, *args)

    with connections[OURS].execute_wrapper(wrapper):
        yield


@contextlib.contextmanager
def recorded_pages(connection):
    """Yield the statements and parameters by which pages of three rows are read meanwhile."""
    pages = []

    def wrapper(execute, sql, parameters, *args):
        if sql.startswith("SELECT"):
            assert sql.endswith("LIMIT 3")
            pages.append((sql, parameters))
        return execute(sql, parameters, *args)

    with connection.execute_wrapper(wrapper):
        yield pages


def subject(row):
    return f"orm://rows.Order/{row.pk}"


# What is told


@pytest.mark.usefixtures("database")
def test_rows_are_told_by_the_usual_events(watching):
    row = orders.create()
    recorder = Recorder()
    running = watching((MODIFIED, "IN_CREATE|IN_MODIFY|IN_DELETE", recorder, {"poll_interval": 9}))

    def polled():
        running.service.rescan()
        wait_for(lambda: not running.service.catching_up and not running.service.queue_depth)

    wait_for(lambda: not running.service.catching_up)
    new = orders.create()
    row.save()
    polled()
    assert sorted(recorder.seen) == sorted(
        [("IN_CREATE", subject(new)), ("IN_MODIFY", subject(row))]
    )
    told = subject(new)
    new.delete()
    polled()
    assert recorder.seen[2:] == [("IN_DELETE", told)]


@pytest.mark.usefixtures("database")
def test_tells_what_is_created_modified_and_deleted():
    changed, gone = orders.create(), orders.create()
    orders.create()
    poller = make_poller(MODIFIED)
    assert poller.get_new_events() == []

    new = orders.create()
    changed.save()
    deleted = subject(gone)
    gone.delete()
    assert poller.get_new_events() == [
        (deleted, "deleted"),
        (subject(changed), "modified"),
        (subject(new), "created"),
    ]
    assert poller.get_new_events() == []


@pytest.mark.usefixtures("database")
def test_without_a_field_changes_are_not_told():
    changed, gone = orders.create(), orders.create()
    poller = make_poller(f"orm://rows.Order?using={OURS}")
    changed.save()
    deleted = subject(gone)
    gone.delete()
    new = orders.create()
    assert poller.get_new_events() == [(deleted, "deleted"), (subject(new), "created")]


@pytest.mark.usefixtures("database")
def test_tells_the_first_rows_if_asked_to():
    row = orders.create()
    poller = make_poller(MODIFIED, initial="created")
    assert poller.get_new_events() == [(subject(row), "created")]


@pytest.mark.usefixtures("database")
def test_a_value_that_is_less_than_before_is_a_change():
    row = orders.create(version=7)
    poller = make_poller(VERSION)
    orders.update(version=3)
    assert poller.get_new_events() == [(subject(row), "modified")]


@pytest.mark.parametrize(
    ("column", "before", "after"),
    [
        ("details", {"a": [1]}, {"a": [2]}),
        ("details", None, {}),
        ("weight", 1.5, None),
        ("weight", 1.5, float("inf")),
        ("seal", b"\0\xff", b"\0\xfe"),
        ("hidden", False, True),
        (
            "modified_at",
            *(datetime.datetime(2026, 1, 1, 0, 0, 0, us, datetime.UTC) for us in (1, 2)),
        ),
    ],
)
@pytest.mark.usefixtures("database")
def test_any_column_may_tell_of_changes(column, before, after):
    row = orders.create()
    orders.update(**{column: before})
    poller = make_poller(f"orm://rows.Order?field={column}&using={OURS}")
    assert poller.get_new_events() == []
    orders.update(**{column: after})
    assert poller.get_new_events() == [(subject(row), "modified")]
    assert poller.get_new_events() == []


@pytest.mark.parametrize("column", ["details", "weight", "seal", "modified_at"])
@pytest.mark.usefixtures("database")
def test_what_a_listing_tells_of_a_row_can_be_a_key(column):
    orders.create(details={"a": [1]}, weight=1.5, seal=b"a")
    poller = make_poller(f"orm://rows.Order?field={column}&using={OURS}")
    assert len(set(poller.listing().values())) == 1


@pytest.mark.django_db
def test_bytes_may_come_as_a_memoryview(monkeypatch):
    """psycopg2's do."""
    row = (memoryview(bytearray(b"a/b")), memoryview(bytearray(b"c")))
    monkeypatch.setattr(OrmPoller, "_rows", lambda self: iter([row]))
    poller = make_poller("orm://rows.Sealed?field=seal")
    assert poller.listing() == {"orm://rows.Sealed/a%2Fb": b"c"}


@in_postgresql_only
@pytest.mark.usefixtures("database")
def test_what_is_not_equal_to_itself_is_no_change():
    orders.create()
    orders.update(weight=float("nan"))
    poller = make_poller(f"orm://rows.Order?field=weight&using={OURS}")
    assert poller.get_new_events() == []


@pytest.mark.parametrize("column", ["replaces", "replaces_id"])
@pytest.mark.usefixtures("database")
def test_a_reference_may_tell_of_changes(column):
    old, new = orders.create(), orders.create()
    poller = make_poller(f"orm://rows.Order?field={column}&using={OURS}")
    new.replaces_id = old.pk
    new.save()
    assert poller.get_new_events() == [(subject(new), "modified")]


# Which rows


@pytest.mark.usefixtures("database")
def test_rows_that_the_manager_hides_count():
    poller = make_poller(MODIFIED)
    row = orders.create(hidden=True)
    assert poller.get_new_events() == [(subject(row), "created")]


@pytest.mark.usefixtures("database")
def test_the_rows_of_a_proxy_are_those_of_its_table():
    poller = make_poller(f"orm://rows.EveryOrder?using={OURS}")
    row = orders.create()
    assert poller.get_new_events() == [(f"orm://rows.EveryOrder/{row.pk}", "created")]


@pytest.mark.usefixtures("database")
def test_a_model_that_inherits_has_the_columns_of_both_tables():
    urgent = UrgentOrder._base_manager.using(THEIRS)
    orders.create()
    row = urgent.create()
    of_parent = make_poller(f"orm://rows.UrgentOrder?field=version&using={OURS}")
    of_child = make_poller(f"orm://rows.UrgentOrder?field=deadline&using={OURS}")
    as_order = make_poller(VERSION)
    told = [(f"orm://rows.UrgentOrder/{row.pk}", "modified")]

    urgent.update(version=2)
    assert of_parent.get_new_events() == told
    assert as_order.get_new_events() == [(subject(row), "modified")]
    assert of_child.get_new_events() == []

    urgent.update(deadline=datetime.date(2026, 1, 1))
    assert of_child.get_new_events() == told
    assert of_parent.get_new_events() == []


@pytest.mark.usefixtures("database")
def test_the_table_of_a_relation_can_be_asked():
    tag, order = Tag.objects.using(THEIRS).create(), orders.create()
    poller = make_poller(f"orm://rows.tag_orders?using={OURS}")
    tag.orders.add(order.pk)
    assert [change for _, change in poller.get_new_events()] == ["created"]


@pytest.mark.usefixtures("database")
def test_a_table_that_django_does_not_make():
    with connections[THEIRS].cursor() as cursor:
        cursor.execute("CREATE TABLE legacy (code varchar(50) PRIMARY KEY)")
        try:
            poller = make_poller(f"orm://rows.Legacy?using={OURS}")
            cursor.execute("INSERT INTO legacy VALUES ('a')")
            assert poller.get_new_events() == [("orm://rows.Legacy/a", "created")]
        finally:
            connections[OURS].close()
            cursor.execute("DROP TABLE legacy")


@pytest.mark.usefixtures("database")
def test_case_of_the_model_and_the_scheme_does_not_matter():
    poller = make_poller(f"ORM://rows.order?using={OURS}")
    row = orders.create()
    assert poller.get_new_events() == [(subject(row), "created")]


# Keys


def key_of(found):
    return unquote(found.rpartition("/")[2])


NAMES = ["a", "A", "b", "a/b", "a b", "a%2Fb", "?#&=", "é", "\N{SNOWMAN}", "\N{GRINNING FACE}"]
NAMES += ["", " ", "a\nb", "'\"\\", "1", "10", "9", "ä", "z", "_"]


@pytest.mark.usefixtures("database", "small_pages")
def test_names_as_keys_may_hold_anything():
    poller = make_poller(f"orm://rows.Named?using={OURS}")
    Named.objects.using(THEIRS).bulk_create(Named(name) for name in NAMES)
    events = poller.get_new_events()
    assert sorted(key_of(found) for found, _ in events) == sorted(NAMES)
    for found, _ in events:
        Named.objects.using(THEIRS).get(pk=key_of(found))


@pytest.mark.usefixtures("database", "small_pages")
def test_uuids_as_keys():
    keys = sorted(uuid.UUID(int=number << 99) for number in range(10))
    poller = make_poller(f"orm://rows.Token?using={OURS}")
    Token.objects.using(THEIRS).bulk_create(Token(key) for key in keys)
    events = poller.get_new_events()
    assert events == [(f"orm://rows.Token/{key}", "created") for key in keys]
    assert Token.objects.using(THEIRS).get(pk=key_of(events[3][0])).pk == keys[3]


@pytest.mark.usefixtures("database", "small_pages")
def test_bytes_as_keys():
    keys = [bytes([number, 255 - number]) for number in range(10)]
    poller = make_poller(f"orm://rows.Sealed?using={OURS}")
    Sealed.objects.using(THEIRS).bulk_create(Sealed(key) for key in keys)
    subjects = [found for found, _ in poller.get_new_events()]
    assert sorted(unquote_to_bytes(each.rpartition("/")[2]) for each in subjects) == keys


@pytest.mark.usefixtures("database", "small_pages")
def test_composite_keys():
    books = ["a/b", "A", "b"]
    lines = Line.objects.using(THEIRS)
    poller = make_poller(f"orm://rows.Line?field=text&using={OURS}")
    lines.bulk_create(Line(book=book, number=n) for book in books for n in range(5))
    created = [
        (f"orm://rows.Line/{b}/{n}", "created") for b in ("A", "a%2Fb", "b") for n in range(5)
    ]
    assert poller.get_new_events() == created

    lines.filter(pk=("a/b", 3)).update(text="new")
    lines.filter(pk=("b", 4)).delete()
    assert poller.get_new_events() == [
        ("orm://rows.Line/b/4", "deleted"),
        ("orm://rows.Line/a%2Fb/3", "modified"),
    ]


# Pages, and what changes meanwhile


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 6, 7, 9, 10])
@pytest.mark.usefixtures("database", "small_pages")
def test_every_page_is_read(count):
    poller = make_poller(VERSION)
    orders.bulk_create(Order() for _ in range(count))
    with recorded_pages(connections[OURS]) as pages:
        assert len(poller.get_new_events()) == count
    assert len(pages) == count // 3 + 1


@pytest.mark.parametrize(
    "table",
    [
        "Order?field=modified_at",
        "UrgentOrder?field=version",
        "Named?field=value",
        "Line",
        "Line?field=text",
    ],
)
@pytest.mark.django_db
@pytest.mark.usefixtures("small_pages")
def test_pages_are_found_and_sorted_by_the_index_of_the_key(table):
    """SQLite says so; PostgreSQL does what it thinks best with so few rows."""
    for number in range(4):
        UrgentOrder.objects.create()
        Named.objects.create(name=str(number))
        Line.objects.create(book="a", number=number)
    with recorded_pages(connection) as pages:
        make_poller(f"orm://rows.{table}")
    sql, parameters = pages[1]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)
        steps = [row[-1] for row in cursor.fetchall()]
    assert steps
    assert all(step.startswith("SEARCH") for step in steps), steps


@pytest.mark.usefixtures("database", "small_pages")
def test_what_happens_between_two_pages_is_told_now_or_at_the_next_call():
    rows = [orders.create() for _ in range(9)]
    poller = make_poller(VERSION)

    def change(page):
        if page == 2:
            orders.filter(pk__in=[rows[0].pk, rows[8].pk]).update(version=2)
            orders.filter(pk__in=[rows[1].pk, rows[7].pk]).delete()
            orders.create(pk=rows[8].pk + 1)
            orders.create(pk=0)

    with between_pages(change):
        now = poller.get_new_events()
    later = poller.get_new_events()
    behind = [(0, "created"), (rows[0].pk, "modified"), (rows[1].pk, "deleted")]
    ahead = [
        (rows[7].pk, "deleted"),
        (rows[8].pk, "modified"),
        (rows[8].pk + 1, "created"),
    ]
    assert sorted(now) == sorted((f"orm://rows.Order/{pk}", change) for pk, change in ahead)
    assert sorted(later) == sorted((f"orm://rows.Order/{pk}", change) for pk, change in behind)
    assert poller.get_new_events() == []


@pytest.mark.usefixtures("database", "small_pages")
def test_a_key_that_changes_is_another_row():
    names = Named.objects.using(THEIRS)
    names.bulk_create(Named(name) for name in "abcdefgh")
    poller = make_poller(f"orm://rows.Named?using={OURS}")
    with between_pages(lambda page: page == 2 and names.filter(pk="h").update(name="a0")):
        events = poller.get_new_events()
    events += poller.get_new_events()
    assert events == [("orm://rows.Named/h", "deleted"), ("orm://rows.Named/a0", "created")]


@in_postgresql_only
@pytest.mark.usefixtures("database")
def test_what_is_committed_late_with_an_early_time_is_told():
    early, late = orders.create(), orders.create()
    poller = make_poller(MODIFIED)
    with transaction.atomic(THEIRS):
        early.save()
        new = orders.create()
        # Meanwhile, somebody else commits a later time.
        Order.objects.using(OURS).get(pk=late.pk).save(using=OURS)
        assert poller.get_new_events() == [(subject(late), "modified")]
    assert poller.get_new_events() == [(subject(early), "modified"), (subject(new), "created")]


# In a transaction


@pytest.mark.usefixtures("database")
def test_in_a_transaction_its_own_changes_are_seen_until_they_are_undone():
    poller = make_poller(MODIFIED)
    with transaction.atomic(OURS):
        row = Order.objects.using(OURS).create()
        assert poller.get_new_events() == [(subject(row), "created")]
        transaction.set_rollback(True, using=OURS)
    assert poller.get_new_events() == [(subject(row), "deleted")]


@pytest.mark.usefixtures("database")
def test_a_failure_leaves_the_transaction_of_the_caller_as_it_is():
    with transaction.atomic(OURS):
        Order.objects.using(OURS).create()
        with pytest.raises(SourceError):
            make_poller(f"orm://rows.Legacy?using={OURS}")
        Order.objects.using(OURS).create()
    assert orders.count() == 2


# Connections


def raw(alias=OURS):
    return connections[alias].connection


@pytest.mark.usefixtures("database")
def test_a_connection_that_was_not_open_is_closed_again():
    poller = make_poller(MODIFIED)
    assert raw() is None
    poller.get_new_events()
    assert raw() is None


def test_a_connection_that_may_live_longer_is_left_open(database):
    database[OURS]["CONN_MAX_AGE"] = 600
    poller = make_poller(MODIFIED)
    first = raw()
    poller.get_new_events()
    assert raw() is first is not None


@pytest.mark.usefixtures("database")
def test_an_open_connection_is_used_and_left_open():
    connections[OURS].ensure_connection()
    first = raw()
    make_poller(MODIFIED).get_new_events()
    assert raw() is first is not None


@in_postgresql_only
@pytest.mark.usefixtures("database")
def test_a_connection_that_the_server_has_ended_is_made_anew():
    with connections[OURS].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    poller = make_poller(MODIFIED)
    row = orders.create()
    with connections[THEIRS].cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    assert poller.get_new_events() == [(subject(row), "created")]


@in_postgresql_only
@pytest.mark.usefixtures("database", "small_pages")
def test_an_outage_between_two_pages_loses_nothing():
    poller = make_poller(MODIFIED)
    rows = [orders.create() for _ in range(7)]

    def end(page):
        if page == 2:
            with connections[THEIRS].cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )

    with between_pages(end), pytest.raises(SourceError) as caught:
        poller.get_new_events()
    assert "; see DATABASES['ours'] in the settings; the next call tries again" in str(caught.value)
    assert poller.get_new_events() == [(subject(row), "created") for row in rows]


@pytest.mark.usefixtures("database")
def test_each_call_may_be_made_in_another_thread(django_db_blocker):
    answers = []

    def in_thread(work):
        def run():
            with django_db_blocker.unblock():
                answers.append(work())

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return answers[-1]

    poller = in_thread(lambda: make_poller(MODIFIED))
    rows = [orders.create() for _ in range(2)]
    assert in_thread(poller.get_new_events) == [(subject(row), "created") for row in rows]
    rows[0].save()
    assert in_thread(poller.get_new_events) == [(subject(rows[0]), "modified")]


@pytest.mark.usefixtures("database")
def test_an_event_loop_is_refused_and_told_what_to_do(django_db_blocker):
    poller = make_poller(MODIFIED)

    async def ask():
        return poller.get_new_events()

    async def ask_in_thread():
        with django_db_blocker.unblock():
            return await asyncio.to_thread(poller.get_new_events)

    row = orders.create()
    with pytest.raises(SourceError, match=r"in a thread, as `await asyncio.to_thread\("):
        asyncio.run(ask())
    assert asyncio.run(ask_in_thread()) == [(subject(row), "created")]


# Failures


@pytest.mark.usefixtures("settings_of_it")
def test_a_missing_table_is_an_error_until_it_is_there():
    with pytest.raises(SourceError) as caught:
        make_poller(f"orm://rows.Named?using={OURS}")
    assert str(caught.value).startswith("no poller can be made for this orm:// URL: OrmPoller: ")
    assert (
        "; is the table rows_named there, with all of its columns "
        "(manage.py migrate --database=ours)?"
    ) in str(caught.value)


@pytest.mark.usefixtures("database")
def test_a_table_that_goes_is_an_error_until_it_is_back():
    names = Named.objects.using(THEIRS)
    names.create(name="gone")
    names.create(name="kept")
    poller = make_poller(f"orm://rows.Named?using={OURS}")
    drop(Named)
    for _ in range(2):
        with pytest.raises(SourceError, match="is the table rows_named there"):
            poller.get_new_events()
    with connections[THEIRS].schema_editor() as editor:
        editor.create_model(Named)
    names.create(name="kept")
    assert poller.get_new_events() == [("orm://rows.Named/gone", "deleted")]


@pytest.mark.usefixtures("database")
def test_a_missing_column_is_an_error():
    with connections[THEIRS].schema_editor() as editor:
        editor.remove_field(Named, Named._meta.get_field("value"))
    with pytest.raises(SourceError, match="is the table rows_named there, with all of its columns"):
        make_poller(f"orm://rows.Named?field=value&using={OURS}")


def told(caught):
    return str(caught.value) + "".join(traceback.format_exception(caught.value))


def test_no_server_is_an_error_that_does_not_show_the_password(settings_of_it, server, tmp_path):
    missing = {"HOST" if "HOST" in server else "NAME": str(tmp_path / PASSWORD / "db")}
    settings_of_it[OURS] |= {"PASSWORD": PASSWORD, **missing}
    with pytest.raises(SourceError) as caught:
        OrmPoller(MODIFIED)
    assert "see DATABASES['ours'] in the settings; the next call tries again" in str(caught.value)
    # PostgreSQL's tells the path, of which SQLite's says nothing.
    assert ("***/db" in str(caught.value)) == ("HOST" in server)
    assert PASSWORD not in told(caught)


@in_postgresql_only
def test_a_wrong_password_is_an_error_that_does_not_show_it(settings_of_it):
    settings_of_it[OURS]["PASSWORD"] = "wrong-but-near"
    with pytest.raises(SourceError, match="password authentication failed") as caught:
        OrmPoller(MODIFIED)
    assert "wrong-but-near" not in told(caught)


def test_a_database_that_cannot_be_is_an_error(settings_of_it, server):
    settings_of_it[OURS]["NAME"] = ""
    settings_of_it[OURS]["HOST"] = ""
    settings_of_it[OURS]["ENGINE"] = "django.db.backends.dummy"
    with pytest.raises(SourceError, match=r"cannot be listed: ImproperlyConfigured: "):
        OrmPoller(MODIFIED)


# The routers, and any history


@pytest.mark.django_db
def test_the_routers_choose_the_database():
    poller = make_poller("orm://rows.Order?field=version")
    row = Order.objects.create()
    assert poller.get_new_events() == [(subject(row), "created")]
    row.delete()


STEP = st.tuples(
    st.sampled_from(["create", "modify", "delete"]),
    st.integers(0, 12),
    st.integers(0, 4),  # before this page; 0 is before the call
)


@pytest.mark.django_db
@given(st.lists(st.lists(STEP, max_size=8), max_size=6))
def test_whatever_happens_the_events_lead_to_the_rows_that_are_there(calls):
    """Tables in memory: one connection, whose changes come between its own pages."""
    Named.objects.all().delete()
    seen: dict[str, int] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orm, "_PAGE", 3)
        poller = make_poller("orm://rows.Named?field=value")
        for steps in [*calls, [], []]:
            take(steps, 0)
            events = poll_while(poller, steps)
            follow(seen, events)
    assert poller.get_new_events() == []
    assert seen == {f"orm://rows.Named/{row.name}": 0 for row in Named.objects.all()}


values = iter(range(1_000_000))


def take(steps, page):
    for what, number, when in steps:
        row = Named.objects.filter(pk=f"{number:02}")
        if when != page:
            continue
        if what == "delete":
            row.delete()
        elif what == "modify":
            row.update(value=next(values))
        elif not row.exists():
            Named.objects.create(name=f"{number:02}")


def poll_while(poller, steps):
    pages = 0
    busy = False

    def wrapper(execute, sql, *args):
        nonlocal pages, busy
        if not busy and "LIMIT 3" in sql:
            busy = True
            pages += 1
            take(steps, pages)
            busy = False
        return execute(sql, *args)

    with connection.execute_wrapper(wrapper):
        return poller.get_new_events()


def follow(seen, events):
    """Do to `seen` what the events tell; each must be possible."""
    for found, change in events:
        assert (found in seen) == (change != "created")
        if change == "deleted":
            del seen[found]
        else:
            seen[found] = 0
