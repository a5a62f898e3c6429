"""How a group that fails is left."""

import weakref
from types import SimpleNamespace

import pytest

from harness.training.elastic import loop
from harness.training.elastic.decide import Roster
from harness.training.group import GroupError


class Strategy:
    """Refers to itself, as hooks may make one."""

    def __init__(self):
        self.itself = self


class Training:
    """Has a strategy that uses the group, and drops it when it leaves."""

    recorder, step = None, 0

    def __init__(self):
        self.strategy = Strategy()

    def enter(self, group, state):
        raise GroupError("rank 1 is gone")

    def leave(self):
        del self.strategy


@pytest.fixture
def seen(monkeypatch):
    """What is done with the group, and whether the strategy was there then."""
    training, seen = Training(), []
    strategy = weakref.ref(training.strategy)

    def group(*_):
        def note(name):
            return lambda: seen.append((name, strategy() is not None))

        return SimpleNamespace(generation=1, ended=False, leave=note("leave"), destroy=note("destroy"))

    monkeypatch.setattr(loop, "ElasticGroup", group)
    meeting = SimpleNamespace(rank=0)
    elastic = loop.ElasticLoop(meeting, "cpu", None, training, {})
    failure = elastic._one_group(Roster(1, (0, 1), (), ()), 0.0, resume=False)
    assert str(failure) == "rank 1 is gone"
    return seen


def test_what_uses_a_group_that_failed_is_gone_before_it_is_destroyed(seen):
    assert seen == [("leave", True), ("destroy", False)]
