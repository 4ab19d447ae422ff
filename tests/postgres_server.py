"""A private PostgreSQL, which listens to nothing but a socket in its own directory."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import need
from tests.waiting import wait_for

USER, PASSWORD = "tester", "a+secret/of#the:test?er@"


def _binaries() -> Path:
    """Return the directory of the server's programs; skip the test if there is none."""
    need("psycopg")
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    for found in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True):
        return found.parent
    pytest.skip("PostgreSQL is not installed (Debian's package postgresql)")


def _owner() -> dict[str, Any]:
    """Return whom to run it as: it refuses root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")


@contextlib.contextmanager
def running_postgres() -> Iterator[dict[str, Any]]:
    """Yield what `DATABASES` has of the running server.

    Names are sorted as people do, not by their bytes.
    """
    binaries, owner = _binaries(), _owner()
    # Not below pytest's directory, which is for its own user only.
    directory = Path(tempfile.mkdtemp(prefix="postgres-"))
    data, log, password = directory / "data", directory / "log", directory / "password"
    password.write_text(PASSWORD)
    if owner:
        for path in (directory, password):
            os.chown(path, owner["user"], owner["group"])
    try:
        with log.open("wb") as output:
            options = ["--username", USER, "--pwfile", password, "--auth", "scram-sha-256"]
            locale = ["--encoding=UTF8", "--locale-provider=icu", "--icu-locale=en-US"]
            subprocess.run(
                [binaries / "initdb", "--no-sync", "-D", data, *options, *locale],
                check=True,
                stdout=output,
                stderr=output,
                cwd="/",
                timeout=100,
                **owner,
            )
            settings = ["-c", "listen_addresses=", "-c", "fsync=off"]
            process = subprocess.Popen(
                [binaries / "postgres", "-D", data, "-k", directory, *settings],
                stdout=output,
                stderr=output,
                cwd="/",
                **owner,
            )
        try:
            ready = [binaries / "pg_isready", "--quiet", "--host", directory]
            wait_for(
                lambda: process.poll() is not None or subprocess.run(ready).returncode == 0,
                60,
                f"PostgreSQL; see {log}",
            )
            if process.poll() is not None:
                pytest.fail(f"PostgreSQL has ended: {log.read_text()}")
            yield {
                "ENGINE": "django.db.backends.postgresql",
                "HOST": str(directory),
                "NAME": "postgres",
                "USER": USER,
                "PASSWORD": PASSWORD,
            }
        finally:
            process.send_signal(signal.SIGINT)  # fast: whoever is connected is disconnected
            process.wait(60)
    finally:
        shutil.rmtree(directory)
