"""Bridge: what an event costs on its way over Redis, beside plain redis-py with dicts."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import (
    ROOT,
    Benchmark,
    Case,
    Column,
    Goal,
    Measured,
    PeerFailed,
    Results,
)

EVENTS = 50_000
BATCH = 500
COUNT = 100
QUIET = 5.0
"""Seconds after which nothing more is expected."""
PUBLISHING, CONSUMING, WHOLE = "Publishing", "Consuming", "From a file to a receiver"
PLAIN, OURS = "redis-py with dicts", "django-inotifier"
STREAM, GROUP = "inotifier", "inotifier"

Answer = dict[str, float]


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """Run a server on a socket, without a disk; give its URL."""
    command = shutil.which("redis-server")
    if command is None:
        raise PeerFailed("redis-server is not installed")
    with tempfile.TemporaryDirectory(prefix="redis-") as home:
        socket = f"{home}/socket"
        options = ["--port", "0", "--unixsocket", socket, "--dir", home, "--save", ""]
        process = subprocess.Popen([command, *options], stdout=subprocess.DEVNULL)  # noqa: S603
        try:
            while not Path(socket).exists():
                time.sleep(0.01)
            yield f"unix://{socket}"
        finally:
            process.terminate()
            process.wait()


def measure(what: str, size: int) -> Measured:
    """Do `what` in a process of its own, with a server of its own."""
    with redis_server() as url:
        command = [sys.executable, "-m", "benchmarks.bridge", what, url, str(size)]
        done = subprocess.run(command, capture_output=True, cwd=ROOT, check=False)  # noqa: S603
    if done.returncode:
        raise PeerFailed(done.stderr.decode(errors="replace")[-500:])
    answer: Measured = json.loads(done.stdout)
    return answer


# In the process


def timed(work: Callable[[], object], size: int) -> Answer:
    """Return what `work` takes for each of `size` events."""
    cpu, begun = time.process_time(), time.monotonic()
    work()
    seconds = time.monotonic() - begun
    return {"us": (time.process_time() - cpu) / size * 1e6, "rate": size / seconds}


def events(size: int) -> list[Any]:
    """Return events as the daemon makes them."""
    from inotifier.events import IN_CLOSE_WRITE, Event

    return [
        Event(mask=IN_CLOSE_WRITE, path="/srv/incoming", name=f"file-{number:06}.csv", wd=1)
        for number in range(size)
    ]


def as_dict(event: Any) -> dict[str, Any]:
    """Return an event as one would write it down by hand."""
    return {
        "mask": event.mask,
        "maskname": event.maskname,
        "path": event.path,
        "name": event.name,
        "dir": int(event.dir),
        "cookie": event.cookie,
        "timestamp": event.timestamp,
    }


def publish_plain(client: Any, size: int) -> Answer:
    """Add dicts in pipelines."""
    found = events(size)

    def work() -> None:
        for start in range(0, size, BATCH):
            pipeline = client.pipeline(transaction=False)
            for event in found[start : start + BATCH]:
                pipeline.xadd(STREAM, as_dict(event), maxlen=1_000_000)
            pipeline.execute()

    return timed(work, size)


def publish_ours(client: Any, size: int) -> Answer:
    """Hand events to `RedisPublisher`, until it is done with the last."""
    from inotifier.bridge import RedisPublisher

    publisher = RedisPublisher()
    found = events(size)

    def work() -> None:
        last = None
        for event in found:
            last = publisher(event)
        while last is not None and not last.has_ended:
            time.sleep(0.001)

    answer = timed(work, size)
    publisher.close()
    return answer


def consume_plain(client: Any, size: int) -> Answer:
    """Read dicts, call a function with each, and acknowledge them by the batch."""
    publish_plain(client, size)
    client.xgroup_create(STREAM, GROUP, "0")
    names = []

    def receive(event: dict[str, str]) -> None:
        names.append(event["name"])

    def work() -> None:
        while answer := client.xreadgroup(GROUP, "one", {STREAM: ">"}, count=COUNT):
            keys = []
            for key, fields in answer[0][1]:
                receive({name.decode(): value.decode() for name, value in fields.items()})
                keys.append(key)
            client.xack(STREAM, GROUP, *keys)

    answer = timed(work, size)
    return {**answer, "missing": size - len(names)}


def consume_ours(client: Any, size: int) -> Answer:
    """Do what `inotifier_consume` does, with a Django receiver."""
    publish_ours(client, size)
    from inotifier.bridge.setup import Assignment, make_consumer
    from inotifier.signals import in_close_write

    names = []

    def receive(event: Any, **kwargs: Any) -> None:
        names.append(event.name)

    in_close_write.connect(receive)
    consumer = make_consumer(Assignment(count=COUNT, block=0.01), lambda: len(names) >= size)
    answer = timed(consumer.run, size)
    return {**answer, "missing": size - len(names)}


def receive(client: Any, size: int) -> Answer:
    """Consume until all have come, or none comes any more."""
    from inotifier.bridge.setup import Assignment, make_consumer
    from inotifier.signals import in_close_write

    names = []
    last = time.monotonic()

    def receive(event: Any, **kwargs: Any) -> None:
        nonlocal last
        names.append(event.name)
        last = time.monotonic()

    def stopped() -> bool:
        return len(names) >= size or time.monotonic() - last > QUIET

    in_close_write.connect(receive)
    make_consumer(Assignment(count=COUNT, block=0.01), stopped).run()
    return {"last": last, "missing": size - len(names)}


def whole(client: Any, size: int) -> Answer:
    """Have this process publish files that a second one makes, and a third one receive them."""
    from django.test import override_settings

    from inotifier import watches
    from inotifier.conf import conf
    from inotifier.service import Service

    with tempfile.TemporaryDirectory(dir="/dev/shm") as top:
        entry = (top, "IN_CLOSE_WRITE", "inotifier.bridge.RedisPublisher", {"catch_up": False})
        with override_settings(INOTIFIER_WATCH_PATHS=[entry]):
            service = Service(watches.load())
        service.watch(lambda line: None)
        service.run()
        command = [
            sys.executable,
            "-m",
            "benchmarks.bridge",
            "receive",
            str(conf.redis_url),
            str(size),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as consumer:  # noqa: S603
            while not client.exists(STREAM):  # the consumer makes it
                time.sleep(0.01)
            cpu, begun = time.process_time(), time.monotonic()
            making = [sys.executable, "-c", MAKE_FILES, top, str(size)]
            subprocess.run(making, check=True)  # noqa: S603
            answer: Answer = json.loads(consumer.communicate()[0])
        cpu = time.process_time() - cpu
        service.finish()
        service.drained(30)
        service.close()
    return {
        "us": cpu / size * 1e6,
        "rate": size / (answer["last"] - begun),
        "missing": answer["missing"],
    }


MAKE_FILES = """
import os, sys
for number in range(int(sys.argv[2])):
    os.close(os.open(f"{sys.argv[1]}/{number:06}", os.O_CREAT | os.O_WRONLY))
