"""Downlinks and trunks in user space, by TCP flows that fill them: a stage of the shaper daemon behind the links."""

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest

from harness.model.capacity import Capacity, NodeShape
from harness.model.queueing import Queue
from harness.model.units import Rate, Time
from tests.support.bulk_flows import jain, wire_rates
from tests.support.cli import processes, wait_for
from tests.support.live import ping, up
from tests.support.plans import network, shape

pytestmark = [pytest.mark.nfqueue, pytest.mark.namespaces, pytest.mark.timing]
HUNDRED = Capacity(Rate(100_000_000))
TO_0 = [(1, 0), (2, 0), (3, 0), (4, 0)]


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    monkeypatch.setattr("tests.support.live.engine_name", lambda: "userspace")


def with_downlink(plan, capacity):
    return plan.with_nodes({0: NodeShape(downlink=capacity)})


def drops(net):
    """(at the links to node 0, at its downlink)."""
    status = net.observe([0])[0]
    return sum(edge.stats.dropped for edge in status.edges.values()), status.caps["downlink"].stats.dropped


def test_four_senders_share_a_downlink_fairly_and_use_all_of_it():
    with up(with_downlink(network("star", 5, shape(delay="10ms")), HUNDRED)) as net:
        rates = wire_rates(net, TO_0, skip=2)
        assert 95 <= sum(rates) <= 102, rates  # of what came before, some is delivered once a gap is filled
        assert jain(rates) > 0.98, rates
        at_links, at_downlink = drops(net)
        assert at_links == 0
        assert at_downlink > 0


def test_unshaped_edges_are_limited_and_a_new_rate_holds_while_flows_run():
    with up(with_downlink(network("star", 5), HUNDRED)) as net:
        assert 90 <= sum(wire_rates(net, TO_0, seconds=2)) <= 101
        found = []
        flows = threading.Thread(target=lambda: found.extend(wire_rates(net, TO_0, skip=2, seconds=3)))
        flows.start()
        net.reshape(lambda plan: with_downlink(plan, Capacity(Rate(20_000_000))))
        flows.join()
        assert 18 <= sum(found) <= 20.2, found
        net.reshape(lambda plan: with_downlink(plan, None))
        assert sum(wire_rates(net, TO_0[:1], seconds=1)) > 200


def test_a_flow_that_needs_little_waits_for_a_round_and_not_for_the_queues_of_others():
    """A ping from node 4 beside three bulk flows that fill a downlink of 20 Mbit/s and its buffer of 200 ms."""
    cap = Capacity(Rate(20_000_000), buffer=Time(200 * 10**6))
    with up(with_downlink(network("star", 5, shape(delay="5ms")), cap)) as net:
        flows = threading.Thread(target=wire_rates, args=(net, TO_0[:3]), kwargs={"seconds": 4})
        flows.start()
        wait_for(lambda: net.observe([0])[0].caps["downlink"].stats.backlog_bytes > 100_000)
        lost, smallest, mean = ping(net, 4, 0, count=20)
        flows.join()
    assert lost == 0
    assert smallest >= 10
    assert mean < 10 + 8  # a round is 2.4 ms


@pytest.mark.full  # of an edge: test_queues.py
def test_codel_in_a_downlink_keeps_its_queue_short():
    def backlog(kind):
        """The median of what waits while two flows run."""
        seen = []
        with up(with_downlink(plan, Capacity(Rate(20_000_000), Queue.of(kind), Time(500 * 10**6)))) as net:
            flows = threading.Thread(target=wire_rates, args=(net, TO_0[:2]), kwargs={"seconds": 4})
            flows.start()
            while flows.is_alive():
                seen.append(net.observe([0])[0].caps["downlink"].stats.backlog_bytes)
                time.sleep(0.05)
        return median(seen)

    plan = network("star", 5, shape(delay="10ms"))
    assert backlog("codel") < 100_000 < backlog("droptail")


def test_pairs_of_two_regions_share_a_trunk_and_it_holds_after_its_daemon_was_killed():
    plan = network("fully_connected", 4, shape(delay="5ms"))
    trunks = {("a", "b"): Capacity(Rate(40_000_000))}
    across = [(0, 2), (0, 3), (1, 2), (1, 3)]
    with up(replace(plan, regions={"a": (0, 1), "b": (2, 3)}, trunk_capacities=trunks)) as net:
        rates = wire_rates(net, across, skip=2)
        assert 37 <= sum(rates) <= 40.4, rates
        assert jain(rates) > 0.98, rates
        assert sum(wire_rates(net, [(2, 0), (3, 1)], seconds=1)) > 80, "the other way is not limited"
        keeper = net.backend.handle["keeper"]["pid"]
        for pid in processes("userspace/daemon.py"):
            if f"\nPPid:\t{keeper}\n" in Path(f"/proc/{pid}/status").read_text():
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: any("started again" in note for note in net.notes()))
        assert 37 <= sum(wire_rates(net, across, skip=2)) <= 40.4
