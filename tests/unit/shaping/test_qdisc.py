"""Qdisc trees: what a plan needs, and the changes that lead there from whatever is there, in place."""

import dataclasses
import itertools
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.address import Addressing
from harness.model.capacity import DROPTAIL, Capacity, NodeShape
from harness.model.link import DISTRIBUTIONS, UNSHAPED, LinkShape
from harness.model.node_plan import PlannedEdge
from harness.model.queueing import DISCIPLINES, Queue
from harness.model.units import Rate, Size, Time
from harness.shaping.htb_class import never_limiting
from harness.shaping.leaf import Leaf
from harness.shaping.node_tree import held_uplink, sender_tree, tree_of, uplink_differences
from harness.shaping.qdisc import (
    EMPTY,
    MAX_AUTO_LIMIT,
    PASS,
    PASSING_BYTE_S,
    PASSING_UPLINK,
    ROOT,
    UNLIMITED,
    Branch,
    Netem,
    Tbf,
    Tree,
)
from harness.shaping.qdisc_diff import (
    AddBranch,
    AddFilter,
    AddRoot,
    AddTbf,
    Change,
    FilterAction,
    MoveFilter,
    Seal,
    SetClass,
    SetLeaf,
    SetUplink,
    diff,
    mismatches,
)
from harness.shaping.shape_branch import (
    MAX_PACKETS_PER_S,
    MIN_QUEUE,
    branch_of,
    edge_seed,
    netem_of,
    queue_bytes,
    queue_limit,
    shape_of,
    tbf_of,
    with_queue_of_leaf,
)
from tests.support.plans import SHAPES, network, shape

MAX_RANK = 4093
NET = Addressing()


def tree(topology="line", nodes=2, every=None, rank=0, **edges):
    return sent_by(network(topology, nodes, every, **edges).node(rank))


def prefixes(*ranks):
    return {*NET.prefixes(ranks, 4), *NET.prefixes(ranks, 6)}


def sent_by(node):
    """The tree of a node that makes the edges which leave it."""
    return sender_tree(node)


def netem(own, seed=0):
    return netem_of(network("line", 2, own).node(0).egress[0], seed)


def perform(tree, actions):
    """What a kernel makes of actions: it refuses what is there already or not yet, and what would go unshaped."""
    rooted, branches, filters = tree.rooted, dict(tree.branches), dict(tree.filters)
    passing, sealed, uplink = dict(tree.passing), tree.sealed, tree.uplink
    for action in actions:
        match action:
            case AddRoot():
                assert not rooted
                rooted = True
            case SetUplink(made):
                assert rooted
                uplink = made
            case AddBranch(branch):
                assert rooted
                assert uplink is not None, "a class needs the one above it"
                assert branch.neighbour not in branches
                branches[branch.neighbour] = branch
            case AddTbf(branch):
                assert branches[branch.neighbour].tbf is None
                assert branch.tbf is not None
                held = branches[branch.neighbour]
                branches[branch.neighbour] = dataclasses.replace(held, tbf=branch.tbf, leaf=None)
            case SetClass(branch):
                branches[branch.neighbour] = dataclasses.replace(branches[branch.neighbour], htb=branch.htb)
            case SetLeaf(branch, fresh):
                held = branches[branch.neighbour]
                assert (held.tbf is None) == (branch.tbf is None), "it hangs where the branch has it"
                assert fresh == (held.leaf is None or held.leaf.queue.kind != branch.leaf.queue.kind)
                branches[branch.neighbour] = dataclasses.replace(held, leaf=branch.leaf)
            case Change(branch, reason):
                assert reason
                held = branches[branch.neighbour]
                assert (held.tbf is None) == (branch.tbf is None), "tbf is neither made nor lost"
                leaf = held.leaf
                if leaf is not None and leaf.queue == DROPTAIL and branch.tbf is not None:
                    leaf = dataclasses.replace(leaf, limit=branch.tbf.limit)  # tbf sets it
                branches[branch.neighbour] = dataclasses.replace(branch, htb=held.htb, leaf=leaf)
            case AddFilter(prefix, neighbour) if neighbour == PASS:
                assert not sealed, "packets of an unshaped edge would be dropped meanwhile"
                passing[prefix] = 9
            case MoveFilter(prefix, neighbour, handle):
                assert neighbour in branches
                assert passing.pop(prefix) == handle
                filters[prefix] = neighbour
            case Seal():
                assert not sealed
                sealed = True
            case AddFilter(prefix, neighbour):
                assert neighbour in branches, "a filter before its branch sends packets past the shape"
                assert prefix not in filters
                filters[prefix] = neighbour
    return Tree(rooted, branches, filters, passing=passing, sealed=sealed, uplink=uplink)


