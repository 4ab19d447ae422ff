"""The wheel and the sdist, built from the tree and installed into an empty environment."""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "inotifier"

# Two builds and one installation, each with downloads.
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def package_files() -> set[str]:
    """Return what the tree's package consists of, as paths below the root."""
    return {
        str(path.relative_to(ROOT))
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def module_names() -> list[str]:
    names = []
    for file in sorted(package_files()):
        path = Path(file)
        # What belongs to Django's admin needs it, and the plug-in needs pytest.
        if path.suffix == ".py" and path.stem not in {"__main__", "admin", "pytest_plugin"}:
            parts = path.parent.parts if path.stem == "__init__" else path.with_suffix("").parts
            names.append(".".join(parts))
    return names


def command_names() -> list[str]:
    commands = PACKAGE / "management" / "commands"
    return sorted(path.stem for path in commands.glob("*.py") if not path.stem.startswith("_"))


def without_what_is_built(folder: str, names: list[str]) -> set[str]:
    """Tell `shutil.copytree` what a fresh clone does not have."""
    return {
        name
        for name in names
        if name in {".git", "__pycache__", "build", "dist"}
        or name.endswith((".egg-info", "_cache"))
        or name.startswith(".coverage")
        or Path(folder, name, "pyvenv.cfg").exists()
    }


def run(*command: str | Path, cwd: Path) -> str:
    """Run `command`, and fail with what it printed unless it ends with 0."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in {"PYTHONPATH", "DJANGO_SETTINGS_MODULE"}
        and not name.startswith("COVERAGE_")  # which is not installed there
    }
    result = subprocess.run(
        command,
        cwd=cwd,
        env=clean,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{command} ended with {result.returncode}:\n{result.stdout}"
    return result.stdout


class Built(NamedTuple):
    wheel: Path
    sdist: Path
    wheel_from_sdist: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Built:
    """Build in a copy of the tree, so that the checkout stays as it is."""
    folder = tmp_path_factory.mktemp("build")
    tree = folder / "tree"
    shutil.copytree(ROOT, tree, ignore=without_what_is_built, symlinks=True)

    # `build` without a choice makes the sdist, and the wheel from the sdist.
    run(sys.executable, "-m", "build", "--outdir", folder / "both", cwd=tree)
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder / "direct", cwd=tree)
    [wheel] = (folder / "direct").glob("*.whl")
    [sdist] = (folder / "both").glob("*.tar.gz")
    [wheel_from_sdist] = (folder / "both").glob("*.whl")
    return Built(wheel, sdist, wheel_from_sdist)


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory) -> Path:
    """Install the wheel into an empty environment, and return the environment's Python."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "env", with_pip=True, symlinks=True)
    python = folder / "env" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*install, built.wheel, cwd=folder)
    return python


@pytest.fixture
def project(tmp_path) -> Path:
    """A project that has inotifier installed, and nothing else."""
    (tmp_path / "incoming").mkdir()
    (tmp_path / "settings.py").write_text(
        "from pathlib import Path\n"
        "BASE_DIR = PROJECT_PATH = Path(__file__).parent\n"
        "SECRET_KEY = 'test'\n"
        "INSTALLED_APPS = ['inotifier']\n"
        "INOTIFIER_WATCH_PATHS = [BASE_DIR / 'incoming']\n"
    )
    (tmp_path / "manage.py").write_text(
        "import os, sys\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'settings'\n"
        "from django.core.management import execute_from_command_line\n"
        "execute_from_command_line(sys.argv)\n"
    )
    return tmp_path


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_wheel_holds_the_whole_package_and_nothing_else(built):
    names = {name for name in contents(built.wheel) if ".dist-info/" not in name}
    assert names == package_files()


def test_wheel_from_the_sdist_is_the_same(built):
    assert contents(built.wheel_from_sdist) == contents(built.wheel)


def test_sdist_holds_the_sources(built):
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    texts = {"CHANGELOG.rst", "LICENSE", "README.rst", "pyproject.toml", "setup.py"}
    tests = {str(path.relative_to(ROOT)) for path in ROOT.glob("tests/**/*.py")}
    assert names >= package_files() | texts | tests


def test_sdist_holds_nothing_that_was_dropped_into_the_example(built):
    with tarfile.open(built.sdist) as archive:
        example = [name for name in archive.getnames() if "/example_project/" in name]
    data = ("/archive/", "/incoming/", "/uploads/", "/var/")
    dropped = [name for name in example if any(part in name for part in data)]
    assert {Path(name).name for name in dropped} == {".gitkeep"}


def test_every_module_can_be_imported(installed, project):
    program = (
        "import importlib, sys\n"
        "import django\n"
        "django.setup()\n"
        "for name in sys.argv[1:]:\n"
        "    module = importlib.import_module(name)\n"
        "    assert module.__file__.startswith(sys.prefix), module.__file__\n"
    )
    environment = ("env", "DJANGO_SETTINGS_MODULE=settings", "PYTHONPATH=.")
    assert module_names()
    run(*environment, installed, "-c", program, *module_names(), cwd=project)


def test_commands_are_there(installed, project):
    assert command_names()
    shown = run(installed, "manage.py", "help", "--commands", cwd=project).split()
    assert [name for name in shown if name in command_names()] == command_names()


def test_check_passes_in_a_fresh_project(installed, project):
    assert "no issues" in run(installed, "manage.py", "check", cwd=project)


def test_the_version_is_that_of_the_package(installed, project):
    program = (
        "import importlib.metadata, inotifier\n"
        "assert importlib.metadata.version('django-inotifier') == inotifier.__version__\n"
    )
    run(installed, "-c", program, cwd=project)


def test_type_checkers_are_told_of_the_annotations(installed, project):
    program = (
        "import importlib.resources\n"
        "assert importlib.resources.files('inotifier').joinpath('py.typed').is_file()\n"
    )
    run(installed, "-c", program, cwd=project)


def test_dependencies_fit(installed, project):
    run(installed, "-m", "pip", "check", cwd=project)
