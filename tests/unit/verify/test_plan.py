"""What is sent over an edge, and which edges are measured side by side."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.model.distribution import form
from harness.model.link import UNSHAPED, LinkShape
from harness.model.node_plan import PlannedEdge
from harness.model.plan import NetworkPlan
from harness.model.plan_edit import undirected
from harness.model.units import Rate, Ratio, Size, Time
from harness.verify.plan import checked_seconds, enough_seconds, probe_for
from harness.verify.rounds import MAX_PARALLEL, rounds
from tests.support.plans import BLACKHOLE

WAN = LinkShape(
    rate=Rate.parse("400mbit"), delay=Time.parse("30ms"), jitter=Time.parse("3ms"), loss=Ratio.parse("0.1%")
)
POOR = LinkShape(rate=Rate.parse("800kbit"), delay=Time.parse("1s"), jitter=Time.parse("500ms"), loss=Ratio.parse("5%"))


def plan_of(pairs, size):
    edges = {way: PlannedEdge(*way, UNSHAPED) for a, b in pairs for way in ((a, b), (b, a))}
    return NetworkPlan("custom", "none", 0, size, edges, {})


def ring(n):
    return plan_of([(i, (i + 1) % n) for i in range(n)], n)


def probe(forward, backward=None, **options):
    return probe_for((0, 1), forward, backward or forward, **{"seconds": 5, "sharing": 1, "ipv6": False, **options})


@pytest.mark.parametrize("nodes", [4, 16, 64])
def test_an_even_ring_takes_two_rounds(nodes):
    assert len(rounds(ring(nodes), max_parallel=nodes)) == 2


def test_a_ring_of_16_takes_two_rounds_by_default():
    assert len(rounds(ring(16))) == 2
    assert MAX_PARALLEL == 8


def test_an_odd_ring_takes_three():
    assert len(rounds(ring(5))) == 3


def test_a_full_mesh_of_8_takes_8_rounds_at_most():
    assert len(rounds(plan_of(combinations(range(8), 2), 8))) <= 8


def test_a_star_measures_one_edge_at_a_time():
    assert rounds(plan_of([(0, i) for i in range(1, 5)], 5)) == [[(0, 1)], [(0, 2)], [(0, 3)], [(0, 4)]]


def test_chosen_edges_only_and_each_once():
    assert rounds(ring(4), [(1, 0), (0, 1), (2, 3)]) == [[(0, 1), (2, 3)]]


@given(st.integers(2, 9).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_rounds_are_disjoint_and_complete(drawn):
    size, pairs = drawn
    plan = plan_of([(a, b) for a, b in pairs if a < b], size)
    groups = rounds(plan, max_parallel=3)
    assert sorted(pair for group in groups for pair in group) == undirected(plan.edges)
    for group in groups:
        assert len(group) <= 3
        assert len({rank for pair in group for rank in pair}) == 2 * len(group)


def test_echoes_are_spaced_so_that_none_holds_up_the_next():
    echo = probe(POOR, WAN).echo
    assert echo is not None
    assert echo.interval_s >= 0.75 * 2 * (0.5 + 0.003)
    assert echo.count == 20
    assert echo.wait_s > 1.5 + 0.033


def test_echoes_of_a_wan_fit_the_time():
    echo = probe(WAN).echo
    assert echo is not None
    assert echo.count >= 100
    assert echo.count * echo.interval_s <= 3.1


def test_the_train_loses_twenty_where_time_allows_at_under_half_the_rate():
    train = probe(POOR, seconds=10).forward_train
    assert train.count == 400
    assert 106 * 8 / train.interval_s < 0.5 * 800_000


def test_trains_share_what_the_machine_can_send():
    assert probe(WAN, sharing=8).forward_train.interval_s == pytest.approx(8 * probe(WAN).forward_train.interval_s)


def test_rare_events_other_than_loss_get_their_packets():
    shape = LinkShape(delay=Time.parse("10ms"), reorder=Ratio.parse("1%"), loss=Ratio.parse("10%"))
    assert probe(shape).forward_train.count == 2000


def test_bulk_outlasts_the_jitter_and_is_sent_faster_than_the_link():
    for shape in (WAN, POOR):
        bulk = probe(shape).forward_bulk
        assert bulk is not None
        frames = bulk.bursts * bulk.segments
        spread = form("uniform").span * shape.jitter.seconds
        assert frames / 2 * shape.rate.seconds(1514) > spread
        assert frames * 1514 * 8 / (bulk.bursts * bulk.interval_s) == pytest.approx(2 * shape.rate.bit_s)


def test_bulk_goes_on_after_a_token_bucket_is_empty():
    shape = WAN.changed(burst=Size.parse("1MB"))
    plain, bucket = probe(WAN).forward_bulk, probe(shape).forward_bulk
    assert (bucket.bursts * bucket.segments - plain.bursts * plain.segments) * 1514 >= 3.9e6


def test_bulk_stays_within_memory_at_any_rate():
    shape = LinkShape(rate=Rate.parse("10GB/s"))
    for each in (shape, UNSHAPED):
        bulk = probe(each).forward_bulk
        assert bulk.bursts * bulk.segments * 1514 <= 65 << 20


def test_a_link_that_is_down_gets_a_train_only():
    planned = probe(BLACKHOLE, WAN)
    assert planned.echo is None
    assert planned.forward_bulk is None
    assert planned.backward_bulk is not None
    assert planned.forward_train.count == 200


@pytest.mark.parametrize("seconds", [1, 5, 30])
@pytest.mark.parametrize("rate", ["1kbit", "8kbit", "30kbit", "56kbit", "100kbit", "1mbit", "1gbit"])
@pytest.mark.parametrize("extra", [{}, {"delay": Time.parse("1s"), "jitter": Time.parse("300ms")}])
def test_no_edge_takes_longer_than_six_times_its_seconds_and_the_delays(rate, seconds, extra):
    planned = probe(LinkShape(rate=Rate.parse(rate), **extra), seconds=seconds)
    lone = Rate.parse(rate).seconds(1514)
    assert planned.seconds <= 6 * seconds + (16 if extra else 0) + 2 + 8 * lone * bool(planned.forward_bulk)
    for bulk in (planned.forward_bulk, planned.backward_bulk):
        assert bulk is None or bulk.bursts >= 12
    assert planned.forward_train is None or planned.forward_train.count >= 20
    assert planned.echo is None or planned.echo.count >= 5


def test_a_very_slow_link_has_its_delay_measured_and_no_more():
    slow = probe(LinkShape(rate=Rate.parse("1kbit")))
    assert slow.echo is not None
    assert slow.echo.count == 5
    assert (slow.forward_train, slow.forward_bulk) == (None, None)
    patient = probe(LinkShape(rate=Rate.parse("1kbit")), seconds=150)
    assert patient.forward_train is not None
    assert patient.forward_bulk is not None


def test_a_slow_link_gets_fewer_packets():
    usual, slow = probe(LinkShape(rate=Rate.parse("1mbit"))), probe(LinkShape(rate=Rate.parse("56kbit")))
    assert (usual.forward_train.count, slow.forward_train.count) == (200, 132)
    assert (usual.forward_bulk.bursts, slow.forward_bulk.bursts) == (60, 23)


def test_a_bucket_that_takes_too_long_to_empty_leaves_the_rate_out():
    assert probe(LinkShape(rate=Rate.parse("10kbit"), burst=Size.parse("100kB"))).forward_bulk is None


def test_a_gentle_bulk_train_is_the_same_with_less_overdrive():
    bulk = probe(WAN).forward_bulk
    assert bulk.link_bit_s == pytest.approx(400e6)
    assert bulk.gentle().rate_bit_s == pytest.approx(1.2 * 400e6)
    assert (bulk.gentle().bursts, bulk.gentle().link_bit_s) == (bulk.bursts, pytest.approx(bulk.link_bit_s))
    assert bulk.gentle().one_in == bulk.one_in
    assert bulk.gentle().seconds == pytest.approx(bulk.seconds)


@pytest.mark.parametrize(
    ("rate", "one_in"), [("1mbit", 1), ("60mbit", 1), ("200mbit", 2), ("700mbit", 8), ("10gbit", 128), (None, 16)]
)
def test_only_some_packets_of_fast_trains_are_read(rate, one_in):
    bulk = probe(LinkShape(rate=Rate.parse(rate) if rate else None)).forward_bulk
    assert bulk.one_in == one_in
    if rate:
        assert bulk.link_bit_s / 1514 / 8 / one_in < 10_000


def test_measuring_a_wan_link_takes_under_twelve_seconds():
    assert 4 < probe(WAN).seconds < 12


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), float("-inf"), 0.0, -5.0, 0.5, 1e6])
def test_seconds_that_are_no_time_for_an_edge_are_refused(seconds):
    with pytest.raises(InputError, match=r"--seconds .*: use 1 to 86400"):
        checked_seconds(seconds)
    assert checked_seconds(2.5) == 2.5


def test_so_many_seconds_are_enough_for_a_slow_link_and_half_are_not():
    slow = LinkShape(rate=Rate.parse("500bit"))
    seconds = enough_seconds(slow, slow, ipv6=False)
    assert probe(slow, seconds=seconds).forward_bulk is not None
    assert probe(slow, seconds=seconds / 2).forward_bulk is None
