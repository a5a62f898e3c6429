"""harness.model.bound: worked examples, the ways it may move, and that no algorithm beats it."""

import heapq
import itertools
import math
import time
from collections import deque
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from harness.model.bound import COLLECTIVES, WIRE_SHARE, LinkBound
from harness.model.capacity import Capacity, NodeShape
from harness.model.link import UNSHAPED, LinkShape
from harness.model.node_plan import PlannedEdge
from harness.model.pipe import least_delay_ns
from harness.model.plan import NetworkPlan
from harness.model.units import Rate, Ratio, Size, Time
from tests.support.plans import BLACKHOLE

MBIT = 10**6


def shape(mbit=None, ms=0.0, **more):
    return LinkShape(rate=None if mbit is None else Rate(int(mbit * MBIT)), delay=Time.from_seconds(ms / 1e3), **more)


def plan(size, edges):
    """A plan of directed edges {(src, dst): shape} with routes of fewest hops."""
    hops = {rank: {} for rank in range(size)}
    for dst in range(size):
        queue, seen = deque([dst]), {dst}
        while queue:
            near = queue.popleft()
            for far in sorted(src for src, to in edges if to == near and src not in seen):
                hops[far][dst] = near
                seen.add(far)
                queue.append(far)
    return NetworkPlan("test", "test", 0, size, {e: PlannedEdge(*e, s) for e, s in edges.items()}, hops)


def both(pairs, same):
    return {edge: same for a, b in pairs for edge in ((a, b), (b, a))}


def mesh(n):
    return list(itertools.combinations(range(n), 2))


def ring(n):
    return [(rank, (rank + 1) % n) for rank in range(n)]


def line(n):
    return [(rank, rank + 1) for rank in range(n - 1)]


def star(n):
    return [(0, rank) for rank in range(1, n)]


def wire(size, mbit):
    """Seconds that this payload takes at this rate."""
    return size * 8 * WIRE_SHARE / (mbit * MBIT)


def cap(mbit, **more):
    return Capacity(Rate(mbit * MBIT), **more)


def home(size, each, ms=0.0):
    """All joined, no rate but that of each node's lines."""
    return plan(size, both(mesh(size), shape(ms=ms))).with_nodes(dict.fromkeys(range(size), each))


S = 1448 * 1000
MIB_12_8 = 128 * 2**20 // 10

# --- worked by hand ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("collective", ["all_reduce", "broadcast", "send_recv"])
def test_two_ranks_send_everything_over_one_link(collective):
    two = plan(2, both([(0, 1)], shape(10, 30)))
    assert LinkBound(two).seconds(collective, S) == pytest.approx(0.03 + 1514 * 1000 * 8 / 10e6)


@pytest.mark.parametrize("collective", ["all_gather", "reduce_scatter", "all_to_all"])
def test_two_ranks_send_half(collective):
    two = plan(2, both([(0, 1)], shape(10, 30)))
    assert LinkBound(two).seconds(collective, S) == pytest.approx(0.03 + wire(S / 2, 10))


def test_star_of_four():
    four = plan(4, both(star(4), shape(10, 20)))
    expected = {
        # a leaf gets all of it over its one link; another is 20 ms further
        "all_reduce": 0.04 + wire(S, 10),
        "broadcast": 0.02 + wire(S, 10),
        "all_gather": max(0.02 + wire(3 * S / 4, 10), 0.04 + wire(2 * S / 4, 10)),
        "reduce_scatter": max(0.02 + wire(3 * S / 4, 10), 0.04 + wire(2 * S / 4, 10)),
        "all_to_all": max(0.02 + wire(3 * S / 4, 10), 0.04 + wire(2 * S / 4, 10)),
        "send_recv": 0.04 + wire(S, 10),
        "barrier": 0.04,
    }
    for collective, seconds in expected.items():
        assert LinkBound(four).seconds(collective, S) == pytest.approx(seconds), collective


def test_line_of_four():
    four = plan(4, both(line(4), shape(10, 20)))
    assert LinkBound(four).seconds("barrier", 0) == pytest.approx(0.06)
    assert LinkBound(four).seconds("broadcast", S) == pytest.approx(0.06 + wire(S, 10))
    assert LinkBound(four).seconds("all_reduce", S) == pytest.approx(0.06 + wire(S, 10))
    # the middle link carries 2 x 2 blocks of S / 4
    assert LinkBound(four).seconds("all_to_all", S) == pytest.approx(0.02 + wire(S, 10))
    # 3 -> 0 takes all three links
    assert LinkBound(four).seconds("send_recv", S) == pytest.approx(0.06 + wire(S, 10))


