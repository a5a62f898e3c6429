"""Probes against a real netem: two namespaces, a veth pair, qdiscs made by tc; no other part of this project."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.model.gilbert_elliott import GilbertElliott
from harness.model.link import LinkShape
from harness.model.node_plan import PlannedEdge
from harness.model.plan import NetworkPlan
from harness.model.units import Rate, Ratio, Time
from harness.verify.binomial import shared_confidence
from harness.verify.driver import ProbeDriver
from harness.verify.probe_client import PROBE_ARGV
from harness.verify.verdict import judge

pytestmark = [pytest.mark.netem, pytest.mark.namespaces]
NAMES = [f"probe{os.getpid()}{end}" for end in "ab"]

BRIEF = LinkShape(delay=Time.parse("20ms"), jitter=Time.parse("5ms"), rate=Rate.parse("10mbit"), loss=Ratio.parse("1%"))
LONG = LinkShape(delay=Time.parse("60ms"), rate=Rate.parse("2mbit"), loss=Ratio.parse("5%"))
BURSTS = BRIEF.changed(
    loss=Ratio.parse("0%"), gilbert_elliott=GilbertElliott(Ratio.parse("1%"), Ratio.parse("19%")), jitter=Time(0)
)


def run(command):
    subprocess.run(command.split(), check=True, capture_output=True)


@pytest.fixture
def nodes():
    """Two namespaces with rank's addresses, joined by a veth pair."""
    if os.geteuid():
        pytest.skip("named namespaces need root")
    try:
        for name in NAMES:
            run(f"ip netns add {name}")
        run(f"ip link add eth0 netns {NAMES[0]} type veth peer name eth0 netns {NAMES[1]}")
        for rank, name in enumerate(NAMES):
            run(f"ip -n {name} link set lo up")
            run(f"ip -n {name} address add 10.77.0.{rank + 1}/16 dev eth0")
            run(f"ip -n {name} address add fd77::{rank + 1}/64 dev eth0 nodad")
            run(f"ip -n {name} link set eth0 address 02:00:00:00:00:0{rank} up gso_max_segs 1")
        for rank, name in enumerate(NAMES):  # a root netem loses address resolution as well, unlike this project's tree
            for peer in (f"10.77.0.{2 - rank}", f"fd77::{2 - rank}"):
                run(f"ip -n {name} neighbour replace {peer} lladdr 02:00:00:00:00:0{1 - rank} dev eth0 nud permanent")
        yield
    finally:
        for name in NAMES:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def shape(rank, link):
    words = f"limit 20000 delay {link.delay.ns / 1e6}ms {link.jitter.ns / 1e6}ms rate {link.rate.bit_s}bit"
    if link.gilbert_elliott:
        words += f" loss gemodel {float(link.gilbert_elliott.p):%} {float(link.gilbert_elliott.r):%}"
    elif link.loss:
        words += f" loss {float(link.loss):%}"
    run(f"ip netns exec {NAMES[rank]} tc qdisc replace dev eth0 root netem {words}")


def spawn(rank):
    argv = ["ip", "netns", "exec", NAMES[rank], sys.executable, *PROBE_ARGV]
    pipe, here = subprocess.PIPE, Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(here)}
    return subprocess.Popen(argv, stdin=pipe, stdout=pipe, env=environment)


def verdicts(planned, held, **options):
    edges = {(0, 1): PlannedEdge(0, 1, planned[0]), (1, 0): PlannedEdge(1, 0, planned[1])}
    plan = NetworkPlan("line", "test", 0, 2, edges, {})
    for rank in range(2):
        shape(rank, held[rank])
    with ProbeDriver(plan, spawn, **options) as prober:
        (seen,) = prober.measure()
    rows = judge(edges[0, 1], edges[1, 0], *planned, seen, confidence=shared_confidence(8, 0.999))
    return {(row.src, row.quantity): row for row in rows}


@pytest.mark.parametrize(
    ("pair", "ipv6"),
    [
        pytest.param((BRIEF, LONG), False, id="random"),
        pytest.param((BRIEF, LONG), True, id="random, IPv6", marks=pytest.mark.full),
        pytest.param((BURSTS, BRIEF), False, id="bursts", marks=pytest.mark.full),
        pytest.param((BURSTS, BRIEF), True, id="bursts, IPv6"),
    ],
)
def test_a_link_that_is_right_passes(nodes, pair, ipv6):
    rows = verdicts(pair, pair, ipv6=ipv6)
    if not all(row.ok for row in rows.values()):  # as harness verify does: off is what is off twice
        rows = verdicts(pair, pair, ipv6=ipv6)
    assert len(rows) == 8
    assert [row for row in rows.values() if not row.ok] == []
    assert not any(row.machine_bound for row in rows.values() if row.quantity not in ("rtt", "jitter"))  # a busy host


def test_a_link_that_is_off_fails_in_what_is_off(nodes):
    held = BRIEF.changed(
        delay=Time.parse("60ms"), jitter=Time.parse("50ms"), rate=Rate.parse("7mbit"), loss=Ratio.parse("4%")
    )
    rows = verdicts((BRIEF, LONG), (held, LONG))
    assert {key for key, row in rows.items() if not row.ok} >= {(0, "rtt"), (0, "jitter"), (0, "loss"), (0, "rate")}
    assert all(rows[1, quantity].ok for quantity in ("loss", "rate"))
