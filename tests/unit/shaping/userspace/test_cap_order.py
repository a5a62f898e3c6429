"""Which capacities a node's links share, as its engine asks for them."""

from dataclasses import replace

from harness.model.capacity import Capacity, NodeShape
from harness.model.units import Rate
from harness.shaping.node_tree import tree_of
from harness.shaping.userspace.cap_order import CapOrder, cap_mismatches, cap_orders
from tests.support.plans import network, shape

TEN, HUNDRED = Capacity(Rate(10**7)), Capacity(Rate(10**8), overhead=24)


def regions():
    """0 and 1 are one region, 2 and 3 the other; a trunk each way, and a downlink of node 2."""
    plan = network("fully_connected", 4, shape(delay="5ms"))
    plan = replace(plan, regions={"a": (0, 1), "b": (2, 3)}, trunk_capacities={("a", "b"): TEN, ("b", "a"): HUNDRED})
    return plan.with_nodes({2: NodeShape(uplink=TEN, downlink=HUNDRED)})


def test_packets_cross_the_trunk_first_and_only_trunks_that_lead_to_the_node():
    assert cap_orders(regions().node(2)) == (
        CapOrder("trunk a->b", TEN, 4, (0, 1), (2, 3)),
        CapOrder("downlink", HUNDRED, 3, (0, 1, 3), (2,)),
    )
    assert [order.name for order in cap_orders(regions().node(0))] == ["trunk b->a"]


def test_json_goes_there_and_back():
    for order in cap_orders(regions().node(2)):
        assert CapOrder.from_json(order.to_json()) == order


def test_what_differs_is_named_both_ways():
    wanted = cap_orders(regions().node(2))
    assert list(cap_mismatches(wanted, wanted)) == []
    slower = (replace(wanted[0], capacity=HUNDRED), wanted[1])
    ((name, what),) = cap_mismatches(wanted, slower)
    assert name == "trunk a->b"
    assert what.startswith("100Mbit overhead 24 for 4 edges, from 0, 1 here (applied) -> 10Mbit for 4 edges")
    assert list(cap_mismatches(wanted, wanted[:1])) == [("downlink", "nothing limits it")]
    assert [name for name, _ in cap_mismatches((), wanted)] == ["trunk a->b", "downlink"]


def test_an_unshaped_edge_has_a_branch_where_it_shares_a_capacity():
    plan = network("star", 3, e02=shape(delay="5ms")).with_nodes({0: NodeShape(downlink=TEN)})
    node = plan.node(0)
    assert set(tree_of(node, node.ingress).branches) == {2}
    tree = tree_of(node, node.ingress, sharing=cap_orders(node)[0].neighbours)
    assert set(tree.branches) == {1, 2}
    assert not tree.passing


def test_the_nodes_that_a_trunk_leads_to_need_one_daemon():
    assert regions().trunk_receivers == ((0, 1), (2, 3))
    assert network("ring", 4).trunk_receivers == ()
    assert replace(regions(), trunk_capacities={}).trunk_receivers == ((0, 1), (2, 3)), "one may be set later"
    line = replace(network("line", 4), regions={"a": (0, 1), "b": (2,)})
    assert line.trunk_receivers == ((1,), (2,)), "nodes 0 and 3 get nothing from another region"
