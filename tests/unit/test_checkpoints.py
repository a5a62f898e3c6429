"""What a run goes on from: whole files, few of them, and none of an attempt that counts no more."""

import importlib.util

import pytest

from harness.errors import HarnessError

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is missing: run scripts/setup"),
]


@pytest.fixture
def states(tmp_path):
    from harness.workloads.checkpoints import Checkpoints

    return lambda rank: Checkpoints(tmp_path / "checkpoints", rank)


@pytest.fixture
def alone():
    """A process group of one rank."""
    import torch.distributed as dist

    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def names(tmp_path):
    return sorted(path.name for path in (tmp_path / "checkpoints").iterdir())


@pytest.mark.usefixtures("alone")
def test_what_was_saved_last_comes_back(states, tmp_path):
    import torch

    mine = states(0)
    assert mine.load_newest() is None
    for step in (5, 10):
        mine.save(step, {"model": {"weight": torch.full((3,), float(step))}, "elapsed": 1.5})
    step, state = states(0).load_newest()
    assert step == 10
    assert state["model"]["weight"].tolist() == [10.0] * 3
    assert state["elapsed"] == 1.5


def test_of_each_rank_the_last_three_are_kept(states, tmp_path):
    for step in (2, 4, 6, 8, 10):
        states(0).save(step, {})
        states(1).save(step // 2, {})
    assert names(tmp_path) == [f"rank-{r}-step-{s}.pt" for r, s in ((0, 10), (0, 6), (0, 8), (1, 3), (1, 4), (1, 5))]


def test_states_of_an_attempt_that_counts_no_more_are_removed_and_never_what_was_just_saved(states, tmp_path):
    """A run that begins anew, or goes on from further back, for the others had saved less."""
    for step in (40, 50, 60):
        states(0).save(step, {})
    states(0).save(10, {})
    assert names(tmp_path) == ["rank-0-step-10.pt"]


@pytest.mark.usefixtures("alone")
def test_a_state_that_a_power_cut_has_damaged_gives_way_to_the_one_before(states, tmp_path):
    for step in (5, 10):
        states(0).save(step, {"step": step})
    (tmp_path / "checkpoints" / "rank-0-step-10.pt").write_bytes(b"half")
    assert states(0).load_newest() == (5, {"step": 5})
    (tmp_path / "checkpoints" / "rank-0-step-5.pt").write_bytes(b"")
    assert states(0).load_newest() is None


def test_a_rank_clears_its_own_states_only(states, tmp_path):
    for rank in range(2):
        states(rank).save(5, {})
    states(0).clear()
    assert names(tmp_path) == ["rank-1-step-5.pt"]


def test_a_place_that_cannot_be_written_is_told_by_name(states, tmp_path):
    (tmp_path / "checkpoints").write_text("a file")
    with pytest.raises(HarnessError, match=r"checkpoints/rank-0-step-5\.pt cannot be written: File exists"):
        states(0).save(5, {})
