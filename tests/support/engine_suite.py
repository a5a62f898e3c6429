"""What every engine must do: subclassed by the tests of the fake and of the real ones.

A subclass gives a fixture ``apply`` and ``observe``: functions that call the engine inside the node.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.qdisc import Branch, netem_of, shape_of, tbf_of
from tests.support.plans import SHAPES, network, shape


def held(plan, rank, neighbour):
    """What the kernel should tell of an edge: the shape after rounding to the kernel's fields."""
    egress = next(e for e in plan.node(rank).egress if e.neighbour == neighbour)
    effective = egress.edge.effective
    if effective.is_unshaped:
        return None
    return shape_of(Branch(neighbour, netem_of(egress, plan.seed), tbf_of(effective)))


class EngineSuite:
    """The contract."""

    @pytest.mark.parametrize("name", SHAPES)
    def test_makes_every_shape_and_tells_it_back(self, make, name):
        plan = network("line", 2, SHAPES[name])
        node = make(plan)
        reading = node.apply(plan)
        assert not reading.mismatches
        expected = held(plan, 0, 1)
        if expected is None:
            assert reading.edges[1].applied.is_unshaped
        else:
            assert replace(reading.edges[1].applied, burst=None) == replace(expected, burst=None)

    def test_every_shape_becomes_every_other_in_place(self, make):
        plan = network("line", 2)
        node = make(plan)
        node.apply(plan)
        for before in SHAPES:
            for after in SHAPES:
                for name in (before, after):
                    plan = network("line", 2, SHAPES[name])
                    reading = node.apply(plan, touched={1})
                    assert not reading.mismatches, f"{before} -> {after}: {reading.mismatches}"

    def test_applying_twice_changes_nothing(self, make):
        plan = network("fully_connected", 4, SHAPES["everything"])
        node = make(plan)
        first = node.apply(plan)
        assert node.apply(plan).edges == first.edges

    def test_each_neighbour_has_its_own_shape(self, make):
        plan = network("star", 4, e01=shape(delay="10ms"), e02=shape(delay="20ms"), e03=shape(loss="3%"))
        reading = make(plan).apply(plan)
        assert reading.edges[1].applied.delay.ns == 10_000_000
        assert reading.edges[2].applied.delay.ns == 20_000_000
        assert float(reading.edges[3].applied.loss) == pytest.approx(0.03)

    def test_a_link_that_is_down_loses_everything_and_comes_back_as_it_was(self, make):
        plan = network("line", 2, SHAPES["everything"])
        node = make(plan)
        before = node.apply(plan).edges[1].applied
        downed = plan.changed([replace(plan.edge(0, 1), down=True)])
        assert float(node.apply(downed, touched={1}).edges[1].applied.loss) == 1
        assert node.apply(plan, touched={1}).edges[1].applied == before

    def test_observing_something_else_than_asked_for_is_a_mismatch(self, make):
        plan = network("line", 2, shape(delay="20ms"))
        node = make(plan)
        node.apply(plan)
        reading = node.observe(network("line", 2, shape(delay="30ms")))
        assert [neighbour for neighbour, _ in reading.mismatches] == [1]
        assert "delay_ns 20000000 -> 30000000" in reading.mismatches[0][1]

    def test_many_neighbours_in_one_go(self, make):
        plan = network("star", 40, SHAPES["everything"])
        reading = make(plan).apply(plan)
        assert len(reading.edges) == 39
        assert not reading.mismatches
