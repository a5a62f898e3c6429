"""Makes nodes apply a plan, and compares what they report with what was requested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Final

from harness.backends.base import Backend, Task
from harness.errors import HarnessError, NodeError
from harness.model.capacity import Capacity
from harness.model.capacity_edit import SIDES
from harness.model.plan import NetworkPlan
from harness.model.status import CapStatus, NodeStatus, Stats
from harness.networks.plan_change import PlanChange

_DIFFERS: Final = "the engine accepted the change but reports something else: {}"
_OLD: Final = "if it is a container, is its image old?"
_TRUNK: Final = "trunk "
"""Prefix of a trunk's name among the caps of a node."""


def apply_plan(backend: Backend, plan: NetworkPlan, change: PlanChange | None = None) -> dict[int, NodeStatus]:
    """Apply a plan and read it back; the statuses of nodes, by rank.

    Args:
        backend: where the nodes live.
        plan: to apply.
        change: limits the work to what differs between its two plans, of which ``plan`` is one; None: all.

    Raises:
        NodeError: a node refused, or reports something else.
        HarnessError: the bridge did.
    """
    engine = backend.engine
    neighbours: dict[int, set[int]] = {}
    for pair in () if change is None else change.edges:
        rank = engine.enforced_at(pair)
        neighbours.setdefault(rank, set()).add(pair[1] if rank == pair[0] else pair[0])
    ranks, resized = (range(plan.size), ()) if change is None else (change.ranks(engine), change.nodes)
    tasks = {
        rank: Task("apply", plan.node(rank), frozenset(neighbours.get(rank, ())), rank in resized) for rank in ranks
    }
    found = readings(backend.call(tasks))
    for rank, reading in found.items():
        _compare(plan, rank, reading)
    if engine.shapes_bridge and (plan.trunks if change is None else change.trunks):
        held = trunk_statuses(backend.apply_trunks(plan))
        for trunk in plan.trunks:
            if what := cap_difference(trunk.capacity, held.get(trunk.name, CapStatus(None)).applied):
                raise HarnessError(f"limit trunk {trunk.name}: {_DIFFERS.format(what)}")
    return found


def readings(answers: Mapping[int, NodeStatus | HarnessError]) -> dict[int, NodeStatus]:
    """The answers by rank. Raises the first error among them."""
    found = {}
    for rank in sorted(answers):
        answer = answers[rank]
        if isinstance(answer, HarnessError):
            raise answer
        found[rank] = answer
    return found


def trunk_statuses(*caps: Mapping[str, CapStatus]) -> dict[str, CapStatus]:
    """The trunks by name; where several nodes have a part of one, its counters are summed."""
    found: dict[str, CapStatus] = {}
    for name, status in (item for each in caps for item in each.items()):
        if name.startswith(_TRUNK):
            trunk = name.removeprefix(_TRUNK)
            found[trunk] = _sum(found[trunk], status) if trunk in found else status
    return found


def _sum(one: CapStatus, other: CapStatus) -> CapStatus:
    counted = {each.name: getattr(one.stats, each.name) + getattr(other.stats, each.name) for each in fields(Stats)}
    return replace(one, stats=Stats(**counted))


def _compare(plan: NetworkPlan, rank: int, reading: NodeStatus) -> None:
    """Raise NodeError where a node reports something else than was requested."""
    for (src, dst), what in reading.mismatches:
        raise NodeError(rank, f"shape edge {src}->{dst}", _DIFFERS.format(what))
    for cap, what in reading.cap_mismatches:
        raise NodeError(rank, f"limit {cap}", _DIFFERS.format(what))
    if (share := plan.node_shape(rank).cpu) is not None and reading.cpu is None:
        raise NodeError(rank, "limit cpu", f"it reports no such limit, for {share}", _OLD)
    for side in SIDES:
        held = reading.caps.get(side, CapStatus(None)).applied
        if held is None and getattr(plan.node_shape(rank), side) is not None:
            raise NodeError(rank, f"limit {side}", "it reports no such limit", _OLD)


def cap_difference(requested: Capacity | None, applied: Capacity | None) -> str | None:
    """How the applied rate differs from the requested one, or None."""
    rates = [None if one is None else one.rate.byte_s for one in (requested, applied)]
    if rates[0] == rates[1]:
        return None
    return f"{_words(applied)} for {_words(requested)}"


def _words(capacity: Capacity | None) -> str:
    return "no limit" if capacity is None else capacity.describe()
