"""Refuses trunks where nodes are containers."""

from __future__ import annotations

from harness.errors import InputError
from harness.model.plan import NetworkPlan


def refuse_trunks(plan: NetworkPlan) -> None:
    """Raise InputError if the plan has a trunk: nodes that share it may be on different machines."""
    if plan.trunk_capacities:
        raise InputError(
            "containers cannot share a trunk: each shapes its own links, and none sees all that crosses it; take"
            " --topology islands, whose relays carry all that passes between islands, or --runtime netns"
        )
