"""Models of links: their distributions and autocorrelations against measurements, and their seeds."""

import statistics
from itertools import islice, pairwise

import pytest

from harness.errors import InputError
from harness.scenario.models.catalogue import MODELS, find_model
from harness.scenario.models.starlink import FIRST, PERIOD

SECONDS = 5000


def drawn(name, way="down", seed="1", step=1.0, seconds=SECONDS):
    return list(islice(MODELS[name].draw(seed, way, step), round(seconds / step)))


def quantile(values, share):
    return sorted(values)[int(share * len(values))]


def autocorrelation(values, lag):
    mean = statistics.fmean(values)
    products = sum((a - mean) * (b - mean) for a, b in zip(values, values[lag:], strict=False))
    return products / sum((value - mean) ** 2 for value in values)


MEASURED = {
    ("lte-drive", "up"): (33.1, {0.05: 10.8, 0.5: 35.9, 0.95: 45.9}),
    ("lte-drive", "down"): (62.3, {0.25: 18, 0.5: 39.3, 0.75: 85.6, 0.95: 195}),
    ("5g-walk", "up"): (None, {0.5: 48}),
    ("5g-walk", "down"): (605, {0.05: 40, 0.5: 420, 0.95: 1740}),
    ("starlink", "up"): (18.9, {0.25: 12.1, 0.5: 17.8, 0.75: 24.9}),
    ("starlink", "down"): (280, {0.25: 227, 0.5: 297, 0.75: 344, 0.95: 414}),
    ("wifi-busy", "up"): (None, {0.5: 70}),
    ("wifi-busy", "down"): (None, {0.5: 70}),
}
"""Mbit/s: the mean and quantiles of the sources; of 5g-walk's and wifi-busy's medians, what its two states and its
number of stations give together."""


@pytest.mark.parametrize(("name", "way"), MEASURED)
def test_rates_are_distributed_as_measured(name, way):
    rates = [sample.rate / 1e6 for seed in "123" for sample in drawn(name, way, seed)]
    mean, quantiles = MEASURED[name, way]
    if mean is not None:
        assert statistics.fmean(rates) == pytest.approx(mean, rel=0.15)
    for share, value in quantiles.items():
        assert quantile(rates, share) == pytest.approx(value, rel=0.25), share


@pytest.mark.parametrize(
    ("name", "quantiles"),
    [
        ("lte-drive", {0.05: 13.5, 0.5: 16.6, 0.95: 22.9}),
        ("starlink", {0.05: 21.4, 0.5: 28.4}),
        ("wifi-busy", {0.5: 1.5, 0.9: 10, 0.99: 125}),
        ("5g-walk", {0.05: 5.6, 0.5: 8}),
    ],
)
def test_delays_are_half_the_measured_round_trips(name, quantiles):
    delays = [sample.delay * 1e3 for sample in drawn(name, step=0.1, seconds=1500)]
    for share, value in quantiles.items():
        assert quantile(delays, share) == pytest.approx(value, rel=0.25), share


@pytest.mark.parametrize(
    ("name", "measured"),
    [
        ("lte-drive", {1: 0.90, 5: 0.78, 15: 0.57, 30: 0.40}),
        ("5g-walk", {1: 0.92, 5: 0.76, 60: 0}),
        ("starlink", {1: 0.84, 5: 0.53, 30: 0.1}),
    ],
)
def test_rates_have_the_measured_autocorrelation(name, measured):
    rates = [[sample.rate for sample in drawn(name, seed=seed)] for seed in "123"]
    for lag, value in measured.items():
        assert statistics.fmean(autocorrelation(one, lag) for one in rates) == pytest.approx(value, abs=0.25), lag


@pytest.mark.parametrize("name", MODELS)
def test_a_seed_and_a_direction_have_their_own_draws(name):
    first, same, other, up = (drawn(name, *more, seconds=200) for more in ((), (), ("down", "2"), ("up",)))
    assert first == same != other
    rates = [[sample.rate for sample in one] for one in (first, other, up)]
    assert abs(statistics.correlation(rates[0], rates[1])) < 0.5
    assert rates[0] != rates[2]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("step", [0.1, 0.5, 5.0])
def test_the_step_does_not_change_the_mean_rate(name, step):
    def mean(found):
        return statistics.fmean(sample.rate for sample in found)

    assert mean(drawn(name, step=step, seconds=5000)) == pytest.approx(mean(drawn(name, seconds=5000)), rel=0.2)


@pytest.mark.parametrize("name", MODELS)
def test_every_sample_is_a_valid_shape(name):
    for way in ("up", "down"):
        for sample in drawn(name, way, step=0.1, seconds=500):
            assert 1000 <= sample.exact_rate.bit_s <= 2e9
            assert 1e-5 <= sample.exact_delay.seconds <= 0.5
            assert sample.exact_loss is None or 0 <= float(sample.exact_loss) <= 0.5


def test_starlink_jumps_at_its_seconds_of_the_minute():
    found = drawn("starlink", step=0.1, seconds=3000)
    rates = [sample.rate for sample in found]
    changes = [abs(after - before) for before, after in pairwise(rates)]
    at_jumps = [change for index, change in enumerate(changes, 1) if abs((index / 10 - FIRST) % PERIOD) < 0.05]
    assert statistics.fmean(at_jumps) > 4 * statistics.fmean(changes)
    lossy = [index / 10 for index, sample in enumerate(found) if sample.loss]
    assert lossy
    assert all((at - FIRST + 0.01) % PERIOD < 2.1 for at in lossy)
    assert statistics.fmean(sample.loss for sample in found) == pytest.approx(0.022, rel=0.5)


def test_a_handover_silences_both_directions():
    up, down = (drawn("lte-drive", way, step=0.1, seconds=600) for way in ("up", "down"))

    def dips(found):
        """Where the rate halves for one step alone."""
        rates = [sample.rate for sample in found]
        return {
            index for index in range(1, len(rates) - 1) if rates[index] < 0.75 * min(rates[index - 1], rates[index + 1])
        }

    assert 10 < len(dips(up) & dips(down)) < 30


def test_busy_stations_share_the_air_in_both_directions():
    up, down = ([sample.rate for sample in drawn("wifi-busy", way)] for way in ("up", "down"))
    assert statistics.correlation(up, down) > 0.6


def test_an_unknown_model_is_refused():
    assert find_model("LTE_drive") is MODELS["lte-drive"]
    with pytest.raises(InputError, match=r"model 'lte' is unknown; .*lte-drive"):
        find_model("lte")
