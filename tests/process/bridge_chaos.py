"""A burst of files goes over Redis to three consumers, while these and Redis are killed at random.

python -m tests.process.bridge_chaos [--seed N] [--seeds N] [--files N] [--seconds S]
    [--fsync always|everysec]

The promise that is checked: every file's event reaches a receiver at least once; and twice only if
a process was killed between the two, or shortly before the first. With --fsync everysec, Redis may
lose what it took in the two seconds before it was killed; how much that was is counted.
"""

import argparse
import itertools
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.process.project import Project
from tests.redis_server import RedisServer
from tests.waiting import wait_for

RECEIVERS = """
import json, os, time
from django.conf import settings
from django.dispatch import receiver
from inotifier.signals import in_close_write

@receiver(in_close_write)
def got(event, **kwargs):
    line = json.dumps([event.name, event.id, event.synthetic, time.time()])
    fd = os.open(settings.BASE_DIR / "log" / "got", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, b"\\n" + line.encode() + b"\\n")  # apart from one that a kill has torn
    finally:
        os.close(fd)
"""

CONSUMERS = ("one", "two", "three")

SHORTLY = 3.0
"""Seconds in which what was under way is delivered and acknowledged, on a machine that is busy."""

READ, SENT = 100, 500
"""Messages that a consumer has in hand, and a publisher on their way, at once."""

PATIENCE = 300.0


@dataclass
class Report:
    """What came of it.

    Attributes:
        seed: of the random choices.
        files: number of files made.
        deliveries: calls of the receivers.
        doubles: of these, the second ones and later.
        lost: files that were never delivered.
        consumers_killed: how often one was.
        redis_killed: how often it was.
        seconds: until the last was delivered.
        faults: what should not be.
    """

    seed: int
    files: int = 0
    deliveries: int = 0
    doubles: int = 0
    lost: int = 0
    consumers_killed: int = 0
    redis_killed: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.files} files, {self.deliveries} deliveries, {self.doubles} "
            f"doubles, {self.lost} lost, {self.consumers_killed} consumers and "
            f"{self.redis_killed} times Redis killed, {self.seconds:.0f} s: "
            f"{'FAILED' if self.faults else 'passed'}"
        )


