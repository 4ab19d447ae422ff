"""A port of the daemon's own, where Prometheus reads its metrics."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

from inotifier.conf import conf
from inotifier.exceptions import InotifierError
from inotifier.monitoring.metrics import registry_of

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def expose(figures: Callable[[], dict[str, Any]]) -> Iterator[None]:
    """Show `figures` at INOTIFIER_METRICS_PORT, if that is set, while the block runs.

    A port that cannot be had is logged: it is no reason not to watch.
    """
    address = conf.metrics_address
    if address is None:
        yield
        return
    host, port = address
    try:
        registry = registry_of(figures)
        from prometheus_client import start_http_server

        server, thread = start_http_server(port, host, registry)
    except (InotifierError, OSError) as exc:
        logger.error("no metrics at %s:%d (INOTIFIER_METRICS_PORT): %s", host, port, exc)
        yield
        return
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
