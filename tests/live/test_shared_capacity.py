"""What edges share, as verify measures it: all senders at once get it together and no more, an edge alone up to it."""

import subprocess
import sys
from dataclasses import replace

import pytest

from harness.backends.base import Stdio
from harness.model.capacity import Capacity, NodeShape
from harness.model.plan_edit import undirected
from harness.model.queueing import parse_buffer
from harness.model.units import Rate
from harness.verify.caps import CapPlace, caps_of
from harness.verify.driver import ProbeDriver
from harness.verify.probe_client import PROBE_ARGV
from harness.verify.verdict.capacity import judge_cap
from harness.verify.verification import verify
from tests.support.live import needs, network, up
from tests.support.plans import shape
from tests.support.stalls import StallMeter

pytestmark = [*needs(), pytest.mark.timing]
EDGE = shape(rate="8mbit", delay="5ms")


def cap(text, buffer=None):
    return Capacity(Rate.parse(text), buffer=parse_buffer(buffer) if buffer else None)


def verified(net):
    """The rows by place and quantity; and the share of the time for which the machine stood still."""
    with StallMeter() as stalls:
        rows = verify(net, undirected(net.plan.edges), lambda *_: None, lambda _: None, seconds=1, parallel=2)
    return {(row.place, row.quantity): row for row in rows}, stalls.share


def wrong(rows, stalled):
    """The rows that are not ok, and not because nothing was sent while the machine stood still."""
    bad = [row for row in rows.values() if not row.ok]
    late = [row for row in bad if stalled and row.quantity in ("rtt", "jitter")]
    slow = [row for row in bad if row.measured and row.low * (1 - stalled) <= row.measured < row.low]
    return [row for row in bad if row not in late and row not in slow]


def assert_right(row, rate, flows, stalled):
    assert row.requested == row.applied == Rate.parse(rate).bit_s
    assert row.applied * (0.92 - stalled) <= row.measured <= row.applied * 1.08
    assert row.flows == flows
    assert row.jain > 0.98


@pytest.mark.engine
def test_an_uplink_and_a_downlink_are_shared_fairly_and_limit_an_edge_alone():
    plan = network("fully_connected", 4, EDGE)
    plan = plan.with_nodes({0: NodeShape(uplink=cap("6mbit")), 3: NodeShape(downlink=cap("4mbit", "200ms"))})
    with up(plan) as net:
        rows, stalled = verified(net)
    assert not wrong(rows, stalled)
    assert_right(rows["node 0", "uplink"], "6mbit", 3, stalled)
    assert_right(rows["node 3", "downlink"], "4mbit", 3, stalled)
    assert rows["0->1", "rate"].note == "limited by the uplink of node 0, 6 Mbit/s"
    assert rows["0->3", "rate"].note == "limited by the downlink of node 3, 4 Mbit/s"
    assert rows["0->3", "rate"].measured < 4.2e6
    assert rows["1->2", "rate"].measured == pytest.approx(8e6, rel=0.08 + stalled)


def test_a_trunk_is_shared_by_all_pairs_across_it_each_direction_apart():
    regions = {"eu": (0, 1), "us": (2, 3)}
    trunks = {("eu", "us"): cap("6mbit"), ("us", "eu"): cap("3mbit")}
    with up(replace(network("fully_connected", 4, EDGE), regions=regions, trunk_capacities=trunks)) as net:
        rows, stalled = verified(net)
        assert not wrong(rows, stalled)
        assert_right(rows["eu->us", "trunk"], "6mbit", 4, stalled)
        assert_right(rows["us->eu", "trunk"], "3mbit", 4, stalled)
        assert rows["2->0", "rate"].note == "limited by the trunk us->eu, 3 Mbit/s"


def test_a_capacity_that_nothing_enforces_is_off():
    """The network has none; what verify would plan for one is sent through it."""
    plan = network("fully_connected", 4, EDGE)
    asked = plan.with_nodes({0: NodeShape(uplink=cap("6mbit"))})
    with up(plan) as net:

        def spawn(rank):
            return net.backend.spawn(
                rank, [sys.executable, *PROBE_ARGV], stdio=Stdio(subprocess.PIPE, subprocess.PIPE, None)
            )

        stamps = net.backend.engine.kernel_stamps
        with ProbeDriver(asked, spawn, seconds=1, kernel_stamps=stamps) as driver:
            ((load, measured),) = driver.measure_caps(caps_of(asked))
    row = judge_cap(load, cap("6mbit"), measured, dict.fromkeys(plan.edges, 0.0))
    assert row.cap == CapPlace("uplink", 0)
    assert not row.ok
    assert row.note.startswith("the uplink is faster than its rate")