def as_read(tree):
    """The tree as the kernel tells it: without tables and seeds, and the queue by tbf's limit and what is below it."""

    def told(branch):
        netem = dataclasses.replace(branch.netem, distribution="uniform", seed=0)
        return with_queue_of_leaf(dataclasses.replace(branch, netem=netem, queue=None, buffer_bytes=0))

    return dataclasses.replace(tree, branches={neighbour: told(branch) for neighbour, branch in tree.branches.items()})


# What a plan needs


def test_handles_of_all_possible_neighbours_are_apart():
    for rank in (0, 1, MAX_RANK):
        branch = Branch(rank, Netem())
        assert branch.classid >> 16 == ROOT >> 16
        assert 0 < branch.classid & 0xFFFF < 0x1000
        assert branch.netem_handle & 0xFFFF == branch.queue_handle & 0xFFFF == branch.tbf_handle & 0xFFFF == 0
    branches = [Branch(n, Netem()) for n in range(MAX_RANK + 1)]
    handles = [h for branch in branches for h in (branch.netem_handle, branch.queue_handle, branch.tbf_handle)]
    kinds = [Leaf(Queue(kind), 1) for kind in DISCIPLINES]
    handles += [dataclasses.replace(branch, leaf=leaf).leaf_handle for branch in branches for leaf in kinds]
    assert len({ROOT, 0x7FFF0000, *handles}) == (3 + len(kinds)) * (MAX_RANK + 1) + 2
    assert max(handles) < 2**32


def test_unshaped_edges_need_nothing():
    assert tree("full", 4) == EMPTY
    assert tree("full", 4, LinkShape(distribution="normal")) == EMPTY


def test_each_shaped_edge_has_a_branch_and_filters_for_both_protocols():
    found = tree("full", 4, e02=SHAPES["delay"])
    assert found.rooted
    assert found.branches.keys() == {2}
    assert found.filters == dict.fromkeys(prefixes(2), 2)
    assert found.branches[2].netem.delay_ns == 20_000_000


def test_what_goes_far_is_sent_into_the_class_of_the_next_hop():
    found = tree("line", 5, SHAPES["delay"], rank=1)
    assert found.branches.keys() == {0, 2}
    assert found.filters == dict.fromkeys(prefixes(0), 0) | dict.fromkeys(prefixes(2, 3, 4), 2)


def test_what_goes_far_over_an_unshaped_edge_passes():
    found = tree("line", 4, SHAPES["delay"], rank=1, e12=UNSHAPED)
    assert found.filters == dict.fromkeys(prefixes(0), 0)
    assert found.passing.keys() == prefixes(2, 3)


def test_a_link_that_is_down_has_a_branch_even_where_it_was_unshaped():
    plan = network("line", 3)
    plan = plan.changed([dataclasses.replace(plan.edge(1, 2), down=True)])
    found = sent_by(plan.node(1))
    assert found.branches.keys() == {2}
    assert found.branches[2].netem.loss == 2**32 - 1
    other = sent_by(plan.node(2))
    assert (other.branches, other.filters, other.sealed) == ({}, {}, True)
    assert other.passing.keys() == prefixes(0, 1)


def test_a_receiver_classifies_what_comes_from_far_by_the_hop_it_came_through():
    plan = network("line", 5, SHAPES["delay"], e12=UNSHAPED).changed([PlannedEdge(0, 1, SHAPES["rate"])])
    node = plan.node(1)
    ahead = dict.fromkeys(prefixes(2, 3, 4), 0)
    assert tree_of(node, node.ingress) == Tree(
        True,
        {0: Branch(0, netem_of(node.ingress[0], plan.seed), None)},
        dict.fromkeys(prefixes(0), 0),
        passing=ahead,
        sealed=True,
    )
    assert netem_of(node.ingress[0], 7).rate_byte_s == 1_250_000
    assert netem_of(node.ingress[0], 7).seed == edge_seed(7, 0, 1)
    far = plan.node(3)
    assert tree_of(far, far.ingress).filters == dict.fromkeys(prefixes(0, 1, 2), 2) | dict.fromkeys(prefixes(4), 4)


