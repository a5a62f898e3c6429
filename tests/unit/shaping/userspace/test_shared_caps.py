"""What nodes of one shaper daemon share: packets cross it behind their links; the kernel's queues are not needed."""

import os
import socket
import struct
from collections import Counter
from dataclasses import replace

import pytest

from harness.model.address import FRAME
from harness.model.capacity import Capacity
from harness.model.queueing import Queue
from harness.model.units import Rate, Size
from harness.shaping.qdisc import Branch, Netem
from harness.shaping.userspace import control, nfqueue
from harness.shaping.userspace.cap_order import CapOrder
from harness.shaping.userspace.counters import DROPPED, SENT_PACKETS
from harness.shaping.userspace.daemon import ShaperDaemon
from harness.shaping.userspace.meter import UserspaceMeter
from harness.shaping.userspace.node_queues import QUEUE_BASE
from harness.shaping.userspace.state import Layout, State

MS = 10**6
START = 10**12
SIZE = 4
FULL = FRAME - 14
"""Bytes of a full packet from the network header on."""
TEN = Capacity(Rate(10**7))
SENDING = FRAME * 8 * 10**9 // 10**7
"""How long TEN sends a full frame, ns."""


class KernelQueues:
    """In place of the kernel's: packets are let go by id."""

    def __init__(self):
        self.settings, self.gone, self.dropped, self.early = {}, [], [], []

    def fileno(self):
        return os.eventfd(0)

    def bind(self, number, **settings):
        self.settings[number] = settings

    set = bind

    def send(self, data):
        while data:
            size, kind = struct.unpack_from("=IH", data)
            number, (what, packet) = (
                struct.unpack_from(">H", data, 18)[0] - QUEUE_BASE,
                struct.unpack_from(">II", data, 24),
            )
            for one in range(1 if kind & 0xFF == 3 else packet, packet + 1):
                if (number, one) not in self.dropped + self.gone:
                    (self.gone if what else self.dropped).append((number, one))
                elif one == packet:  # it was among the many of a verdict before its own
                    self.early.append((number, one))
            data = data[size:]


class Laboratory:
    """A shaper daemon of two nodes, with a clock of its own."""

    def __init__(self, state):
        self.listeners = [socket.socketpair() for _ in range(2)]
        self.daemon = ShaperDaemon(
            [None, None], SIZE, state, [os.dup(pair[0].fileno()) for pair in self.listeners], [0, 1]
        )
        self.ids = Counter()
        self.seen = [0, 0]

    @property
    def nodes(self):
        return self.daemon._nodes

    def ask(self, node, **request):
        answer = self.daemon._answer(self.nodes[node], request)
        assert "error" not in answer, answer
        return answer

    def set(self, node, branches=(), caps=()):
        return self.ask(
            node,
            do="set",
            branches=[control.branch_to_json(branch) for branch in branches],
            caps=[order.to_json() for order in caps],
        )

    def arrive(self, node, neighbour, at, length=FULL):
        number = QUEUE_BASE + neighbour
        link_queue = self.nodes[node].link_queues[number]
        self.ids[node, neighbour] += 1
        assert link_queue.arrive(at, self.ids[node, neighbour], length, b"", self.nodes[node].out)
        self.daemon._agenda.schedule(link_queue, self.nodes[node])

    def departures(self, until):
        """{(node, neighbour, id): when}, looking only when the daemon would."""
        found = {}
        while self.daemon._agenda.entries and self.daemon._agenda.entries[0][0] <= until:
            now = self.daemon._agenda.entries[0][0]
            self.daemon._agenda.release(now)
            for index, node in enumerate(self.nodes):
                for neighbour, number in node.queue.gone[self.seen[index] :]:
                    found[index, neighbour, number] = now
                self.seen[index] = len(node.queue.gone)
        return found


@pytest.fixture
def state():
    return State(os.memfd_create("links"), Layout(2, SIZE).slots)


@pytest.fixture
def laboratory(state, monkeypatch):
    monkeypatch.setattr(nfqueue, "Nfqueue", KernelQueues)
    return Laboratory(state)


def links(*neighbours, **netem):
    return [Branch(neighbour, Netem(**{"limit": 10**6, "seed": 5} | netem)) for neighbour in neighbours]


def downlink(*neighbours, capacity=TEN, node=0):
    return CapOrder("downlink", capacity, len(neighbours), neighbours, (node,))


def trunk(*neighbours, capacity=TEN, flows=4, nodes=(0, 1)):
    return CapOrder("trunk eu->us", capacity, flows, neighbours, nodes)


def test_a_downlink_sends_what_its_links_let_go_one_after_the_other_and_keeps_their_delay(laboratory):
    laboratory.set(0, links(1, 2, delay_ns=20 * MS), [downlink(1, 2)])
    for neighbour in (1, 2):
        for _ in range(3):
            laboratory.arrive(0, neighbour, START)
    left = laboratory.departures(START + 1000 * MS)
    first = START + 20 * MS + SENDING
    assert sorted(left.values()) == pytest.approx([first + n * SENDING for n in range(6)], abs=5)
    assert left[0, 2, 1] < left[0, 1, 3] < left[0, 2, 2]  # in turns


