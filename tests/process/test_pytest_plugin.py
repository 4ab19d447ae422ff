"""The plug-in for pytest in a project of somebody else's."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.long

SETTINGS = """
SECRET_KEY = "test"
INSTALLED_APPS = ["inotifier"]
USE_TZ = True
"""
TEST = """
import pytest
from inotifier.signals import file_ready
from inotifier.testing import capture_events

def test_with_the_fixture(running_notifier, tmp_path):
    with capture_events(file_ready) as captured:
        (tmp_path / "a").write_text("x")
        running_notifier.sync()
    assert captured.pathnames == [str(tmp_path / "a")]

@pytest.mark.inotifier(("incoming", "IN_DELETE"))
def test_that_cannot_begin(running_notifier):
    pass
"""
UNUSED = """
import sys

def test_nothing_was_imported():
    heavy = {"django", "pyinotify", "sqlite3", "inotifier.testing", "inotifier.service"}
    assert "inotifier.pytest_plugin" in sys.modules
    assert not heavy & {*sys.modules}
"""


def run_pytest(directory, *args: str, env=None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args],
        cwd=directory,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_project_uses_the_fixture(tmp_path):
    (tmp_path / "settings.py").write_text(SETTINGS)
    (tmp_path / "test_it.py").write_text(TEST)
    result = run_pytest(
        tmp_path, "--strict-markers", "-W", "error", "-W", "ignore:The asyncore", "--ds=settings"
    )
    assert "1 passed, 1 error" in result.stdout, result.stdout + result.stderr
    assert "should be an iterable of 3-tuples" in result.stdout


@pytest.mark.parametrize("rewrites", [True, False])
def test_a_project_that_does_not_use_it_pays_nothing(tmp_path, rewrites):
    (tmp_path / "test_it.py").write_text(UNUSED)
    others = [f"-pno:{name}" for name in ("django", "randomly", "timeout", "hypothesispytest")]
    how = [] if rewrites else ["--assert=plain"]
    # Measuring imports more than what is measured.
    env = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    result = run_pytest(tmp_path, *others, *how, "-W", "error", env=env)
    assert "1 passed" in result.stdout, result.stdout + result.stderr
