"""No file is missed, however often the daemon is killed. `make chaos` tries it at full size."""

import pytest

from tests.process.chaos import Chaos


@pytest.mark.long
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_file_is_delivered_though_the_daemon_is_killed_again_and_again(tmp_path, seed):
    report = Chaos(tmp_path / "project", seed, files=1000, seconds=8).run()
    print(report)  # noqa: T201 - shown if it fails
    assert report.faults == []
    assert report.files > 500
    assert len(report.kills) >= 2
