"""Checkpoints: whole files, few of them, and none of an earlier attempt."""

import importlib.util

import pytest

from harness.errors import HarnessError

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is missing: run scripts/setup"),
]


@pytest.fixture
def states(tmp_path):
    from harness.training.checkpoints import Checkpoints

    return lambda rank, ranks=1: Checkpoints(tmp_path / "checkpoints", rank, ranks)


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
        states(0, 2).save(step, {})
        states(1, 2).save(step, {})
    assert names(tmp_path) == [f"rank-{rank}-step-{step}.pt" for rank in (0, 1) for step in (10, 6, 8)]


def test_ranks_that_seldom_meet_keep_all_since_two_steps_that_both_have_saved(states, tmp_path):
    for step in range(1, 5):
        states(0, 2).save(step, {})
        states(1, 2).save(step, {})
    for step in range(5, 10):
        states(0, 2).save(step, {})
    assert names(tmp_path) == [
        f"rank-{r}-step-{s}.pt" for r, s in ([(0, s) for s in range(3, 10)] + [(1, s) for s in (2, 3, 4)])
    ]
    states(1, 2).save(5, {})
    states(0, 2).save(10, {})
    assert names(tmp_path)[:3] == [f"rank-0-step-{step}.pt" for step in (10, 4, 5)]


def test_who_is_ahead_keeps_the_first_two_until_the_others_come_by(states, tmp_path):
    for step in range(1, 10):
        states(0, 2).save(step, {})
    assert names(tmp_path) == [f"rank-0-step-{step}.pt" for step in (1, 2, 7, 8, 9)]


def test_states_of_an_attempt_that_counts_no_more_are_removed_and_never_what_was_just_saved(states, tmp_path):
    """A run that starts again, or continues from an earlier step because others had saved less."""
    for step in (40, 50, 60):
        states(0).save(step, {})
    states(0).save(10, {})
    assert names(tmp_path) == ["rank-0-step-10.pt"]


@pytest.mark.usefixtures("alone")
def test_a_state_that_a_power_cut_has_damaged_gives_way_to_the_one_before(states, tmp_path, capsys):
    for step in (5, 10):
        states(0).save(step, {"step": step})
    (tmp_path / "checkpoints" / "rank-0-step-10.pt").write_bytes(b"half")
    assert states(0).load_newest() == (5, {"step": 5})
    assert "rank-0-step-10.pt is damaged (" in capsys.readouterr().err
    (tmp_path / "checkpoints" / "rank-0-step-5.pt").write_bytes(b"")
    assert states(0).load_newest() is None


@pytest.mark.usefixtures("alone")
def test_a_state_that_cannot_be_read_is_not_passed_over(states, tmp_path):
    states(0).save(5, {})
    (tmp_path / "checkpoints" / "rank-0-step-10.pt").mkdir()
    with pytest.raises(HarnessError, match=r"rank-0-step-10\.pt cannot be read: Is a directory"):
        states(0).load_newest()


def test_a_rank_clears_its_own_states_only(states, tmp_path):
    for rank in range(2):
        states(rank).save(5, {})
    states(0).clear()
    assert names(tmp_path) == ["rank-1-step-5.pt"]


def test_a_place_that_cannot_be_written_is_told_by_name(states, tmp_path):
    (tmp_path / "checkpoints").write_text("a file")
    with pytest.raises(HarnessError, match=r"checkpoints/rank-0-step-5\.pt cannot be written: File exists"):
        states(0).save(5, {})
