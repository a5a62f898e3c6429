"""A trainer continues while a rank is away and lets it join again: real processes with real gloo, over loopback."""

import signal

import pytest

from tests.support.elastic import ElasticJob, slow
from tests.support.trainers import of_kind, records
from tests.support.workload import needs_torch

pytestmark = [pytest.mark.torch, needs_torch]

RANKS, STEPS = 3, 120
COURSE = ["--steps", str(STEPS), "--evaluate-every", "40", "--checkpoint-every", str(STEPS), "--elastic", "3"]


def job(tmp_path, module, name, *arguments):
    return ElasticJob(RANKS, tmp_path / "run", "--strategy", slow(tmp_path, module, name), *COURSE, *arguments)


def parameters(folder, rank):
    import torch

    return torch.load(folder / "checkpoints" / f"rank-{rank}-step-{STEPS}.pt", weights_only=True)["model"]


def check_equal(folder):
    first, *others = [parameters(folder, rank) for rank in range(RANKS)]
    assert all((one[name] == value).all() for name, value in first.items() for one in others)


def check_learned(folder):
    for rank in range(RANKS):
        losses = [line["loss"] for line in of_kind("eval", records(folder, rank))]
        assert losses[-1] < 1.0, losses


STRATEGIES = {
    "ddp": ("ddp", "Ddp"),
    "diloco": ("diloco", "DiLoCo", "--option", "H=10"),
    "fedavg": ("fedavg", "FedAvg"),
    "powersgd": ("ddp", "Ddp", "--option", "compress=powersgd"),
    "streaming-diloco": ("streaming_diloco", "StreamingDiLoCo", "--option", "H=10", "--option", "overlap=4"),
    "int8": ("streaming_diloco", "StreamingDiLoCo", "--option", "H=10", "--option", "quantise=int8"),
    "sparta": ("sparta", "Sparta"),
    "demo": ("demo", "DeMo"),
    "gossip": ("gossip", "Gossip"),
}
EQUAL = ("ddp", "diloco", "fedavg", "powersgd", "demo")


@pytest.mark.full  # tests/live/test_elastic_trainer.py has one of them
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_rank_that_is_killed_comes_back(tmp_path, strategy):
    with job(tmp_path, *STRATEGIES[strategy]) as ranks:
        ranks.wait_for_step(15)
        ranks.kill(1)
        ranks.wait_for(lambda: len(ranks.membership()) == 2)
        ranks.start(1, restart=1)
        assert ranks.codes() == dict.fromkeys(range(RANKS), 0), ranks.said()
        first, without, again = ranks.membership()
        assert f"group 3: ranks 0, 1, 2, rank 1 joined, from step {again['step']}" in ranks.said()[0]
    assert (first["members"], first["joined"], first["lost"], first["state_bytes"]) == ([0, 1, 2], [0, 1, 2], [], 0)
    assert (without["members"], without["joined"], without["lost"]) == ([0, 2], [], [1])
    assert (again["members"], again["joined"], again["lost"]) == ([0, 1, 2], [1], [])
    assert 15 <= without["step"] < again["step"] < STEPS
    assert without["state_bytes"] > 4 * 9930
    check_learned(ranks.folder)
    if strategy in EQUAL:
        check_equal(ranks.folder)


def test_a_rank_that_is_paused_comes_back(tmp_path):
    with job(tmp_path, "ddp", "Ddp") as ranks:
        ranks.wait_for_step(15)
        ranks.signal(1, signal.SIGSTOP)
        ranks.wait_for(lambda: len(ranks.membership()) == 2)
        ranks.signal(1, signal.SIGCONT)
        assert ranks.codes() == dict.fromkeys(range(RANKS), 0), ranks.said()
        _, without, again = ranks.membership()
    assert (without["members"], again["members"], again["joined"]) == ([0, 2], [0, 1, 2], [1])
    check_equal(ranks.folder)
    starts = of_kind("start", records(ranks.folder, 1))
    assert [(one["generation"], one["members"]) for one in starts] == [(1, [0, 1, 2]), (3, [0, 1, 2])]
    assert starts[1]["resumed_from"] == again["step"]


@pytest.mark.full
def test_a_rank_that_is_back_when_all_is_done_ends_well(tmp_path):
    with job(tmp_path, "ddp", "Ddp") as ranks:
        ranks.wait_for_step(15)
        ranks.kill(1)
        codes = [ranks.processes[rank].wait(60) for rank in (0, 2)]
        ranks.start(1, restart=1)
        codes.append(ranks.processes[1].wait(60))
        assert codes == [0, 0, 0], ranks.said()
        assert ranks.said()[1] == "rank 1: the others have finished, so this rank has no group to join\n"


def test_where_rank_0_is_killed_the_others_end(tmp_path):
    with job(tmp_path, "ddp", "Ddp") as ranks:
        ranks.wait_for_step(15)
        ranks.kill(0)
        assert [ranks.processes[rank].wait(60) for rank in (1, 2)] == [70, 70]
        line = "rank 1: rank 0 is gone, which serves the store at which ranks meet"
        assert ranks.said()[1].splitlines()[-1] == line


BROKEN = """
import os
from harness.training.strategies.ddp import Ddp


class Broken(Ddp):
    def backward(self, loss):
        if self.steps == 5 and os.environ["BROKEN"] == "gloo":
            raise RuntimeError("[/somewhere/gloo/transport/tcp/pair.cc:1] not in time")
        if self.steps == 5 and os.environ["BROKEN"] == os.environ["RANK"]:
            raise ValueError("no more")
        super().backward(loss)
"""


def broken(tmp_path, monkeypatch, what):
    monkeypatch.setenv("BROKEN", what)
    (tmp_path / "broken.py").write_text(BROKEN)
    return ElasticJob(2, tmp_path / "run", "--strategy", str(tmp_path / "broken.py"), *COURSE)


def test_a_rank_with_an_error_of_its_own_ends_and_the_others_go_on(tmp_path, monkeypatch):
    with broken(tmp_path, monkeypatch, "1") as ranks:
        assert ranks.codes() == {0: 0, 1: 70}, ranks.said()
        assert ranks.said()[1].splitlines()[-1] == "rank 1: step 6: no more"
        assert [one["members"] for one in ranks.membership()] == [[0, 1], [0]]


def test_what_fails_again_with_the_same_ranks_ends_the_run(tmp_path, monkeypatch):
    with broken(tmp_path, monkeypatch, "gloo") as ranks:
        assert ranks.codes()[0] == 70, ranks.said()
        last = ranks.said()[0].splitlines()[-1]
    assert last.startswith("rank 0: step 6: not in time; the same ranks failed at this step before"), last
    assert "--elastic 3" in last
