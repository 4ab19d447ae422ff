"""Adding events to the stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inotifier.bridge.connection import connect, explained, is_outage
from inotifier.bridge.outage import Outage
from inotifier.conf import conf
from inotifier.exceptions import InotifierError

FIELD = "event"
"""The field of a message in a stream that holds the event as JSON."""


class Adder:
    """Adds events over a connection of its own.

    What was on its way when the connection broke is to be sent again, with the ids that it had, for
    nobody knows whether it has arrived.

    Args:
        outage: where it notes that the server is away.
    """

    def __init__(self, outage: Outage) -> None:
        self._outage = outage
        self._client: Any = None

    def send(self, texts: Sequence[str]) -> int:
        """Add events in their JSON form; return how many of the first the server has."""
        # One that still loads its data refuses the first and may take the last of several. These
        # would come twice, and in another order.
        alone = texts[:1] if self._outage.lasts else texts[:0]
        if alone and not self._sent(alone):
            return 0
        return len(alone) + self._sent(texts[len(alone) :])

    def _sent(self, texts: Sequence[str]) -> int:
        from redis import RedisError

        try:
            if self._client is None:
                self._client = connect()
            answers = add(self._client, texts)
        except (RedisError, OSError, InotifierError) as exc:
            self._note(exc)
            return 0
        # What comes after one that was refused waits with it, so that the order stays.
        refused = (isinstance(answer, Exception) for answer in answers)
        done = next((number for number, bad in enumerate(refused) if bad), len(answers))
        if done < len(answers):
            self._note(answers[done])
        return done

    def close(self) -> None:
        """Close the connection; what is sent next opens another one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

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
