"""`make audit` fails for a known hole, and for nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "dependencies"

pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="an sdist has no .ci")

HOLE = {"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]}
SOUND = {"name": "b", "version": "1", "vulns": []}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


@pytest.fixture
def audit(tmp_path):
    """Run the script with a program in the place of pip-audit that reports `found`."""

    def run(found: object, code: int) -> tuple[int, str]:
        text = "" if found is None else json.dumps({"dependencies": found})
        program = tmp_path / "pip-audit"
        program.write_text(
            f"#!{sys.executable}\n"
            "import sys\n"
            f"open(sys.argv[sys.argv.index('--output') + 1], 'w').write({text!r})\n"
            f"sys.exit('no route to host' if {code} == 2 else {code})\n"
        )
        program.chmod(0o755)
        result = subprocess.run(
            [sys.executable, SCRIPT, program], capture_output=True, text=True, check=False
        )
        assert not result.stderr
        return result.returncode, result.stdout

    return run


def test_a_known_hole_is_a_failure(audit):
    code, output = audit([HOLE, SOUND, UNKNOWN], 1)
    assert code == 1
    assert "a 1: X-1, mended in 2" in output


def test_without_holes_it_says_how_much_was_checked(audit):
    assert audit([SOUND, UNKNOWN], 0) == (
        0,
        "pip-audit: 1 checked, 1 not known to its service, 0 holes\n",
    )


def test_a_service_that_is_out_of_reach_is_no_failure_but_told(audit):
    code, output = audit(None, 2)
    assert code == 0
    assert "NOTHING WAS CHECKED: no route to host" in output
