"""Refuses what the kernel's qdiscs cannot do: packet-delivery traces, and some negative overheads."""

from __future__ import annotations

from harness.errors import ShapeError
from harness.model.plan import NetworkPlan
from harness.shaping.shape_branch import needs_bucket


def refuse_delivery(plan: NetworkPlan) -> None:
    """Raise ShapeError for a packet-delivery trace."""
    for edge in plan.edges.values():
        if edge.shape.delivery is not None:
            raise ShapeError(
                f"edge {edge}: delivery {edge.shape.delivery.file}: netem cannot replay a delivery trace; use --engine"
                " userspace, or a scenario with this trace, which is played as rates"
            )


def refuse_overhead(plan: NetworkPlan) -> None:
    """Raise ShapeError for a negative overhead of tbf or htb; only netem's has a sign."""
    for edge in plan.edges.values():
        if edge.shape.overhead < 0 and needs_bucket(edge.shape):
            raise ShapeError(
                f"edge {edge}: overhead {edge.shape.overhead} beside a queue, buffer or burst: the kernel's tbf"
                " takes no negative overhead; leave these out, or use --engine userspace"
            )
    for rank, shape in plan.nodes.items():
        if shape.uplink is not None and shape.uplink.overhead < 0:
            raise ShapeError(
                f"uplink of node {rank}: overhead {shape.uplink.overhead}: the kernel's htb takes no negative"
                " overhead; leave it out, or use --engine userspace"
            )
