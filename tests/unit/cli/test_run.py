"""``harness run`` keeps the job's result if it cannot remove the network."""

from types import SimpleNamespace

import pytest
import typer

from harness.cli import run as module
from harness.errors import HarnessError
from harness.networks.launch import LaunchOutcome
from tests.support.plans import network

FAILED, FINE = LaunchOutcome(9, 1, {0: 143, 1: 9}), LaunchOutcome(0, None, {0: 0, 1: 0})


@pytest.fixture
def run(monkeypatch):
    """Run a command with this outcome or error of the job, on a network that cannot be removed."""

    def down():
        raise HarnessError("it has active endpoints")

    def runner(outcome):
        def launch(*_, **__):
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        fake = SimpleNamespace(backend=None, down=down, plan=network("line", 1), away=lambda: None)
        monkeypatch.setattr(module, "start", lambda *_, **__: fake)
        monkeypatch.setattr(module, "launch", launch)
        module.run(command=["true"], nodes=2, name="n")

    return runner


def test_the_rank_that_failed_gives_the_exit_code(run, capsys):
    with pytest.raises(typer.Exit) as end:
        run(FAILED)
    assert end.value.exit_code == 9
    told = capsys.readouterr().err
    assert "it has active endpoints" in told
    assert "rank 1 failed first (exit code 9)" in told


def test_an_abort_by_threads_of_a_process_group_is_explained(run, capsys):
    with pytest.raises(typer.Exit) as end:
        run(LaunchOutcome(134, 1, {0: 0, 1: 134}, terminated=True))
    assert end.value.exit_code == 134
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "failed first" in line]
    assert "rank 1 failed first (signal 6); if it had finished its work, the cause is PyTorch" in line
    assert line.endswith("and import torch.distributed.nn before dist.init_process_group()")


def test_ranks_that_were_not_back_are_named_and_were_not_stopped(capsys):
    module.end(LaunchOutcome(0, None, {0: 0, 1: 137, 2: 137}, away=(1, 2)))
    told = capsys.readouterr().err
    assert "ranks 1, 2: killed by a scenario, and not back before the job ended" in told
    assert "stopped" not in told


def test_a_job_that_went_well_ends_with_what_went_wrong_then(run):
    with pytest.raises(HarnessError, match="active endpoints"):
        run(FINE)


def test_an_interrupt_stays_one_and_tells_both(run):
    with pytest.raises(KeyboardInterrupt) as end:
        run(KeyboardInterrupt())
    assert end.value.__notes__ == ["removing the network failed too: it has active endpoints"]


@pytest.fixture
def without_rank_0(tmp_path):
    """A scenario that kills rank 0."""
    file = tmp_path / "cut.yaml"
    file.write_text("events: [{at: 5s, kill: {node: 0}, for: 5s}]\n")
    return ["--dry-run", "-n", "3", "-p", "none", "--scenario", str(file), "--"]


@pytest.mark.parametrize("option", [["--elastic", "10"], ["--elastic=10"]])
def test_the_elastic_trainer_is_refused_where_a_scenario_kills_rank_0(harness, without_rank_0, option):
    """Rank 0 has its store, without which no rank can form a new group."""
    done = harness("run", *without_rank_0, "python", "-m", "harness.training.train", *option, code=2)
    assert "with --elastic neither; have the scenario kill others" in done.stderr


def test_another_job_is_told_that_a_scenario_kills_rank_0(harness, without_rank_0):
    done = harness("run", *without_rank_0, "python", "train.py", "--elastic")
    assert "harness: the scenario kills rank 0" in done.stderr
