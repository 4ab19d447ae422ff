"""Entries with URLs in a real daemon: what happened on a server while it was down, or away."""

from urllib.parse import quote

import pytest

from tests.process.project import SIGNALER, failed, succeeded
from tests.servers import FtpServer
from tests.waiting import wait_for

pytestmark = pytest.mark.long

TELLS = """
from django.dispatch import receiver
from inotifier.signals import in_create, in_delete

@receiver([in_create, in_delete])
def tell(event, **kwargs):
    print("got", event.maskname, event.pathname, flush=True)
"""


@pytest.fixture
def project(make_project, ftp):
    return make_project(
        receivers=TELLS,
        INOTIFIER_WATCH_PATHS=[
            {
                "path": ftp.url,
                "events": "IN_CREATE|IN_DELETE",
                "processor": SIGNALER,
                "poll_interval": 0.1,
                "source_options": {"timeout": 20},
            }
        ],
    )


def assert_secret_is_kept(*texts):
    for text in texts:
        for form in (
            FtpServer.password,
            quote(FtpServer.password),
            quote(FtpServer.password, safe=""),
            FtpServer.password[:8],
        ):
            assert form not in text


def test_what_happened_while_it_was_down_is_told(project, ftp):
    ftp.start()
    (ftp.root / "old").write_text("1")
    project.start()
    project.caught_up()
    (ftp.root / "seen").write_text("1")
    wait_for(lambda: project.got == [f"IN_CREATE {ftp.public}seen"])
    project.kill()
    (ftp.root / "old").unlink()
    (ftp.root / "new").write_text("1")
    project.start()
    missed = {f"IN_CREATE {ftp.public}new", f"IN_DELETE {ftp.public}old"}
    wait_for(lambda: missed <= {*project.got})
    # What was delivered right before the kill may come twice.
    told = [line for line in project.got if not line.endswith("/seen")]
    assert sorted(told) == sorted(missed)


def test_a_server_that_is_away_is_shown_and_comes_back(project, ftp):
    process = ftp.start()
    project.start()
    project.caught_up()
    process.kill()
    process.wait()
    wait_for(lambda: project.entry["problem"], 30)
    shown = project.run("inotifier_status").stdout
    assert "degraded: " in shown
    (ftp.root / "new").write_text("1")
    ftp.start()
    succeeded(project.run("inotifier_scan", "--daemon"))
    wait_for(lambda: project.got == [f"IN_CREATE {ftp.public}new"], 30)
    wait_for(lambda: not project.entry["problem"], 30)
    assert_secret_is_kept(shown, project.errors, project.output)


def test_a_scan_asks_the_server(project, ftp):
    process = ftp.start()
    succeeded(project.run("inotifier_scan"))
    (ftp.root / "new").write_text("1")
    dry = succeeded(project.run("inotifier_scan", "--dry-run")).stdout
    assert f"new {ftp.public}new" in dry
    done = succeeded(project.run("inotifier_scan")).stdout
    assert f"got IN_CREATE {ftp.public}new" in done
    process.kill()
    process.wait()
    message = failed(project.run("inotifier_scan"))
    assert f"{ftp.public} cannot be listed" in message
    assert_secret_is_kept(message, dry, done)
