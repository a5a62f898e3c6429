"""The engines' contract, on the fake, with edges made at either end."""

from functools import partial

import pytest

from tests.support.engine_suite import EngineSuite
from tests.support.fakes import FakeEngine
from tests.support.plans import network, shape


class FakeNode:
    def __init__(self, end, plan):
        self.engine = FakeEngine(end)

    def apply(self, plan, touched=()):
        return self.engine.apply(plan.node(0), touched)

    def observe(self, plan):
        return self.engine.observe(plan.node(0))


@pytest.mark.parametrize("end", ["src", "dst"])
class TestFakeEngine(EngineSuite):
    @pytest.fixture
    def make(self, end):
        return partial(FakeNode, end)

    def test_an_edge_is_made_where_it_is_said_to_be(self, end):
        engine, plan = FakeEngine(end), network("ring", 4, shape(delay="1ms"))
        for rank in range(4):
            made = engine.apply(plan.node(rank)).edges
            assert set(made) == {pair for pair in plan.edges if engine.enforced_at(pair) == rank}