def test_netem_of_a_shape():
    own = LinkShape(
        **{
            **vars(SHAPES["everything"]),
            "duplicate": shape(duplicate="50%").duplicate,
            "limit": 321,
            "distribution": "pareto",
        }
    )
    found = netem(own, seed=5)
    assert found == Netem(
        delay_ns=30_000_000,
        jitter_ns=3_000_000,
        limit=321,
        loss=round((2**32 - 1) / 1000),
        duplicate=2**31,
        corrupt=round((2**32 - 1) / 10_000),
        reorder=round((2**32 - 1) / 100),
        gap=1,
        rate_byte_s=2_500_000,
        distribution="pareto",
        seed=edge_seed(5, 0, 1),
    )


def test_netem_loses_in_bursts_by_a_chain_alone():
    found = netem(SHAPES["bursty"])
    one = 2**32 - 1
    assert found.loss == 0
    assert found.chain == (round(one * 0.05 * 0.75), round(one * 0.95 * 0.75), 0, 0)
    p, r, survives, loss_good = netem(SHAPES["chain"]).chain
    assert (survives, loss_good) == (round(one * 0.3), round(one * 0.001))
    assert (p, r) == (round(one * 0.01), round(one * 0.2))
    assert netem(SHAPES["loss"]).chain is None


def test_without_reorder_there_is_no_gap():
    """With a gap, the kernel takes a missing reorder for 100 %."""
    assert netem(SHAPES["delay"]).gap == 0


def test_seeds_differ_by_seed_edge_and_direction():
    seeds = {edge_seed(seed, a, b) for seed in range(3) for a, b in itertools.permutations(range(8), 2)}
    assert len(seeds) == 3 * 56
    assert all(0 <= seed < 2**64 for seed in seeds)
    assert edge_seed(0, 0, 1) == 375008289924545576, "a change here changes which packets users lose"


def test_a_burst_moves_the_rate_from_netem_to_a_bucket():
    branch = tree(every=SHAPES["bucket"]).branches[1]
    assert branch.netem.rate_byte_s == 0
    assert branch.netem.delay_ns == 5_000_000
    assert branch.tbf == Tbf(rate_byte_s=1_250_000, burst=32768, limit=32768 + 62_500)
    assert tree(every=SHAPES["rate"]).branches[1].tbf is None
    assert tree(every=SHAPES["rate"]).branches[1].netem.rate_byte_s == 1_250_000


def test_a_bucket_holds_a_packet_and_queues_for_the_time_asked_for():
    assert tbf_of(shape(rate="100mbit", burst="1B")).burst == 1514
    found = tbf_of(shape(rate="80mbit", burst="16KiB", queue="200ms"))
    assert found.limit == 2_000_000
    assert tbf_of(shape(rate="8kbit", burst="1600B")).limit == 1600 + MIN_QUEUE * 1514
    assert tbf_of(shape(rate="8kbit", burst="1600B", queue="1ms")).limit == 1514
    assert tbf_of(shape(rate="80gbit", burst="2GiB", queue="10s")).limit == 2**32 - 1


def test_a_buffer_or_a_discipline_moves_the_rate_to_a_bucket_that_holds_as_many_bytes():
    branch = tree(every=shape(rate="10mbit", delay="20ms", buffer="64KiB", overhead="24")).branches[1]
    assert (branch.netem.rate_byte_s, branch.netem.overhead, branch.netem.queue_bytes) == (0, 0, 0)
    assert branch.tbf == Tbf(1_250_000, 2 * 1514, limit=65536, overhead=24)
    assert (branch.queue, branch.buffer_bytes) == (None, 65536)
    assert tree(every=shape(rate="1gbit", buffer="100ms")).branches[1].tbf == Tbf(125_000_000, 125_000, 12_500_000)
    branch = tree(every=shape(rate="10mbit", queue="codel")).branches[1]
    assert branch.queue == Queue.parse("codel")
    assert branch.tbf.limit == branch.buffer_bytes == 1000 * 1514
    assert tree(every=shape(rate="1gbit", delay="50ms", queue="red")).branches[1].buffer_bytes == 12_500_000
    assert tree(every=shape(rate="10mbit", queue="pie", buffer="1s")).branches[1].buffer_bytes == 1_250_000


