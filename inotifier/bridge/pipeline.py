"""Publishing in pipelines, from one thread, in the order in which it was asked for."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from inotifier.bridge.connection import connect, explained, is_outage
from inotifier.bridge.outage import Outage
from inotifier.conf import conf
from inotifier.exceptions import InotifierError
from inotifier.later import Later

FIELD = "event"
"""The field of a message in a stream that holds the event as JSON."""

_AT_ONCE = 500
_REST = 1.0
"""Seconds without work after which the thread ends; the next event starts another one."""


class Publication(Later):
    """An event on its way to the stream: done with when the server has it.

    Args:
        pipeline: where it waits for its turn.
        text: the event as JSON.
    """

    __slots__ = ("_pipeline", "text")

    def __init__(self, pipeline: Pipeline, text: str) -> None:
        super().__init__()
        self._pipeline = pipeline
        self.text = text

    @property
    def due(self) -> float | None:
        return self._pipeline.due

    def start(self) -> None:
        self._pipeline.put(self)

    def abandon(self) -> None:
        self._pipeline.abandon()


class Pipeline:
    """Adds events to the stream, many at once.

    While the server is away everything waits. What was on its way when the connection broke is
    sent again, with the ids that it had, for nobody knows whether it has arrived.

    Args:
        outage: whether the server is away.
    """

    def __init__(self, outage: Outage) -> None:
        self._outage = outage
        self._client: Any = None
        self._wake = threading.Condition()
        # What follows belongs to whoever holds the lock of `_wake`.
        self._waiting: deque[Publication] = deque()
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def due(self) -> float | None:
        """The time.monotonic() before which nothing is sent, None if something may be under way."""
        wait = self._outage.wait()
        return time.monotonic() + wait if wait else None

    def put(self, publication: Publication) -> None:
        """Send `publication` after all that were put before."""
        with self._wake:
            self._waiting.append(publication)
            if self._thread is None:
                self._closed = False
                self._thread = threading.Thread(
                    target=self._run, name="inotifier-publisher", daemon=True
                )
                self._thread.start()
            elif len(self._waiting) == 1:
                self._wake.notify()

    def abandon(self) -> None:
        """Send nothing more of what waits."""
        with self._wake:
            self._waiting.clear()
            self._wake.notify()

    def close(self) -> None:
        """End the thread and the connection; what waits is sent when more is put."""
        with self._wake:
            self._closed = True
            self._wake.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    # The thread

    def _run(self) -> None:
        try:
            while batch := self._next():
                self._send(batch)
        finally:
            with self._wake:
                if self._thread is threading.current_thread():
                    self._thread = None
            client, self._client = self._client, None
            if client is not None:
                client.close()

    def _next(self) -> list[Publication]:
        """Return what is to be sent next, once it can be; nothing if it is time to end."""
        with self._wake:
            while not self._closed:
                if wait := self._outage.wait():
                    self._wake.wait(wait)
                elif self._waiting:
                    return list(itertools.islice(self._waiting, _AT_ONCE))
                elif not self._wake.wait(_REST) and not self._waiting:
                    break
            # Within the lock: what is put from now on starts another one.
            self._thread = None
            return []

    def _send(self, batch: Sequence[Publication]) -> None:
        from redis import RedisError

        try:
            if self._client is None:
                self._client = connect()
            answers = add(self._client, [one.text for one in batch])
        except (RedisError, OSError, InotifierError) as exc:
            self._note(exc)
            return
        # What comes after one that was refused waits with it, so that the order stays.
        refused = (isinstance(answer, Exception) for answer in answers)
        done = next((number for number, bad in enumerate(refused) if bad), len(answers))
        self._take_out(batch[:done])
        if done < len(answers):
            self._note(answers[done])
        else:
            self._outage.end()
        for publication in batch[:done]:
            publication.done()

    def _take_out(self, sent: Sequence[Publication]) -> None:
        with self._wake:
            for publication in sent:
                if self._waiting and self._waiting[0] is publication:
                    self._waiting.popleft()

    def _note(self, exc: Exception) -> None:
        is_known = isinstance(exc, InotifierError) or is_outage(exc)
        self._outage.note(exc if is_known else explained(exc, conf.redis_stream))


def add(client: Any, texts: Sequence[str]) -> list[Any]:
    """Add events in their JSON form to the stream, in one pipeline.

    Returns:
        Of each, its key in the stream, or the exception that says why it is not there.
    """
    pipeline = client.pipeline(transaction=False)
    stream, maxlen = conf.redis_stream, conf.redis_maxlen
    for text in texts:
        pipeline.execute_command("XADD", stream, "MAXLEN", "~", maxlen, "*", FIELD, text)
    answers: list[Any] = pipeline.execute(raise_on_error=False)
    return answers
