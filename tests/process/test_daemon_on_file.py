"""A project that has no entries in its settings, only functions with `on_file`."""

import json

import pytest

from tests.process.project import Project, failed, succeeded
from tests.waiting import wait_for

pytestmark = pytest.mark.long

FILE_EVENTS = """
from inotifier import on_file

@on_file("incoming/**/*.csv", retries=3)
def import_order(event):
    print("got", event.name, flush=True)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("on_file"), receivers="", INOTIFIER_WATCH_PATHS=None)
    project.write("app/file_events.py", FILE_EVENTS)
    try:
        project.start()
        yield project
    finally:
        project.end()


@pytest.fixture(autouse=True)
def _as_it_was(project):
    project.write("app/file_events.py", FILE_EVENTS)
    project.reload()


def test_a_file_that_matches_is_handled(project):
    project.drop("order.txt")
    project.delivers("order.csv")
    assert "order.txt" not in project.got


def test_the_status_tells_where_it_stands(project):
    lines = succeeded(project.run("inotifier_status")).stdout.splitlines()
    at = lines.index("incoming/**/*.csv (app.file_events.import_order)")
    assert lines[at + 1] == "    declared in app.file_events, line 4"
    shown = json.loads(succeeded(project.run("inotifier_status", "--json")).stdout)
    assert shown["entries"][0]["declared"] == "app.file_events, line 4"


def test_the_check_tells_where_it_stands(project):
    result = succeeded(project.run("check"))
    assert (
        "(inotifier.I001) incoming/**/*.csv is handled by app.file_events.import_order, declared "
        "in app.file_events, line 4"
    ) in result.stderr


def test_a_reload_takes_new_code(project):
    project.write("app/file_events.py", FILE_EVENTS.replace("*.csv", "*.new").replace("got", "GOT"))
    project.reload()
    project.drop("a.csv", "a.new")
    wait_for(lambda: "GOT a.new" in project.output)
    assert "a.csv" not in project.got


def test_a_reload_refuses_what_is_wrong_and_says_where(project):
    project.write("app/file_events.py", FILE_EVENTS.replace("retries=3", "retries=-3"))
    message = failed(project.run("inotifier_reload"))
    assert "of app.file_events.import_order (app.file_events, line 4) is -3" in message
    project.delivers("still.csv")


def test_a_reload_refuses_a_module_that_cannot_be_imported(project):
    project.write("app/file_events.py", "raise LookupError('half written')")
    assert "cannot import app.file_events: LookupError('half written')" in failed(
        project.run("inotifier_reload")
    )
    project.delivers("again.csv")
