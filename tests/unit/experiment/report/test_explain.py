"""harness.experiment.report.analysis.explain on hand-made runs: one cause each, and the boundaries between them."""

import pytest

from harness.experiment.report.analysis.explain import explain
from harness.experiment.report.load.records import EdgeCount, LinkSample, Rank, RecordedRun, RecordedStep
from tests.support.plans import network, shape


def run(plan, compute, comm, sent=0, steps=10):
    """A run whose every step is the same; compute and comm are seconds by rank, sent bytes per step on 0->1."""
    took = compute[0] + comm[0]
    ranks = tuple(
        Rank(rank, tuple(RecordedStep(n, n * took, n * took, 1.0, took, *own, sent, sent) for n in range(1, steps + 1)))
        for rank, own in enumerate(zip(compute, comm, strict=True))
    )
    links = tuple(
        LinkSample(n * took, {(0, 1): EdgeCount(n * sent // 1000, n * sent, 0, 0, 0)}, {}) for n in range(steps + 1)
    )
    return RecordedRun("s", "p", "ring", 2, 0, "ddp", "ddp", None, "netem", {}, plan, ranks, links)


def test_nothing_recorded_is_unknown():
    assert explain(run(network("ring", 2), [1.0, 1.0], [0.0, 0.0], steps=0)).cause == "unknown"


def test_round_trips_on_idle_links_are_latency():
    plan = network("ring", 2, shape(delay="24ms", rate="100mbit"))
    found = explain(run(plan, [0.01, 0.01], [0.12, 0.12], sent=1000))
    assert found.cause == "latency"
    assert found.sentence == "Bound by latency: 2.5 round trips of 48 ms a step; the links are 0.062 % used."
    assert found.lost["latency"] == pytest.approx(1.2, rel=0.01)


def test_a_full_link_is_the_rate():
    found = explain(run(network("ring", 2, shape(rate="1mbit")), [0.01, 0.01], [0.1, 0.1], sent=12_500))
    assert found.cause == "rate"
    assert "link 0->1 carried 909 kbit/s of 1 Mbit/s" in found.sentence


def test_one_rank_that_computes_longer_is_the_straggler():
    found = explain(run(network("ring", 2), [0.01, 0.03], [0.021, 0.001]))
    assert found.cause == "straggler"
    assert "Rank 1 is the straggler: it computes 30 ms a step, the others 10 ms" in found.sentence


def test_short_waits_are_computing():
    found = explain(run(network("ring", 2, shape(delay="1ms")), [0.1, 0.1], [0.01, 0.01]))
    assert found.cause == "compute"
    assert "91 % of a step of 110 ms" in found.sentence
