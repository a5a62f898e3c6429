"""How long an experiment may take."""

import math
from dataclasses import replace

import pytest

from harness.experiment.estimate import left, seconds_of
from harness.experiment.runner import plan_of
from harness.experiment.spec import Experiment, Run, Variant
from harness.training.options import Schedule
from harness.training.tasks.task_options import TaskOptions
from tests.support.plans import network, shape

STEPS = 100


def estimate(variant, plan, cpus=2, evaluate_every=10, **given):
    run = Run("wan", "ring", variant, 0)
    experiment = Experiment("e", ("wan",), ("ring",), (variant,), schedule=Schedule(STEPS, evaluate_every), **given)
    return seconds_of(experiment, run, plan, cpus)


def slow(delay, nodes=4):
    return network("ring", nodes, shape(delay=delay))


def test_delays_are_paid_in_every_round():
    """An all_reduce of 4 ranks has 6 hops of some 2.5 delays each: 100 of them at 100 ms are 150 s."""
    fast, far = (estimate(Variant("ddp"), slow(delay)) for delay in ("0ms", "100ms"))
    nothing = estimate(Variant("local"), slow("100ms")) - estimate(Variant("local"), slow("0ms"))
    assert far - fast - nothing == pytest.approx(150, rel=0.01)
    seldom = estimate(Variant("diloco", {"H": 50}), slow("100ms"))
    assert seldom - fast - nothing == pytest.approx(150 / 50, abs=0.1)


def test_who_never_communicates_pays_only_to_connect():
    assert estimate(Variant("local"), slow("100ms")) - estimate(Variant("local"), slow("0ms")) == pytest.approx(12)


def rated(rate, topology="ring", **more):
    return network(topology, 4, shape(rate=rate, **more))


def test_bytes_are_paid_by_the_slowest_link_and_the_model_decides_how_many():
    """10.8 million parameters: 64.6 MB per step and rank, 33 s at 15.7 Mbit/s."""
    large = TaskOptions("text", width=384, layers=6)
    slow, fast = (estimate(Variant("ddp"), rated(rate), task=large) for rate in ("15.7mbit", "157mbit"))
    assert slow - fast == pytest.approx(STEPS * (33 - 3.3), rel=0.02)
    one = network("ring", 4, shape(rate="157mbit"), e01=shape(rate="15.7mbit"))
    assert estimate(Variant("ddp"), one, task=large) == pytest.approx(slow)
    small = estimate(Variant("ddp"), rated("15.7mbit"), task=TaskOptions("text", width=64, layers=2))
    assert small < slow / 50


def test_a_link_that_several_pairs_share_is_slower_for_each():
    """In a tree of 4, what rank 0 sends to 1 and what 2 sends to 3 cross the same link; in a line, no two share one."""
    unlimited = estimate(Variant("ddp"), slow("0ms"))
    ring, line, tree = (
        estimate(Variant("ddp"), rated("10mbit", name)) - unlimited for name in ("ring", "line", "tree")
    )
    assert line == pytest.approx(ring)
    assert tree == pytest.approx(2 * ring, rel=0.02)


def test_tcp_sends_no_faster_than_loss_lets_it():
    """Mathis: 1.22 * 1448 / (0.2 s * sqrt(1 %)) = 88 kB/s, whatever the rate."""
    large = TaskOptions("text", width=384, layers=6)
    lossy = estimate(Variant("ddp"), rated("1gbit", delay="100ms", loss="1%"), task=large)
    clean = estimate(Variant("ddp"), rated("1gbit", delay="100ms"), task=large)
    assert lossy - clean == pytest.approx(STEPS * 64.6e6 / 88.3e3, rel=0.02)
    assert 0 < estimate(Variant("ddp"), rated("1gbit", loss="100%")) < math.inf


