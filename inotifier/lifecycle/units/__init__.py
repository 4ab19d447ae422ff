"""Service files for this project: for systemd, OpenRC and supervisor."""

from inotifier.lifecycle.units.facts import Facts, gather
from inotifier.lifecycle.units.install import SYSTEMS, System, install

__all__ = ["SYSTEMS", "Facts", "System", "gather", "install"]
