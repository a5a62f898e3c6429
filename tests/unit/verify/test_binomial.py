"""Exact binomial intervals against brute force, and losses in bursts by simulation."""

import math
import random
import statistics

import pytest

from harness.model.gilbert_elliott import GilbertElliott
from harness.model.link import LinkShape
from harness.model.units import Ratio
from harness.verify.binomial import binomial_interval, loss_inflation, shared_confidence

P = Ratio.parse


def tails(share, size, count):
    pmf = [math.comb(size, k) * share**k * (1 - share) ** (size - k) for k in range(size + 1)]
    return sum(pmf[: count + 1]), sum(pmf[count:])


@pytest.mark.parametrize("share", [0.001, 0.05, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("size", [1, 20, 300])
def test_the_interval_contains_exactly_the_counts_that_neither_tail_excludes(share, size):
    low, high = binomial_interval(share, size, 0.99)
    for count in range(size + 1):
        inside = low <= count / size <= high
        assert inside == all(tail > 0.005 for tail in tails(share, size, count)), count


def test_certain_and_impossible_losses():
    assert binomial_interval(0, 1000, 0.99) == (0, 0)
    assert binomial_interval(1, 1000, 0.99) == (1, 1)


def test_large_samples_do_not_underflow():
    low, high = binomial_interval(0.05, 100_000, 0.99)
    assert (low, high) == pytest.approx((0.0482, 0.0518), abs=1e-4)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.05])
def test_at_most_one_false_alarm_in_a_hundred(share):
    rng, size = random.Random(1), 2000
    low, high = binomial_interval(share, size, 0.99)
    alarms = sum(not low <= sum(rng.random() < share for _ in range(size)) / size <= high for _ in range(400))
    assert alarms <= 12


@pytest.mark.parametrize("share", [0.001, 0.01, 0.05])
def test_twice_the_loss_is_caught_where_fifty_are_expected(share):
    size = int(50 / share)
    _, high = binomial_interval(share, size, 0.99)
    missed, _ = tails_normal(2 * share, size, high)
    assert missed < 0.02


def tails_normal(share, size, limit):
    z = (limit - share) / math.sqrt(share * (1 - share) / size)
    below = statistics.NormalDist().cdf(z)
    return below, 1 - below


def chain_losses(chain, count, rng):
    """netem's loss_gilb_ell: the state changes, and the old state decides."""
    p, r, in_bad, in_good = map(float, (chain.p, chain.r, chain.loss_bad, chain.loss_good))
    draw, lost = rng.random, 0
    bad = draw() < chain.bad_share
    for _ in range(count):
        if bad:
            lost += draw() < in_bad
            bad = draw() >= r
        else:
            lost += draw() < in_good
            bad = draw() < p
    return lost


@pytest.mark.parametrize(
    "chain",
    [
        GilbertElliott(P("1%"), P("19%")),
        GilbertElliott(P("2%"), P("10%"), P("50%")),
        GilbertElliott(P("2%"), P("10%"), P("70%"), P("1%")),
    ],
)
def test_inflation_is_the_ratio_of_variances(chain):
    rng, count = random.Random(2), 1500
    losses = [chain_losses(chain, count, rng) for _ in range(400)]
    independent = count * chain.mean_loss * (1 - chain.mean_loss)
    assert statistics.mean(losses) / count == pytest.approx(chain.mean_loss, rel=0.05)
    assert statistics.variance(losses) / independent == pytest.approx(
        loss_inflation(LinkShape(gilbert_elliott=chain)), rel=0.25
    )


def test_bursts_seldom_raise_a_false_alarm():
    chain, rng, count = GilbertElliott(P("1%"), P("19%")), random.Random(3), 1800
    inflation = loss_inflation(LinkShape(gilbert_elliott=chain))
    low, high = binomial_interval(chain.mean_loss, count, 0.99, inflation)
    alarms = sum(not low <= chain_losses(chain, count, rng) / count <= high for _ in range(300))
    assert alarms <= 9


def test_inflation_of_simple_cases():
    assert loss_inflation(LinkShape(loss=P("1%"))) == 1
    assert loss_inflation(LinkShape()) == 1
    assert loss_inflation(LinkShape(loss=P("5%"), loss_correlation=P("50%"))) == pytest.approx(1.5 / 0.5)
    assert loss_inflation(LinkShape(gilbert_elliott=GilbertElliott(P("90%"), P("90%")))) == 1


def test_rows_share_the_confidence():
    assert shared_confidence(1) == pytest.approx(0.99)
    assert shared_confidence(32) ** 32 == pytest.approx(0.99)
