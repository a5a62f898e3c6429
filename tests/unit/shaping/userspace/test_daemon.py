"""When the shaper daemon looks at a link queue: at its next packet's time, once, whatever changes that time."""

import os
from dataclasses import replace

import pytest

from harness.shaping.qdisc import Branch, Netem
from harness.shaping.userspace import control
from harness.shaping.userspace.counters import NAMES
from harness.shaping.userspace.daemon import ShaperDaemon
from harness.shaping.userspace.link_queue import LinkQueue
from harness.shaping.userspace.state import State

MS = 10**6
START = 10**12


class Node:
    """A node without NFQUEUEs."""

    def __init__(self, branch):
        self.out = []
        self.queue = LinkQueue(1, branch, [0] * len(NAMES))
        self.link_queues = {1: self.queue}
        self.flows = {}
        self.index = 0
        self.packets = 0

    def arrive(self, now, size=1000):
        self.packets += 1
        assert self.queue.arrive(now, self.packets, size, b"", self.out)

    def set(self, branches):
        for branch in branches:
            self.queue.configure(branch, START)

    def cross(self, number, flows):
        assert not flows

    def reading(self):
        return {}

    def flush(self):
        self.out.clear()


@pytest.fixture
def daemon():
    return ShaperDaemon([], 1, State(os.memfd_create("links"), 1), [], [0])


@pytest.mark.parametrize(
    "netem",
    [
        Netem(delay_ns=5 * MS, jitter_ns=5 * MS, seed=1),
        Netem(delay_ns=5 * MS, reorder=1 << 30, gap=1, seed=1),
    ],
    ids=["jitter", "reorder"],
)
def test_packets_that_leave_before_others_do_not_fill_the_agenda(daemon, netem):
    node = Node(Branch(0, netem))
    for now in range(START, START + 1000 * MS, MS):
        for packet in range(3):
            node.arrive(now + packet * MS // 3)
            daemon._agenda.schedule(node.queue, node)
        if daemon._agenda.entries[0][0] <= now + MS:
            daemon._agenda.release(now + MS)
    assert node.queue.queued > 5  # a queue that runs empty would forget
    assert len(daemon._agenda.entries) < 20


def test_a_raised_rate_is_looked_at_when_its_first_packet_leaves(daemon):
    slow = Branch(0, Netem(rate_byte_s=100, limit=1000))
    node = Node(slow)
    node.arrive(START)
    daemon._agenda.schedule(node.queue, node)
    assert daemon._agenda.entries[0][0] > START + 9000 * MS
    fast = replace(slow, netem=replace(slow.netem, rate_byte_s=10**6))
    daemon._answer(node, {"do": "set", "branches": [control.branch_to_json(fast)], "caps": []})
    assert daemon._agenda.entries[0][0] < START + 10 * MS