def test_netem_counts_overhead_in_the_stage_that_makes_the_rate():
    branch = Branch(1, netem(shape(rate="10mbit", overhead="-14")))
    assert [stage.overhead for stage in branch.stages] == [0, -14]
    limited = Branch(1, netem(shape(rate="10mbit", overhead="24", limit="50")))
    assert [stage.overhead for stage in limited.stages] == [24, 0]


def test_a_burst_is_read_back_unless_nobody_asked_for_it():
    for burst, buffer in ((None, "64KiB"), ("64KiB", "64KiB"), ("64KiB", None), ("3028B", None)):
        own = shape(rate="10mbit", **{k: v for k, v in (("burst", burst), ("buffer", buffer)) if v})
        told = shape_of(tree(every=own).branches[1])
        assert (told.burst, told.buffer) == (own.burst, own.buffer)


@pytest.mark.parametrize(
    ("own", "packets"),
    [
        (shape(limit=7, rate="1gbit", delay="1s"), 7),
        (shape(rate="1mbit"), MIN_QUEUE),
        (shape(), 1000),
        (shape(loss="1%"), 1000),
        (shape(rate="10mbit"), 42),
        (shape(rate="1gbit"), 4129),
        (shape(rate="100mbit", delay="100ms"), 29_762 + 1652),
        (shape(rate="100mbit", delay="100ms", jitter="50ms"), 44_643 + 1652 + 29_762),
        (shape(rate="100mbit", delay="100ms", jitter="10ms", distribution="normal"), 41_667 + 1652 + 5953),
        (shape(delay="10ms"), 10_000),
        (shape(rate="1mbit", burst="4KiB", delay="10ms"), 10_000),
        (shape(delay="2s"), MAX_AUTO_LIMIT),
        (shape(rate="80gbit"), 82_563),
    ],
)
def test_queue_limits(own, packets):
    assert queue_limit(own) == packets


@given(st.integers(8, 10**9), st.integers(0, 10**9), st.integers(0, 10**8))
def test_a_queue_holds_what_is_in_flight_and_more(rate, delay, jitter):
    own = shape(rate=f"{rate}bit")
    own = own.changed(delay=Time(delay), jitter=Time(min(jitter, delay)))
    in_flight = int(min(rate / (8 * 42), MAX_PACKETS_PER_S) * (delay + min(jitter, delay)) / 1e9)
    assert min(in_flight, MAX_AUTO_LIMIT - MIN_QUEUE) <= queue_limit(own) <= MAX_AUTO_LIMIT
    assert queue_limit(own) >= MIN_QUEUE


def test_what_waits_for_the_rate_is_bounded_apart_from_what_is_in_flight():
    """TCP without loss fills the queue: it waits for the queue's time then, however long the delay line is."""
    line, queue = Branch(1, netem(shape(rate="100mbit", delay="50ms"))).stages
    assert (line.delay_ns, line.limit) == (50_000_000, 14_881 + 826)
    assert queue == Netem(limit=826, rate_byte_s=12_500_000)
    assert queue.limit * 1514 / queue.rate_byte_s == pytest.approx(0.1, rel=0.01)


@pytest.mark.parametrize("own", [shape(rate="1mbit", limit=7), shape(delay="1s"), shape(rate="1mbit", burst="4KiB")])
def test_a_limit_of_the_users_counts_all_packets_and_a_link_without_a_rate_has_one_stage(own):
    branch = Branch(1, netem(own))
    assert branch.stages == (branch.netem, Netem(limit=MAX_AUTO_LIMIT))


@pytest.mark.parametrize("own", SHAPES.values(), ids=SHAPES)
def test_the_stages_of_a_branch_are_read_back_as_the_branch(own):
    branch = Branch(1, dataclasses.replace(netem(own), queue_bytes=0), tbf_of(own))
    assert Branch.of_stages(1, *branch.stages, branch.tbf) == branch