def test_seldom_or_little_costs_less():
    plan, task = rated("10mbit", delay="10ms"), TaskOptions("text")
    variants = [
        Variant("local"),
        Variant("diloco", {"H": 100}),
        Variant("diloco"),
        Variant("fedavg"),
        Variant("ddp", {"compress": "bf16"}),
        Variant("ddp"),
    ]
    seconds = [estimate(variant, plan, task=task) for variant in variants]
    assert seconds == sorted(seconds)
    assert len(set(seconds)) == len(seconds)


def test_a_larger_batch_a_longer_context_and_more_evaluations_take_longer():
    plain = TaskOptions("text", batch=8)
    short = estimate(Variant("local"), slow("0ms"), task=plain)
    for more in ({"batch": 32}, {"context": 512}, {"layers": 9}, {"width": 384}):
        assert estimate(Variant("local"), slow("0ms"), task=replace(plain, **more)) > 2 * short
    mnist = TaskOptions("mnist")
    often, seldom = (estimate(Variant("local"), slow("0ms"), task=mnist, evaluate_every=n) for n in (1, STEPS))
    assert often > 2 * seldom


@pytest.mark.parametrize(
    ("profile", "steps", "variant", "measured"),
    [
        ("local", 32, Variant("ddp"), 7.9),
        ("local", 80, Variant("diloco", {"H": 10}), 9.6),
        ("local", 84, Variant("fedavg", {"H": 10}), 7.6),
        ("wan", 30, Variant("ddp"), 23.4),
        ("wan", 74, Variant("diloco", {"H": 10}), 22.0),
        ("wan", 89, Variant("fedavg", {"H": 10}), 23.4),
        ("mobile", 30, Variant("ddp"), 88.8),
        ("mobile", 79, Variant("diloco", {"H": 10}), 39.3),
        ("mobile", 89, Variant("fedavg", {"H": 10}), 37.7),
    ],
)
def test_what_was_measured_lies_within_a_factor_of_two(profile, steps, variant, measured):
    """The runs of examples/strategies.yaml on 2 cores, seconds of the ranks' lives, 2026-11-22."""
    task = TaskOptions("digits", "dirichlet:0.3", 128, lr=0.004)
    experiment = Experiment("e", (profile,), ("ring",), (variant,), nodes=4, schedule=Schedule(steps), task=task)
    (run,) = experiment.runs()
    seconds = seconds_of(experiment, run, plan_of(experiment, run), 2)
    assert measured / 2 < seconds < measured * 2


def test_what_is_lost_is_sent_again_and_takes_longer():
    lossy = network("ring", 4, shape(delay="100ms", loss="1%"))
    assert estimate(Variant("ddp"), lossy) > estimate(Variant("ddp"), slow("100ms"))


def test_a_limit_bounds_the_training():
    assert estimate(Variant("ddp"), slow("1s"), limit_seconds=60.0) < 60 + 150
    assert estimate(Variant("ddp"), slow("1s")) > 1000


def test_more_ranks_than_cores_take_turns():
    crowded, roomy = (estimate(Variant("ddp"), slow("0ms", 16), cpus) for cpus in (2, 16))
    assert crowded > 2 * roomy


@pytest.mark.parametrize("value", ["ten", "0", 0, -3])
def test_an_option_that_nobody_could_check_does_not_end_it(value):
    assert estimate(Variant("diloco", {"H": value}), slow("10ms")) > 0


def test_what_is_left_is_corrected_by_how_wrong_estimates_were():
    estimates = {"a": 10.0, "b": 10.0, "c": 20.0}
    assert left(estimates, {}, None, 0.0) == 40
    assert left(estimates, {}, "a", 4.0) == 36
    assert left(estimates, {"a": 30.0}, "b", 12.0) == 3 * 20 + (30 - 12)
    assert left(estimates, {"a": 30.0}, "b", 99.0) == 3 * 20
    assert left(estimates, {"a": 1.0, "b": 1.0, "c": 1.0}, None, 0.0) == 0
