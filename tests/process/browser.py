"""Chromium without a window, driven by Selenium."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PHONE = (390, 844)
DESK = (1280, 900)

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    # It asks nobody but the site under test.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--hide-scrollbars",
)


def why_not() -> str:
    """Return why there is no browser here, "" if there is one."""
    try:
        import selenium.webdriver  # noqa: F401
    except ImportError:
        return "selenium is not installed"
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"{program} is not installed: apt-get install chromium chromium-driver"
    return ""


needs_browser = pytest.mark.skipif(bool(why_not()), reason=why_not())


@contextlib.contextmanager
def browser(*, dark: bool = False, size: tuple[int, int] = DESK) -> Iterator[Any]:
    """Run a browser while the block runs.

    Args:
        dark: whether it prefers dark pages.
        size: width and height of what is seen, in pixels; narrow ones are phones.
    """
    from selenium import webdriver

    with tempfile.TemporaryDirectory(prefix="chromium-") as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = str(shutil.which("chromium"))
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.ChromeService(str(shutil.which("chromedriver")))
        driver = webdriver.Chrome(options, service)
        try:
            _set_screen(driver, dark, size)
            yield driver
        finally:
            driver.quit()


def _set_screen(driver: Any, dark: bool, size: tuple[int, int]) -> None:
    width, height = size
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
    )


def log_in(driver: Any, root: str, session: str) -> None:
    """Give the browser the key of a session at the site `root`."""
    cookie = {"name": "sessionid", "value": session, "url": root}
    driver.execute_cdp_cmd("Network.setCookie", cookie)


def messages(driver: Any) -> list[str]:
    """Return what the console of the browser has told since the last call."""
    return [entry["message"] for entry in driver.get_log("browser")]


def shoot(driver: Any, path: Path) -> None:
    """Write what is seen to a PNG file."""
    path.write_bytes(driver.get_screenshot_as_png())
