"""The status page, health and metrics of a real site beside a real daemon."""

import json
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.process.project import Project, switches
from tests.process.site import ADMIN, DATABASE, Site
from tests.waiting import wait_for

PICKY = """
from django.dispatch import receiver
from inotifier.signals import in_close_write

@receiver(in_close_write)
def record(event, **kwargs):
    if event.name.startswith("bad"):
        raise ValueError(f"{event.name} cannot be <b>read</b>")
"""

HOSTILE = b"<script>alert(1)<!-- \xff\n.csv"
SECRET = "the inbox"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site beside a daemon that has got files with good names, bad ones and terrible ones."""
    project = Project(
        tmp_path_factory.mktemp("site"),
        receivers=PICKY,
        code=DATABASE,
        **ADMIN,
        INOTIFIER_METRICS_TOKEN="let me in",
        INOTIFIER_WATCH_PATHS=[
            {"path": "incoming", "events": "IN_CLOSE_WRITE", "name": SECRET, "recursive": True},
            {"path": "one", "events": "IN_CREATE", "name": "twin"},
            {"path": "two", "events": "IN_CREATE", "name": "twin"},
        ],
    )
    try:
        for path in ("incoming/below", "one", "two"):
            (project.directory / path).mkdir()
        found = Site(project)
        project.start()
        project.drop("good.csv", "bad.csv", HOSTILE)
        wait_for(lambda: project.entry["delivered"] == 2)
        yield found
    finally:
        project.end()


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """A site without a daemon, and without the middleware that keeps other sites' forms off."""
    settings = {**ADMIN, "MIDDLEWARE": [one for one in ADMIN["MIDDLEWARE"] if "Csrf" not in one]}
    project = Project(tmp_path_factory.mktemp("quiet"), code=DATABASE, **settings)
    try:
        yield Site(project)
    finally:
        project.end()


# Who sees it.


def test_who_is_not_logged_in_is_asked_to(site):
    page = site.get()
    assert (page.code, page.headers["Location"]) == (302, "/admin/login/?next=/inotifier/")


@pytest.mark.parametrize("path", ["", "live"])
def test_who_is_no_staff_is_refused(site, path):
    assert site.get(path, "customer").code == 403


def test_the_index_of_the_admin_links_to_it(site):
    index = site.get("/admin/", "viewer")
    link = re.search('href="(/admin/inotifier/daemon/)"', index.text)
    assert link, index.text
    page = site.get(link[1], "viewer")
    assert (page.code, page.headers["Location"]) == (302, "/inotifier/")


def test_nobody_adds_a_daemon_in_the_admin(site):
    assert site.get("/admin/inotifier/daemon/add/", "root").code == 403


@pytest.mark.parametrize("page", ["change", "history", "delete"])
def test_there_is_no_daemon_to_look_at_in_the_admin(site, page):
    assert site.get(f"/admin/inotifier/daemon/5/{page}/", "root").code in (302, 403)


@pytest.mark.parametrize("options", [[], ["--all"]])
def test_the_database_can_be_dumped(site, options):
    result = site.project.run("dumpdata", *options)
    assert (result.returncode, result.stderr) == (0, "")
    models = {row["model"] for row in json.loads(result.stdout)}
    assert "auth.user" in models
    assert "inotifier.daemon" not in models


def test_nothing_is_to_be_migrated(site):
    result = site.project.run("makemigrations", "--check", "--dry-run")
    assert (result.returncode, result.stdout) == (0, "No changes detected\n")


def test_it_is_not_kept_by_caches(site):
    assert "no-store" in site.get("", "viewer").headers["Cache-Control"]


# What it shows.


def test_daemon_and_entries_are_told(site):
    text = site.get("", "viewer").text
    assert f"process {site.project.pid}" in text
    assert "Running" in text
    assert text.count(SECRET) >= 2  # the row, and the choice of the filter
    assert '<td data-label="Watches" class="n">2</td>' in text
    assert '<td data-label="Delivered" class="n">2</td>' in text
    assert '<td data-label="Failed" class="n failed">1</td>' in text


def test_entries_of_one_name_are_told_apart(site):
    text = site.get("", "viewer").text
    assert ">twin</option>" in text
    assert ">twin (2)</option>" in text