def test_each_link_keeps_its_own_delay(laboratory):
    laboratory.set(0, [*links(1, delay_ns=MS), *links(2, delay_ns=50 * MS)], [downlink(1, 2)])
    laboratory.arrive(0, 1, START)
    laboratory.arrive(0, 2, START)
    left = laboratory.departures(START + 1000 * MS)
    assert left == {(0, 1, 1): START + MS + SENDING, (0, 2, 1): START + 50 * MS + SENDING}


def test_a_trunk_is_shared_by_nodes_and_a_downlink_comes_behind_it(laboratory):
    for node in (0, 1):
        laboratory.set(node, links(2, 3), [trunk(2, 3)])
    for node in (0, 1):
        for neighbour in (2, 3):
            laboratory.arrive(node, neighbour, START)
    left = laboratory.departures(START + 1000 * MS)
    assert sorted(left.values()) == pytest.approx([START + n * SENDING for n in range(1, 5)], abs=5)
    slow = Capacity(Rate(10**6))
    laboratory.set(0, [], [trunk(2, 3), downlink(2, 3, capacity=slow)])
    laboratory.arrive(0, 2, START + 2000 * MS)
    laboratory.arrive(1, 2, START + 2000 * MS)
    left = laboratory.departures(START + 4000 * MS)
    assert left == {
        (0, 2, 2): START + 2000 * MS + SENDING + 10 * SENDING,
        (1, 2, 2): START + 2000 * MS + 2 * SENDING,
    }


