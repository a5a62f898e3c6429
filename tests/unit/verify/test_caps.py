"""Which shared capacities a flow meets, and what that changes of an edge's measurement and its verdict."""

import random
from dataclasses import replace

import pytest

from harness.model.capacity import Capacity, NodeShape
from harness.model.link import LinkShape
from harness.model.plan_edit import undirected
from harness.model.queueing import Queue, parse_buffer
from harness.model.units import Rate, Size
from harness.verify.caps import CapPlace, caps_of, counted, crossed, frame_rate, met_alone, narrowest
from harness.verify.plan import probe_for
from harness.verify.rounds import rounds
from harness.verify.samples import Direction, EdgeMeasurement
from harness.verify.verdict import judge
from tests.support.plans import network, shape
from tests.unit.verify.test_verdict import bulk

FRAME = 1514
EDGE = shape(rate="100mbit", delay="10ms")


def cap(text, **values):
    return Capacity(Rate.parse(text), **values)


def capped(every=EDGE, nodes=4, topology="fully_connected", **shapes):
    plan = network(topology, nodes, every)
    return plan.with_nodes({int(name[1:]): own for name, own in shapes.items()})


def two_regions(trunk="10mbit"):
    plan = network("fully_connected", 4, EDGE)
    ways = {("eu", "us"): cap(trunk), ("us", "eu"): cap(trunk)}
    return replace(plan, regions={"eu": (0, 1), "us": (2, 3)}, trunk_capacities=ways)


def test_a_capacity_has_the_edges_that_share_it_without_those_that_are_down():
    plan = capped(n0=NodeShape(cap("20mbit"), cap("30mbit")))
    plan = plan.changed([replace(plan.edge(0, 2), down=True)])
    up, down = caps_of(plan)
    assert (up.place, up.edges) == (CapPlace("uplink", 0), ((0, 1), (0, 3)))
    assert (down.place, down.edges) == (CapPlace("downlink", 0), ((1, 0), (2, 0), (3, 0)))
    assert str(up) == "the uplink of node 0, 20 Mbit/s"


def test_a_trunk_is_crossed_in_its_direction_only():
    caps = caps_of(two_regions())
    assert [str(one.place) for one in crossed(caps, (0, 2))] == ["eu->us"]
    assert [str(one.place) for one in crossed(caps, (2, 0))] == ["us->eu"]
    assert crossed(caps, (0, 1)) == ()


def test_what_the_engine_reports_takes_the_place_of_what_was_requested():
    plan = capped(n0=NodeShape(cap("20mbit"), cap("30mbit")))
    found = caps_of(plan, {CapPlace("uplink", 0): cap("21mbit")})
    assert [(one.place.kind, one.capacity.rate) for one in found] == [("uplink", Rate.parse("21mbit"))]


def test_the_narrowest_is_found_by_what_full_frames_get():
    """20.5 Mbit/s of which 24 bytes beside each frame count less than 20.3 Mbit/s of frames."""
    caps = caps_of(capped(n0=NodeShape(uplink=cap("20.5mbit", overhead=24)), n1=NodeShape(downlink=cap("20.3mbit"))))
    assert narrowest(crossed(caps, (0, 1)), EDGE, FRAME).place == CapPlace("uplink", 0)
    assert narrowest(crossed(caps, (0, 1)), shape(rate="1mbit"), FRAME) is None
    assert narrowest(crossed(caps, (2, 3)), EDGE, FRAME) is None


def test_what_is_counted_beside_a_frame():
    assert frame_rate(LinkShape(rate=Rate(1538), overhead=24), FRAME) == pytest.approx(1514)
    assert counted(1514, 24, FRAME) == pytest.approx(1538)
    assert counted(1514, -14, FRAME) == pytest.approx(1500)


def test_a_lone_flow_is_planned_for_the_narrowest_rate_and_its_queue():
    plan = capped(n0=NodeShape(uplink=cap("2mbit", buffer=parse_buffer("24KiB"))))
    met = met_alone(EDGE, caps_of(plan)[0])
    assert (met.rate, met.delay, met.buffer) == (Rate.parse("2mbit"), EDGE.delay, Size(24 << 10))
    probe = probe_for((0, 1), met, EDGE, seconds=5, sharing=1, ipv6=False)
    assert probe.forward_bulk.rate_bit_s == pytest.approx(4e6)
    assert probe.forward_bulk.segments == 1
    assert probe.forward_train.interval_s >= 2.5 * 106 * 8 / 2e6
    assert probe.backward_bulk.segments > 10