def test_all_reduce_of_a_mesh_is_bound_by_all_links_together():
    """2 (n - 1) S bytes over n (n - 1) links (Patarasuk and Yuan 2009)."""
    assert LinkBound(plan(4, both(mesh(4), shape(10)))).seconds("all_reduce", S) == pytest.approx(wire(2 * S / 4, 10))


def test_send_recv_flows_share_the_links_of_their_routes():
    """0-2, 2-1, 1-3: routes 0->1, 1->2, 2->3 and 3->0 put two flows on 2->1 (0->1 and 2->3)."""
    four = plan(4, both([(0, 2), (1, 2), (1, 3)], shape(10)))
    assert LinkBound(four).seconds("send_recv", S) == pytest.approx(wire(2 * S, 10))


def test_islands_are_bound_by_what_joins_them():
    """Three islands of three ranks: their first ranks joined by slow links."""
    fast, slow = shape(1000), shape(1, 50)
    firsts = [0, 3, 6]
    edges = both([(a, b) for f in firsts for a, b in itertools.combinations(range(f, f + 3), 2)], fast)
    nine = plan(9, edges | both(itertools.combinations(firsts, 2), slow))
    # 2 (3 - 1) S bytes over six slow links; an island by itself: S over two
    assert LinkBound(nine).seconds("all_reduce", S) == pytest.approx(0.05 + wire(4 * S / 6, 1))
    # an island sends 3 x 6 blocks of S / 9 over its two slow links
    assert LinkBound(nine).seconds("all_to_all", S) == pytest.approx(0.05 + wire(2 * S / 2, 1))


def test_the_slow_direction_counts():
    edges = {(0, 1): shape(100, 5), (1, 0): shape(1, 70)}
    assert LinkBound(plan(2, edges)).seconds("broadcast", S) == pytest.approx(0.005 + wire(S, 100))
    assert LinkBound(plan(2, edges)).seconds("all_reduce", S) == pytest.approx(0.07 + wire(S, 1))


def test_a_broadcast_is_bound_by_its_root_s_uplink_or_a_receiver_s_downlink():
    """12.8 MiB from one root to seven peers at 100 Mbit/s and 10 ms one way: one copy leaves the root at least."""
    found = LinkBound(home(8, NodeShape(uplink=cap(100)), ms=10)).seconds("broadcast", MIB_12_8)
    assert found == pytest.approx(0.01 + wire(MIB_12_8, 100)) == pytest.approx(1.133, abs=1e-3)
    found = LinkBound(home(8, NodeShape(downlink=cap(50)), ms=10)).seconds("broadcast", MIB_12_8)
    assert found == pytest.approx(0.01 + wire(MIB_12_8, 50))


@pytest.mark.parametrize(("nodes", "ring_bound"), [(4, 1.61), (8, 1.88)])
def test_an_all_reduce_is_bound_by_all_uplinks_together(nodes, ring_bound):
    """Published figures (BinhangYuan/tc_cluster_setting) scaled: 12.8 MiB at 100 Mbit/s and 10 ms. Their bound is
    2 (n - 1) / n of the bytes; ours adds the headers and one delay.
    """
    found = LinkBound(home(nodes, NodeShape(uplink=cap(100)), ms=10)).seconds("all_reduce", MIB_12_8)
    assert found == pytest.approx(0.01 + WIRE_SHARE * 2 * (nodes - 1) / nodes * MIB_12_8 * 8 / 1e8)
    assert (found - 0.01) / WIRE_SHARE == pytest.approx(ring_bound, abs=0.005)


def test_a_trunk_bounds_what_crosses_it():
    four = replace(home(4, NodeShape()), regions={"a": (0, 1), "b": (2, 3)}, trunk_capacities={("a", "b"): cap(10)})
    assert LinkBound(four).seconds("broadcast", S) == pytest.approx(wire(S, 10))
    assert LinkBound(four).seconds("all_to_all", S) == pytest.approx(wire(4 * S / 4, 10))
    assert LinkBound(four).seconds("send_recv", S) == pytest.approx(wire(S, 10))  # 1 -> 2 alone; 3 -> 0 is the way back