def test_what_waits_in_a_downlink_is_looked_at_no_more_often_than_it_lets_packets_go(laboratory, monkeypatch):
    laboratory.set(0, links(1, 2, delay_ns=MS), [downlink(1, 2, capacity=replace(TEN, buffer=Size(10**6)))])
    looks = []
    release = laboratory.daemon._agenda.release
    monkeypatch.setattr(laboratory.daemon._agenda, "release", lambda until: (looks.append(until), release(until)))
    for number in range(50):
        laboratory.arrive(0, 1, START + number * MS // 10)
        laboratory.arrive(0, 2, START + number * MS // 10)
    assert len(laboratory.departures(START + 1000 * MS)) == 100
    assert len(looks) <= 100 + 4


def test_a_drop_counts_at_the_capacity_and_not_at_the_link(laboratory):
    tight = replace(TEN, buffer=Size(4 * FRAME))
    laboratory.set(0, links(1, 2), [downlink(1, 2, capacity=tight)])
    for _ in range(10):
        laboratory.arrive(0, 1, START)
    left = laboratory.departures(START + 1000 * MS)
    (cap,) = laboratory.ask(0, do="read")["caps"]
    link = laboratory.nodes[0].link_queues[QUEUE_BASE + 1].counters
    assert 0 < len(left) < 10
    assert (cap["sent_packets"], cap["dropped"], cap["backlog_bytes"]) == (len(left), 10 - len(left), 0)
    assert (link[SENT_PACKETS], link[DROPPED]) == (10, 0)
    assert len(laboratory.nodes[0].queue.dropped) == 10 - len(left)


def test_the_kernels_queue_has_room_for_what_waits_in_capacities(laboratory):
    laboratory.set(0, links(1))
    before = laboratory.nodes[0].queue.settings[QUEUE_BASE + 1]["max_length"]
    laboratory.set(0, [], [downlink(1, capacity=replace(TEN, buffer=Size(42 * 1000)))])
    assert laboratory.nodes[0].queue.settings[QUEUE_BASE + 1]["max_length"] == before + 1000
    laboratory.set(0)
    assert laboratory.nodes[0].queue.settings[QUEUE_BASE + 1]["max_length"] == before


def test_a_capacity_that_is_taken_away_lets_what_waits_go_at_once(laboratory, monkeypatch):
    monkeypatch.setattr("time.monotonic_ns", lambda: START + 5 * MS)
    laboratory.set(0, links(1, 2), [downlink(1, 2)])
    for _ in range(10):
        laboratory.arrive(0, 1, START)
    laboratory.departures(START + 5 * MS)
    assert len(laboratory.nodes[0].queue.gone) == 4
    laboratory.set(0)
    assert len(laboratory.nodes[0].queue.gone) == 10
    laboratory.arrive(0, 1, START + 6 * MS)
    assert laboratory.departures(START + 10 * MS) == {(0, 1, number): START + 6 * MS for number in range(5, 12)}
    assert laboratory.ask(0, do="read")["caps"] == []


def test_another_rate_holds_at_once_and_keeps_what_waits(laboratory, monkeypatch):
    monkeypatch.setattr("time.monotonic_ns", lambda: START)
    laboratory.set(0, links(1), [downlink(1, capacity=Capacity(Rate(10**5)))])
    for _ in range(3):
        laboratory.arrive(0, 1, START)
    laboratory.departures(START)
    laboratory.set(0, [], [downlink(1)])
    left = laboratory.departures(START + 1000 * MS)
    assert sorted(left.values()) == pytest.approx([START + n * SENDING for n in range(1, 4)], abs=5)
    (cap,) = laboratory.ask(0, do="read")["caps"]
    assert Capacity.from_json(cap["order"]["capacity"]) == TEN


@pytest.mark.parametrize("kind", ["droptail", "codel", "fq_codel", "red", "pie"])
def test_every_discipline_sends_each_packet_once_whatever_overtakes(laboratory, kind):
    """A link that reorders in front of a downlink: a verdict for many may not include one that still waits."""
    capacity = Capacity(Rate(10**8), Queue.of(kind), Size(10**6))
    laboratory.set(0, links(1, 2, delay_ns=5 * MS, jitter_ns=4 * MS), [downlink(1, 2, capacity=capacity)])
    for number in range(300):
        laboratory.arrive(0, 1 + number % 2, START + number * MS // 5)
    left = laboratory.departures(START + 10_000 * MS)
    gone = [*laboratory.nodes[0].queue.gone, *laboratory.nodes[0].queue.dropped]
    assert len(gone) == len(set(gone)) == 300
    assert not laboratory.nodes[0].queue.early
    assert min(at - (START + (2 * (number - 1) + near - 1) * MS // 5) for (_, near, number), at in left.items()) >= MS


def test_a_daemon_that_is_started_again_has_the_same_capacities_and_counts_on(laboratory, state):
    laboratory.set(0, links(1, 2), [trunk(1, flows=2), downlink(1, 2)])
    laboratory.set(1, links(1, 2), [trunk(1, flows=2)])
    laboratory.arrive(0, 1, START)
    laboratory.departures(START + 100 * MS)
    laboratory.arrive(0, 1, START + 100 * MS)
    laboratory.departures(START + 100 * MS)  # one is in the trunk
    before = [laboratory.ask(node, do="read")["caps"] for node in (0, 1)]
    again = Laboratory(state)
    after = [again.ask(node, do="read")["caps"] for node in (0, 1)]
    assert before[0][0]["backlog_packets"] == 1
    assert after[0][0] == {**before[0][0], "backlog_packets": 0, "backlog_bytes": 0}
    assert after[0][1:] == before[0][1:]
    assert after[1] == before[1]
    assert len({id(cap) for node in again.nodes for cap in again.daemon._caps.of(node).values()}) == 2


def test_a_trunk_counts_at_the_first_of_its_nodes_alone(laboratory, state):
    for node in (0, 1):
        laboratory.set(node, links(2), [trunk(2)])
        laboratory.arrive(node, 2, START)
    laboratory.departures(START + 100 * MS)
    counted = [laboratory.ask(node, do="read")["caps"][0]["sent_packets"] for node in (0, 1)]
    assert counted == [2, 0]
    texts = [laboratory.ask(node, do="share")["caps"] for node in (0, 1)]
    assert [list(state.load(text)["slots"]) for text in texts] == [["trunk eu->us"], []]


def test_a_meter_reads_what_capacities_count(laboratory, state, monkeypatch):
    laboratory.set(1, links(2), [downlink(2, node=1)])
    laboratory.arrive(1, 2, START)
    laboratory.departures(START + 100 * MS)

    def ask(request, files):
        files.append(state.readable())
        return laboratory.ask(1, **request)

    monkeypatch.setattr(control, "ask", ask)
    meter = UserspaceMeter([2])
    assert meter.read() == {2: (1, FRAME, 0, 0, 0)}
    assert meter.caps() == {"downlink": (1, FRAME, 0, 0, 0)}
    meter.close()


def test_a_packet_that_is_sent_twice_crosses_the_capacity_twice(laboratory, monkeypatch):
    monkeypatch.setattr("harness.shaping.userspace.node_queues.NodeQueues._open_raw", lambda self: None)
    copies = []
    monkeypatch.setattr(
        "harness.shaping.userspace.node_queues.NodeQueues._repeat", lambda self, copy: copies.append(copy)
    )
    laboratory.set(0, links(1, duplicate=2**32 - 1), [downlink(1)])
    link_queue = laboratory.nodes[0].link_queues[QUEUE_BASE + 1]
    packet = b"\x45" + bytes(FULL - 1)
    link_queue.arrive(START, 1, FULL, packet, laboratory.nodes[0].out)
    laboratory.daemon._agenda.schedule(link_queue, laboratory.nodes[0])
    laboratory.departures(START + 100 * MS)
    assert copies == [packet]
    assert laboratory.ask(0, do="read")["caps"][0]["sent_packets"] == 2


def test_a_trunk_to_nodes_of_another_daemon_is_refused_and_changes_nothing(laboratory):
    laboratory.set(0, links(1))
    asked = {"do": "set", "branches": [], "caps": [trunk(1, nodes=(0, 1, 3)).to_json()]}
    answer = laboratory.daemon._answer(laboratory.nodes[0], asked)
    assert "trunk eu->us is shared with nodes of another shaper daemon (3)" in answer["error"]
    assert laboratory.ask(0, do="read")["caps"] == []
