"""A rank that a scenario kills is back in training, over shaped links."""

import json
import subprocess
import sys

import pytest

from harness.experiment.report.analysis import analyse
from harness.experiment.report.load import load_experiment
from harness.networks.backends import DOCKER
from tests.support.live import addressing, needs, own, runtime_name
from tests.support.trainers import of_kind, records
from tests.support.workload import needs_torch

pytestmark = [
    *needs(),
    pytest.mark.torch,
    needs_torch,
    pytest.mark.skipif(runtime_name() == DOCKER, reason="its strategy is a file of this machine"),
]

SHORT_HANDED = """
import time
from harness.training.no_compiler import leave_out_compiler
from harness.training.strategies.{module} import {name}

leave_out_compiler()


class ShortHanded({name}):
    def step(self, loss_of):
        time.sleep(0.3 if self.setup.size < {ranks} else 0)
        return super().step(loss_of)
"""
"""A strategy that leaves time for a rank to come back."""
RANKS, STEPS = 3, 160
SCENARIO = "events:\n  - {at: step 30, for: 4s, kill: {node: 1}}\n"


@pytest.mark.parametrize(
    ("module", "name", "options"),
    [("diloco", "DiLoCo", ["--option", "H=10"]), pytest.param("ddp", "Ddp", [], marks=pytest.mark.full)],
)
def test_a_rank_that_was_killed_trains_again(tmp_path, module, name, options):
    (tmp_path / "short.py").write_text(SHORT_HANDED.format(module=module, name=name, ranks=RANKS))
    (tmp_path / "churn.yaml").write_text(SCENARIO)
    argv = [sys.executable, "-m", "harness", "run", "-n", str(RANKS), "-p", "wan"]
    argv += [
        "--name",
        own("trainer"),
        "--subnet",
        str(addressing().ipv4_net),
        "--scenario",
        str(tmp_path / "churn.yaml"),
    ]
    argv += ["--record", "--runs", str(tmp_path / "runs"), "--", sys.executable, "-m", "harness.training.train"]
    argv += ["--strategy", f"{tmp_path / 'short.py'}:ShortHanded", *options, "--elastic", "10", "--steps", str(STEPS)]
    argv += ["--evaluate-every", "20", "--checkpoint-every", str(STEPS)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    groups = [json.loads(line) for line in (folder / "membership.jsonl").read_text().splitlines()]
    assert [group["members"] for group in groups] == [[0, 1, 2], [0, 2], [0, 1, 2]]
    _check_equal([folder / "checkpoints" / f"rank-{rank}-step-{STEPS}.pt" for rank in range(RANKS)])
    for rank in range(RANKS):
        first, *_, last = (line["loss"] for line in of_kind("eval", records(folder, rank)))
        assert last < (1.5 if rank == 1 else first / 2)
    (run,) = analyse(load_experiment(folder)).runs
    assert run.churn
    assert 0.05 < run.churn.rank_goodput < run.churn.goodput < 1
    (one,) = run.churn.absences
    assert (one.rank, one.cause) == (1, "kill")
    assert 0 < one.rejoin_seconds < run.seconds
    assert run.churn.state_bytes == sum(group["state_bytes"] * (len(group["members"]) - 1) for group in groups)


def _check_equal(paths):
    import torch

    first, *others = [torch.load(path, weights_only=True)["model"] for path in paths]
    assert all((one[name] == value).all() for name, value in first.items() for one in others)
