"""What a run did over time: utilisation of edges, connections, collectives; and their tables of few points."""

from dataclasses import replace

import pytest

from harness.experiment.report.analysis.bandwidth import CollectiveTraffic
from harness.experiment.report.analysis.collectives import CollectiveTimes, collective_times
from harness.experiment.report.analysis.figures import run_figures
from harness.experiment.report.analysis.flows import flow_totals, largest_flows
from harness.experiment.report.analysis.utilisation import edge_uses, use_stretches
from harness.experiment.report.load.network_records import EdgeCount, FlowRecord, FlowSample, LinkSample, RecordedChange
from harness.experiment.report.load.rank_records import Rank, RecordedStep, TimedCollective
from harness.experiment.report.load.records import RecordedRun
from harness.experiment.report.page.run_data import flows_table, peaks, steps_table, use_table
from tests.support.plans import network, shape

PLAN = network("ring", 2, shape(rate="1mbit"))
STEPS = tuple(RecordedStep(n, 100.0 + n, float(n), 1.0, 1.0, 0.4, 0.6, 0, 0) for n in range(1, 11))


def sample(time, there, back, dropped=0):
    edges = {(0, 1): EdgeCount(0, there, dropped, 0, 0), (1, 0): EdgeCount(0, back, 0, 0, 0)}
    return LinkSample(time, edges, {})


def run(*links, flows=(), ranks=(Rank(0, STEPS),), plan=PLAN):
    return RecordedRun("s", "wan", "ring", 2, 0, "ddp", "ddp", None, "netem", {}, plan, ranks, links, flows=flows)


