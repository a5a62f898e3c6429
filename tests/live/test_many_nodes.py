"""Networks of many nodes, where what shares a next hop shares routes, filters and rules."""

import pytest

from harness.networks.backends import NETNS
from tests.support import plans
from tests.support.live import needs, run, runtime_name, up
from tests.support.plans import shape

pytestmark = [*needs(), pytest.mark.timing]
SIZES = [
    pytest.param("ring", 13, 6, id="ring"),
    pytest.param("ring", 160, 75, id="over 64 hops", marks=pytest.mark.full),
    pytest.param("tree:3", 300, 299, id="over 254 nodes", marks=pytest.mark.full),
]


@pytest.mark.engine
@pytest.mark.parametrize(("topology", "size", "far"), SIZES)
def test_what_is_far_away_is_reached_over_the_edges_of_its_path_and_no_other(topology, size, far):
    plan = plans.network(topology, size, shape(delay="1ms"))
    there, back = plan.path(0, far), plan.path(far, 0)
    with up(plan) as net:
        for version in (4, 6):
            before = {pair: status.stats.sent_packets for pair, status in net.applied().items()}
            target = str(plan.addressing.address(far, version))
            said = run(net, 0, "ping", "-U", "-c", "3", "-W", "10", target)
            assert f"ttl={(64 if size <= 64 else 255) - len(back) + 1} " in said
            counted = {pair: status.stats.sent_packets - before[pair] for pair, status in net.applied().items()}
            assert {pair for pair, packets in counted.items() if packets} == {edge.pair for edge in (*there, *back)}
            assert set(counted.values()) == {0, 3}
            least = float(said.rpartition("=")[2].split("/")[0])
            assert 0.97 * (len(there) + len(back)) <= least, "packets may leave 0.1 ms early"


@pytest.mark.skipif(runtime_name() != NETNS, reason="containers have ARP")
def test_a_node_knows_its_neighbours_for_good_and_nobody_else():
    plan = plans.network("ring", 7, shape(delay="1ms"))
    with up(plan) as net:
        run(net, 0, "ping", "-c", "1", str(plan.addressing.ipv4(3)))
        said = run(net, 0, "ip", "neigh").splitlines()
        wanted = {str(plan.addressing.address(rank, version)): rank for rank in (1, 6) for version in (4, 6)}
        assert {line.split()[0] for line in said} == wanted.keys()
        assert {line.split()[-1] for line in said} == {"PERMANENT"}
        nobody = run(net, 0, "ping", "-c", "1", "-W", "1", str(plan.addressing.ipv4_net[77]), check=False)
        assert "No route to host" in nobody or "unreachable" in nobody
