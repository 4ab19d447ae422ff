"""A fresh interpreter that tells whether the settings and the code on disk can be used."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass

from inotifier.lifecycle.plan import Plan, environment_of_check

_PATIENCE = 60.0


@dataclass(frozen=True)
class Outcome:
    """What the check said: `text` is its output."""

    good: bool
    text: str


class SettingsCheck:
    """Runs `inotifier_start --check` beside the daemon.

    Args:
        plan: how the project's commands are called.

    Raises:
        OSError: the interpreter cannot be run.
    """

    def __init__(self, plan: Plan) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - read when the check has ended
        self._deadline = time.monotonic() + _PATIENCE
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                plan.call("inotifier_start", "--check"),
                cwd=plan.directory,
                env=environment_of_check(plan),
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError:
            self._output.close()
            raise

    def outcome(self) -> Outcome | None:
        """Return what the check said, None while it runs."""
        code = self._process.poll()
        if code is None:
            if time.monotonic() < self._deadline:
                return None
            self.cancel()
            return Outcome(False, f"the check did not end within {_PATIENCE:g} s")
        with self._output:
            self._output.seek(0)
            text = self._output.read().decode(errors="replace").strip()
        return Outcome(code == 0, text or f"the check ended with {code}")

    def cancel(self) -> None:
        """End the check."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._output.close()
