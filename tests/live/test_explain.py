"""Real runs, each slow for one known reason, and what harness.experiment.report.analysis.explain says of them."""

import pytest

from harness.experiment.report.analysis.explain import explain
from harness.experiment.report.load import load_experiment
from tests.support.live import addressing, needs, own
from tests.support.prepared_runs import PREPARED, make

pytestmark = [*needs(), pytest.mark.torch, pytest.mark.timing, pytest.mark.xdist_group("training")]
EVIDENCE = {
    "latency-ddp": " round trips of 80 ms a step; the links are ",
    "loss-bulk": "Bound by loss: 2 % loss lets TCP have ",
    "rate-ddp": " of 5 Mbit/s, and the training's bytes take ",
    "queue-upload": ", 10 ms with empty queues; ",
    "straggler-sleep": "Rank 1 is a straggler: it computes ",
    "compute-text": "Bound by computing: ",
    "changed-delay": " (delay 2 ms → delay 60 ms): steps took ",
}
"""Of one run per cause; the others repeat it in another way."""
ELSEWHERE = {
    "rate-ddp": "found by a command's connections below",
    "compute-text": "what every run's steps record: tests/contract/training/test_train.py",
    "straggler-sleep": "the same",
    "loss-bulk": "what is sent again is recorded: tests/live/test_experiment.py, tests/live/test_sampling.py",
}
"""Copies of all of these runs are explained by tests/unit/experiment/report/test_prepared_runs.py."""
SUBNETS = ["--subnet", str(addressing().ipv4_net), "--subnet6", str(addressing().ipv6_net)]


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in EVIDENCE.keys() - ELSEWHERE else pytest.mark.full) for name in PREPARED],
)
def test_a_run_is_slow_for_the_reason_that_it_was_made_for(name, harness, tmp_path):
    env = {**harness.env, "HARNESS_NAME": own("explain")}
    found = explain(make(name, tmp_path, env, SUBNETS))
    assert found.cause == PREPARED[name].cause, found
    assert EVIDENCE.get(name, "") in found.sentence
    largest = max(found.lost, key=found.lost.__getitem__)
    assert found.cause in (largest, "compute"), found


OWN = """
import sys
import torch
import torch.distributed as dist

dist.init_process_group("gloo")
tensor = torch.zeros(int(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    dist.all_reduce(tensor)
dist.barrier()
dist.destroy_process_group()
"""
"""A command that records nothing itself: all_reduces of so many numbers, so many times."""


@pytest.mark.parametrize(
    ("link", "numbers", "times", "cause", "evidence"),
    [
        pytest.param(
            *("delay: 40ms\nrate: 100mbit\n", 100, 30, "latency", ", over round trips of 80 ms; the links are "),
            marks=pytest.mark.full,
        ),
        ("delay: 1ms\nrate: 5mbit\n", 50_000, 15, "rate", " of 5 Mbit/s, data are under way for "),
        pytest.param(
            *(
                "delay: 10ms\nrate: 200mbit\nloss: 2%\n",
                100_000,
                8,
                "loss",
                "2 % loss lets TCP have 5 of 191 Mbit/s on ",
            ),
            marks=pytest.mark.full,
        ),
    ],
)
def test_a_command_without_steps_is_explained_by_its_connections(
    link, numbers, times, cause, evidence, harness, tmp_path
):
    (tmp_path / "link.yaml").write_text(link)
    harness.env["HARNESS_NAME"] = own("explain")
    runs = str(tmp_path / "runs")
    words = ["-n", "2", "-p", str(tmp_path / "link.yaml"), "--record", "--runs", runs, *SUBNETS, "--", "python", "-c"]
    done = harness("run", *words, OWN, str(numbers), str(times))
    (run,) = load_experiment(next((tmp_path / "runs").iterdir())).runs
    found = explain(run)
    assert found.cause == cause, found
    assert evidence in found.sentence
    assert found.sentence.endswith("computing and waiting cannot be told apart without steps.")
    assert found.sentence in done.stderr