def test_what_may_wait_for_the_rate_is_counted_in_bytes():
    assert queue_bytes(shape(rate="100mbit", delay="100ms")) == 2_500_000
    assert queue_bytes(shape(rate="100mbit")) == 625_000
    assert queue_bytes(shape(rate="64kbit")) == MIN_QUEUE * 1514
    assert queue_bytes(shape(rate="80gbit")) == 125_000_000
    for own in (shape(), shape(delay="1s"), shape(rate="1mbit", limit=7), shape(rate="1mbit", burst="4KiB")):
        assert queue_bytes(own) == 0


# Changes


def test_from_nothing_root_then_branches_then_filters():
    desired = tree("line", 3, SHAPES["delay"])
    branch = desired.branches[1]
    assert diff(desired, EMPTY) == [
        AddRoot(),
        SetUplink(PASSING_UPLINK),
        AddBranch(branch),
        *(AddFilter(prefix, 1) for prefix in (*NET.prefixes([1, 2], 4), *NET.prefixes([1, 2], 6))),
        Seal(),
    ]


def test_nothing_for_nothing():
    assert diff(EMPTY, EMPTY) == []
    assert diff(EMPTY, Tree(True, {}, {})) == []


def test_a_change_is_made_in_place_and_told():
    old, new = tree(every=SHAPES["delay"]), tree(every=shape(delay="120ms", loss="1%"))
    (action,) = diff(new, old)
    assert isinstance(action, Change)
    assert action.branch == new.branches[1]
    assert "delay_ns 20000000 -> 120000000" in action.reason
    assert "loss 0 -> 42949673" in action.reason
    assert "tbf" not in action.reason


def test_only_the_branch_that_differs_changes():
    old = tree("star", 4, SHAPES["delay"])
    (action,) = diff(tree("star", 4, SHAPES["delay"], e02=SHAPES["rate"]), old)
    assert action.branch.neighbour == 2


def test_a_branch_that_is_missing_comes_alone_with_its_filters():
    desired = tree("star", 3, SHAPES["delay"])
    observed = dataclasses.replace(desired, branches={1: desired.branches[1]}, filters=dict.fromkeys(prefixes(1), 1))
    added = [AddFilter(ip_network(address), 2) for address in (NET.ipv4(2), NET.ipv6(2))]
    assert diff(desired, observed) == [AddBranch(desired.branches[2]), *added]


def test_a_filter_that_is_missing_comes_alone():
    desired = tree(every=SHAPES["delay"])
    assert diff(desired, dataclasses.replace(desired, filters={ip_network(NET.ipv4(1)): 1})) == [
        AddFilter(ip_network(NET.ipv6(1)), 1)
    ]


def test_touched_branches_are_set_again_for_what_cannot_be_read():
    old, new = tree(every=SHAPES["pareto"]), tree(every=SHAPES["normal"])
    assert diff(new, old) == []
    assert diff(new, old, touched={1}) == [Change(new.branches[1], "set again")]
    assert diff(new, old, touched={2}) == []


def test_a_bucket_is_added_below_a_netem_that_is_there():
    old, new = tree(every=SHAPES["rate"]), tree(every=SHAPES["bucket"])
    added, changed = diff(new, old)
    assert added == AddTbf(new.branches[1])
    assert changed.branch == new.branches[1]
    assert "rate_byte_s 1250000 -> 0" in changed.reason


def test_a_bucket_that_is_no_longer_wanted_lets_everything_pass():
    old, new = tree(every=SHAPES["bucket"]), tree(every=SHAPES["fast"])
    faster, action = diff(new, old)
    assert faster.branch.htb.rate == 2 * new.branches[1].rate_byte_s
    assert action.branch.netem == new.branches[1].netem
    assert action.branch.tbf.rate_byte_s == PASSING_BYTE_S > 2 * new.branches[1].netem.rate_byte_s
    held = perform(old, [faster, action])
    assert diff(new, held) == []
    assert list(mismatches(new, held)) == []
    assert shape_of(held.branches[1]).rate == SHAPES["fast"].rate
    assert shape_of(held.branches[1]).burst is None


def test_a_bucket_comes_back():
    bucket = tree(every=SHAPES["bucket"])
    held = perform(bucket, diff(tree(every=SHAPES["fast"]), bucket))
    assert [type(action) for action in diff(bucket, held)] == [SetClass, Change]
    assert perform(held, diff(bucket, held)) == bucket


