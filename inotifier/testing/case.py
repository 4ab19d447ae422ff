"""What `unittest` and Django's test cases get."""

from __future__ import annotations

import unittest
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from inotifier.testing.running import RunningNotifier

if TYPE_CHECKING:
    _Base = unittest.TestCase
else:
    _Base = object


class NotifierMixin(_Base):
    """Runs a `RunningNotifier` for each test of a test case, before whose class it stands.

    Attributes:
        notifier_entries: what it watches; everything below its directory by default.
        notifier: what runs.
    """

    notifier_entries: ClassVar[Sequence[object]] = ()
    notifier: RunningNotifier

    def setUp(self) -> None:
        super().setUp()
        self.notifier = self.enterContext(RunningNotifier(*self.notifier_entries))