def test_file_names_are_shown_safely_whatever_they_hold(site):
    text = site.get("live", "viewer").text
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;!-- \\xff\\n.csv" in text


def test_failures_are_shown_with_their_traceback(site):
    text = site.get("live", "viewer").text
    assert "Traceback (most recent call last):" in text
    assert "bad.csv cannot be &lt;b&gt;read&lt;/b&gt;" in text


def events(site: Site, query: str) -> str:
    text = site.get(f"live?{query}", "viewer").text
    return text[text.index('id="rows"') :]


def test_events_are_filtered_by_text(site):
    assert "good.csv" in events(site, "text=GOOD")
    assert "bad.csv" not in events(site, "text=GOOD")
    assert "None of the last events is like that" in events(site, "text=nothing")


def test_events_are_filtered_by_entry(site):
    assert "good.csv" in events(site, "entry=0")
    assert "good.csv" not in events(site, "entry=1")


@pytest.mark.parametrize(
    "query",
    [
        "entry=99",
        "entry=x",
        "entry=-1",
        "entry=%FF",
        "entry=" + "9" * 5_000,
        "text=%00",
        "text=" + "%00" * 20_000,
    ],
    ids=lambda query: query[:20],
)
def test_a_filter_that_makes_no_sense_is_no_error(site, query):
    page = site.get(f"?{query}", "viewer")
    assert page.code == 200
    assert "Running" in page.text


def test_without_a_daemon_it_says_so(quiet):
    page = quiet.get("", "viewer")
    assert page.code == 200
    assert "Not running" in page.text
    assert "manage.py inotifier_start" in page.text


def test_a_daemon_of_another_user_is_not_taken_for_none(quiet):
    # What a directory that may not be looked into looks like.
    pid_file = quiet.project.pid_file
    pid_file.symlink_to("nowhere")
    try:
        page = quiet.get("", "viewer")
        assert (page.code, quiet.get("health").code) == (200, 503)
        assert "cannot read the pid file" in page.text
    finally:
        pid_file.unlink()


# What can be done.


def test_only_who_may_control_sees_buttons(site):
    assert "Rescan" in site.get("", "operator").text
    assert "Rescan" not in site.get("", "viewer").text


@pytest.mark.parametrize("who", ["viewer", "customer"])
@pytest.mark.parametrize("action", ["rescan", "reload"])
def test_who_may_not_control_is_refused(site, action, who):
    assert site.post(action, who).code == 403


@pytest.mark.parametrize("action", ["rescan", "reload"])
def test_other_sites_cannot_press_the_buttons(site, action):
    assert site.post(action, "operator", token=False).code == 403
    assert site.get(action, "operator").code == 405


@pytest.mark.parametrize("action", ["rescan", "reload"])
def test_they_cannot_where_the_project_protects_no_form_either(quiet, action):
    assert quiet.post(action, "operator", token=False).code == 403
    assert quiet.post(action, "operator").code == 302


def test_rescan_finds_what_the_daemon_was_not_told_of(make_project):
    project = make_project(code=DATABASE, **ADMIN)
    site = Site(project)
    project.start()
    project.caught_up()
    project.link("untold.csv")
    project.delivers("told.csv")
    assert project.got == ["told.csv"]
    page = site.post("rescan", "operator")
    assert (page.code, page.headers["Location"]) == (302, "/inotifier/?done=rescan")
    wait_for(lambda: project.got == ["told.csv", "untold.csv"])


def test_rescan_without_a_daemon_says_that_nothing_was_done(quiet):
    page = quiet.post("rescan", "operator")
    assert page.headers["Location"] == "/inotifier/?done=unanswered"
    assert "nothing was asked of it" in quiet.get("?done=unanswered", "viewer").text


def test_reload_takes_new_settings(make_project):
    project = make_project(code=DATABASE, **ADMIN)
    site = Site(project)
    project.start()
    project.configure(INOTIFIER_WATCH_PATHS=["nowhere"], code=DATABASE)
    site.post("reload", "operator")
    wait_for(lambda: "The last reload was refused" in site.get("live", "viewer").text, 30)
    project.configure(INOTIFIER_WATCH_PATHS=["app"], code=DATABASE)
    site.post("reload", "root")
    app = str(project.directory / "app")
    wait_for(lambda: f">{app}</option>" in site.get("live", "viewer").text, 30)
    assert site.get("health").json["status"] == "ok"