@pytest.mark.parametrize("buffer", ["6KiB", "64KiB", "1s"])
def test_bursts_find_room_in_the_queue(buffer):
    link = LinkShape(rate=Rate.parse("100mbit"), buffer=parse_buffer(buffer))
    bulk = probe_for((0, 1), link, link, seconds=5, sharing=1, ipv6=False).forward_bulk
    room = parse_buffer(buffer).bytes if buffer.endswith("B") else 12_500_000
    assert bulk.segments == 1 or 4 * bulk.segments * FRAME <= room


def test_a_queue_that_is_kept_short_is_hardly_overdriven():
    link = LinkShape(rate=Rate.parse("100mbit"), queue=Queue.of("pie"))
    bulk = probe_for((0, 1), link, link, seconds=5, sharing=1, ipv6=False).forward_bulk
    assert bulk.rate_bit_s == pytest.approx(1.15e8, rel=0.01)
    assert bulk.gentle() == bulk


@pytest.mark.parametrize("mtu", [1280, 9000])
def test_frames_are_those_of_the_networks_mtu(mtu):
    bulk = probe_for((0, 1), EDGE, EDGE, seconds=5, sharing=1, ipv6=False, frame=mtu + 14).forward_bulk
    assert bulk.frame == mtu + 14
    assert bulk.segments * (mtu - 28) <= 65507
    assert bulk.rate_bit_s == pytest.approx(2e8)


def test_edges_that_share_a_trunk_are_not_measured_at_the_same_time():
    groups = rounds(two_regions())
    crossing = [[pair for pair in group if pair[0] < 2 <= pair[1]] for group in groups]
    assert max(map(len, crossing)) == 1
    assert sorted(pair for group in groups for pair in group) == undirected(two_regions().edges)


def rate_row(edge, caps, seen, down=False):
    plan = capped(edge, 2, "line", **caps)
    measured = EdgeMeasurement((0, 1), forward=Direction(bulk=bulk(seen, random.Random(1))), backward=Direction())
    ends = plan.edge(0, 1), plan.edge(1, 0), edge, edge
    found = judge(*ends, measured, caps=caps_of(plan), frame=FRAME)
    return next(row for row in found if (row.src, row.quantity) == (0, "rate"))


def test_an_edge_alone_gets_no_more_than_its_senders_uplink():
    row = rate_row(EDGE, {"n0": NodeShape(uplink=cap("20mbit"))}, shape(rate="20mbit"))
    assert row.ok
    assert (row.requested, row.note) == (1e8, "limited by the uplink of node 0, 20 Mbit/s")
    assert 18e6 < row.low < row.measured < row.high < 21e6


def test_an_edge_that_gets_more_than_an_uplink_is_off():
    row = rate_row(EDGE, {"n0": NodeShape(uplink=cap("20mbit"))}, EDGE)
    assert not row.ok
    assert row.note == "the link is faster than its rate"


def test_an_edge_without_a_rate_is_compared_with_the_capacity():
    assert rate_row(LinkShape(), {"n1": NodeShape(downlink=cap("20mbit"))}, shape(rate="20mbit")).ok
    assert not rate_row(LinkShape(), {"n1": NodeShape(downlink=cap("20mbit"))}, shape(rate="25mbit")).ok


def test_a_capacity_above_the_edges_rate_changes_nothing():
    row = rate_row(EDGE, {"n0": NodeShape(uplink=cap("1gbit"))}, EDGE)
    assert row.ok
    assert not row.note


def test_what_a_rate_counts_beside_a_frame_is_part_of_it():
    link = LinkShape(rate=Rate.parse("100mbit"), overhead=138)
    row = rate_row(link, {}, LinkShape(rate=Rate(round(1e8 * 1514 / 1652))))
    assert row.ok
    assert row.measured == pytest.approx(1e8, rel=0.02)
    assert not rate_row(link, {}, shape(rate="100mbit")).ok
