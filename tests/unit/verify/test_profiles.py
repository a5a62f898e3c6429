"""Every shipped profile can be verified: no queue drops what verify sends, or what is in flight at any size."""

import pytest

from benchmarks.profiles import edges, fullest, in_flight, limit, longest, train_of
from harness.model.node_plan import PlannedEdge, Port
from harness.model.profile_file import shipped_profiles
from harness.model.units import ZERO_RATIO
from harness.shaping.shape_branch import MAX_PACKETS_PER_S, branch_of
from harness.shaping.userspace.counters import DROPPED
from harness.shaping.userspace.link_queue import LinkQueue
from harness.verify.node.packet import SMALL_PAYLOAD, small_frame

FRAMES = (42, 66, small_frame(False), small_frame(True), 576, 1514)


@pytest.mark.parametrize("profile", shipped_profiles())
def test_no_queue_is_shorter_than_what_is_in_flight(profile):
    for edge in edges(profile):
        shape, room = edge.shape, limit(edge)
        for frame in FRAMES:
            rated = shape.rate.bit_s / (8 * frame) if shape.rate and not shape.burst else MAX_PACKETS_PER_S
            assert min(rated, MAX_PACKETS_PER_S) * longest(shape) <= room, (edge, frame)
        assert in_flight(shape) <= room, edge


@pytest.mark.parametrize("profile", shipped_profiles())
def test_the_fullest_queue_drops_nothing_of_verifys_train(profile):
    """The edge where the train comes nearest to the limit, packet by packet: the limits of both engines hold."""
    shape = fullest(profile).shape.changed(loss=ZERO_RATIO, loss_correlation=ZERO_RATIO)
    port = Port(PlannedEdge(0, 1, shape), 1, (1,))
    queue = LinkQueue(7, branch_of(port, 0), [0, 0, 0])
    train, most = train_of(shape), 0
    for number in range(1, train.count + 1):
        now = int(number * train.interval_s * 1e9)
        queue.release(now, [])
        queue.arrive(now, number, SMALL_PAYLOAD + 28, b"", [])
        most = max(most, queue.queued)
    assert queue.counters[DROPPED] == 0
    assert most <= queue.branch.netem.limit
