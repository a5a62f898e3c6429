"""harness.experiment.report.analysis.explain on hand-made runs: one cause each, and the boundaries between them.

tests/live/test_explain.py makes such runs on real links.
"""

from dataclasses import replace

import pytest

from harness.experiment.report.analysis.causes.edge_loads import edge_loads
from harness.experiment.report.analysis.causes.paths import talking_pairs
from harness.experiment.report.analysis.explain import explain
from harness.experiment.report.load.network_records import EdgeCount, FlowRecord, FlowSample, LinkSample, RecordedChange
from harness.experiment.report.load.rank_records import Collectives, Logged, Ops, Rank, RecordedStep, TimedCollective
from harness.experiment.report.load.records import RecordedRun, RunEnd
from harness.model.capacity import Capacity, NodeShape
from harness.model.units import Rate
from tests.support.plans import network, shape

STEPS = 20


def steps(times, payload=None, sent=0):
    """One rank's record; times are (compute, comm) of each step."""
    made, now = [], 0.0
    for number, (compute, comm) in enumerate(times, 1):
        now += compute + comm
        made.append(RecordedStep(number, now, now, 1.0, compute + comm, compute, comm, sent, sent))
    return {"steps": tuple(made), "bytes_per_step": payload}


def links(until, sent=0, packets=0, dropped=0, backlog=0, again=0, every=1.0):
    """Samples whose counters grow evenly to these totals on 0->1, and stay 0 on 1->0."""
    count = max(1, round(until / every))
    return tuple(
        LinkSample(
            until * n / count,
            {
                (0, 1): EdgeCount(packets * n // count, sent * n // count, dropped * n // count, backlog, 0),
                (1, 0): EdgeCount(0, 0, 0, 0, 0),
            },
            {0: (packets * n // count, again * n // count), 1: (0, 0)},
        )
        for n in range(count + 1)
    )


def run(plan, ranks, samples=(), **more):
    """A run of two ranks or more; `ranks` are keywords of Rank."""
    made = tuple(Rank(number, **fields) for number, fields in enumerate(ranks))
    settings = more.pop("settings", {"congestion_control": "cubic"})
    made_run = RecordedRun("s", "p", "ring", len(made), 0, "ddp", "ddp", None, "netem", settings, plan, made, samples)
    return replace(made_run, **more)


def even(plan, compute, comm, payload=None, interface=0, **counters):
    """A run of two ranks whose every step is the same."""
    ranks = [steps([(compute, comm)] * STEPS, payload, interface)] * 2
    return run(plan, ranks, links((compute + comm) * STEPS, **{"sent": 20_000, "packets": 20, **counters}))


def flow(*samples, src=0, dst=1):
    """A connection; samples are (time, rtt, retransmits, acked_bytes, busy)."""
    made = tuple(FlowSample(time, 10, rtt, again, 0, acked, busy, 0.0) for time, rtt, again, acked, busy in samples)
    return FlowRecord(src * 10 + dst, 1, src, dst, 40000, 29500, "cubic", 1448, made)


# Latency


def test_round_trips_on_idle_links_are_latency():
    found = explain(even(network("ring", 2, shape(delay="24ms", rate="100mbit")), 0.01, 0.12))
    assert found.cause == "latency"
    assert found.sentence == "Bound by latency: 2.5 round trips of 48 ms a step; the links are 0.062 % used."
    assert found.lost == {"latency": pytest.approx(2.4, rel=0.01), "rate": pytest.approx(0.0016)}
    assert "fedavg or diloco with H local steps" in found.advice


def test_losses_that_leave_more_than_a_shared_line_has_are_not_what_limits():
    """As on `home`: an edge without a rate, 0.01 % of loss, an uplink of 20 Mbit/s."""
    plan = network("ring", 2, shape(delay="10ms", loss="0.01%"))
    capped = plan.with_nodes({0: NodeShape(uplink=Capacity(Rate(20_000_000)))})
    for one, rate, is_held in ((plan, None, True), (capped, 20_000_000, False)):
        pair, *_ = talking_pairs(even(one, 0.01, 0.12), edge_loads(even(one, 0.01, 0.12), 0, 3), 0, 3)
        assert (pair.rate, pair.ceiling is not None) == (rate, is_held)


def test_a_strategy_with_h_is_told_to_enlarge_it():
    one = even(network("ring", 2, shape(delay="24ms")), 0.01, 0.12)
    assert "a larger H than 10" in explain(replace(one, settings={"options": {"H": 10}})).advice


def test_round_trips_that_are_too_short_to_be_felt_are_not_latency():
    plan = network("ring", 2, shape(delay="0.4ms", rate="1gbit"))
    found = explain(even(plan, 0.01, 0.12))
    assert found.cause == "compute"
    assert found.sentence == (
        "Bound by this machine: ranks wait 120 ms of a step of 130 ms, and its links do not explain it"
        " (round trips take 800 µs; the links are 0.0062 % used, no loss)."
    )
    assert explain(even(network("ring", 2, shape(delay="0.6ms")), 0.01, 0.12)).cause == "latency"


def test_waits_beyond_what_the_collectives_round_trips_can_take_are_not_latency():
    plan = network("ring", 2, shape(delay="5ms"))
    one = even(plan, 0.01, 0.12)
    counted = replace(one.ranks[0], collectives=(Collectives(STEPS, {"all_reduce": Ops(STEPS, 1000)}),))
    found = explain(replace(one, ranks=(counted, one.ranks[1])))
    assert found.lost["latency"] == pytest.approx(STEPS * 2 * 3 * 0.01)
    assert found.lost["unknown"] == pytest.approx(STEPS * 0.12 - found.lost["latency"])


def test_steps_that_seldom_communicate_count_their_round_trips_when_they_do():
    times = [(0.001, 0.12 if number % 5 == 4 else 0.0) for number in range(30)]
    found = explain(run(network("ring", 2, shape(delay="24ms")), [steps(times)] * 2, links(1.0, sent=1000)))
    assert found.sentence == "Bound by latency: 2.5 round trips of 48 ms in each of 6 steps of 30."


def test_links_that_carry_next_to_nothing_are_not_meant():
    plan = network("ring", 3, shape(delay="5ms"), e12=shape(delay="500ms"))
    counts = {(0, 1): 0, (1, 0): 0, (1, 2): 0}
    samples = [
        LinkSample(time, {pair: EdgeCount(1, int(time * size), 0, 0, 0) for pair, size in grown.items()}, {})
        for time, grown in ((0.0, counts), (2.6, {(0, 1): 10_000, (1, 0): 10_000, (1, 2): 900}))
    ]
    assert "2 round trips of 10 ms a step" in explain(run(plan, [steps([(0.001, 0.02)] * 20)] * 3, samples)).sentence


# The rate, and queues


def test_a_full_link_is_the_rate():
    plan = network("ring", 2, shape(rate="1mbit"))
    found = explain(even(plan, 0.01, 0.1, payload=11_000, interface=12_000, sent=240_000, packets=200))
    assert found.cause == "rate"
    assert found.sentence == (
        "Bound by the rate: 0->1 carried 873 kbit/s of 1 Mbit/s, and the training's bytes take 96 ms of a step of"
        " 110 ms."
    )
    assert "compress=fp16" in found.advice


def test_a_link_full_of_other_traffic_is_a_queue():
    plan = network("ring", 2, shape(rate="1mbit", delay="5ms", limit=1000))
    found = explain(even(plan, 0.01, 0.5, payload=500, interface=60_000, sent=1_200_000, packets=900, backlog=20_000))
    assert found.cause == "queue"
    assert found.sentence == (
        "Bound by a queue: a round trip 0->1 takes 165 ms, 10 ms with empty queues; 99 % of the bytes are other"
        " traffic."
    )
    assert found.lost["queue"] > 0.9 * sum(found.lost.values())
    assert found.advice.startswith("keep other traffic off the link")


def test_what_relays_pass_on_is_no_other_traffic():
    plan = network("star", 4, shape(rate="1mbit", delay="5ms"))
    ranks = [steps([(0.01, 0.2)] * STEPS, 10_000, sent) for sent in (43_000, 14_000, 14_000, 14_000)]
    found = explain(run(plan, ranks, links(4.2, sent=475_000, packets=400, backlog=6_000)))
    assert found.lost["rate"] == pytest.approx(3.8)


def test_the_round_trip_that_tcp_measured_is_named():
    plan = network("ring", 2, shape(rate="1mbit", delay="5ms", limit=1000))
    one = even(plan, 0.01, 0.5, payload=500, interface=60_000, sent=1_200_000, packets=900, backlog=20_000)
    found = explain(
        replace(one, flows=(flow((1.0, 0.2, 0, 100, 0.5), (2.0, 0.2, 0, 900, 0.9), (3.0, 0.233, 0, 10_000, 1.0)),))
    )
    assert "a round trip 0->1 takes 211 ms" in found.sentence


def test_drops_of_links_that_lose_nothing_are_those_of_a_full_queue():
    plan = network("ring", 2, shape(rate="10mbit", delay="5ms", limit=10))
    stalled = [(0.01, 0.02 if number % 3 else 0.3) for number in range(30)]
    counters = links(4.0, sent=1_000_000, packets=900, dropped=100, again=90)
    found = explain(run(plan, [steps(stalled, 30_000, 32_000)] * 2, counters))
    assert found.cause == "queue"
    assert found.sentence == (
        "Bound by a queue: 0->1 dropped 10 % of its packets for want of room, which lets TCP have 4.5 of 9.56 Mbit/s;"
        " 90 segments sent again."
    )
    assert found.advice.startswith("a larger queue (limit, in packets)")


def test_a_short_queue_keeps_windows_small_in_all_steps():
    plan = network("ring", 2, shape(rate="20mbit", delay="20ms", limit=12))
    ranks = [steps([(0.01, 1.0)] * STEPS, 240_000, 260_000)] * 2
    found = explain(run(plan, ranks, links(20.2, sent=5_200_000, packets=3800, dropped=190, again=190)))
    assert found.cause == "queue"
    assert "dropped 4.8 % of its packets for want of room, which lets TCP have" in found.sentence
    assert found.lost["queue"] > 0.5 * sum(found.lost.values())


# Loss


def test_small_windows_on_links_that_lose_are_loss():
    plan = network("ring", 2, shape(rate="767mbit", delay="25ms", loss="0.1%"))
    found = explain(even(plan, 0.01, 0.9, payload=1e6, interface=1_060_000, sent=21_200_000, packets=15_000, again=15))
    assert found.cause == "loss"
    assert found.sentence.startswith("Bound by loss: 0.1 % loss lets TCP have ")
    assert found.sentence.endswith(" of 734 Mbit/s on 0->1; 15 segments sent again.")
    assert "congestion control bbr" in found.advice


def test_bbr_does_not_slow_down_by_loss():
    plan = network("ring", 2, shape(rate="767mbit", delay="25ms", loss="0.1%"))
    one = even(plan, 0.01, 0.12, payload=1e6, interface=1_060_000, sent=21_200_000, packets=15_000)
    assert explain(replace(one, settings={"congestion_control": "bbr"})).cause == "latency"


def test_blocks_that_fit_into_the_window_are_not_slowed_by_loss():
    plan = network("ring", 4, shape(rate="767mbit", delay="24ms", loss="0.1%"))
    ranks = [steps([(0.01, 0.43)] * STEPS, 59_580, 67_000)] * 4
    found = explain(run(plan, ranks, links(9.0, sent=1_300_000, packets=1500, again=1)))
    assert found.cause == "latency"


@pytest.mark.parametrize(("again", "cause"), [(0, "latency"), (1, "latency"), (10, "loss")])
def test_steps_that_stand_still_are_loss_where_segments_were_sent_again(again, cause):
    plan = network("ring", 2, shape(delay="5ms", loss="1%"))
    stalled = [(0.01, 0.015 if number % 3 else 0.25) for number in range(30)]
    found = explain(run(plan, [steps(stalled, 100, 1000)] * 2, links(3.1, sent=1000, packets=10, again=again)))
    assert found.cause == cause
    assert found.lost.get("loss", 0.0) == pytest.approx(min(again * 0.21, 10 * 0.235))


def test_stalls_are_what_steps_waited_longer_than_the_best_tenth():
    plan = network("ring", 2, shape(delay="5ms", loss="1%"))
    stalled = [(0.01, 0.03 if number % 3 == 0 else 0.25) for number in range(30)]
    found = explain(run(plan, [steps(stalled, 100, 1000)] * 2, links(3.1, sent=1000, packets=10, again=99)))
    assert found.lost["loss"] == pytest.approx(20 * 0.22)


# Ranks that compute longer, computing, changes


def test_one_rank_that_computes_longer_is_the_straggler():
    found = explain(run(network("ring", 2), [steps([(0.01, 0.021)] * STEPS), steps([(0.03, 0.001)] * STEPS)]))
    assert found.cause == "straggler"
    assert found.sentence == (
        "Rank 1 is a straggler: it computes 30 ms a step, where the other takes 10 ms and waits, 400 ms in all."
    )


@pytest.mark.parametrize(("extra", "cause"), [(0.003, "compute"), (0.004, "straggler")])
def test_a_straggler_counts_from_a_quarter_of_the_time(extra, cause):
    ranks = [steps([(0.01, extra)] * STEPS)] * 2 + [steps([(0.01 + extra, 0.0)] * STEPS)]
    assert explain(run(network("ring", 3), ranks)).cause == cause


def test_a_straggler_that_costs_less_than_the_network_is_not_named():
    plan = network("ring", 2, shape(delay="20ms"))
    ranks = [steps([(0.01, 0.09)] * STEPS), steps([(0.04, 0.06)] * STEPS)]
    assert explain(run(plan, ranks, links(2.0, sent=1000))).cause == "latency"


def test_ranks_that_do_not_wait_have_no_straggler():
    found = explain(run(network("ring", 2), [steps([(0.01, 0.0)] * STEPS), steps([(0.03, 0.0)] * STEPS)]))
    assert found.cause == "compute"
    assert "straggler" not in found.lost


def test_short_waits_are_computing():
    found = explain(even(network("ring", 2, shape(delay="1ms")), 0.1, 0.02))
    assert found.cause == "compute"
    assert found.sentence == "Bound by computing: 83 % of a step of 120 ms is computing; 17 % goes to round trips."


def test_links_that_change_all_the_time_are_what_they_were_on_the_mean():
    """A trace: 30 ms and 50 ms in turns, on links that began without a delay."""
    plan = network("ring", 2, shape(delay="0ms"))
    made = run(plan, [steps([(0.01, 0.09)] * STEPS, 100, 100)] * 2, links(2.0, sent=1000))
    assert explain(made).cause == "compute"  # bound by this machine: nothing else is known
    trace = tuple(
        RecordedChange(
            at / 10, at / 10, (), shapes=dict.fromkeys([(0, 1), (1, 0)], shape(delay=f"{30 + at % 2 * 20}ms"))
        )
        for at in range(20)
    )
    found = explain(replace(made, changes=trace))
    assert found.cause == "latency"
    assert "80 ms" in found.sentence


def changed(before, after, at=2.0, count=10):
    plan = network("ring", 2, shape(delay="20ms"))
    times = [(0.01, before - 0.01)] * count + [(0.01, after - 0.01)] * 20
    change = RecordedChange(at, at, ("0→1: delay 20 ms → delay 120 ms", "1→0: delay 20 ms → delay 120 ms"))
    return run(plan, [steps(times, 100, 100)] * 2, links(30.0, sent=1000), changes=(change,))


def test_a_change_that_steps_felt():
    found = explain(changed(0.2, 0.6))
    assert found.cause == "changed"
    assert found.sentence == (
        "Changed: link 0-1 at 2 s (delay 20 ms → delay 120 ms): steps took 200 ms before and 600 ms after."
    )
    assert found.lost["changed"] == pytest.approx(19 * 0.4)  # one step was under way
    assert sum(found.lost.values()) == pytest.approx(10 * 0.19 + 20 * 0.59)


def test_a_change_of_a_limit_that_steps_felt():
    made = changed(0.2, 0.6)
    limit = replace(made.changes[0], edges=(), limits=("node 1: uplink 20 Mbit/s → 5 Mbit/s",))
    found = explain(replace(made, changes=(limit,)))
    assert found.sentence.startswith("Changed: node 1 at 2 s (uplink 20 Mbit/s → 5 Mbit/s): steps took 200 ms before")


def test_a_change_for_the_better_counts_too():
    assert "steps took 600 ms before and 200 ms after" in explain(changed(0.6, 0.2, at=6.0)).sentence


@pytest.mark.parametrize(("took", "cause"), [(9.0, "changed"), (0.9, "latency")])
def test_a_link_that_was_down_during_a_step(took, cause):
    times = [(0.01, 0.19)] * 10 + [(0.01, took - 0.01)] + [(0.01, 0.19)] * 10
    down = (
        RecordedChange(2.1, 2.1, ("0→1: delay 20 ms → down",)),
        RecordedChange(8.0, 8.0, ("0→1: down → delay 20 ms",)),
    )
    plan = network("ring", 2, shape(delay="20ms"))
    found = explain(run(plan, [steps(times, 100, 100)] * 2, links(13.0, sent=1000), changes=down))
    assert found.cause == cause
    assert (
        found.sentence == "Changed: link 0-1 at 2.1 s (delay 20 ms → down, one of 2 changes): the step that was under"
        " way took 9 s, those before 200 ms."
    ) == (cause == "changed")


def test_a_change_that_steps_hardly_felt_is_no_cause():
    assert explain(changed(0.2, 0.28)).cause == "latency"


def test_a_change_by_less_than_half_is_no_cause_however_long_it_lasted():
    assert explain(changed(0.2, 0.29, at=0.601, count=3)).cause == "latency"
    assert explain(changed(0.2, 0.31, at=0.601, count=3)).cause == "changed"


@pytest.mark.parametrize(("took", "cause"), [(0.9, "latency"), (1.1, "changed")])
def test_a_step_that_was_under_way_counts_from_five_times_the_others(took, cause):
    times = [(0.01, 0.19)] * 4 + [(0.01, took - 0.01)]
    down = (RecordedChange(0.81, 0.81, ("0→1: delay 20 ms → down",)),)
    plan = network("ring", 2, shape(delay="20ms"))
    assert explain(run(plan, [steps(times, 100, 100)] * 2, links(2.0, sent=1000), changes=down)).cause == cause


def test_two_steps_before_a_change_tell_nothing():
    assert explain(changed(0.2, 0.6, at=0.4, count=2)).cause == "latency"


# Little data


def test_nothing_recorded_is_unknown():
    found = explain(run(network("ring", 2), [{}, {}]))
    assert (found.cause, found.sentence) == ("unknown", "Unknown: neither steps nor connections were recorded.")
    failed = explain(run(network("ring", 2), [{}, {}], end=RunEnd("failed")))
    assert failed.sentence == "Unknown: it failed before steps or connections were recorded."


def test_links_alone_tell_how_full_they_were():
    plan = network("ring", 2, shape(rate="1mbit"))
    found = explain(run(plan, [], links(10.0, sent=125_000)))
    assert found.sentence == (
        "Unknown: neither steps nor connections were recorded; its busiest link 0->1 was 10 % used."
    )


def test_waits_without_a_plan_and_counters_are_unknown():
    found = explain(run(None, [steps([(0.01, 0.1)] * STEPS)] * 2))
    assert found.cause == "unknown"
    assert found.sentence == (
        "Unknown: ranks wait 100 ms of a step of 110 ms; the counters of its links were not recorded, so"
        " the cause is unknown."
    )


@pytest.mark.parametrize(
    ("busy", "sent", "cause", "sentence"),
    [
        (1.0, 1e5, "compute", "Not bound by the network: data are under way for 10 % of the time at most; the links"),
        (8.0, 1e5, "latency", "Bound by latency: data are under way for 80 % of the time, over round trips of 40 ms"),
        (9.5, 1.1e7, "rate", "Bound by the rate: 0->1 carried 8.8 of 10 Mbit/s, data are under way for 95 %"),
    ],
)
def test_a_command_without_steps(busy, sent, cause, sentence):
    plan = network("ring", 2, shape(rate="10mbit", delay="20ms"))
    one = flow((0.0, 0.04, 0, 0, 0.0), (10.0, 0.04, 0, int(sent / 1.05), busy))
    found = explain(run(plan, [], links(10.0, sent=int(sent), packets=100), flows=(one,)))
    assert found.cause == cause
    assert found.sentence.startswith(sentence)
    assert found.sentence.endswith("computing and waiting cannot be told apart without steps.")


def test_a_busy_command_on_links_that_cost_nothing_is_unknown():
    one = flow((0.0, 0.0002, 0, 0, 0.0), (10.0, 0.0002, 0, 100_000, 9.0))
    found = explain(run(network("ring", 2), [], links(10.0, sent=100_000), flows=(one,)))
    assert found.cause == "unknown"
    assert found.sentence.startswith(
        "Unknown: data are under way for 90 % of the time, and the links do not explain it;"
    )


def test_steps_that_took_no_time_tell_nothing():
    assert explain(run(network("ring", 2), [steps([(0.0, 0.0)] * 3)] * 2)).cause == "unknown"


def test_a_command_on_links_that_lose():
    plan = network("ring", 2, shape(rate="100mbit", delay="20ms", loss="1%"))
    one = flow((0.0, 0.04, 0, 0, 0.0), (10.0, 0.04, 40, 3_000_000, 9.5))
    found = explain(run(plan, [], links(10.0, sent=3_150_000, packets=2200, again=40), flows=(one,)))
    assert found.cause == "loss"
    assert "1 % loss lets TCP have" in found.sentence


def test_collectives_that_were_timed_tell_computing_and_waiting_apart():
    plan = network("ring", 2, shape(delay="25ms"))

    def timed(late):
        calls = [(second + late, 0.2 - late) for second in range(10)]
        return {"timed": tuple(TimedCollective("all_reduce", at, took, 1000, 2, "default_pg") for at, took in calls)}

    found = explain(run(plan, [timed(0.0), timed(0.0)], links(10.0)))
    assert found.cause == "compute"
    assert found.sentence.startswith("Bound by computing: 80 % of a round of collectives of 1 s is computing")
    late = explain(run(plan, [timed(0.0), timed(0.15)], links(10.0)))
    assert late.lost["straggler"] == pytest.approx(9 * 0.15)


def test_steps_that_a_script_logged_tell_that_a_change_was_felt():
    logs = tuple(Logged(time, 10 * n, {"loss": 1.0}) for n, time in enumerate([0.0, 1.0, 2.0, 3.0, 6.0, 9.0]))
    change = RecordedChange(3.0, 3.0, ("0→1: delay 20 ms → delay 120 ms",))
    found = explain(run(network("ring", 2), [{"logs": logs}, {}], links(9.0), changes=(change,)))
    assert found.cause == "changed"
    assert "steps took 100 ms before and 300 ms after" in found.sentence


def test_a_change_among_logged_steps_is_told_in_seconds_of_the_run():
    start = 1_795_000_000.0
    logs = tuple(Logged(start + time, 10 * n, {"loss": 1.0}) for n, time in enumerate([0.0, 1.0, 2.0, 3.0, 6.0, 9.0]))
    change = RecordedChange(start + 3.0, start + 3.0, ("0→1: delay 20 ms → delay 120 ms",))
    made = run(network("ring", 2), [{"logs": logs}, {}], changes=(change,))
    moments = tuple(LinkSample(start + second, {}, {}) for second in range(10))
    assert "link 0-1 at 3 s (" in explain(replace(made, links=moments)).sentence
