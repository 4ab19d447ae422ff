"""How often which event came in which directory, as inotifywatch(1) counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from inotifier.events import EVENT_NAMES, IN_ISDIR, Event, mask_names, printable

if TYPE_CHECKING:
    from rich.table import Table

_PER_SECOND = 4


class Stats:
    """Counts events by the path that is watched, and by their names."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}

    def __call__(self, event: Event) -> None:
        """Count `event`."""
        counts = self._counts.setdefault(event.path, Counter())
        counts[mask_names(event.mask & ~IN_ISDIR)] += 1

    def names(self) -> list[str]:
        """Return the names of the events that came, in the kernel's order."""
        seen = {name for counts in [*self._counts.values()] for name in counts}
        return [name for name in EVENT_NAMES if name in seen]

    def rows(self, names: list[str], most: int | None = None) -> list[list[str]]:
        """Return a row for each path, the busiest first: total, one number for each name, path.

        Args:
            names: of events.
            most: number of rows.
        """
        busiest = sorted(
            [*self._counts.items()], key=lambda item: (-sum(item[1].values()), item[0])
        )
        return [
            [
                str(sum(counts.values())),
                *(str(counts[name]) for name in names),
                printable(path) or "(no path)",
            ]
            for path, counts in busiest[:most]
        ]

    def lines(self) -> list[str]:
        """Return the table as lines of text."""
        names = self.names()
        table = [_head(names), *self.rows(names)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        return [
            "  ".join(
                [
                    *(f"{cell:>{width}}" for cell, width in zip(row, widths[:-1], strict=False)),
                    row[-1],
                ]
            )
            for row in table
        ]


def _head(names: list[str]) -> list[str]:
    return ["total", *(name.removeprefix("IN_").lower() for name in names), "path"]


@contextmanager
def shown_live(stats: Stats, *, colours: bool) -> Iterator[None]:
    """Show `stats` on the terminal that standard output is, while the block runs.

    Raises:
        ImportError: rich is not installed.
    """
    from rich.console import Console
    from rich.live import Live

    console = Console(no_color=not colours, highlight=False)

    def table() -> Table:
        return _table(stats, console.size.height - 4)

    with Live(
        get_renderable=table, console=console, refresh_per_second=_PER_SECOND, transient=True
    ):
        yield


def _table(stats: Stats, height: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    names = stats.names()
    table = Table(box=None)
    *numbers, path = _head(names)
    for title in numbers:
        table.add_column(title, justify="right", style="cyan")
    table.add_column(path, overflow="fold")
    for row in stats.rows(names, max(1, height)):
        table.add_row(*map(Text, row))
    return table
