"""What every engine must do: subclassed by the tests of the fake and of the real ones.

A subclass gives a fixture ``make``: called with a plan, it makes a node whose ``apply`` and ``observe`` call the engine
inside rank 0 of a plan. Whether the engine makes the edges that leave the node or those that arrive, its readings tell.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.model.node_plan import PlannedEdge
from harness.shaping.shape_branch import branch_of, shape_of
from tests.support.plans import SHAPES, network, shape


def held(plan, pair):
    """What rank 0 should tell of a directed edge: the shape after rounding to the kernel's fields."""
    node = plan.node(0)
    port = next(port for port in (*node.egress, *node.ingress) if port.edge.pair == pair)
    effective = port.edge.effective
    if effective.is_unshaped:
        return None
    return shape_of(branch_of(port, plan.seed))


def every_pair_in_turn(names):
    """A walk in which each name follows each other one, and itself, once (a de Bruijn sequence of order 2)."""
    for number, name in enumerate(names):
        yield name
        for other in names[number + 1 :]:
            yield name
            yield other
    yield names[0]


class EngineSuite:
    """The contract."""

    def edge(self, reading, neighbour):
        """The directed edge between rank 0 and a neighbour that rank 0 makes, and what was read of it."""
        ((pair, found),) = (item for item in reading.edges.items() if neighbour in item[0])
        assert sorted(pair) == [0, neighbour]
        return pair, found

    def test_makes_one_direction_of_an_edge_and_leaves_the_other_alone(self, make):
        plan = network("line", 2, shape(delay="10ms")).changed([PlannedEdge(1, 0, shape(delay="20ms"))])
        node = make(plan)
        reading = node.apply(plan)
        pair, found = self.edge(reading, 1)
        assert found.applied.delay == plan.edge(*pair).shape.delay
        other = plan.changed([PlannedEdge(*pair[::-1], shape(loss="1%"))])
        assert node.observe(other) == reading

    @pytest.mark.parametrize("name", SHAPES)
    def test_makes_every_shape_and_tells_it_back(self, make, name):
        plan = network("line", 2, SHAPES[name])
        node = make(plan)
        reading = node.apply(plan)
        assert not reading.mismatches
        pair, found = self.edge(reading, 1)
        expected = held(plan, pair)
        if expected is None:
            assert found.applied.is_unshaped
        else:
            told, wanted = ({**vars(shape), "burst": None} for shape in (found.applied, expected))
            assert told == wanted

    def test_every_shape_becomes_every_other_in_place(self, make):
        self.check_walk(make, every_pair_in_turn(list(SHAPES)))

    def check_walk(self, make, names):
        """Make these shapes of one edge, in turn."""
        plan = network("line", 2)
        node = make(plan)
        node.apply(plan)
        before = ""
        for after in names:
            plan = network("line", 2, SHAPES[after])
            reading = node.apply(plan, touched={1})
            assert not reading.mismatches, f"{before} -> {after}: {reading.mismatches}"
            before = after

    def test_applying_twice_changes_nothing(self, make):
        plan = network("fully_connected", 4, SHAPES["everything"])
        node = make(plan)
        first = node.apply(plan)
        assert node.apply(plan).edges == first.edges

    def test_each_neighbour_has_its_own_shape(self, make):
        plan = network("star", 4, e01=shape(delay="10ms"), e02=shape(delay="20ms"), e03=shape(loss="3%"))
        reading = make(plan).apply(plan)
        first, second, third = (self.edge(reading, neighbour)[1].applied for neighbour in (1, 2, 3))
        assert first.delay.ns == 10_000_000
        assert second.delay.ns == 20_000_000
        assert float(third.loss) == pytest.approx(0.03)

    def test_a_link_that_is_down_loses_everything_and_comes_back_as_it_was(self, make):
        plan = network("line", 2, SHAPES["everything"])
        node = make(plan)
        pair, before = self.edge(node.apply(plan), 1)
        downed = plan.changed([replace(plan.edge(*pair), down=True)])
        assert float(node.apply(downed, touched={1}).edges[pair].applied.loss) == 1
        assert node.apply(plan, touched={1}).edges[pair].applied == before.applied

    def test_an_unshaped_edge_beside_a_shaped_one_is_shaped_and_unshaped_in_place(self, make):
        plan = network("star", 3, e02=shape(delay="20ms"))
        shaped = network("star", 3, e01=shape(delay="10ms"), e02=shape(delay="20ms"))
        node = make(plan)
        for asked, delay in ((plan, 0), (shaped, 10_000_000), (plan, 0), (shaped, 10_000_000)):
            reading = node.apply(asked)
            assert not reading.mismatches
            assert self.edge(reading, 1)[1].applied.delay.ns == delay
            assert node.apply(asked).edges == reading.edges

    def test_a_node_without_shaped_edges_is_guarded_where_the_network_has_some(self, make):
        plan = network("line", 3, e12=shape(delay="20ms"))
        node = make(network("line", 3))
        for asked in (network("line", 3), plan, plan, network("line", 3)):
            reading = node.apply(asked)
            assert not reading.mismatches
            assert self.edge(reading, 1)[1].applied.is_unshaped

    def test_observing_something_else_than_asked_for_is_a_mismatch(self, make):
        plan = network("line", 2, shape(delay="20ms"))
        node = make(plan)
        node.apply(plan)
        reading = node.observe(network("line", 2, shape(delay="30ms")))
        assert [pair for pair, _ in reading.mismatches] == [self.edge(reading, 1)[0]]
        assert "delay_ns 20000000 -> 30000000" in reading.mismatches[0][1]

    def test_many_neighbours_in_one_go(self, make):
        plan = network("star", 40, SHAPES["everything"])
        reading = make(plan).apply(plan)
        assert len(reading.edges) == 39
        assert not reading.mismatches
