"""The engines' contract, on the fake."""

import pytest

from tests.support.engine_suite import EngineSuite
from tests.support.fakes import FakeEngine


class FakeNode:
    def __init__(self, plan):
        self.engine = FakeEngine()

    def apply(self, plan, touched=()):
        return self.engine.apply(plan.node(0), touched)

    def observe(self, plan):
        return self.engine.observe(plan.node(0))


class TestFakeEngine(EngineSuite):
    @pytest.fixture
    def make(self):
        return FakeNode