"""

WORK = {
    "publish plain": publish_plain,
    "publish ours": publish_ours,
    "consume plain": consume_plain,
    "consume ours": consume_ours,
    "receive": receive,
    "whole": whole,
}


def main() -> None:
    """Do one thing and print what it took."""
    what, url, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
    import django
    from django.conf import settings
    from redis import Redis

    settings.configure(INOTIFIER_REDIS_URL=url)
    django.setup()
    with Redis.from_url(url) as client:
        sys.stdout.write(json.dumps(WORK[what](client, size)))


# The tables


@contextlib.contextmanager
def cases(quick: bool) -> Iterator[Sequence[Case]]:
    """Give both ways of publishing and of consuming, and the whole."""
    size = 5_000 if quick else EVENTS
    yield [
        Case(table, name, partial(measure, what, size))
        for table, name, what in (
            (PUBLISHING, PLAIN, "publish plain"),
            (PUBLISHING, OURS, "publish ours"),
            (CONSUMING, PLAIN, "consume plain"),
            (CONSUMING, OURS, "consume ours"),
            (WHOLE, OURS, "whole"),
        )
    ]


def goals(results: Results) -> Sequence[Goal]:
    """Hold it against plain redis-py."""
    return [
        Goal(
            f"CPU per event of {table.lower()} over Redis, ours divided by that of redis-py",
            results[table][OURS].median("us") / results[table][PLAIN].median("us"),
            2,
        )
        for table in (PUBLISHING, CONSUMING)
    ]


BENCHMARK = Benchmark(
    name="bridge",
    title="Over Redis",
    text=(
        f"{EVENTS:,} events over a Redis server on a UNIX socket, without a disk. redis-py with "
        f"dicts is what one would write by hand: XADD of a dict of seven fields in pipelines of "
        f"{BATCH}; XREADGROUP of {COUNT}, a dict of strings for each, XACK of all. "
        "`django-inotifier` is `RedisPublisher`, until the last event is answered for, and "
        "the loop of `inotifier_consume`, to a Django receiver. The CPU time is that of the "
        "client's process; the rate is limited by the server as well. On the whole way, one "
        "process makes files on tmpfs, the daemon publishes them, and a consumer receives them: "
        "four processes with the server; the CPU time is the daemon's."
    ),
    columns=(
        Column("us", "CPU per event, µs", 1),
        Column("rate", "events/s"),
        Column("missing", "events missing", bare=True),
    ),
    cases=cases,
    goals=goals,
    runs=5,
)


if __name__ == "__main__":
    main()
