"""Which edges have a rate that a capacity they share never lets them reach: allowed, and worth a word."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from harness.model.capacity import Capacity
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
    found = [
        f"{src}->{dst} ({format_rate(rate)}; {name} {format_rate(capacity.rate)})"
        for src, dst in sorted(plan.edges if pairs is None else pairs)
        if (rate := plan.edges[src, dst].shape.rate) is not None
        for name, capacity in _crossed(plan, (src, dst))
        if capacity.rate < rate
    ]
    if not found:
        return []
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return [
        f"edges that never reach their own rate, because what they share is slower: {', '.join(found[:_NAMED])}{more}"
    ]


def _crossed(plan: NetworkPlan, pair: Pair) -> Iterator[tuple[str, Capacity]]:
    trunk = plan.trunk_of(pair)
    caps = (
        (f"uplink of node {pair[0]}", plan.node_shape(pair[0]).uplink),
        (f"downlink of node {pair[1]}", plan.node_shape(pair[1]).downlink),
        (f"trunk {trunk.name}" if trunk else "", trunk.capacity if trunk else None),
    )
    return ((name, capacity) for name, capacity in caps if capacity is not None)
