"""A system that has no more threads."""

import threading

import pytest


def refuse_once(monkeypatch: pytest.MonkeyPatch, *names: str) -> list[str]:
    """Have the next start of a thread of each of `names` fail; return what was refused so far."""
    start, refused = threading.Thread.start, []

    def refuse(thread: threading.Thread) -> None:
        if thread.name in names and thread.name not in refused:
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    return refused