def test_a_bucket_faster_than_any_class_is_still_one_that_was_asked_for():
    own = shape(rate="80gbit", burst="1MB")
    assert (shape_of(tree(every=own).branches[1]).rate, shape_of(tree(every=own).branches[1]).burst) == (
        own.rate,
        own.burst,
    )
    assert own.rate > UNLIMITED


@pytest.mark.parametrize("name", ["delay", "bucket", "everything"])
def test_a_branch_that_is_no_longer_wanted_stays_and_does_nothing(name):
    old = tree("star", 3, SHAPES[name])
    new = tree("star", 3, SHAPES[name], e01=UNSHAPED)
    (action,) = diff(new, old)
    assert isinstance(action, Change)
    held = perform(old, [action])
    assert held.branches.keys() == {1, 2}
    assert held.filters == old.filters
    assert shape_of(held.branches[1]) == LinkShape(limit=MAX_AUTO_LIMIT)
    assert diff(new, held) == []
    assert list(mismatches(new, held)) == []


def test_a_link_goes_down_and_up_in_place():
    plan = network("line", 2, SHAPES["everything"])
    up, down = plan.node(0), plan.changed([dataclasses.replace(plan.edge(0, 1), down=True)]).node(0)
    up, down = sent_by(up), sent_by(down)
    (action,) = diff(down, up)
    assert action.branch.netem == dataclasses.replace(up.branches[1].netem, loss=2**32 - 1)
    assert perform(down, diff(up, down)) == up


# What waits, and the uplink


def capped(uplink, every=None, nodes=3, **edges):
    """A node in the middle of a star with that uplink."""
    plan = network("star", nodes, every, **edges)
    return plan.with_nodes({0: NodeShape(uplink=uplink)} if uplink else {}).node(0)


CAP = Capacity(Rate.parse("20mbit"), buffer=Size(200_000))


def test_a_discipline_hangs_below_the_bucket_that_makes_the_rate():
    branch = tree(every=SHAPES["codel"]).branches[1]
    assert branch.leaf == Leaf(SHAPES["codel"].queue, 1000 * 1514)
    assert branch.leaf_parent == branch.tbf_handle | 1
    assert tree(every=SHAPES["buffered"]).branches[1].leaf is None, "tbf has a queue of its own, in bytes"


def test_a_discipline_comes_and_goes_in_place():
    rate, codel, droptail = (tree(every=SHAPES[name]) for name in ("rate", "codel", "buffered"))
    actions = diff(codel, rate)
    assert [type(action) for action in actions] == [AddTbf, SetLeaf, Change]
    held = perform(rate, actions)
    (other,) = [action for action in diff(droptail, held) if isinstance(action, SetLeaf)]
    assert other == SetLeaf(other.branch, fresh=True)
    assert other.branch.leaf == Leaf(DROPTAIL, 65536)
    idle, bucket = diff(rate, held)
    assert idle == SetLeaf(idle.branch, fresh=False)
    assert (idle.branch.leaf.queue, idle.branch.leaf.limit) == (SHAPES["codel"].queue, 2**32 - 1)
    assert bucket.branch.tbf.passes


def test_an_uplink_limits_all_edges_and_makes_branches_for_those_that_are_not_shaped():
    held = sender_tree(capped(CAP, SHAPES["delay"], e02=UNSHAPED))
    rate = CAP.rate.byte_s
    assert (held.uplink.rate, held.uplink.ceil) == (rate, rate)
    first, second = held.branches[1], held.branches[2]
    assert first.htb == second.htb
    assert sum(branch.htb.rate for branch in held.branches.values()) < rate, "the rest is borrowed, in turn"
    assert (first.htb.ceil, first.htb.quantum) == (rate, 1514)
    assert first.leaf == second.leaf == Leaf(DROPTAIL, 100_000), "half of the buffer"
    assert first.leaf_parent == first.queue_handle | 1
    assert not held.passing


def test_a_queue_of_the_edges_own_is_the_one_for_the_uplink_too():
    held = sender_tree(capped(CAP, SHAPES["codel"], e02=SHAPES["bucket"]))
    assert [held.branches[near].leaf for near in (1, 2)] == [Leaf(SHAPES["codel"].queue, 1000 * 1514), None]


