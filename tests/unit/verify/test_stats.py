"""From samples to estimates, by simulation."""

import random
import statistics
from dataclasses import replace

import pytest

from harness.model.distribution import form, table
from harness.verify.samples import BulkSample, TrainCount
from harness.verify.stats import bulk_rate, carried_rate, estimate_span, sent_rate, spread, std_error

FRAME = 1514


def delays(rng, distribution, jitter, count, delay=0.05):
    values = table(distribution)
    return [delay + jitter * rng.choice(values) / 8192 for _ in range(count)]


@pytest.mark.parametrize("distribution", ["uniform", "normal", "pareto", "paretonormal"])
@pytest.mark.parametrize("count", [20, 200])
def test_hardly_any_true_delay_counts_as_a_stall(distribution, count):
    rng, stalls = random.Random(1), 0
    for _ in range(300):
        stalls += spread(delays(rng, distribution, 0.005, count), form(distribution).fence).stalls
    assert stalls < 300 * count * 0.002


def test_a_stall_is_left_out_and_counted():
    seen = spread([*delays(random.Random(2), "uniform", 0.001, 200), 0.080], form("uniform").fence)
    assert seen.stalls == 1
    assert seen.count == 200
    assert seen.std == pytest.approx(0.001 / 3**0.5, rel=0.1)


def test_too_much_jitter_is_not_taken_for_stalls():
    seen = spread(delays(random.Random(3), "uniform", 0.010, 200), form("uniform").fence)
    assert seen.std == pytest.approx(0.010 / 3**0.5, rel=0.1)


def test_stalls_move_neither_median_nor_robust_deviation():
    rng = random.Random(6)
    calm = [rng.gauss(0.001, 0.0001) for _ in range(200)]
    plain, stalled = (spread(values, form("normal").fence) for values in (calm, [*calm[:180], *[0.1] * 20]))
    assert plain.median == pytest.approx(0.001, abs=0.00003)
    assert stalled.median == pytest.approx(0.001, abs=0.00003)
    assert plain.robust_std == pytest.approx(0.0001, rel=0.2)
    assert stalled.robust_std == pytest.approx(0.0001, rel=0.3)


def test_few_delays_make_no_spread():
    assert spread([], 1).count == 0
    assert spread([0.1], 1) == spread([0.1], 5)


@pytest.mark.parametrize("distribution", ["uniform", "normal", "pareto", "paretonormal"])
def test_the_standard_error_of_a_standard_deviation(distribution):
    rng = random.Random(4)
    stds = [statistics.stdev(delays(rng, distribution, 1, 200)) for _ in range(400)]
    expected = std_error(form(distribution).kurtosis, 200) * form(distribution).std
    # Pareto's tail makes the variance of the variance itself slow to settle.
    assert statistics.stdev(stds) == pytest.approx(expected, rel=0.3 if distribution == "pareto" else 0.12)


def netem_train(rate, count, jitter=0.0, distribution="uniform", overdrive=2.0, seed=5, stall=0.0002, lost=0.0):
    """netem's own schedule: each packet after its delay and after the one before it, plus its time at the rate."""
    rng, values, serialisation = random.Random(seed), table(distribution), FRAME * 8 / rate
    free, size, points = 0.0, 0, []
    for index in range(count):
        if rng.random() < lost:
            continue
        free = max(index * serialisation / overdrive + 0.05 + jitter * rng.choice(values) / 8192, free) + serialisation
        size += FRAME
        points.append((free + rng.random() * stall, size))
    return BulkSample(count * FRAME, count * serialisation / overdrive, size, tuple(points))


@pytest.mark.parametrize("rate", [1e6, 1e7, 1e8, 5e8])
def test_the_rate_comes_from_how_far_the_train_is_spread(rate):
    found = bulk_rate(netem_train(rate, max(60, int(0.5 * rate / 8 / FRAME)), lost=0.01))
    assert found.bit_s == pytest.approx(rate, rel=0.01)


@pytest.mark.parametrize("distribution", ["uniform", "normal", "pareto", "paretonormal"])
def test_jitter_does_not_bend_the_rate(distribution):
    rate, jitter = 1e7, 0.05
    frames = int(2.5 * form(distribution).span * jitter / (FRAME * 8 / rate))
    found = bulk_rate(netem_train(rate, frames, jitter, distribution))
    assert found.bit_s == pytest.approx(rate, rel=0.02)


@pytest.mark.parametrize("begins", [0.5, 0.7, 0.88])
def test_a_stall_does_not_make_the_link_faster(begins):
    rate = 1e8
    train = netem_train(rate, 4000)
    whole = train.points[-1][0] - train.points[0][0]
    start = train.points[0][0] + begins * whole
    end = start + 0.1 * whole
    stalled = tuple((end if start < at < end else at, size) for at, size in train.points)
    assert bulk_rate(replace(train, points=stalled)).bit_s == pytest.approx(rate, rel=0.01)


def test_too_few_known_arrivals_give_no_rate():
    sample = BulkSample(10**6, 0.1, 10**6, ((0.02, 200_000),), ends=((0.0, 1514), (0.1, 10**6)))
    assert bulk_rate(sample) is None
    assert estimate_span(sample) == 0
    assert carried_rate(sample).bit_s == ((10**6 - 1514) * 80)
    assert carried_rate(BulkSample(1, 0.1, 0, ())) is None


def test_what_was_sent_in_no_time_has_no_rate():
    assert sent_rate(BulkSample(1000, 0.0, 0, ())) is None
    assert sent_rate(BulkSample(1000, 0.1, 0, ())).bit_s == 80_000


def test_loss_of_a_train():
    assert TrainCount(200, 150).loss == 0.25
    assert TrainCount(0, 0).loss == 0