def test_regions_are_bound_by_what_joins_them():
    """As islands: 2 (3 - 1) S bytes over six trunks; a region sends 2 x 4 blocks of S / 6 over its two."""
    regions = {"a": (0, 3), "b": (1, 4), "c": (2, 5)}
    trunks = dict.fromkeys(itertools.permutations(regions, 2), cap(1))
    six = replace(plan(6, both(mesh(6), shape(ms=50))), regions=regions, trunk_capacities=trunks)
    assert LinkBound(six).seconds("all_reduce", S) == pytest.approx(0.05 + wire(4 * S / 6, 1))
    assert LinkBound(six).seconds("all_to_all", S) == pytest.approx(0.05 + wire(8 * S / 6 / 2, 1))


def test_all_that_a_relay_forwards_passes_its_uplink():
    """A star's centre: in send_recv it sends for 1->2, 2->3 and itself to 1; 3->0 comes in."""
    four = plan(4, both(star(4), shape(ms=10))).with_nodes({0: NodeShape(uplink=cap(10))})
    assert LinkBound(four).seconds("send_recv", S) == pytest.approx(0.01 + wire(3 * S, 10))


def test_the_slower_of_a_link_and_what_it_shares_counts():
    three = plan(3, both(mesh(3), shape(10, 5)))
    for uplink, least in ((15, 15), (50, 20)):
        capped = three.with_nodes({0: NodeShape(uplink=cap(uplink))})
        assert LinkBound(capped).seconds("broadcast", S) == pytest.approx(0.005 + wire(S, least))


def test_a_burst_passes_a_shared_capacity_no_faster_than_that():
    """100 kB at once, but 20 Mbit/s at most: 20 t until 10 t + burst is less."""
    edges = both([(0, 1)], shape(10, burst=Size(100_000)))
    two = LinkBound(plan(2, edges).with_nodes({0: NodeShape(uplink=cap(20))}))
    assert two.seconds("broadcast", 90_000) == pytest.approx(wire(90_000, 20))
    assert two.seconds("broadcast", S) == pytest.approx((1514 * 1000 - 100_000) * 8 / 10e6)


def test_overhead_and_mtu_count():
    edges = both([(0, 1)], shape(10, overhead=24))
    assert LinkBound(plan(2, edges)).seconds("broadcast", S) == pytest.approx(1538 * 1000 * 8 / 10e6)
    capped = plan(2, both([(0, 1)], UNSHAPED)).with_nodes({1: NodeShape(downlink=cap(10, overhead=24))})
    assert LinkBound(capped).seconds("broadcast", S) == pytest.approx(1538 * 1000 * 8 / 10e6)
    jumbo = replace(plan(2, both([(0, 1)], shape(10))), mtu=9000)
    assert LinkBound(jumbo).seconds("broadcast", 8948_000) == pytest.approx(9014_000 * 8 / 10e6)


def test_a_detour_may_be_faster_than_the_route():
    edges = both([(0, 1)], shape(ms=100)) | both([(0, 2), (2, 1)], shape(ms=10))
    assert LinkBound(plan(3, edges)).seconds("broadcast", S) == pytest.approx(0.02)
    assert LinkBound(plan(3, edges)).seconds("send_recv", S) == pytest.approx(0.1)


def test_a_full_bucket_passes_its_burst_at_once():
    two = plan(2, both([(0, 1)], shape(10, burst=Size(100_000))))
    assert LinkBound(two).seconds("broadcast", S) == pytest.approx((1514 * 1000 - 100_000) * 8 / 10e6)
    assert LinkBound(two).seconds("broadcast", 90_000) == 0


def test_delays_count_as_the_least_that_jitter_leaves():
    assert least_delay_ns(shape(ms=10, jitter=Time.parse("4ms"))) == 6 * MBIT
    assert least_delay_ns(shape(ms=10, jitter=Time.parse("1ms"), distribution="normal")) == 6 * MBIT
    assert least_delay_ns(shape(ms=10, jitter=Time.parse("5ms"), distribution="pareto")) == 0
    assert least_delay_ns(shape(ms=10, reorder=Ratio.parse("1%"))) == 0


@pytest.mark.parametrize("collective", COLLECTIVES)
def test_unshaped_links_bind_nothing(collective):
    assert LinkBound(plan(5, both(ring(5), UNSHAPED))).seconds(collective, S) == 0


@pytest.mark.parametrize("collective", COLLECTIVES)
def test_a_line_that_is_cut_never_ends(collective):
    cut = both(line(3), shape(10, 1)) | {(1, 2): BLACKHOLE}
    assert LinkBound(plan(3, cut)).seconds(collective, S) == math.inf


