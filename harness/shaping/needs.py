"""Which kernel features a plan needs beyond those that its engine always needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.model.capacity import Capacity
from harness.model.node_plan import PlannedEdge
from harness.model.plan import NetworkPlan
from harness.model.queueing import Queue
from harness.shaping.facts import NETEM, engine_facts
from harness.shaping.leaf import KINDS

_REDIRECT = ("ifb", "act_mirred")
"""Features for queueing incoming packets on an ifb."""


@dataclass(frozen=True)
class Need:
    """A feature that a part of a plan needs.

    Args:
        what: the part, e.g. ``downlink of node 2``.
        feature: the name of a Feature of detect.py.
    """

    what: str
    feature: str


def needs_of(plan: NetworkPlan, engine: str, rank: int | None = None) -> Iterator[Need]:
    """What an engine needs for a plan, or for one node's part of it; each feature once.

    Args:
        plan: of the network.
        engine: its name.
        rank: the node; None: all, and the trunks.
    """
    seen: set[str] = set()
    for need in _all(plan, engine, rank):
        if need.feature not in seen:
            seen.add(need.feature)
            yield need


def _all(plan: NetworkPlan, engine: str, rank: int | None) -> Iterator[Need]:
    for node, shape in plan.nodes.items():
        if rank in (None, node):
            if shape.uplink:
                made_by = () if engine == NETEM else ("sch_htb", "cls_u32")
                yield from _capacity(f"uplink of node {node}", shape.uplink, made_by)
            if shape.downlink and engine == NETEM:
                yield from _capacity(f"downlink of node {node}", shape.downlink, _REDIRECT)
    if engine != NETEM:
        return
    for trunk in plan.trunks if rank is None else ():
        yield from _capacity(f"trunk {trunk.name}", trunk.capacity, (*_REDIRECT, "act_skbedit"))
    enforced_at = engine_facts(engine).enforced_at
    for edge in plan.edges.values():
        if rank in (None, enforced_at(edge.pair)):
            yield from _edge(edge)


def _edge(edge: PlannedEdge) -> Iterator[Need]:
    shape = edge.shape
    for name, value in (("burst", shape.burst), ("buffer", shape.buffer), ("queue", shape.queue)):
        if value is not None:
            yield Need(f"{name} of edge {edge}", "sch_tbf")
    if shape.queue is not None:
        yield from _queue(f"queue of edge {edge}", shape.queue)


def _capacity(what: str, capacity: Capacity, made_by: tuple[str, ...]) -> Iterator[Need]:
    yield from (Need(what, feature) for feature in made_by)
    yield from _queue(f"queue of the {what}", capacity.queue)


def _queue(what: str, queue: Queue) -> Iterator[Need]:
    if queue.kind != "droptail":  # bfifo is part of every kernel with qdiscs
        yield Need(what, f"sch_{KINDS[queue.kind]}")
