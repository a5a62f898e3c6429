"""A node's uplink beside links in user space: the kernel's htb limits what all its flows send together."""

import pytest

from harness.model.capacity import Capacity, NodeShape
from harness.model.units import Rate
from tests.support.bulk_flows import jain, wire_rates
from tests.support.live import needs, network, up
from tests.support.plans import shape

pytestmark = [*needs(), pytest.mark.nfqueue]
UPLINK = Capacity(Rate(20_000_000))


def with_uplink(plan, capacity):
    return plan.with_nodes({0: NodeShape(uplink=capacity)})


@pytest.mark.timing
def test_three_peers_share_an_uplink_fairly_and_use_all_of_it():
    plan = with_uplink(network("star", 4, shape(delay="10ms")), UPLINK)
    with up(plan) as net:
        rates = wire_rates(net, [(0, 1), (0, 2), (0, 3)])
        assert 19 <= sum(rates) <= 20.2, rates
        assert jain(rates) > 0.98, rates
        stats = net.observe([0])[0].caps["uplink"].stats
        assert stats.sent_bytes > 4 * 19e6 / 8
        assert sum(wire_rates(net, [(1, 0)], seconds=2)) > 40, "the other way is not limited"