def test_a_link_that_is_down_is_not_used():
    edges = both(ring(4), shape(10, 5))
    four = plan(4, edges)
    down = four.changed([replace(four.edge(0, 1), down=True)])
    assert LinkBound(down).seconds("broadcast", S) == pytest.approx(0.015 + wire(S, 10))
    assert LinkBound(down).seconds("send_recv", S) == math.inf


def test_bad_input():
    two = plan(2, both([(0, 1)], UNSHAPED))
    with pytest.raises(InputError, match="'gossip' is unknown; one of all_reduce"):
        LinkBound(two).seconds("gossip", 1)
    with pytest.raises(InputError, match="negative"):
        LinkBound(two).seconds("broadcast", -1)
    assert LinkBound(plan(1, {})).seconds("all_reduce", S) == 0


def test_64_nodes_take_seconds_not_minutes():
    full = plan(64, both(mesh(64), shape(10, 5)))
    began = time.process_time()
    bound = LinkBound(full)
    for collective in COLLECTIVES:
        bound.seconds(collective, S)
    assert time.process_time() - began < 10


# --- the ways it may move ------------------------------------------------------------------------------------------


@st.composite
def plans(draw, most=5):
    """Connected graphs with a shape per direction; some links unshaped."""
    size = draw(st.integers(2, most))
    pairs = {(draw(st.integers(0, rank - 1)), rank) for rank in range(1, size)}
    pairs |= set(draw(st.lists(st.sampled_from(mesh(size)), max_size=6)))
    rates = st.one_of(st.none(), st.integers(1, 50))
    edges = {}
    for a, b in sorted(pairs):
        for edge in ((a, b), (b, a)):
            burst = draw(st.sampled_from([None, None, Size(20_000)]))
            rate = draw(rates)
            edges[edge] = shape(rate, draw(st.integers(0, 50)), burst=burst if rate else None)
    return plan(size, edges)


@st.composite
def capped_plans(draw):
    """The same with uplinks, downlinks, and a trunk each way between two regions."""
    network = draw(plans())
    limit = st.one_of(st.none(), st.integers(1, 50).map(cap))
    shapes = {rank: NodeShape(draw(limit), draw(limit)) for rank in range(network.size)}
    split = draw(st.integers(1, network.size - 1))
    regions = {"a": tuple(range(split)), "b": tuple(range(split, network.size))}
    trunks = {ways: capacity for ways in (("a", "b"), ("b", "a")) if (capacity := draw(limit)) is not None}
    return replace(network.with_nodes(shapes), regions=regions, trunk_capacities=trunks)


sizes = st.integers(0, 10**6)


@settings(max_examples=50, deadline=None)
@given(st.one_of(plans(), capped_plans()), st.sampled_from(COLLECTIVES), sizes, sizes)
def test_longer_with_size(network, collective, one, other):
    assume(collective != "barrier")
    small, large = sorted((one, other))
    assert LinkBound(network).seconds(collective, small) <= LinkBound(network).seconds(collective, large) + 1e-12


@settings(max_examples=50, deadline=None)
@given(st.one_of(plans(), capped_plans()), st.sampled_from(COLLECTIVES), sizes, st.data())
def test_longer_with_delay(network, collective, size, data):
    edge = network.edges[data.draw(st.sampled_from(sorted(network.edges)))]
    slower = edge.shape.changed(delay=edge.shape.delay + Time.from_seconds(data.draw(st.integers(1, 500)) / 1e3))
    changed = network.changed([replace(edge, shape=slower)])
    assert LinkBound(network).seconds(collective, size) <= LinkBound(changed).seconds(collective, size) + 1e-12


@settings(max_examples=50, deadline=None)
@given(st.one_of(plans(), capped_plans()), st.sampled_from(COLLECTIVES), sizes, st.data())
def test_shorter_with_rate(network, collective, size, data):
    edge = network.edges[data.draw(st.sampled_from(sorted(network.edges)))]
    assume(edge.shape.rate is not None)
    faster = edge.shape.changed(rate=Rate(edge.shape.rate.bit_s * data.draw(st.integers(2, 9))))
    free = edge.shape.changed(rate=None, burst=None)
    bounds = [
        LinkBound(network.changed([replace(edge, shape=s)])).seconds(collective, size)
        for s in (edge.shape, faster, free)
    ]
    assert bounds[0] + 1e-12 >= bounds[1]
    assert bounds[1] + 1e-12 >= bounds[2]


