"""harness.experiment.report.analysis.links and thin: counters as rates, and fewer points that keep the peaks."""

from dataclasses import replace

import pytest

from harness.experiment.report.analysis.figures import run_figures
from harness.experiment.report.analysis.links import change_moments, edge_moments, link_use, tcp_moments
from harness.experiment.report.load.network_records import EdgeCount, LinkSample, RecordedChange
from harness.experiment.report.load.rank_records import Rank, RecordedStep
from harness.experiment.report.load.records import RecordedRun
from harness.experiment.report.page.downsample import thin
from harness.experiment.report.page.run_data import changes_table, links_table, tcp_table
from tests.support.plans import network, shape

PLAN = network("ring", 2, shape(rate="1mbit"))


def sample(time, sent, dropped=0, backlog=0, tcp=None, attempt=1):
    counts = {pair: EdgeCount(sent // 1000, sent, dropped, backlog, 0) for pair in ((0, 1), (1, 0))}
    return LinkSample(time, counts, {} if tcp is None else {0: tcp}, attempt)


def run(*samples, first_step=None):
    steps = () if first_step is None else (RecordedStep(1, first_step, 0.5, 1.0, 0.5, 0.5, 0.0, 0, 0),)
    return RecordedRun("s", "wan", "ring", 2, 0, "ddp", "ddp", None, "netem", {}, PLAN, (Rank(0, steps),), samples)


def test_counters_become_rates_between_samples():
    moments = edge_moments(run(sample(10.0, 0), sample(12.0, 50_000, 4, 7), first_step=11.5))
    assert [(moment.edge, moment.seconds) for moment in moments] == [((0, 1), 1.0), ((1, 0), 1.0)]
    assert (moments[0].bit_s, moments[0].dropped, moments[0].backlog_bytes) == (200_000.0, 2.0, 7)


def test_a_network_that_was_made_anew_makes_a_gap():
    moments = edge_moments(run(sample(1.0, 900), sample(2.0, 1000), sample(5.0, 10), sample(6.0, 30)))
    assert [moment.seconds for moment in moments if moment.edge == (0, 1)] == [1.0, 5.0]


def test_differences_are_taken_within_one_attempt():
    samples = sample(1.0, 10, tcp=(5, 1)), sample(2.0, 20, tcp=(6, 1)), sample(2.01, 9000, tcp=(90, 9), attempt=2)
    made = run(*samples, sample(3.01, 9500, tcp=(95, 10), attempt=2))
    found = [(moment.attempt, moment.seconds, moment.bit_s) for moment in edge_moments(made)]
    assert found == [(1, 1.0, 80.0)] * 2 + [(2, 1.0, 4000.0)] * 2
    assert [moment.retransmitted for moment in tcp_moments(made)] == [0.0, 1.0]
    use = link_use(made)
    assert use is not None
    assert (use.segments, use.retransmitted) == (7, 1)
    assert use.busiest_share == pytest.approx(510 * 8 / 2 / 1e6)


def resumed():
    """Steps of attempts 1, 3 and 4, a second each; none of 2 holds; between them nothing went on for long."""
    samples = [
        sample(at + second, 1000 * second, tcp=(9 * second, second), attempt=attempt)
        for attempt, at in ((1, 10.0), (2, 500.0), (3, 1000.0), (4, 2000.0))
        for second in range(3)
    ]
    made = run(*samples, first_step=11.0)  # at 0.5 on the clock of training
    later = [
        RecordedStep(number, at, number - 0.5, 1.0, 1.0, 1.0, 0.0, 0, 0) for number, at in ((2, 1001.0), (3, 2001.0))
    ]
    slow = Rank(1, tuple(replace(step, time=step.time + 0.3) for step in (*made.ranks[0].steps, *later)))
    changes = [RecordedChange(at - 0.2, at, (f"at {at}",)) for at in (11.25, 501.0, 999.75, 2001.25)]
    return replace(made, ranks=(replace(made.ranks[0], steps=(*made.ranks[0].steps, *later)), slow), changes=changes)


def test_the_pauses_of_a_resumed_run_are_in_no_time():
    moments = [(moment.attempt, moment.seconds) for moment in edge_moments(resumed()) if moment.edge == (0, 1)]
    assert moments == [(1, 0.5), (1, 1.5), (3, 1.5), (3, 2.5), (4, 2.5), (4, 3.5)]
    assert [(moment.attempt, moment.seconds) for moment in tcp_moments(resumed())] == moments


def test_a_change_is_in_the_attempt_that_went_on_then():
    found = [(moment.attempt, moment.seconds) for moment in change_moments(resumed())]
    assert found == [(1, 0.75), (2, None), (3, 0.25), (4, 2.75)]
    assert changes_table(run_figures(resumed())).rows == (
        (1, 0.75, "at 11.25"),
        (3, 0.25, "at 999.75"),
        (4, 2.75, "at 2001.25"),
    )


def test_a_change_of_a_run_that_did_nothing_has_no_time():
    made = replace(run(), ranks=(), changes=(RecordedChange(5.0, 6.0, ("x",)),))
    assert [(moment.attempt, moment.seconds) for moment in change_moments(made)] == [(1, None)]
    assert changes_table(run_figures(made)).rows == ()


def test_rows_of_a_chart_are_together_by_attempt():
    figures = run_figures(resumed())
    edges = [(row["edge"], row["attempt"], row["seconds"]) for row in links_table(figures).records()]
    assert edges[:6] == [("0→1", n, at) for n, at in ((1, 0.5), (1, 1.5), (3, 1.5), (3, 2.5), (4, 2.5), (4, 3.5))]
    assert [(row["rank"], row["attempt"]) for row in tcp_table(figures).records()] == [
        ("rank 0", attempt) for attempt in (1, 1, 3, 3, 4, 4)
    ]


def test_long_attempts_are_thinned_apart():
    samples = [
        sample(at + second, 1000 * second, tcp=(0, second * (second % 7)), attempt=attempt)
        for attempt, at in ((1, 0.0), (2, 5000.0))
        for second in range(3000)
    ]
    made = run(*samples, first_step=1.0)
    made = replace(
        made, ranks=(Rank(0, (*made.ranks[0].steps, RecordedStep(2, 5001.0, 1.0, 1.0, 0.5, 0.5, 0.0, 0, 0))),)
    )
    for made_of in (links_table(run_figures(made)), tcp_table(run_figures(made))):
        rows = made_of.records()
        assert len(rows) <= 1000
        for who in {row.get("edge", row.get("rank")) for row in rows}:
            for attempt in (1, 2):
                of_one = [r["seconds"] for r in rows if r.get("edge", r.get("rank")) == who and r["attempt"] == attempt]
                assert of_one == sorted(of_one)
                assert of_one[-1] > 2990


def test_the_busiest_links_share_leaves_start_up_out():
    samples = [sample(float(second), 0) for second in range(10)]
    training = [sample(10.0, 50_000), sample(11.0, 100_000)]
    again = [sample(20.0, 0, attempt=2), sample(25.0, 0, attempt=2), sample(26.0, 50_000, attempt=2)]
    made = run(*samples, *training, *again, first_step=10.0)  # which began at 9.5
    second = RecordedStep(2, 26.0, 0.9, 1.0, 0.4, 0.4, 0.0, 0, 0)  # which began at 25.6
    made = replace(made, ranks=(Rank(0, (*made.ranks[0].steps, second)),))
    use = link_use(made)
    assert use is not None
    assert use.busiest_share == pytest.approx(0.4)
    assert use.sent_packets == 2 * 150


def test_samples_at_one_time_give_no_rate():
    assert [m.bit_s for m in edge_moments(run(sample(1.0, 0), sample(1.0, 500), sample(2.0, 1000)))] == [8000.0] * 2


def test_tcp():
    moments = tcp_moments(run(sample(1.0, 0, tcp=(10, 1)), sample(3.0, 0, tcp=(30, 5)), sample(4.0, 0, tcp=(3, 0))))
    assert [(moment.rank, moment.retransmitted) for moment in moments] == [(0, 2.0)]


def test_the_use_of_links_over_the_whole_run():
    use = link_use(
        run(sample(0.0, 0, tcp=(0, 0)), sample(1.0, 25_000, 2, tcp=(50, 1)), sample(4.0, 50_000, 3, tcp=(99, 4)))
    )
    assert use is not None
    assert use.busiest == (0, 1)
    assert use.busiest_share == pytest.approx(50_000 * 8 / 4 / 1e6)
    assert (use.dropped, use.sent_packets, use.retransmitted, use.segments) == (6, 100, 4, 103)  # 99 at first, 4 again


def test_too_few_samples_say_nothing():
    assert link_use(run(sample(1.0, 5))) is None
    assert edge_moments(run()) == []


def test_thin_keeps_ends_and_peaks():
    heights = [0.0] * 10_000
    heights[1234], heights[7777] = 9.0, -9.0
    kept = thin(list(enumerate(heights)), lambda point: point[1], most=100)
    assert len(kept) <= 100
    assert {(0, 0.0), (1234, 9.0), (7777, -9.0), (9999, 0.0)} <= set(kept)
    assert kept == sorted(kept)


def test_thin_leaves_short_series_alone():
    assert thin([3, 1, 2], float, most=4) == [3, 1, 2]
