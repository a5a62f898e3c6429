"""The shares of CPUs of a plan's nodes: which change, and whether a machine has as much."""

from __future__ import annotations

from harness.errors import InputError
from harness.model.plan import NetworkPlan


def changed_cpus(old: NetworkPlan, new: NetworkPlan) -> list[int]:
    """The ranks whose shares differ."""
    return [rank for rank in range(new.size) if old.node_shape(rank).cpu != new.node_shape(rank).cpu]


def check_cores(plan: NetworkPlan, cores: int) -> None:
    """Raise InputError where a node's share is more than all cores of the machine."""
    for rank, shape in plan.nodes.items():
        if shape.cpu is not None and shape.cpu.thousandths > cores * 1000:
            raise InputError(f"node {rank}: {shape.cpu} of a CPU is more than this machine has ({cores}00%)")