@settings(max_examples=50, deadline=None)
@given(st.one_of(plans(), capped_plans()), st.sampled_from(COLLECTIVES), sizes, st.data())
def test_longer_without_a_link(network, collective, size, data):
    edge = network.edges[data.draw(st.sampled_from(sorted(network.edges)))]
    changed = network.changed([replace(edge, down=True)])
    assert LinkBound(network).seconds(collective, size) <= LinkBound(changed).seconds(collective, size) + 1e-12


@settings(max_examples=50, deadline=None)
@given(capped_plans(), st.sampled_from(COLLECTIVES), sizes, st.data())
def test_shorter_with_a_wider_line(network, collective, size, data):
    assume(network.nodes)
    rank = data.draw(st.sampled_from(sorted(network.nodes)))
    kind = data.draw(st.sampled_from(sorted(network.nodes[rank].present)))
    now = network.nodes[rank].present[kind]
    wider = replace(now, rate=Rate(now.rate.bit_s * data.draw(st.integers(2, 9))))
    bounds = [
        LinkBound(network.with_nodes({rank: replace(network.nodes[rank], **{kind: one})})).seconds(collective, size)
        for one in (now, wider, None)
    ]
    assert bounds[0] + 1e-12 >= bounds[1]
    assert bounds[1] + 1e-12 >= bounds[2]


# --- no algorithm beats it -----------------------------------------------------------------------------------------


class Simulator:
    """Messages in packets over FIFO links with rate, burst and delay, along the plan's routes, store and forward.

    What links share is a FIFO of its own: uplinks before a link's delay or after it, trunks and downlinks after it.
    """

    PACKETS = 6

    def __init__(self, network, uplink_first=True):
        self.network, self.now, self.events, self.order = network, 0.0, [], itertools.count()
        self.uplink_first, self.free = uplink_first, {}
        self.links = {pair: [0.0, self.burst(pair)] for pair in network.edges}

    def burst(self, pair):
        held = self.network.edges[pair].shape.burst
        return held.bytes * 8 if held else 0.0

    def at(self, when, action):
        heapq.heappush(self.events, (when, next(self.order), action))

    def send(self, src, dst, size, arrived):
        """Call arrived() when the whole message is there."""
        left = [self.PACKETS]
        path = self.network.path(src, dst)

        def hop(place):
            if place == len(path):
                left[0] -= 1
                if not left[0]:
                    arrived()
                return
            self.cross(path[place], size * 8 * WIRE_SHARE / self.PACKETS, lambda: hop(place + 1))

        for _ in range(self.PACKETS):
            hop(0)

    def cross(self, edge, bits, then):
        caps, trunk = self.network.caps_on(edge.pair), self.network.trunk_of(edge.pair)
        keys = {"uplink": edge.src, "trunk": trunk and trunk.name, "downlink": edge.dst}
        line = [("line", edge)]
        kinds = [[kind] for kind in ("uplink", "trunk", "downlink") if kind in caps]
        first = [kind for kind in kinds if self.uplink_first and kind == ["uplink"]]
        stages = [*first, line, *(kind for kind in kinds if kind not in first)]

        def step(number):
            if number == len(stages):
                then()
            elif stages[number] is line:
                done = self.transmit(edge.pair, bits) + edge.shape.delay.seconds
                self.at(done, lambda: step(number + 1))
            else:
                (kind,) = stages[number]
                begin = max(self.now, self.free.get((kind, keys[kind]), 0.0))
                self.free[kind, keys[kind]] = done = begin + bits / caps[kind].rate.bit_s
                self.at(done, lambda: step(number + 1))

        step(0)

    def transmit(self, pair, bits):
        rate, (free, tokens) = self.network.edges[pair].shape.rate, self.links[pair]
        if rate is None:
            return self.now
        begin = max(self.now, free)
        tokens = min(self.burst(pair), tokens + (begin - free) * rate.bit_s)
        done = begin + max(0.0, bits - tokens) / rate.bit_s
        self.links[pair] = [done, max(0.0, tokens - bits)]
        return done

    def run(self):
        while self.events:
            self.now, _, action = heapq.heappop(self.events)
            action()
        return self.now


def after(count, action):
    """A callback that does the action at its count-th call."""
    left = [count]

    def call():
        left[0] -= 1
        if not left[0]:
            action()

    return call


