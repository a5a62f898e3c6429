"""Confidence intervals of shares: how far a sample's count may be from the requested share. Pure."""

from __future__ import annotations

from math import exp, floor, lgamma, log, log1p, sqrt
from typing import Final

from harness.model.link import LinkShape

CONFIDENCE: Final = 0.99


def shared_confidence(rows: int, confidence: float = CONFIDENCE) -> float:
    """The confidence of each of so many rows for which all together have the given confidence (Sidak 1967).

    Without it, one row in a hundred is off by chance: a ring of 16 nodes would fail one time in four.
    """
    return float(confidence ** (1 / max(1, rows)))


def binomial_interval(share: float, trials: int, confidence: float, inflation: float = 1.0) -> tuple[float, float]:
    """The shares that a sample may show where ``share`` is the true one.

    They are those of the counts whose Clopper-Pearson interval (Biometrika 26, 1934) contains the true share.

    Args:
        share: the true one.
        trials: size of the sample.
        confidence: e.g. 0.99.
        inflation: how many trials are worth one independent trial.
    """
    size = max(1, floor(trials / inflation))
    if share in (0, 1):
        return share, share
    tail = (1 - confidence) / 2
    low = _quantile(share, size, tail)
    high = size - _quantile(1 - share, size, tail)
    half = 0.5 if inflation > 1 else 0.0
    return max(0.0, (low - half) / size), min(1.0, (high + half) / size)


def _quantile(share: float, size: int, tail: float) -> int:
    """The least count whose cumulative binomial probability is over the tail."""
    mean, deviation = size * share, sqrt(size * share * (1 - share))
    count = max(0, floor(mean - 12 * deviation - 10))
    chance = exp(
        lgamma(size + 1)
        - lgamma(count + 1)
        - lgamma(size - count + 1)
        + count * log(share)
        + (size - count) * log1p(-share)
    )
    total, odds = chance, share / (1 - share)
    while total <= tail and count < size:
        chance *= (size - count) / (count + 1) * odds
        count += 1
        total += chance
    return count


def loss_inflation(shape: LinkShape) -> float:
    """How many packets with this loss give as much information as one packet with independent losses.

    It is the ratio of the variances of the number lost, 1 + 2 * (sum of the autocorrelations over all lags) for a long
    train (Bartlett 1946), and at least 1. In a Gilbert-Elliott chain with state correlation c = 1 - p - r, loss rates b
    and g in the bad and the good state, share B of the bad state and mean loss m, the autocorrelation at lag k is
    (b - g)^2 B (1 - B) c^k / (m (1 - m)). For b = 1 and g = 0 that is c^k, and the result (1 + c) / (1 - c).
    """
    chain = shape.loss_chain
    if chain is None or not 0 < chain.mean_loss < 1:
        return 1.0
    contrast = float(chain.loss_bad) - float(chain.loss_good)
    share = contrast**2 * chain.bad_share * (1 - chain.bad_share) / (chain.mean_loss * (1 - chain.mean_loss))
    return max(1.0, 1 + 2 * share * chain.correlation / (1 - chain.correlation))