def flow(number, src=0, dst=1, port=4000, size=1000, attempt=1, samples=None):
    made = samples or (
        FlowSample(101.0, 10, 0.02, 1, 5e6, size // 2, 0.5, 0.0),
        FlowSample(103.0, 30, 0.06, 3, 5e6, size, 2.0, 0.5),
    )
    return FlowRecord(number, attempt, src, dst, port, 29500, "cubic", 1448, made)


def test_an_edge_is_held_against_the_rate_that_it_had():
    """1 Mbit/s is 125 kB a second; what was sent before the first step does not count."""
    there, back = edge_uses(
        run(sample(98, 0, 0), sample(99, 99_999, 0), sample(101, 162_499, 0, 3), sample(103, 412_499, 0, 4))
    )
    assert (there.edge, there.rate, there.dropped) == ((0, 1), 1e6, 4)
    assert there.bit_s == pytest.approx((62_500 + 250_000) * 8 / 4)
    assert there.share == pytest.approx(0.625)
    assert (back.edge, back.share) == ((1, 0), 0.0)


def test_an_edge_without_a_rate_has_no_share():
    links = sample(100, 0, 0), sample(102, 250_000, 0)
    free, _ = edge_uses(run(*links, plan=network("ring", 2, shape(delay="1ms"))))
    assert (free.share, free.bit_s) == (None, 1e6)
    assert use_stretches(run(*links, plan=None)) == []


def test_an_edge_tells_what_one_connection_can_get():
    """1.22 x 1448 bytes / (40 ms x sqrt(0.01)); without losses all of the rate but headers."""
    links = sample(100, 0, 0), sample(102, 250_000, 0)
    lossy, _ = edge_uses(run(*links, plan=network("ring", 2, shape(rate="100mbit", delay="20ms", loss="1%"))))
    clean, _ = edge_uses(run(*links, plan=network("ring", 2, shape(rate="100mbit", delay="20ms"))))
    assert (lossy.one_tcp, clean.one_tcp) == (pytest.approx(3.55e6, rel=0.01), pytest.approx(95.6e6, rel=0.01))


def test_stretches_are_means_over_the_time_that_samples_cover():
    links = [sample(100 + n, size, 0) for n, size in enumerate((0, 125_000, 125_000, 250_000, 250_000))]
    found = [(one.start, one.end, one.share) for one in use_stretches(run(*links), bins=2) if one.of == (0, 1)]
    assert found == [(0.0, 2.0, pytest.approx(0.5)), (2.0, 4.0, pytest.approx(0.5))]
    four = [one.share for one in use_stretches(run(*links)) if one.of == (0, 1)]
    assert four == [pytest.approx(1.0), 0.0, pytest.approx(1.0), 0.0]


def test_an_edge_is_held_against_its_new_rate_after_a_change():
    """2 Mbit/s from the change on: what is sent stays 1 Mbit/s. A link that is down has no share."""
    links = [sample(100 + n, 125_000 * n, 0) for n in range(5)]
    faster = RecordedChange(101.9, 102.0, (), {(0, 1): 2e6})
    made = replace(run(*links), changes=(faster,))
    there, back = edge_uses(made)
    assert (there.rate, there.share) == (1e6, pytest.approx(0.75))
    assert back.share == 0
    assert [one.share for one in use_stretches(made) if one.of == (0, 1)] == [1.0, 1.0, 0.5, 0.5]
    down = replace(run(*links), changes=(RecordedChange(99.0, 100.2, (), {(0, 1): None}),))
    assert edge_uses(down)[0].share is None
    assert {one.of for one in use_stretches(down)} == {(1, 0)}


def test_the_fullest_edges_are_the_ones_that_are_drawn(monkeypatch):
    monkeypatch.setattr("harness.experiment.report.page.run_data.MOST_STRIPS", 1)
    rows = use_table(run_figures(run(sample(100, 0, 0), sample(102, 10, 90_000)))).records()
    assert {row["edge"] for row in rows} == {"1→0"}


def test_flows_are_named_by_their_ports_only_where_there_are_several_between_two_ranks():
    names = [name for name, _ in largest_flows(run(flows=(flow(1), flow(2, 1, 0), flow(3, 1, 0, port=4001))), 9)]
    assert names == ["0→1", "1→0 :4000–29500", "1→0 :4001–29500"]
    resumed = [name for name, _ in largest_flows(run(flows=(flow(1), flow(1, attempt=2))), 9)]
    assert resumed == ["0→1", "0→1"]


def test_the_largest_flows_are_kept_and_those_without_samples_are_not():
    flows = (flow(1, size=10), flow(2, 1, 0, size=900), replace(flow(3, 0, 1), samples=()))
    assert [name for name, _ in largest_flows(run(flows=flows), 1)] == ["1→0"]
    assert largest_flows(run(flows=flows[2:]), 9) == []


def test_a_flow_as_a_whole():
    whole = flow_totals(flow(1))
    assert (whole.bytes, whole.retransmits, whole.rtt, whole.cwnd) == (1000, 3, pytest.approx(0.04), 20)
    assert (whole.bit_s, whole.rwnd_share) == (4000.0, 0.25)
    idle = flow_totals(flow(1, samples=(FlowSample(1.0, 10, 0.02, 0, 0.0, 0, 0.0, 0.0),)))
    assert (idle.bit_s, idle.rwnd_share, idle.rtt_p95) == (None, None, 0.02)


def test_flows_have_the_clock_of_training_and_a_run_without_any_has_no_row():
    rows = flows_table(run_figures(run(sample(99, 0, 0), sample(102, 1, 1), flows=(flow(1),)))).records()
    assert [(row["seconds"], row["rtt"], row["cwnd"]) for row in rows] == [(1, 20, 10), (3, 60, 30)]
    assert flows_table(run_figures(run())).rows == ()
    untrained = run_figures(run(flows=(flow(1), flow(2, attempt=2)), ranks=()))
    assert [row["seconds"] for row in flows_table(untrained).records()] == [0, 2]


def timed(op, *seconds, size=100):
    return tuple(TimedCollective(op, 1.0, one, size, 2, "default_pg") for one in seconds)


def test_collectives_by_kind_over_all_ranks():
    ranks = (
        Rank(0, timed=timed("allreduce", 1.0, 3.0, None) + timed("broadcast", 0.1)),
        Rank(1, timed=timed("allreduce", 2.0, 4.0)),
    )
    first, second = collective_times(ranks)
    assert first == CollectiveTimes("all_reduce", 3, 300, 2.5, pytest.approx(3.85), 5.0, untimed=1)
    assert second == CollectiveTimes("broadcast", 1, 100, 0.1, 0.1, 0.1)


def test_what_was_counted_stands_for_collectives_that_were_not_timed():
    counted = [CollectiveTraffic("all_reduce", 7, 700, None)]
    assert collective_times([Rank(0)], counted) == [CollectiveTimes("all_reduce", 7, 700, untimed=7)]
    assert collective_times([Rank(0, timed=timed("send", None, None))]) == [CollectiveTimes("send", 2, 200, untimed=2)]
    assert collective_times([]) == []


def test_steps_are_thinned_and_keep_their_peaks():
    steps = tuple(
        replace(STEPS[0], step=n, elapsed=float(n), seconds_comm=5.0 if n == 777 else 0.1) for n in range(2000)
    )
    rows = steps_table(run_figures(run(ranks=(Rank(0, steps), Rank(1)))), 100).records()
    assert len(rows) <= 100
    assert {row["rank"] for row in rows} == {"rank 0"}
    assert (777, 5000) in {(row["seconds"], row["waiting"]) for row in rows}


def test_peaks_of_every_value_stay_in_order():
    points = [(n, 100 if n == 40 else 0, 100 if n == 60 else 0) for n in range(200)]
    kept = peaks(points, 12, lambda point: point[1], lambda point: point[2])
    assert {points[40], points[60]} <= set(kept)
    assert kept == sorted(kept)
    assert len(kept) <= 12