# Health.


def test_health_is_told_to_anybody_without_names(site):
    page = site.get("health")
    assert page.code == 200
    assert {**page.json, "uptime": 0, "overflows": 0, "lag": 0} == {
        "status": "ok",
        "state": "running",
        "uptime": 0,
        "entries": 3,
        "degraded": 0,
        "queue_depth": 0,
        "lag": 0,
        "overflows": 0,
        "delivered": 2,
        "failed": 1,
    }
    assert SECRET not in page.text
    assert "/" not in page.text


def test_without_a_daemon_there_is_no_health(quiet):
    page = quiet.get("health")
    assert (page.code, page.json) == (503, {"status": "down", "state": "stopped"})


def test_a_killed_daemon_has_no_health(make_project):
    project = make_project(code=DATABASE, **ADMIN)
    site = Site(project)
    project.start()
    assert site.get("health").code == 200
    project.kill()
    assert project.pid_file.exists()
    assert site.get("health").code == 503
    project.start()
    assert site.get("health").code == 200


def test_a_daemon_that_does_not_answer_is_not_taken_for_none(make_project):
    project = make_project(code=DATABASE, **ADMIN)
    site = Site(project)
    (project.directory / "run" / "inotifier.sock" / "in the way").mkdir(parents=True)
    project.start()
    page = site.get("health")
    assert (page.code, page.json) == (503, {"status": "down", "state": "silent"})
    assert "Not answering" in site.get("", "viewer").text


# Metrics.


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Return the samples by their name and the values of their labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_are_what_prometheus_reads(site):
    found = samples(site.get("metrics", "viewer").text)
    assert found["inotifier_up",] == 1
    assert found["inotifier_seen_total", SECRET] == 3
    assert found["inotifier_delivered_total", SECRET] == 2
    assert found["inotifier_failures_total", SECRET] == 1
    assert found["inotifier_retries_total", SECRET] == 0
    assert found["inotifier_events_total", SECRET, "IN_CLOSE_WRITE"] == 3
    assert found["inotifier_waiting", SECRET] == 0
    assert found["inotifier_entry_watches", SECRET] == 2
    assert found["inotifier_watches",] == 4
    assert found["inotifier_queue_depth",] == found["inotifier_lag_seconds",] == 0
    assert found["inotifier_overflows_total",] == 0
    assert found["inotifier_delivery_seconds_count", SECRET] == 3
    assert found["inotifier_delivery_seconds_bucket", SECRET, "+Inf"] == 3
    assert 0 < found["inotifier_delivery_seconds_sum", SECRET] < 60


def test_metrics_come_in_openmetrics_as_well(site):
    page = site.get("metrics", "viewer", Accept="application/openmetrics-text; version=1.0.0")
    assert page.headers["Content-Type"].startswith("application/openmetrics-text")
    assert page.text.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("who", "headers", "code"),
    [
        ("", {}, 401),
        ("customer", {}, 401),
        ("viewer", {}, 200),
        ("", {"Authorization": "Bearer let me in"}, 200),
        ("", {"Authorization": "Bearer let me"}, 401),
        ("", {"Authorization": "Bearer "}, 401),
        ("", {"Authorization": "let me in"}, 401),
    ],
)
def test_metrics_are_for_staff_and_for_who_has_the_token(site, who, headers, code):
    assert site.get("metrics", who, **headers).code == code


def test_without_a_token_in_the_settings_none_is_right(quiet):
    for given in ("Bearer ", "Bearer None", ""):
        assert quiet.get("metrics", Authorization=given).code == 401


def test_metrics_without_a_daemon_tell_that_it_is_not_up(quiet):
    assert samples(quiet.get("metrics", "viewer").text) == {("inotifier_up",): 0}


# The daemon's side.


def test_the_socket_is_its_users_own(site):
    socket = site.project.directory / "run" / "inotifier.sock"
    assert oct(socket.stat().st_mode & 0o777) == "0o600"


def test_watching_the_page_writes_nothing(site):
    before = site.project.status_file.stat()
    woken = switches(site.project.pid)
    for _ in range(5):
        site.get("live", "viewer")
    wait_for(lambda: switches(site.project.pid) >= woken + 2)
    after = site.project.status_file.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