def nothing():
    pass


def everyone_to_everyone(each):
    def algorithm(sim, n, size):
        for src, dst in itertools.permutations(range(n), 2):
            sim.send(src, dst, each(size, n), nothing)

    return algorithm


def from_root(sim, n, size, root=0):
    for dst in range(n):
        if dst != root:
            sim.send(root, dst, size, nothing)


def along_chain(sim, n, size, rank=0):
    if rank + 1 < n:
        sim.send(rank, rank + 1, size, lambda: along_chain(sim, n, size, rank + 1))


def by_binomial_tree(sim, n, size, rank=0, span=None):
    span = span or 1 << (n - 1).bit_length()
    for step in (span >> k for k in range(1, span.bit_length())):
        child = rank + step
        if child < n:
            sim.send(rank, child, size, lambda child=child, step=step: by_binomial_tree(sim, n, size, child, step))


def reduce_then_broadcast(sim, n, size):
    root = n // 2
    ready = after(n - 1, lambda: from_root(sim, n, size, root))
    for src in range(n):
        if src != root:
            sim.send(src, root, size, ready)


def around_ring(steps):
    """Each rank passes on a block of S / n per step, when the one of the step before has come."""

    def algorithm(sim, n, size):
        def step(rank, count):
            if count < steps(n):
                sim.send(rank, (rank + 1) % n, size / n, lambda: step((rank + 1) % n, count + 1))

        for rank in range(n):
            step(rank, 0)

    return algorithm


def to_next(sim, n, size):
    for rank in range(n):
        sim.send(rank, (rank + 1) % n, size, nothing)


ALGORITHMS = [
    ("broadcast", from_root),
    ("broadcast", along_chain),
    ("broadcast", by_binomial_tree),
    ("all_reduce", everyone_to_everyone(lambda size, n: size)),
    ("all_reduce", reduce_then_broadcast),
    ("all_reduce", around_ring(lambda n: 2 * (n - 1))),
    ("all_gather", everyone_to_everyone(lambda size, n: size / n)),
    ("all_gather", around_ring(lambda n: n - 1)),
    ("reduce_scatter", everyone_to_everyone(lambda size, n: size / n)),
    ("reduce_scatter", around_ring(lambda n: n - 1)),
    ("all_to_all", everyone_to_everyone(lambda size, n: size / n)),
    ("send_recv", to_next),
    ("barrier", everyone_to_everyone(lambda size, n: 0)),
]


def simulated(network, algorithm, size, uplink_first=True):
    simulator = Simulator(network, uplink_first)
    algorithm(simulator, network.size, size)
    return simulator.run()


@pytest.mark.parametrize(("collective", "algorithm"), ALGORITHMS)
@settings(max_examples=20, deadline=None)
@given(network=plans(), size=sizes)
def test_no_algorithm_beats_it(collective, algorithm, network, size):
    assert LinkBound(network).seconds(collective, size) <= simulated(network, algorithm, size) + 1e-9


@pytest.mark.parametrize(("collective", "algorithm"), ALGORITHMS)
@settings(max_examples=20, deadline=None)
@given(network=capped_plans(), size=sizes, uplink_first=st.booleans())
def test_no_algorithm_beats_it_on_shared_lines(collective, algorithm, network, size, uplink_first):
    found = LinkBound(network).seconds(collective, size)
    assert found <= simulated(network, algorithm, size, uplink_first) + 1e-9


@pytest.mark.parametrize(
    ("collective", "algorithm", "pairs", "share"),
    [
        ("send_recv", to_next, ring(6), 1.0),
        ("all_reduce", around_ring(lambda n: 2 * (n - 1)), mesh(2), 0.5),
        ("all_gather", everyone_to_everyone(lambda size, n: size / n), mesh(6), 0.8),
        ("all_to_all", everyone_to_everyone(lambda size, n: size / n), mesh(6), 0.8),
        ("all_to_all", everyone_to_everyone(lambda size, n: size / n), line(4), 0.6),
        ("broadcast", from_root, mesh(2), 1.0),
        ("broadcast", along_chain, line(2), 1.0),
    ],
)
def test_good_algorithms_come_near_it(collective, algorithm, pairs, share):
    network = plan(max(map(max, pairs)) + 1, both(pairs, shape(10, 10)))
    size = 1448 * 500
    assert LinkBound(network).seconds(collective, size) >= share * simulated(network, algorithm, size) - 1e-9
