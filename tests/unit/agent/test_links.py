"""The links of a container are checked before its job begins."""

import pytest

from harness.agent.links import NodeLinks
from harness.errors import NodeError
from harness.model.capacity import Capacity, NodeShape
from harness.model.units import Rate
from tests.support.fakes import FakeEngine
from tests.support.plans import network


@pytest.mark.parametrize("cap", ["uplink", "downlink"])
def test_a_cap_that_the_engine_accepted_and_has_not_ends_the_start(cap, monkeypatch):
    monkeypatch.setattr("harness.agent.links.check_needs", lambda *_, **__: None)
    monkeypatch.setattr("harness.agent.links.set_routes", lambda *_: [])
    plan = network("ring", 3).with_nodes({1: NodeShape(**{cap: Capacity(Rate(10**7))})})
    engine = FakeEngine()
    links = NodeLinks(plan, 1, engine, "cubic")
    links.shape()
    engine.wrong_caps = {cap}
    with pytest.raises(NodeError, match=f"node 1: limit {cap}: the engine accepted .* something else: there is none"):
        links.shape()
