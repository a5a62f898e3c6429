"""Which edges have a rate that a capacity they share never lets them reach: allowed, and worth a word."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from harness.model.format import format_rate
from harness.model.link import Pair
from harness.model.plan import NetworkPlan

_NAMED: Final = 3


def narrow_caps(plan: NetworkPlan, pairs: Collection[Pair] | None = None) -> list[str]:
    """One line that names edges which are faster than an uplink, downlink or trunk that they cross, or none.

    Args:
        plan: the network.
        pairs: of which directed edges; None: all.
    """
    found = []
    for pair in sorted(plan.edges if pairs is None else pairs):
        rate, caps = plan.edges[pair].shape.rate, plan.caps_on(pair)
        kind = min(caps, key=lambda name: caps[name].rate, default="")
        if rate is not None and kind and caps[kind].rate < rate:
            limit = f"{_where(plan, pair, kind)} {format_rate(caps[kind].rate)}"
            found.append(f"{pair[0]}->{pair[1]} ({format_rate(rate)}; {limit})")
    if not found:
        return []
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return [
        f"edges that never reach their own rate, because what they share is slower: {', '.join(found[:_NAMED])}{more}"
    ]


def _where(plan: NetworkPlan, pair: Pair, kind: str) -> str:
    if kind == "trunk" and (trunk := plan.trunk_of(pair)):
        return f"trunk {trunk.name}"
    return f"{kind} of node {pair[kind == 'downlink']}"
