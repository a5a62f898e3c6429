"""harness.model.tcp: what one TCP connection can get, against published values and by its properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.capacity import Capacity
from harness.model.gilbert_elliott import GilbertElliott
from harness.model.link import LinkShape
from harness.model.make_plan import make_plan
from harness.model.plan_options import PlanOptions
from harness.model.profile_file import SHIPPED_ORDER, load_profile
from harness.model.tcp import (
    TcpCeiling,
    cubic_rate,
    loss_events,
    mathis_rate,
    profile_ceilings,
    tcp_ceiling,
    tcp_ceilings,
)
from harness.model.topology_names import build_topology
from harness.model.units import Rate, Ratio, Size, Time


def shape(mbit=None, ms=20.0, loss="0%", **more):
    rate = None if mbit is None else Rate(int(mbit * 10**6))
    return LinkShape(rate=rate, delay=Time.from_seconds(ms / 1e3), loss=Ratio.parse(loss), **more)


def test_mathis_at_a_worked_example():
    """1.22 x 1448 bytes / (40 ms x sqrt(0.01)): 3.55 Mbit/s."""
    assert mathis_rate(1448, 0.04, 0.01) == pytest.approx(3.547e6, rel=1e-3)


@pytest.mark.parametrize(
    ("rtt", "loss", "segments"),
    [(0.1, 1e-2, 12), (0.1, 1e-3, 38), (0.1, 1e-4, 187), (0.1, 1e-5, 1054), (0.01, 1e-4, 120), (0.01, 1e-6, 1187)],
)
def test_cubic_is_that_of_the_rfcs_tables(rtt, loss, segments):
    """Average windows of RFC 9438, tables 1 and 2; where Reno's is larger, that one (CUBIC is friendly to it)."""
    assert cubic_rate(1500, rtt, loss) == pytest.approx(segments * 1500 * 8 / rtt, rel=0.04)


def test_without_loss_the_rate_limits_less_headers():
    assert tcp_ceiling(shape(100), shape(100)) == TcpCeiling(pytest.approx(95.6e6, rel=1e-3), "rate")
    assert tcp_ceiling(shape(), shape()) == TcpCeiling(None, None)


def test_losses_limit_wan_and_not_what_is_slow_anyway():
    assert tcp_ceiling(shape(767, 24.1, "0.1%"), shape(767, 24.1, "0.1%")).bit_s == pytest.approx(9.3e6, rel=0.01)
    assert tcp_ceiling(shape(1, 1, "0.1%"), shape(1, 1)).limit == "rate"


def test_the_round_trip_is_both_directions():
    assert tcp_ceiling(shape(100, 10, "1%"), shape(100, 30)) == tcp_ceiling(shape(100, 20, "1%"), shape(100, 20))


def test_a_link_that_loses_all_carries_nothing():
    plan = make_plan(build_topology("line", 2), load_profile("wan"), 0)
    down = plan.changed([edge.__class__(edge.src, edge.dst, edge.shape, down=True) for edge in plan.edges.values()])
    assert {one.bit_s for one in tcp_ceilings(down).values()} == {0.0}


def test_losses_in_a_row_count_once():
    chain = GilbertElliott(Ratio.parse("0.1%"), Ratio.parse("10%"))
    burst = LinkShape(delay=Time.parse("20ms"), gilbert_elliott=chain)
    assert loss_events(burst) == pytest.approx(0.001 / 0.101 * 0.1)
    assert loss_events(burst) < burst.mean_loss / 5


def test_corrupted_packets_are_lost_to_tcp():
    assert loss_events(shape(100, 20, "1%", corrupt=Ratio.parse("1%"))) == pytest.approx(0.0199)


@given(st.sampled_from(SHIPPED_ORDER), st.integers(0, 1000), st.integers(0, 20), st.integers(21, 40))
def test_what_is_drawn_lies_between_a_profiles_ends(name, seed, a, b):
    profile = load_profile(name)
    least, most = (one.bit_s or float("inf") for one in profile_ceilings(profile))
    drawn = profile.sample(seed, a, b)
    found = tcp_ceiling(drawn, drawn, profile.sample_node(seed, a).present).bit_s or float("inf")
    assert least * 0.999 <= found <= most * 1.001


@given(st.floats(1e-6, 0.5), st.floats(1e-6, 0.5), st.floats(1e-4, 2), st.floats(1e-4, 2))
def test_more_loss_and_longer_round_trips_never_help(low, high, near, far):
    (low, high), (near, far) = sorted((low, high)), sorted((near, far))
    assert cubic_rate(1448, near, low) * 1.000001 >= cubic_rate(1448, near, high)
    assert cubic_rate(1448, near, low) * 1.000001 >= cubic_rate(1448, far, low)


def test_a_burst_does_not_raise_the_long_run():
    assert tcp_ceiling(shape(10, burst=Size(10**6)), shape(10)) == tcp_ceiling(shape(10), shape(10))


def test_a_shared_capacity_limits_one_connection_too():
    cap = {"uplink": Capacity(Rate(20 * 10**6)), "downlink": Capacity(Rate(100 * 10**6))}
    assert tcp_ceiling(shape(), shape(), cap) == TcpCeiling(pytest.approx(19.13e6, rel=1e-3), "uplink")
    assert tcp_ceiling(shape(10), shape(), cap).limit == "rate"
    assert tcp_ceiling(shape(None, 20, "1%"), shape(), cap).limit == "loss"


def test_what_a_rate_counts_and_the_mtu_decide_what_it_carries():
    """Real Ethernet, with 24 bytes of preamble, checksum and gap, gives TCP 94.1 % at an MTU of 1500."""
    assert tcp_ceiling(shape(100, overhead=24), shape()).bit_s == pytest.approx(94.15e6, rel=1e-3)
    assert tcp_ceiling(shape(100), shape(), mtu=9000).bit_s == pytest.approx(1e8 * 8948 / 9014)


def test_of_a_network_every_edge_knows_what_it_shares():
    plan = PlanOptions(4, topology="regions:2", profile="none", uplink="20mbit", trunk="5mbit").plan()
    found = tcp_ceilings(plan)
    assert (found[0, 1].limit, found[0, 2].limit) == ("uplink", "trunk")
    assert found[3, 0].bit_s == pytest.approx(5e6 * 1448 / 1514)
