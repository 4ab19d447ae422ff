"""File names that are not UTF-8, through everything."""

import json
import os

from tests.process.project import SIGNALER, succeeded
from tests.waiting import wait_for

LATIN_1 = b"caf\xe9"
SHOWN = r"caf\xe9"

RAISES = """
from django.dispatch import receiver
from inotifier.events import printable
from inotifier.signals import in_close_write

@receiver(in_close_write)
def record(event, **kwargs):
    print("got", printable(event.name), flush=True)
    with open(event.pathname, "rb"):
        raise ValueError("opened")
"""


def test_receiver_gets_a_name_that_opens_the_file_and_the_log_shows_it(make_project):
    project = make_project(receivers=RAISES)
    project.start()
    project.drop(LATIN_1)
    wait_for(lambda: project.got == [SHOWN])
    wait_for(lambda: "ValueError('opened')" in project.errors)
    assert f"{project.incoming}/{SHOWN}" in project.errors


def test_status_shows_the_name_and_json_keeps_it(project):
    project.start()
    project.drop(LATIN_1)
    wait_for(lambda: project.entry["delivered"] == 1)
    assert f"{project.incoming}/{SHOWN}" in succeeded(project.run("inotifier_status")).stdout
    shown = json.loads(succeeded(project.run("inotifier_status", "--json")).stdout)
    last = shown["entries"][0]["last_event"]["pathname"]
    assert os.fsencode(last) == os.fsencode(project.incoming) + b"/" + LATIN_1


def test_watched_directory_may_have_such_a_name(make_project):
    project = make_project(
        INOTIFIER_WATCH_PATHS=[(os.fsdecode(LATIN_1), "IN_CLOSE_WRITE", SIGNALER)]
    )
    directory = project.directory / os.fsdecode(LATIN_1)
    directory.mkdir()
    result = succeeded(project.run("inotifier_start"))
    assert f"Adding watch on {project.directory}/{SHOWN}, processed by" in result.stdout
    (directory / "file").touch()
    wait_for(lambda: project.got == ["file"])
    project.reload()
    assert SHOWN in succeeded(project.run("inotifier_status")).stdout
