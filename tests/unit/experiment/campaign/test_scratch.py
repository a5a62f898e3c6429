"""The folder of a task: gone at its end, and where its process was killed, with the next task."""

import subprocess
import sys
import tempfile

import pytest

from harness.experiment.campaign.scratch import scratch


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_it_is_removed_at_the_end_and_by_nobody_before(temporary):
    with scratch() as mine:
        with scratch() as other:
            assert {mine, other} == set(temporary.iterdir())
        assert [mine] == list(temporary.iterdir())
    assert not list(temporary.iterdir())


def test_what_a_killed_process_left_goes_with_the_next_task(temporary):
    program = (
        "import os\nfrom harness.experiment.campaign.scratch import scratch\nwith scratch(): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    assert len(list(temporary.iterdir())) == 1
    with scratch() as mine:
        assert [mine] == list(temporary.iterdir())
