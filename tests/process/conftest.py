"""Projects that end with the test: no process of theirs stays behind."""

import signal
from collections.abc import Callable, Iterator

import pytest

from tests.process.project import GATED_RECORDER, Project

# A shell has what it starts in the background ignore Ctrl+C, nohup has it ignore the end of the
# terminal, and that would be inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

MakeProject = Callable[..., Project]


@pytest.fixture
def make_project(tmp_path) -> Iterator[MakeProject]:
    """Make projects, each in a directory of its own."""
    projects: list[Project] = []

    def make(**options) -> Project:
        projects.append(Project(tmp_path / f"p{len(projects)}", **options))
        return projects[-1]

    yield make
    for project in projects:
        project.end()


@pytest.fixture
def project(make_project) -> Project:
    """A project whose daemon prints what it gets."""
    return make_project()


@pytest.fixture
def gated(make_project) -> Project:
    """A project whose receiver waits until its gate opens."""
    return make_project(receivers=GATED_RECORDER)
