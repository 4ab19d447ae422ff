"""The status page in a real browser, beside a real daemon."""

import pytest

from tests.process.browser import DESK, PHONE, browser, log_in, messages, needs_browser
from tests.process.project import Project
from tests.process.site import ADMIN, DATABASE, Site
from tests.waiting import wait_for

pytestmark = [needs_browser, pytest.mark.long]

RECEIVERS = """
from django.dispatch import receiver
from inotifier.signals import in_close_write

@receiver(in_close_write)
def record(event, **kwargs):
    if event.name.startswith("bad"):
        raise ValueError("not good")
"""

SHOWN = 3.0
"""Seconds within which a file is to be seen; the page looks every two. All else may take longer."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site beside a daemon; the tests drop files of names that no other one uses."""
    project = Project(
        tmp_path_factory.mktemp("site"),
        receivers=RECEIVERS,
        code=DATABASE,
        **ADMIN,
        INOTIFIER_WATCH_PATHS=[
            {"path": "incoming", "events": "IN_CLOSE_WRITE", "name": "inbox"},
            {"path": "other", "events": "IN_CLOSE_WRITE", "name": "other"},
        ],
    )
    try:
        (project.directory / "other").mkdir()
        found = Site(project)
        project.start()
        yield found
    finally:
        project.end()


@pytest.fixture(scope="module")
def desk(site):
    """A browser of somebody who may control, as wide as a desk's."""
    with browser(size=DESK) as driver:
        log_in(driver, site.root, site.sessions["operator"])
        yield driver


@pytest.fixture
def page(desk, site):
    """The page, freshly loaded; whatever the console says is a failure."""
    messages(desk)
    desk.get(site.url)
    yield desk
    assert messages(desk) == []


def rows(driver) -> str:
    return text_of(driver, "#rows")


def text_of(driver, selector: str) -> str:
    """Return the text of an element, in one go: it may be replaced at any moment."""
    found = f"document.querySelector({selector!r})"
    return driver.execute_script(f"return {found} ? {found}.innerText : ''")


def type_in(driver, text: str) -> None:
    driver.find_element("css selector", "[name=text]").send_keys(text)


def choose(driver, name: str) -> None:
    driver.find_element("xpath", f"//select[@name='entry']/option[.='{name}']").click()


def test_a_dropped_file_shows_within_three_seconds(page, site):
    site.project.drop("hello.txt")
    wait_for(lambda: "hello.txt" in rows(page), SHOWN)


def test_a_name_of_any_bytes_shows_and_runs_nothing(page, site):
    site.project.drop(b"<img src=x onerror=alert(1)>\xff")
    wait_for(lambda: "<img src=x onerror=alert(1)>\\xff" in rows(page))


def test_a_failure_shows_and_its_traceback_stays_open(page, site):
    site.project.drop("bad.txt")
    wait_for(lambda: "bad.txt" in text_of(page, "#overview"))
    page.find_element("css selector", "summary").click()
    site.project.drop("after-bad.txt")
    wait_for(lambda: "after-bad.txt" in rows(page))
    assert "ValueError: not good" in text_of(page, "details[open] pre")


def test_what_is_typed_filters_at_once(page, site):
    site.project.drop("apple.txt", "pear.txt")
    wait_for(lambda: "pear.txt" in rows(page))
    type_in(page, "APPLE")
    wait_for(lambda: "pear.txt" not in rows(page))
    assert "apple.txt" in rows(page)
    assert page.current_url.endswith("?text=APPLE")
    site.project.drop("apple-two.txt", "pear-two.txt")
    wait_for(lambda: "apple-two.txt" in rows(page))
    assert "pear-two.txt" not in rows(page)


def test_events_are_filtered_by_entry(page, site):
    site.project.drop("plum.txt")
    (site.project.directory / "other" / "cherry.txt").touch()
    wait_for(lambda: "plum.txt" in rows(page) and "cherry.txt" in rows(page))
    choose(page, "other")
    wait_for(lambda: "plum.txt" not in rows(page))
    assert "cherry.txt" in rows(page)
    page.find_element("link text", "inbox").click()
    wait_for(lambda: "plum.txt" in rows(page))
    assert "cherry.txt" not in rows(page)


