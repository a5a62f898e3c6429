"""What a group that fails leaves of the strategy."""

import importlib.util
import weakref

import pytest

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is missing: run scripts/setup"),
]


class Wrapped:
    """In the place of torch's wrapper."""


def test_the_wrapper_is_dropped_once_though_the_next_group_may_fail_before_it_has_a_strategy():
    from harness.training.strategies.ddp import Ddp

    strategy = object.__new__(Ddp)
    strategy._wrapped = Wrapped()
    wrapper = weakref.ref(strategy._wrapped)
    strategy.abandon()
    assert wrapper() is None
    strategy.abandon()
