"""Every shipped profile can be verified: no queue drops what verify sends, or what is in flight at any size."""

from math import ceil

import pytest

from harness.model.distribution import highest
from harness.model.plan import Port
from harness.model.plan_options import PlanOptions
from harness.model.profile_file import shipped_profiles
from harness.shaping.qdisc import MAX_PACKETS_PER_S, Branch, netem_of, tbf_of
from harness.shaping.userspace.link_queue import DROPPED, LinkQueue
from harness.verify.node.packet import SMALL_PAYLOAD, small_frame
from harness.verify.plan import MAX_PARALLEL, SECONDS, probe_for

SEEDS = range(20)
FRAMES = (42, 66, small_frame(False), small_frame(True), 576, 1514)


def edges(profile):
    """Every directed edge of the default network, for 20 seeds."""
    for seed in SEEDS:
        yield from PlanOptions(4, profile=profile, seed=seed).plan().edges.values()


def longest(shape):
    """The longest that a packet is on the delay line, in seconds."""
    return shape.delay.seconds + highest(shape.distribution) * shape.jitter.seconds


def train_of(shape):
    """What verify sends over an edge to count losses, sent as fast as a sender catches up that was late."""
    train = probe_for((0, 1), shape, shape, seconds=SECONDS, sharing=MAX_PARALLEL // 4, ipv6=False).forward_train
    assert train is not None
    return train.count, train.interval_s / 2


@pytest.mark.parametrize("profile", shipped_profiles())
def test_no_queue_is_shorter_than_what_is_in_flight(profile):
    for edge in edges(profile):
        limit, shape = netem_of(Port(edge, edge.dst, ()), 0).limit, edge.shape
        for frame in FRAMES:
            rated = shape.rate.bit_s / (8 * frame) if shape.rate and not shape.burst else MAX_PACKETS_PER_S
            assert min(rated, MAX_PACKETS_PER_S) * longest(shape) <= limit, (edge, frame)
        count, interval = train_of(shape)
        assert min(count, ceil(longest(shape) / interval)) <= limit, edge


@pytest.mark.parametrize("profile", shipped_profiles())
def test_the_fullest_queue_drops_nothing_of_verifys_train(profile):
    """The edge where the train comes nearest to the limit, packet by packet: the limits of both engines hold."""

    def fullness(edge):
        count, interval = train_of(edge.shape)
        return min(count, longest(edge.shape) / interval) / netem_of(Port(edge, edge.dst, ()), 0).limit

    edge = max(edges(profile), key=fullness)
    shape = edge.shape.changed(loss=edge.shape.loss.parse("0"), loss_correlation=edge.shape.loss.parse("0"))
    port = Port(edge.__class__(0, 1, shape), 1, (1,))
    queue = LinkQueue(7, Branch(1, netem_of(port, 0), tbf_of(shape)), [0, 0, 0])
    (count, interval), most = train_of(edge.shape), 0
    for number in range(1, count + 1):
        now = int(number * interval * 1e9)
        queue.release(now, [])
        queue.arrive(now, number, SMALL_PAYLOAD + 28, b"", [])
        most = max(most, queue.queued)
    assert queue.counters[DROPPED] == 0
    assert most <= queue.branch.netem.limit
