"""Fixtures for pytest. It loads this in each run, so nothing is imported before it is used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from inotifier.testing import RunningNotifier


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "inotifier(*entries): what `running_notifier` watches below `tmp_path`"
    )


@pytest.fixture
def running_notifier(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningNotifier]:
    """What the daemon runs, in this process, on `tmp_path`: `inotifier.testing.RunningNotifier`.

    The marker `inotifier` takes entries; without it, everything below `tmp_path` is watched.
    """
    from inotifier.testing import RunningNotifier

    marker = request.node.get_closest_marker("inotifier")
    with RunningNotifier(*(marker.args if marker else ()), path=tmp_path) as running:
        yield running
