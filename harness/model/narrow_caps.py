"""Warns of edges whose rate is higher than that of a capacity that they share."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from harness.model.format import format_rate
from harness.model.link import Pair
from harness.model.plan import NetworkPlan

_NAMED: Final = 3


def narrow_caps(plan: NetworkPlan, pairs: Collection[Pair] | None = None) -> list[str]:
    """A warning that names edges which are faster than an uplink, downlink or trunk that they cross, or nothing.

    Args:
        plan: of the network.
        pairs: the directed edges to check; None: all.
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