def test_without_its_script_it_is_filtered_and_fresh_when_it_is_loaded(page, site):
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page.get(site.url)
        site.project.drop("no-script.txt")
        wait_for(
            lambda: site.get("live?text=no-script.txt", "viewer").text.count("no-script.txt") > 1
        )
        type_in(page, "no-script")
        page.find_element("css selector", ".filter button").click()
        wait_for(lambda: "text=no-script" in page.current_url)
        wait_for(lambda: "no-script.txt" in page.page_source)
    finally:
        page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_rescan_is_asked_for_by_a_button(page, site):
    site.project.caught_up()
    site.project.link("untold.txt")
    page.find_element("xpath", "//button[.='Rescan']").click()
    wait_for(lambda: "compares what is there" in text_of(page, "main"))
    wait_for(lambda: "done" not in page.current_url)
    wait_for(lambda: "untold.txt" in rows(page))


def test_reload_is_asked_for_by_a_button(page, site):
    page.find_element("xpath", "//button[.='Reload']").click()
    wait_for(lambda: "checks the new settings" in text_of(page, "main"))
    wait_for(lambda: site.project.status().get("reload", {}).get("answered"), 60)
    wait_for(lambda: "Running" in text_of(page, "#overview"))
    site.project.drop("reloaded.txt")
    wait_for(lambda: "reloaded.txt" in rows(page))


def test_who_may_not_control_has_no_buttons(site):
    with browser() as driver:
        log_in(driver, site.root, site.sessions["viewer"])
        driver.get(site.url)
        assert "Running" in text_of(driver, "#overview")
        assert not driver.find_elements("xpath", "//button[.='Rescan' or .='Reload']")
        assert messages(driver) == []


def test_the_index_of_the_admin_leads_to_it(page, site):
    page.get(f"{site.root}/admin/")
    page.find_element("link text", "Status of the daemon").click()
    assert page.current_url == site.url


def light_of(driver, selector: str, what: str) -> int:
    """Return how light a colour of an element is, from 0 to 765."""
    colour = driver.execute_script(
        f"return getComputedStyle(document.querySelector({selector!r})).{what}"
    )
    return sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(",")))


@pytest.mark.parametrize("dark", [False, True])
def test_it_is_light_or_dark_as_the_reader_prefers(site, dark):
    with browser(dark=dark) as driver:
        log_in(driver, site.root, site.sessions["operator"])
        driver.get(site.url)
        assert (light_of(driver, "body", "backgroundColor") < 380) is dark
        assert (light_of(driver, "body", "color") > 380) is dark
        assert (light_of(driver, "button", "backgroundColor") < 380) is dark
        assert messages(driver) == []


def test_a_phone_shows_all_of_it_without_scrolling_sideways(site):
    site.project.drop("a-very-" + "long-" * 45 + "name", "bad-" + "x" * 200)
    with browser(size=PHONE) as driver:
        log_in(driver, site.root, site.sessions["operator"])
        driver.get(site.url)
        wait_for(lambda: "a-very-long" in rows(driver))
        assert driver.execute_script("return innerWidth") == 390
        assert driver.execute_script("return document.documentElement.scrollWidth") == 390
        assert messages(driver) == []


def test_a_session_that_has_ended_is_told(site):
    with browser() as driver:
        log_in(driver, site.root, site.sessions["viewer"])
        driver.get(site.url)
        driver.delete_all_cookies()
        wait_for(lambda: "you are logged out" in text_of(driver, "main"))


def test_a_daemon_that_ends_and_comes_back_is_seen(tmp_path):
    project = Project(tmp_path / "p", code=DATABASE, **ADMIN)
    try:
        site = Site(project)
        project.start()
        with browser() as driver:
            log_in(driver, site.root, site.sessions["viewer"])
            driver.get(site.url)
            assert "Running" in text_of(driver, "#overview")
            project.stop()
            wait_for(lambda: "Not running" in text_of(driver, "#overview"))
            project.start()
            wait_for(lambda: "Running" in text_of(driver, "#overview"))
            project.drop("back.txt")
            wait_for(lambda: "back.txt" in rows(driver))
            chosen = "return document.querySelector('select').selectedOptions[0].text"
            assert driver.execute_script(chosen) == "all"
            assert messages(driver) == []
    finally:
        project.end()
