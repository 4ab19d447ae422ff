"""Run a Redis server, the daemon and a consumer together, until Ctrl+C: `make run-redis`.

Each line shows which of them printed it. On a server, each is a service of its own.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    if shutil.which("redis-server") is None:
        sys.exit("redis-server is not installed. On Debian: apt install redis-server.")
    with tempfile.TemporaryDirectory(prefix="intake-redis-") as directory:
        socket = f"{directory}/socket"
        environment = {**os.environ, "INTAKE_REDIS_URL": f"unix://{socket}"}
        print(f"INTAKE_REDIS_URL=unix://{socket}", flush=True)
        manage = [sys.executable, "-u", str(HERE / "manage.py")]
        commands = {
            "redis": [
                "redis-server",
                *("--port", "0", "--unixsocket", socket, "--dir", directory),
                *("--appendonly", "yes", "--loglevel", "warning"),
            ],
            "daemon": [*manage, "inotifier_start", "--foreground"],
            "consumer": [*manage, "inotifier_consume"],
        }
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        processes = []
        try:
            for name, command in commands.items():
                # In a session of its own: Ctrl+C comes here, and they end in the right order.
                process = subprocess.Popen(
                    command,
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    start_new_session=True,
                )
                processes.append(process)
                threading.Thread(target=show, args=(name, process)).start()
            while all(process.poll() is None for process in processes):
                time.sleep(0.2)
            sys.exit("One of the three has ended, so the others end as well.")
        except KeyboardInterrupt:
            pass
        finally:
            end(processes)


def end(processes: "list[subprocess.Popen[str]]") -> None:
    """Let the daemon publish the last events, and the consumer handle them; Redis ends last."""
    waiting = [*processes[1:], *processes[:1]]
    while waiting:
        try:
            waiting[0].terminate()
            waiting[0].wait()
            del waiting[0]
        except KeyboardInterrupt:  # once more: it takes too long
            for process in waiting:
                process.kill()


def show(name: str, process: "subprocess.Popen[str]") -> None:
    for line in process.stdout:
        print(f"{name:>8} | {line}", end="", flush=True)


if __name__ == "__main__":
    main()
