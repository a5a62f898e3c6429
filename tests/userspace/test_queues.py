"""What queue disciplines of the user-space engine do to a TCP connection at 10 Mbit/s and 20 ms one way."""

import re
import time
from dataclasses import replace
from statistics import median

import pytest

from harness.backends.netns.backend import NetnsBackend
from harness.networks.network import Network
from harness.shaping.detect import make_engine
from harness.shaping.facts import USERSPACE
from tests.support.live import bulk_flow, network, own, registry, run
from tests.support.plans import shape

pytestmark = [pytest.mark.nfqueue, pytest.mark.namespaces, pytest.mark.links, pytest.mark.timing]
RTT = 40
SECONDS = 8
LEAST = 0.8 * 10e6 / 8 * SECONDS
"""Bytes that a connection must get through: a discipline that drops too much is no success."""


def measured(ecn=False, **texts):
    """What waits in the queue of an edge while a connection fills it, ms, as pings see it; what the sender printed."""
    plan = replace(network("line", 2, shape(rate="10mbit", delay="20ms", **texts)), ecn=ecn)
    net = Network.up(own("queue"), plan, NetnsBackend(make_engine(USERSPACE)), registry())
    try:
        with bulk_flow(net, 0, 1, SECONDS) as told:
            time.sleep(4)  # slow start is over
            words = ["ping", "-n", "-U", "-i", "0.05", "-c", "60", "-W", "2", str(net.plan.addressing.ipv4(1))]
            text = run(net, 0, *words, check=False)
        times = [float(found) - RTT for found in re.findall(r"time=([\d.]+)", text)]
    finally:
        net.down()
    assert len(times) > 40
    print(f"{texts}: {median(times):.1f} ms of queue, {told}")
    assert told["acked"] > LEAST
    return median(times), told


def test_droptail_lets_a_queue_grow():
    waits, _ = measured(buffer="1s")
    assert waits > 100


def test_codel_holds_the_standing_queue():
    waits, flow = measured(queue="codel", buffer="1s")
    assert waits < 20
    assert flow["retransmits"] > 0
    assert flow["marked"] == 0


def test_a_flow_that_asks_for_ecn_is_marked_and_loses_nothing():
    waits, flow = measured(queue="codel", buffer="1s", ecn=True)
    assert waits < 20
    assert flow["ecn"]
    assert flow["marked"] > 0
    assert flow["retransmits"] == 0


def test_a_ping_does_not_wait_for_a_bulk_flow_behind_fq_codel():
    waits, _ = measured(queue="fq_codel", buffer="1s")
    assert waits < 4


@pytest.mark.parametrize("queue", ["pie", "red,min=20kB,max=60kB,probability=10%"])
def test_pie_and_red_keep_a_queue_short(queue):
    """PIE's target is 15 ms; RED's thresholds are 16 and 48 ms at this rate."""
    waits, flow = measured(queue=queue, buffer="1s")
    assert waits < 50
    assert flow["retransmits"] > 0
