"""How the training loop of one rank ends."""

import weakref
from types import SimpleNamespace

from harness.training.train_loop import Training


def test_what_uses_the_process_group_is_gone_before_it_is_destroyed():
    strategy = SimpleNamespace()
    strategy.model = SimpleNamespace(strategy=strategy)  # a cycle, as hooks may make one
    training, seen, still_there = object.__new__(Training), [], weakref.ref(strategy)
    training._strategy, training._model = strategy, strategy.model
    training._group = SimpleNamespace(close=lambda: seen.append(still_there()))
    del strategy
    training.close()
    assert seen == [None]
