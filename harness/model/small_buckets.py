"""Warns of bursts and buffers that are smaller than a packet: the engines give them room for one."""

from __future__ import annotations

from collections.abc import Collection

from harness.model.address import full_frame
from harness.model.format import first_few, format_size, format_value
from harness.model.link import Pair
from harness.model.plan import NetworkPlan
from harness.model.queueing import buffer_bytes


def small_buckets(plan: NetworkPlan, pairs: Collection[Pair] | None = None) -> list[str]:
    """A warning that names the requested sizes, and the size that is applied in their place, or nothing.

    Args:
        plan: of the network.
        pairs: the directed edges to check; None: all.
    """
    frame, found = full_frame(plan.mtu), []
    for pair in sorted(plan.edges if pairs is None else pairs):
        edge = plan.edges[pair]
        burst, buffer, rate = edge.shape.burst, edge.shape.buffer, edge.shape.mean_rate
        if burst is not None and burst.bytes < frame:
            found.append(f"burst {format_value(burst)} of {edge}")
        if buffer is not None and rate is not None and buffer_bytes(buffer, rate) < frame:
            found.append(f"buffer {format_value(buffer)} of {edge}")
    if not found:
        return []
    return [f"the engine raises what is smaller than one full packet to {format_size(frame)}: {first_few(found)}"]
