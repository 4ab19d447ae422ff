"""The sub-process in which one peer is measured: `python -m benchmarks.reader ORDER`.

ORDER is JSON: the peer, what it watches, and what is to be recorded. When the watches stand it
prints a line of JSON with what setting them took. Then each line "EXPECTED QUIET" on standard
input is a question, answered by a line of JSON once EXPECTED events have been handed over, or once
none has come for QUIET seconds. With "stop_at_overflow" it tells of the first one unasked.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.peers import PEERS, Peer, Said


class Count:
    """Counts events, and does nothing else."""

    def __init__(self) -> None:
        self.count = 0

        def handle(event: Any) -> None:
            self.count += 1

        def receive(event: Any, **kwargs: Any) -> None:
            self.count += 1

        self.handle: Callable[[Any], object] = handle
        self.receive: Callable[..., object] = receive
        self.said: Callable[[Any], Said]

    def taken(self) -> list[tuple[int, str, str]]:
        """Return what was kept since the last call: nanoseconds, and what the event said."""
        return []


class Last(Count):
    """Counts events and keeps the time of the last one."""

    def __init__(self) -> None:
        super().__init__()
        self._last = 0

        def handle(event: Any) -> None:
            self._last = time.perf_counter_ns()
            self.count += 1

        def receive(event: Any, **kwargs: Any) -> None:
            handle(event)

        self.handle = handle
        self.receive = receive

    def taken(self) -> list[tuple[int, str, str]]:
        return [(self._last, "last", "")]


class Events(Count):
    """Keeps the time of every event, and what it is."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[tuple[int, str, str]] = []

        def handle(event: Any) -> None:
            now = time.perf_counter_ns()
            self.count += 1
            self._kept.append((now, *self.said(event)))

        def receive(event: Any, **kwargs: Any) -> None:
            handle(event)

        self.handle = handle
        self.receive = receive

    def taken(self) -> list[tuple[int, str, str]]:
        taken, self._kept = self._kept, []
        return taken


RECORDERS = {"count": Count, "last": Last, "events": Events}


class Progress:
    """Answers the questions; the peer's loop calls it again and again, and ends when it is True.

    Args:
        say: takes what is to be printed.
        tell: whether an overflow is to be told of at once.
    """

    def __init__(
        self, peer: Peer, recorder: Count, say: Callable[[dict[str, Any]], None], tell: bool
    ) -> None:
        self._peer = peer
        self._recorder = recorder
        self._say = say
        self._tell = tell
        self._ended = False
        self._question: tuple[float, float] | None = None
        self._last = 0
        self._changed = 0.0
        self._cpu = time.process_time()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin:
            expected, quiet = map(float, line.split())
            self._changed = time.perf_counter()
            self._question = expected if expected >= 0 else float("inf"), quiet
        self._ended = True

    def __call__(self) -> bool:
        if self._tell and self._peer.overflows:
            self._tell = False
            self._say({"overflow": True})
        if self._question is not None:
            expected, quiet = self._question
            count = self._recorder.count
            if count != self._last:
                self._last, self._changed = count, time.perf_counter()
            if count >= expected or time.perf_counter() - self._changed > quiet:
                self._question = None
                self._answer()
        return self._ended

    def _answer(self) -> None:
        cpu = time.process_time() - self._cpu
        self._say(
            {
                "count": self._recorder.count,
                "cpu": cpu,
                "now": self._changed,
                "overflows": self._peer.overflows,
                "peak": peak(),
                "events": self._recorder.taken(),
            }
        )
        self._cpu = time.process_time()


def resident() -> int:
    """Return the memory of this process that is resident, in bytes."""
    gc.collect()
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


def peak() -> int:
    """Return the most memory of this process that was ever resident, in bytes.

    That of getrusage(2) includes the process that this one was forked from.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def own_stdout() -> Callable[[dict[str, Any]], None]:
    """Return what prints a line of JSON; whatever the peer prints goes to standard error."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="surrogateescape")
    os.dup2(2, 1)

    def say(what: dict[str, Any]) -> None:
        json.dump(what, stream)
        stream.write("\n")
        stream.flush()

    return say


def main() -> None:
    """Carry out one order."""
    order = json.loads(sys.argv[1])
    say = own_stdout()
    recorder = RECORDERS[order["record"]]()
    peer = PEERS[order["peer"]](recorder)
    recorder.said = peer.said
    before, cpu, start = resident(), time.process_time(), time.perf_counter()
    peer.watch(order["path"], order["mask"], order["recursive"])
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    standing = {"seconds": seconds, "cpu": cpu, "bytes": resident() - before}
    progress = Progress(peer, recorder, say, order["stop_at_overflow"])
    say(standing)
    peer.run(progress)


if __name__ == "__main__":
    main()