class BridgeChaos:
    """One burst.

    Args:
        directory: of the project; made.
        seed: of the random choices.
        files: how many.
        seconds: that the making of them takes, and the killing.
        fsync: Redis' appendfsync.
    """

    def __init__(
        self, directory: Path, seed: int, files: int, seconds: float, fsync: str = "always"
    ) -> None:
        self._random = random.Random(seed)
        self._files = files
        self._seconds = seconds
        self._fsync = fsync
        self._server = RedisServer("--appendonly", "yes", "--appendfsync", fsync)
        self._project = Project(
            directory,
            receivers=RECEIVERS,
            INOTIFIER_WATCH_PATHS=[
                ("incoming", "IN_CLOSE_WRITE", "inotifier.bridge.RedisPublisher")
            ],
            INOTIFIER_REDIS_URL=self._server.url,
            INOTIFIER_REDIS_CLAIM_IDLE=3.0,
            INOTIFIER_RETRIES=3,
        )
        self._consumers: dict[str, Any] = {}
        self._kills: list[tuple[float, float]] = []  # from, until when its traces are seen
        self._report = Report(seed, files)

    def run(self) -> Report:
        """Do it, and return what came of it."""
        begun = time.monotonic()
        try:
            with self._server:
                self._project.start()
                for name in CONSUMERS:
                    self._begin(name)
                writer = threading.Thread(target=self._write)
                writer.start()
                self._kill_at_random()
                writer.join()
                self._let_it_finish()
                self._report.seconds = time.monotonic() - begun
                self._check()
        finally:
            self._project.end()
        return self._report

    def _begin(self, name: str) -> None:
        with (self._project.directory / "log" / name).open("ab") as log:
            self._consumers[name] = self._project.begin(
                "inotifier_consume", "--consumer", name, "--block", "200", stdout=log, stderr=log
            )

    def _write(self) -> None:
        begun = time.monotonic()
        for number in range(self._files):
            (self._project.incoming / f"{number:06}").touch()
            # In small bursts, spread over the time.
            if number % 100 == 99:
                due = begun + self._seconds * number / self._files
                time.sleep(max(0.0, due - time.monotonic()))

    def _kill_at_random(self) -> None:
        end = time.monotonic() + self._seconds
        while time.monotonic() < end:
            time.sleep(self._random.uniform(0.2, 1.5))
            if self._random.random() < 0.6:
                self._kill_consumer(self._random.choice(CONSUMERS))
            else:
                self._kill_redis()

    def _kill_consumer(self, name: str) -> None:
        process = self._consumers[name]
        process.kill()
        process.wait(30)
        self._kills.append((time.time(), time.time() + SHORTLY))
        self._report.consumers_killed += 1
        self._begin(name)

    def _kill_redis(self) -> None:
        self._server.kill()
        killed = time.time()
        self._report.redis_killed += 1
        time.sleep(self._random.uniform(0.0, 0.5))
        self._server.start()
        # Nobody waits longer to try again than it has been away.
        away = time.time() - killed
        self._kills.append((killed, time.time() + away + SHORTLY))

    def _let_it_finish(self) -> None:
        wait_for(lambda: self._project.status().get("queue_depth") == 0, PATIENCE, "the daemon")
        client = self._server.client()

        def is_empty() -> bool:
            last = client.xinfo_stream("inotifier")["last-generated-id"]
            # There is no group before a consumer has made it. After a restart, Redis may not know
            # the lag.
            return any(
                group["last-delivered-id"] == last and group["pending"] == 0
                for group in client.xinfo_groups("inotifier")
            )

        wait_for(is_empty, PATIENCE, "the consumers")
        if dead := client.xlen("inotifier:dead"):
            self._report.faults.append(f"{dead} messages are dead")

    def _check(self) -> None:
        times = defaultdict(list)
        for name, id, synthetic, at in self._delivered():
            times[name].append((at, id, synthetic))
        self._report.deliveries = sum(map(len, times.values()))
        missing = [name for name in map("{:06}".format, range(self._files)) if name not in times]
        self._report.lost = len(missing)
        if self._fsync == "always":
            self._report.faults += [f"never delivered: {name}" for name in missing]
        for name, several in times.items():
            for earlier, later in itertools.pairwise(sorted(several)):
                self._report.doubles += 1
                if not any(kill <= later[0] and earlier[0] <= end for kill, end in self._kills):
                    self._report.faults.append(f"twice without a kill: {name} {earlier} {later}")
        report = self._report
        in_flight = report.consumers_killed * READ + report.redis_killed * (SENT + 3 * READ)
        if report.doubles > in_flight:
            report.faults.append(f"{report.doubles} doubles, but at most {in_flight} in flight")
        for log in ("err", *CONSUMERS):
            path = self._project.directory / "log" / log
            text = path.read_text() if path.exists() else ""
            bad = [line for line in text.splitlines() if "Traceback" in line or "Error:" in line]
            self._report.faults += [f"in the log of {log}: {line}" for line in bad[:3]]

    def _delivered(self) -> Iterator[tuple[str, str, object, float]]:
        for line in (self._project.directory / "log" / "got").read_text().splitlines():
            try:
                yield tuple(json.loads(line))
            except ValueError:
                continue  # torn by a kill


def main() -> int:
    """Run for several seeds, and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.process.bridge_chaos")
    parser.add_argument("--seed", type=int, help="the first one; random if it is not given")
    parser.add_argument("--seeds", type=int, default=10, help="how many, in a row (default: 10)")
    parser.add_argument("--files", type=int, default=50_000, help="to make (default: 50000)")
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="that the making takes (default: 30)"
    )
    parser.add_argument("--fsync", choices=("always", "everysec"), default="always")
    options = parser.parse_args()
    first = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    failed = 0
    for seed in range(first, first + options.seeds):
        directory = Path(tempfile.mkdtemp(prefix=f"inotifier-bridge-{seed}-"))
        report = BridgeChaos(
            directory / "project", seed, options.files, options.seconds, options.fsync
        ).run()
        print(report, flush=True)  # noqa: T201
        for fault in report.faults[:10]:
            print(f"    {fault}", flush=True)  # noqa: T201
        failed += bool(report.faults)
        shutil.rmtree(directory)
    print(f"{options.seeds - failed} of {options.seeds} seeds passed")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
