"""More than a daemon is used to."""

import shutil
import sysconfig
from collections import Counter
from pathlib import Path

import pytest

from tests.process.project import SIGNALER
from tests.waiting import wait_for

# What lies in the same place without being part of it.
OTHERS = {"site-packages", "dist-packages", "__pycache__"}

TELLS_OF_OVERFLOWS = """
from django.dispatch import receiver
from inotifier.signals import in_q_overflow

@receiver(in_q_overflow)
def tell(event, **kwargs):
    print("overflow", event.watch.path, flush=True)
"""


@pytest.mark.timeout(300)
def test_each_file_of_the_standard_library_is_reported_exactly_once(project):
    library = Path(sysconfig.get_path("stdlib"))
    sources = [
        path
        for path in library.rglob("*")
        if path.is_file() and not OTHERS & set(path.relative_to(library).parts)
    ]
    # Flat: the number keeps apart what has the same name in two directories.
    names = {f"{number}-{path.name}": path for number, path in enumerate(sources)}
    assert len(names) > 1000
    project.start()
    for name, path in names.items():
        shutil.copyfile(path, project.incoming / name)
    wait_for(lambda: len(project.got) >= len(names), 60)
    project.stop()
    assert Counter(project.got) == Counter(list(names))


def test_overflow_is_counted_and_told_to_every_entry_and_what_was_lost_is_found(make_project):
    project = make_project(
        receivers=TELLS_OF_OVERFLOWS,
        INOTIFIER_WATCH_PATHS=[
            ("incoming", "IN_CREATE", SIGNALER),
            ("app", "IN_DELETE", SIGNALER),
        ],
    )
    project.start()
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    with project.paused():
        project.drop(*(f"{number}" for number in range(limit + 10)))
    wait_for(lambda: project.status()["overflows"] == 1, 30)
    entries = ["incoming", "app"]
    wait_for(lambda: project.output.splitlines() == [f"overflow {name}" for name in entries])
    project.drop("one more")
    # All files, those that the kernel could not tell of as well, and the overflow itself.
    wait_for(lambda: project.entry["delivered"] == limit + 12, 30)
