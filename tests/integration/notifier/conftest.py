from collections.abc import Iterator

import pytest

from tests.integration.notifier.driving import Driven, driven


@pytest.fixture
def drive() -> Iterator[Driven]:
    """A keeper that handles events when the test tells it to."""
    with driven() as keeper:
        yield keeper
