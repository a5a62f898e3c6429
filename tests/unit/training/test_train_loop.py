"""When states are saved: not while communication is under way that later steps overlap; and how training ends."""

import importlib.util
import weakref
from types import SimpleNamespace

import pytest

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is missing: run scripts/setup"),
]


class Quiet:
    """Does nothing in any method."""

    def __getattr__(self, name):
        return lambda *_, **__: {}


class Saved(Quiet):
    """Remembers the steps that were saved."""

    def __init__(self):
        self.steps = []

    def save(self, step, state):
        self.steps.append(step)


def saved(every, busy, steps):
    """The steps that are saved, for a strategy that is busy after these steps."""
    from harness.training.options import Schedule
    from harness.training.train_loop import Training

    training = object.__new__(Training)
    strategy = SimpleNamespace(settle=lambda: None, state=dict, busy=False)
    training._schedule, training._identity = Schedule(steps, 1, every), {}
    training._group = SimpleNamespace(global_rank=0)
    training._clock = training.recorder = training._model = Quiet()
    training._strategy, training._checkpoints, training._save_since = strategy, Saved(), 0
    for step in range(1, steps + 1):
        strategy.busy = step in busy
        training._save_if_due(step)
    return training._checkpoints.steps


def test_every_so_many_steps():
    assert saved(5, [], 12) == [5, 10]


def test_never():
    assert saved(0, [], 12) == []


def test_what_is_under_way_is_waited_for_by_going_on():
    assert saved(5, [5, 6, 10], 12) == [7, 11]


def test_a_strategy_that_is_always_busy_is_saved_all_the_same():
    assert saved(5, range(100), 22) == [10, 20]


def test_to_resume_without_a_folder_is_an_error_and_no_new_beginning(monkeypatch, capsys):
    from harness.training import train

    monkeypatch.delenv("HARNESS_RUN_DIR", raising=False)
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "1")):
        monkeypatch.setenv(name, value)
    assert train.main(["--resume"]) == 2
    assert capsys.readouterr().err == "--resume: there is no folder to continue from; name it with --out\n"


def test_what_uses_the_process_group_is_gone_before_it_is_destroyed():
    from harness.training.train_loop import Training

    strategy = Quiet()
    vars(strategy)["model"] = model = Quiet()
    vars(model)["strategy"] = strategy  # a cycle, as hooks may make one
    training, seen, still_there = object.__new__(Training), [], weakref.ref(strategy)
    training._strategy, training._model = strategy, model
    training._group = SimpleNamespace(
        wait_for_all=lambda: seen.append(still_there() is None), destroy=lambda: seen.append(still_there() is None)
    )
    del strategy, model
    training.close()
    assert seen == [False, True]