def test_an_uplink_comes_and_goes_in_place():
    free, limited = sender_tree(capped(None, SHAPES["rate"])), sender_tree(capped(CAP, SHAPES["rate"]))
    actions = diff(limited, free)
    assert [type(action) for action in actions] == [SetUplink, SetClass, SetLeaf, SetClass, SetLeaf]
    held = perform(free, actions)
    assert held_uplink(capped(CAP), held) == CAP
    actions = diff(free, held)
    assert actions[0] == SetUplink(PASSING_UPLINK)
    assert not any(isinstance(action, SetLeaf) and action.fresh for action in actions), "what is queued stays"
    held = perform(held, actions)
    assert held_uplink(capped(None), held) is None
    assert {branch.leaf for branch in held.branches.values()} == {Leaf(DROPTAIL, 2**32 - 1)}
    assert diff(free, held) == []


def test_the_last_uplink_of_an_unshaped_network_goes_too():
    held = perform(EMPTY, diff(sender_tree(capped(CAP)), EMPTY))
    held = perform(held, diff(sender_tree(capped(None)), held))
    assert held.uplink == PASSING_UPLINK
    assert all(branch.htb == never_limiting() for branch in held.branches.values())


def test_an_uplink_that_the_kernel_has_otherwise_is_a_difference():
    desired = sender_tree(capped(CAP))
    assert list(uplink_differences(desired, desired)) == []
    (what,) = uplink_differences(desired, dataclasses.replace(desired, uplink=PASSING_UPLINK))
    assert "-> HtbClass(rate=2500000" in what
    other = dataclasses.replace(desired.branches[1], htb=never_limiting(), leaf=Leaf(DROPTAIL, 7))
    (wrong,) = mismatches(desired, dataclasses.replace(desired, branches={**desired.branches, 1: other}))
    assert wrong[0] == 1
    assert "class" in wrong[1]
    assert "last qdisc droptail of 7 bytes -> droptail of 100000 bytes" in wrong[1]


def test_a_bucket_lets_the_networks_largest_frame_pass():
    port = network("line", 2, shape(rate="1mbit", burst="2KiB")).node(0).egress[0]
    assert branch_of(port, 0, mtu=9000).tbf.burst == 9014
    port = network("line", 2, shape(rate="1mbit", buffer="64KiB")).node(0).egress[0]
    branch = branch_of(port, 0, mtu=9000)
    assert branch.tbf.burst == 2 * 9014
    assert shape_of(branch, mtu=9000).burst is None


# Whatever is there

caps = st.none() | st.builds(
    Capacity,
    st.integers(1, 10**6).map(lambda rate: Rate(1000 * rate)),
    st.sampled_from(DISCIPLINES).map(Queue.of),
    st.none() | st.integers(1, 10**7).map(Size),
    st.integers(0, 50),
)
shapes = st.sampled_from(list(SHAPES.values())) | st.builds(
    lambda delay, jitter, bucket, distribution, rate: LinkShape(
        delay=Time(delay + jitter),
        jitter=Time(jitter),
        distribution=distribution,
        rate=shape(rate=f"{rate}kbit").rate,
        burst=Size(5000) if bucket else None,
    ),
    st.integers(0, 10**9),
    st.integers(0, 10**8),
    st.booleans(),
    st.sampled_from(DISTRIBUTIONS),
    st.integers(1, 10**8),
)


@st.composite
def nodes(draw, steps):
    """One node of a small network, as it is planned at several times."""
    topology, rank = draw(st.sampled_from([("star", 0), ("ring", 1), ("line", 1), ("full", 2)]))
    plan, plans = network(topology, 4), []
    for _ in range(steps):
        changed = [
            dataclasses.replace(edge, shape=draw(shapes), down=draw(st.booleans()))
            for edge in plan.edges.values()
            if edge.src == rank
        ]
        plans.append(plan.changed(changed).with_nodes({rank: NodeShape(uplink=draw(caps))}).node(rank))
    return plans


@given(nodes(steps=1))
def test_what_is_there_already_needs_no_action(planned):
    desired = sent_by(planned[0])
    assert diff(desired, desired) == []
    assert diff(desired, as_read(desired)) == []
    assert list(mismatches(desired, as_read(desired))) == []


