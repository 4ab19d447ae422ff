"""Apps of Celery in the process of the tests."""

import contextlib
import gc
from collections.abc import Iterator
from typing import Any

import pytest


@contextlib.contextmanager
def no_app() -> Iterator[None]:
    """Have Celery know of no app until the end of the block; skip the test where it is missing."""
    pytest.importorskip("celery", reason="Celery is not installed; the extra celery has it")
    from celery import _state

    before = _state._tls.current_app, _state.default_app
    _state._tls.current_app = _state.default_app = None
    try:
        yield
    finally:
        _state._tls.current_app, _state.default_app = before


@contextlib.contextmanager
def current_app(broker: str) -> Iterator[Any]:
    """Make an app that is the current one until the end of the block."""
    with no_app():
        from celery import Celery

        app = Celery("files", broker=broker)
        try:
            yield app
        finally:
            app.close()
            del app
    # kombu leaves what polls its sockets to the garbage collector.
    gc.collect()
