"""Verdicts on shares of packets: loss, duplicate, reorder."""

from __future__ import annotations

from typing import Final, Literal

from harness.model.format import format_share
from harness.model.link import LinkShape
from harness.verify.binomial import binomial_interval, loss_inflation
from harness.verify.node.packet import small_frame
from harness.verify.verdict.row import UNMEASURED, JudgedDirection, Verdict
from harness.verify.verdict.rtt_and_jitter import skipped

_ROUNDING: Final = 1e-8
"""More than netem's rounding to 32-bit shares."""


def loss(way: JudgedDirection) -> Verdict:
    """Compares the losses of a train with the exact binomial interval."""
    requested, applied = (_visible(shape, way.ipv6) for shape in (way.requested, way.applied))
    train = way.measured.train
    if train is None or not train.sent:
        row = way.row("loss", requested, applied, note=UNMEASURED)
        return (row.left_out() if "train" in way.measured.left_out else row).compared(_ROUNDING, format_share)
    inflation = loss_inflation(way.applied)
    low, high = binomial_interval(applied, train.sent, way.confidence, inflation)
    row = way.row("loss", requested, applied, train.loss, low=low, high=high, samples=train.sent)
    if way.edge.down and row.ok:
        row = row.with_note("the link is down")
    elif not train.received and not row.ok:
        row = row.failed(f"none of {train.sent} packets arrived")
    elif inflation > 1:
        row = row.with_note(
            f"losses come in bursts, so these packets count as {train.sent / inflation:.0f} independent ones"
        )
    elif way.applied.corrupt:
        row = row.with_note("corrupted packets count as lost: their checksum is wrong")
    return row.compared(_ROUNDING, format_share)


def duplicate(way: JudgedDirection) -> Verdict | None:
    """Counts second copies among the packets that arrived; a copy can itself be lost."""
    train = way.measured.train
    return _share(way, "duplicate", train.received, train.duplicates, 1 - way.applied.mean_loss) if train else None


def reorder(way: JudgedDirection) -> Verdict | None:
    """Counts packets that overtook, by order of arrival; by delay where jitter without a rate reorders packets, too."""
    train = way.measured.train
    if way.applied.jitter.ns and way.applied.rate is None:
        return _share(way, "reorder", len(way.echoes), sum(skipped(echo.forward, way.applied) for echo in way.echoes))
    return _share(way, "reorder", train.received, train.overtakers) if train else None


def _share(
    way: JudgedDirection, quantity: Literal["duplicate", "reorder"], trials: int, hits: int, seen: float = 1.0
) -> Verdict | None:
    """The verdict on a share of the packets that arrived; None where it is neither requested nor applied.

    Args:
        way: the direction.
        quantity: which share.
        trials: packets that arrived.
        hits: those of them that were duplicated or reordered.
        seen: the share of duplicated or reordered packets that arrive to be counted.
    """
    requested, applied = (float(getattr(shape, quantity)) for shape in (way.requested, way.applied))
    if not requested and not applied:
        return None
    if not trials:
        return way.row(quantity, requested, applied, note="nothing arrived")
    low, high = binomial_interval(applied * seen, trials, way.confidence)
    row = way.row(quantity, requested, applied, hits / trials, low=low, high=high, samples=trials)
    return row.compared(_ROUNDING, format_share)


def _visible(shape: LinkShape, ipv6: bool) -> float:
    """The share of small packets that a socket does not receive.

    A flipped bit makes a checksum wrong, except in the frame's source address, 6 bytes that receivers do not check.
    """
    noticed = float(shape.corrupt) * (1 - 6 / small_frame(ipv6))
    return shape.mean_loss + noticed * (1 - shape.mean_loss)
