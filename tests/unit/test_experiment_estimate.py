"""How long an experiment may take."""

import pytest

from harness.experiment.estimate import left, seconds_of
from harness.experiment.spec import Experiment, Run, Variant
from tests.support.plans import network, shape

STEPS = 100


def estimate(variant, plan, cpus=2, **given):
    run = Run("wan", "ring", variant, 0)
    experiment = Experiment("e", ("wan",), ("ring",), (variant,), steps=STEPS, **given)
    return seconds_of(experiment, run, plan, cpus)


def slow(delay, nodes=4):
    return network("ring", nodes, shape(delay=delay))


def test_delays_are_paid_in_every_round():
    """An all_reduce of 4 ranks has 6 hops of some 3 delays each: 100 of them at 100 ms are 180 s."""
    fast, far = (estimate(Variant("ddp"), slow(delay)) for delay in ("0ms", "100ms"))
    assert far - fast == pytest.approx(180, rel=0.01)
    seldom = estimate(Variant("diloco", {"H": 50}), slow("100ms"))
    assert seldom - fast == pytest.approx(180 / 50, rel=0.01)


def test_who_never_communicates_pays_no_delay():
    assert estimate(Variant("local"), slow("100ms")) == pytest.approx(estimate(Variant("local"), slow("0ms")), abs=0.1)


def test_what_is_lost_is_sent_again_and_takes_longer():
    lossy = network("ring", 4, shape(delay="100ms", loss="1%"))
    assert estimate(Variant("ddp"), lossy) > estimate(Variant("ddp"), slow("100ms"))


def test_a_limit_bounds_the_training():
    assert estimate(Variant("ddp"), slow("1s"), limit_seconds=60.0) < 60 + 30


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