@given(nodes(steps=4), st.sets(st.integers(0, 3)))
def test_from_any_state_the_actions_lead_to_the_plan(planned, touched):
    held = EMPTY
    for node in planned:
        desired = sent_by(node)
        actions = diff(desired, held, touched)
        kinds = [isinstance(action, FilterAction) for action in actions]
        assert kinds == sorted(kinds), "filters come after branches"
        held = as_read(perform(held, actions))
        assert diff(desired, held) == []
        assert list(mismatches(desired, held)) == []
        for port in node.egress:
            neighbour = port.neighbour
            if neighbour in desired.branches:
                told, wanted = shape_of(held.branches[neighbour]), shape_of(as_read(desired).branches[neighbour])
                assert told == wanted
                assert all(held.filters[prefix] == neighbour for prefix in prefixes(*port.ranks))
            elif neighbour in held.branches:
                assert shape_of(held.branches[neighbour]) == LinkShape(limit=MAX_AUTO_LIMIT)


@given(nodes(steps=2))
def test_nothing_is_taken_away(planned):
    old, new = (sent_by(node) for node in planned)
    held = perform(old, diff(new, old))
    assert held.branches.keys() >= old.branches.keys()
    assert held.filters.items() >= old.filters.items()
    assert held.passing.keys() | held.filters.keys() >= old.passing.keys()
    assert held.sealed >= old.sealed


# What the kernel holds


@pytest.mark.parametrize("name", [name for name in SHAPES if name not in ("unshaped", "bursty")])
def test_a_reading_is_the_shape_that_was_asked_for(name):
    own = SHAPES[name]
    told = shape_of(tree(every=own).branches[1])
    for field in dataclasses.fields(LinkShape):
        asked, held = getattr(own, field.name), getattr(told, field.name)
        if field.name in ("loss", "duplicate", "corrupt", "reorder"):
            assert float(held) == pytest.approx(float(asked), abs=2**-32)
        elif field.name == "gilbert_elliott" and asked:
            assert [float(v) for v in vars(held).values()] == pytest.approx([float(v) for v in vars(asked).values()])
        elif field.name not in ("limit", "queue"):
            assert held == asked, field.name


def test_a_reading_of_a_correlated_loss_is_its_chain():
    told = shape_of(tree(every=SHAPES["bursty"]).branches[1])
    assert told.mean_loss == pytest.approx(0.05)
    assert told.gilbert_elliott.correlation == pytest.approx(0.25)


def test_a_reading_may_contradict_itself():
    assert shape_of(Branch(1, Netem(jitter_ns=5, limit=0))).jitter == Time(5)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda t: dataclasses.replace(t, branches={}), "nothing shapes it"),
        (lambda t: dataclasses.replace(t, filters={}), "no filter sends packets of 10.77.0.2/32 there"),
        (lambda t: dataclasses.replace(t, filters={**t.filters, ip_network(NET.ipv6(1)): 2}), "of fd77::2/128 there"),
        (
            lambda t: dataclasses.replace(t, branches={1: Branch(1, Netem(delay_ns=7, limit=16_513 * 2))}),
            "delay_ns 7 -> 20000000 (applied -> requested)",
        ),
        (lambda t: dataclasses.replace(t, branches={1: dataclasses.replace(t.branches[1], tbf=Tbf(1, 2, 3))}), "tbf"),
    ],
)
def test_what_is_not_held_is_told(spoil, words):
    desired = tree(every=SHAPES["delay"])
    found = next(iter(mismatches(desired, spoil(desired))))
    assert found[0] == 1
    assert words in found[1]


@pytest.mark.parametrize("off", [-2, -1, 1, 2])
def test_a_burst_may_be_off_by_the_kernels_ticks_and_no_more(off):
    want = Branch(1, Netem(), Tbf(10**9, 10**6, 10**7))
    tick = 64
    desired = Tree(True, {1: want}, {})
    near = Tree(True, {1: Branch(1, Netem(), Tbf(10**9, 10**6 + off * tick, 10**7))}, {})
    far = Tree(True, {1: Branch(1, Netem(), Tbf(10**9, 10**6 + 2 * off * tick + off, 10**7))}, {})
    assert list(mismatches(desired, near)) == []
    assert bool(list(mismatches(desired, far))) == (abs(off) == 2)
