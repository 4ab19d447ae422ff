"""Service files, read by the programs that they are for."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def verified(text: str, directory: Path) -> dict[str, bytes]:
    """Have systemd read a unit; fail if it finds fault with it.

    Returns:
        What it has understood, by the names that it gives its fields.
    """
    unit = directory / "inotifier-test.service"
    unit.write_bytes(os.fsencode(text))
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit],
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "debug", "SYSTEMD_LOG_COLOR": "0"},
        capture_output=True,
        check=False,
        timeout=60,
    )
    complaints = [line for line in result.stderr.splitlines() if os.fsencode(unit) + b":" in line]
    assert result.returncode == 0, complaints
    assert not complaints
    _, _, ours = result.stdout.partition(f"-> Unit {unit.name}:".encode())
    ours, _, _ = ours.partition(b"-> Unit ")
    fields = re.findall(rb"^\t+(?:-> )?([A-Z][^:\n]*): ?(.*)$", ours, re.M)
    # Of several, the first: of the command lines, that of ExecStart=.
    return {name.decode(): value for name, value in reversed(fields)}


def arguments(line: bytes) -> list[str]:
    """Return the arguments of a command line as systemd shows it, as they reach the program."""
    words = re.findall(rb'"(?:[^"\\]|\\.)*"|[^\s"]+', line)
    plain = [word[1:-1] if word.startswith(b'"') else word for word in words]
    return [_unescaped(word).replace("$$", "$") for word in plain]


_NAMED = {b"a": 7, b"b": 8, b"f": 12, b"n": 10, b"r": 13, b"t": 9, b"v": 11}


def _unescaped(word: bytes) -> str:
    def character(match: re.Match[bytes]) -> bytes:
        what = match[1]
        if what[:1] == b"x":
            return bytes([int(what[1:], 16)])
        if what.isdigit():
            return bytes([int(what, 8)])
        return bytes([_NAMED[what]]) if what in _NAMED else what

    return os.fsdecode(re.sub(rb"\\(x[0-9a-f]{2}|[0-7]{3}|.)", character, word))
