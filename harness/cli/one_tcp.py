"""Texts about the rate of one TCP connection on links that lose packets."""

from __future__ import annotations

from typing import Final

from harness.model.format import NOTHING, count, format_range, format_rate
from harness.model.plan import NetworkPlan
from harness.model.tcp import TcpCeiling, tcp_ceilings

ONE_TCP: Final = (
    "one TCP: about the rate of one connection (cubic) in the long run; where packets are lost, it is less than the"
    " link's (Mathis et al. 1997, RFC 9438). More: --congestion-control bbr, several connections, less loss."
)
_CUBIC: Final = "cubic"
_FAR_LESS: Final = 0.5
"""Below this share of the rate, `up` and `run` print a note."""


def slow_tcp(made: NetworkPlan, congestion_control: str) -> str | None:
    """A line about edges on which losses keep one TCP connection far below the rate, if there are any.

    Args:
        made: the network.
        congestion_control: of its nodes; there is a model only of cubic.
    """
    if congestion_control != _CUBIC:
        return None
    slow = []
    for pair, one in tcp_ceilings(made).items():
        own = made.edges[pair].effective.rate
        rates = [capacity.rate for capacity in made.caps_on(pair).values()]
        rate = min(rates if own is None else [own, *rates], default=None)
        if one.limit == "loss" and one.bit_s and (rate is None or one.bit_s < rate.bit_s * _FAR_LESS):
            slow.append((one.bit_s, pair, rate))
    if not slow:
        return None
    bit_s, (src, dst), rate = min(slow)
    of = "" if rate is None else f" of {format_rate(rate)}"
    return (
        f"because of lost packets, one TCP connection gets about {format_rate(bit_s)}{of} on {src}->{dst}"
        f"{_others(len(slow) - 1)}; more with --congestion-control bbr, several connections or less loss"
    )


def _others(more: int) -> str:
    return f", and less than half on {count(more, 'other edge')}" if more else ""


def one_tcp_range(least: TcpCeiling, most: TcpCeiling) -> str:
    """For a table, e.g. ``0.13 – 8.9 Mbit/s``."""
    if least.bit_s is None:
        return NOTHING
    if most.bit_s is None:
        return f"{format_rate(least.bit_s)} or more"
    return format_range(least.bit_s, most.bit_s, format_rate)
