"""Makes the pictures in docs/: a real daemon, a real site and a real browser.

    python -m tests.process.screenshots [--seconds 600] [--out docs]

Files come and go for ten minutes, so that the charts have something to show. What `inotifier_tail`
writes to a terminal in the end is drawn by the browser, too.
"""

import argparse
import contextlib
import io
import itertools
import math
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from tests.process.browser import DESK, PHONE, browser, log_in, shoot, why_not
from tests.process.project import Project
from tests.process.site import ADMIN, DATABASE, Site
from tests.process.terminal import Terminal, environment

SCREEN = 18
"""Lines of the terminal that are shown."""

TERMINAL = (860, 400)

RECEIVERS = """
from django.dispatch import receiver
from inotifier.signals import in_close_write

@receiver(in_close_write)
def import_order(event, **kwargs):
    if event.watch.name == "orders":
        with open(event.pathname) as file:
            int(file.read().partition(",")[2])
"""

ENTRIES = [
    {"path": "incoming", "events": "IN_CLOSE_WRITE", "name": "orders"},
    {"path": "media", "events": "IN_CLOSE_WRITE|IN_DELETE", "recursive": True, "name": "media"},
    {"path": "scans", "events": "IN_CLOSE_WRITE", "backend": "polling", "name": "scans"},
]


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description="Write screenshots of the status page.")
    parser.add_argument("--seconds", type=float, default=600, help="of traffic before (600)")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="directory (docs)")
    options = parser.parse_args()
    if reason := why_not():
        raise SystemExit(reason)
    with tempfile.TemporaryDirectory(prefix="shop-") as directory:
        project = Project(
            Path(directory),
            receivers=RECEIVERS,
            code=DATABASE,
            **ADMIN,
            TIME_ZONE="Europe/Berlin",
            INOTIFIER_WATCH_PATHS=ENTRIES,
        )
        try:
            for path in ("media/2026/11", "media/2026/12", "media/thumbnails", "scans"):
                (project.directory / path).mkdir(parents=True, exist_ok=True)
            site = Site(project)
            project.start()
            make_traffic(project.directory, options.seconds)
            with tailed(project) as seen:
                make_traffic(project.directory, 10)
            take_pictures(site, options.out)
            draw(seen.getvalue(), options.out / "tail.png")
        finally:
            project.end()


@contextlib.contextmanager
def tailed(project: Project) -> Iterator[io.StringIO]:
    """Run `inotifier_tail` at a terminal while the block runs; then give its last screen."""
    terminal = Terminal()
    seen = io.StringIO()
    tail = project.begin("inotifier_tail", stdout=terminal.there, env=environment(project.env))
    try:
        yield seen
        lines = terminal.read().splitlines()
        seen.write("\n".join(lines[-SCREEN:]))
    finally:
        tail.send_signal(signal.SIGINT)
        tail.communicate()
        terminal.close()


def make_traffic(top: Path, seconds: float) -> None:
    """Write and remove files for a while, now more of them, now fewer."""
    dice = random.Random(7)
    end = time.monotonic() + seconds
    for number in itertools.count():
        if time.monotonic() > end:
            break
        wave = 1 + math.sin(number / 40)
        if dice.random() < 0.2 * wave:
            content = "oops" if dice.random() < 0.02 else f"A-{number},{number % 9}"
            (top / "incoming" / f"order-{number:05}.csv").write_text(content)
        for _ in range(int(3 * wave * dice.random())):
            folder = dice.choice(["2026/11", "2026/12", "thumbnails"])
            photo = top / "media" / folder / f"IMG_{dice.randrange(10_000):04}.jpg"
            if photo.exists():
                photo.unlink()
            else:
                photo.write_bytes(b"photo")
        if dice.random() < 0.02:
            (top / "scans" / f"Scan {number}.pdf").write_bytes(b"scan")
        time.sleep(0.25)
    (top / "incoming" / "order-99998.csv").write_text("B-7,none")
    (top / "incoming" / "order-99999.csv").write_text("B-8,12")


def take_pictures(site: Site, out: Path) -> None:
    """Write light, dark and phone."""
    out.mkdir(exist_ok=True)
    for name, dark, size in (
        ("light", False, DESK),
        ("dark", True, DESK),
        ("phone", False, PHONE),
    ):
        with browser(dark=dark, size=size) as driver:
            log_in(driver, site.root, site.sessions["operator"])
            driver.get(site.url)
            shoot(driver, out / f"status-{name}.png")


def draw(screen: str, path: Path) -> None:
    """Write what a terminal has got, colours included, as a picture."""
    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ python manage.py inotifier_tail"))
    console.print(Text.from_ansi(screen))
    with tempfile.TemporaryDirectory() as directory, browser(size=TERMINAL) as driver:
        page = Path(directory) / "terminal.html"
        page.write_text(console.export_html(theme=MONOKAI, inline_styles=True))
        driver.get(page.as_uri())
        shoot(driver, path)


if __name__ == "__main__":
    main()
