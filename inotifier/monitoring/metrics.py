"""The daemon's figures as metrics of Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from inotifier.events import printable
from inotifier.exceptions import InotifierError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

MISSING = "prometheus_client is missing: pip install 'django-inotifier[metrics]'"

Figures = dict[str, Any]


def is_available() -> bool:
    """Tell whether metrics can be made."""
    return find_spec("prometheus_client") is not None


def registry_of(figures: Callable[[], Figures | None]) -> CollectorRegistry:
    """Return a registry that asks for the figures anew at each collection.

    Args:
        figures: returns what `inotifier.lifecycle.report` tells, None if no daemon answers.

    Raises:
        InotifierError: prometheus_client is not installed.
    """
    if not is_available():
        raise InotifierError(MISSING)
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry()
    registry.register(_Collector(figures))
    return registry


class _Collector:
    """Makes metrics of figures."""

    def __init__(self, figures: Callable[[], Figures | None]) -> None:
        self._figures = figures

    def describe(self) -> Iterable[Metric]:
        """Return nothing: what there is depends on the daemon."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics; without a daemon, only that there is none."""
        figures = self._figures()
        yield _gauge("inotifier_up", "Whether the daemon answers.", int(figures is not None))
        if figures is None:
            return
        yield _gauge(
            "inotifier_start_time_seconds", "When the daemon was started.", figures["started"]
        )
        if "entries" in figures:
            yield from _of_daemon(figures)
            yield from _of_entries(figures)


def _of_daemon(figures: Figures) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily

    yield _gauge(
        "inotifier_queue_depth", "Events read but not yet delivered.", figures["queue_depth"]
    )
    yield _gauge(
        "inotifier_lag_seconds", "By how much delivering is behind reading.", figures["lag"]
    )
    yield CounterMetricFamily(
        "inotifier_overflows", "How often the kernel's queue was full.", figures["overflows"]
    )
    yield _gauge("inotifier_watches", "The kernel's watches that stand.", figures["watches"])
    if figures["watches_limit"] is not None:
        yield _gauge(
            "inotifier_watches_limit",
            "Watches that one user may have: fs.inotify.max_user_watches.",
            figures["watches_limit"],
        )


_COUNTERS = (
    ("seen", "inotifier_seen", "Events read from the kernel, or made."),
    ("delivered", "inotifier_delivered", "Events whose processor, or task, succeeded."),
    ("failed", "inotifier_failures", "Events given up: each delivery failed."),
    ("retried", "inotifier_retries", "Deliveries that failed and are repeated."),
    ("ignored", "inotifier_ignored", "Events left out by a filter, or made by the daemon itself."),
)


def _of_entries(figures: Figures) -> Iterator[Metric]:
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    entries = list(zip(entry_labels(figures["entries"]), figures["entries"], strict=True))
    for key, name, text in _COUNTERS:
        counter = CounterMetricFamily(name, text, labels=["entry"])
        for label, entry in entries:
            counter.add_metric([label], entry[key])
        yield counter
    events = CounterMetricFamily(
        "inotifier_events", "Events handed to their processor.", labels=["entry", "mask"]
    )
    waiting = GaugeMetricFamily(
        "inotifier_waiting", "Events that are not done with.", labels=["entry"]
    )
    watches = GaugeMetricFamily(
        "inotifier_entry_watches", "The kernel's watches that serve the entry.", labels=["entry"]
    )
    degraded = GaugeMetricFamily(
        "inotifier_degraded", "Whether the entry does not get all its events.", labels=["entry"]
    )
    duration = HistogramMetricFamily(
        "inotifier_delivery_seconds",
        "What one call of the processor took.",
        labels=["entry"],
    )
    for label, entry in entries:
        for mask, number in sorted(entry["masks"].items()):
            events.add_metric([label, mask], number)
        waiting.add_metric([label], entry["pending"])
        degraded.add_metric([label], int(bool(entry["problem"])))
        if entry["watches"] is not None:
            watches.add_metric([label], entry["watches"])
        buckets = _buckets(figures["bounds"], entry["durations"])
        duration.add_metric([label], buckets, entry["seconds"])
    yield from (events, waiting, watches, degraded, duration)


def entry_labels(entries: Sequence[Figures]) -> list[str]:
    """Return a name for each entry that no other has, and that any text can hold."""
    numbers: Counter[str] = Counter()
    labels = []
    for entry in entries:
        name = printable(entry["name"])
        numbers[name] += 1
        labels.append(name if numbers[name] == 1 else f"{name} ({numbers[name]})")
    return labels


def _buckets(bounds: Sequence[float], durations: Sequence[int]) -> list[tuple[str, float]]:
    ends = [*map(str, bounds), "+Inf"]
    return list(zip(ends, map(float, accumulate(durations)), strict=True))


def _gauge(name: str, text: str, value: float) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(name, text, value)
