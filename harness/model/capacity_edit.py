"""Changes of nodes' limits and of trunks as a user writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from harness.errors import InputError, PlanError, quoted
from harness.model.capacity import DROPTAIL, Capacity
from harness.model.cpu import CpuShare, read_share
from harness.model.link import LINK_FIELDS
from harness.model.plan import NetworkPlan
from harness.model.queueing import Queue
from harness.model.ranks import parse_ranks
from harness.model.regions import RegionPair, crossed_trunks
from harness.model.suggest import suggest

SIDES: Final = ("uplink", "downlink")
NODE_LIMITS: Final = (*SIDES, "cpu")
"""All limits that a node can have."""
PARTS: Final = ("queue", "buffer", "overhead")
"""The fields of a capacity beside its rate; their texts are those of a link's fields."""


@dataclass(frozen=True)
class CapacityEdit:
    """New values of some fields of a capacity. A rate of None removes the limit."""

    fields: Mapping[str, Any]

    @classmethod
    def parse(cls, texts: Mapping[str, str], rate: str = "rate") -> Self:
        """Read texts by field name: a rate or ``none``, and PARTS.

        Args:
            texts: by field name.
            rate: what the user calls the rate, for errors.

        Raises:
            InputError: names the option.
        """
        fields = {}
        for name, text in texts.items():
            try:
                fields[name] = _queue(text) if name == "queue" else LINK_FIELDS[name].read(text)
            except InputError as error:
                raise InputError(f"--{rate if name == 'rate' else name}: {error}") from None
        if fields.get("rate", 0) is None and len(fields) > 1:
            part = next(name for name in PARTS if name in fields)
            raise InputError(f"--{rate} none takes the limit away, so there is nothing that --{part} could change")
        return cls(fields)

    def apply(self, capacity: Capacity | None) -> Capacity | None:
        """The changed capacity. Raises InputError where there is none and no rate is given."""
        if self.fields.get("rate", 0) is None:
            return None
        if capacity is not None:
            return replace(capacity, **self.fields)
        if "rate" not in self.fields:
            raise InputError("there is no limit yet; give its rate")
        return Capacity(**self.fields)


def _queue(text: str) -> Queue:
    return DROPTAIL if text == "none" else Queue.parse(text)


def node_change(ranks: str, texts: Mapping[str, str]) -> Callable[[NetworkPlan], NetworkPlan]:
    """The change that ``harness node set`` and ``set_node`` in Python ask for.

    Args:
        ranks: as parse_ranks reads them.
        texts: ``uplink`` and ``downlink``: a rate or ``none``; ``cpu``: a share of one core or ``none``; PARTS: of the
            given sides, or where neither is given, of those that a node has.

    Raises:
        InputError: the texts are empty or wrong. The change itself raises it where a rank is unknown, or a node has no
            limit whose parts could change.
    """
    parts = {name: texts[name] for name in PARTS if name in texts}
    rates = {side: texts[side] for side in SIDES if side in texts}
    if not texts:
        raise InputError("nothing to set: give uplink, downlink, queue, buffer, overhead or cpu")
    some = any(rate != "none" for rate in rates.values())
    edits = {
        side: CapacityEdit.parse({"rate": rate} | ({} if rate == "none" and some else parts), side)
        for side, rate in rates.items()
    }
    shared = CapacityEdit.parse(parts)
    cpu = _cpu(texts)

    def change(plan: NetworkPlan) -> NetworkPlan:
        shapes = {}
        for rank in parse_ranks(ranks, plan.size):
            shape = plan.node_shape(rank)
            there = {side: shared for side in SIDES if getattr(shape, side) is not None} if parts else {}
            chosen = edits or there
            if parts and not chosen:
                raise InputError(f"node {rank} has no uplink or downlink yet; give a rate, e.g. --uplink 20mbit")
            made = {side: _applied(f"node {rank}: {side}", edit, getattr(shape, side)) for side, edit in chosen.items()}
            shapes[rank] = shape.changed({**made, **cpu})
        return plan.with_nodes(shapes)

    return change


def _cpu(texts: Mapping[str, str]) -> dict[str, CpuShare | None]:
    try:
        return {"cpu": read_share(texts["cpu"])} if "cpu" in texts else {}
    except InputError as error:
        raise InputError(f"--cpu: {error}") from None


def trunk_change(
    trunks: str, texts: Mapping[str, str], *, one_way: bool = False
) -> Callable[[NetworkPlan], NetworkPlan]:
    """The change that ``harness trunk set`` and ``set_trunk`` in Python ask for.

    Args:
        trunks: as parse_trunks reads them.
        texts: ``rate`` (or ``none``) and PARTS.
        one_way: only from the first region to the second.

    Raises:
        InputError: the texts are empty or wrong. The change itself raises it where a region is unknown, or a trunk has
            no limit whose parts could change.
    """
    if not texts:
        raise InputError("nothing to set: give rate, queue, buffer or overhead")
    edit = CapacityEdit.parse(texts)

    def change(plan: NetworkPlan) -> NetworkPlan:
        made = dict(plan.trunk_capacities)
        for pair in parse_trunks(trunks, plan, one_way=one_way):
            capacity = _applied(f"trunk {'->'.join(pair)}", edit, made.pop(pair, None))
            made |= {} if capacity is None else {pair: capacity}
        return replace(plan, trunk_capacities=dict(sorted(made.items())))

    return change


def _applied(what: str, edit: CapacityEdit, capacity: Capacity | None) -> Capacity | None:
    try:
        return edit.apply(capacity)
    except InputError as error:
        raise InputError(f"{what}: {error}") from None


def parse_trunks(text: str, plan: NetworkPlan, *, one_way: bool = False) -> list[RegionPair]:
    """The trunks that ``eu-us``, ``eu-us,eu-asia`` or ``all`` stands for, both directions unless one way.

    Raises:
        InputError: it is none of these, a region is unknown, or no edge joins two of them.
    """
    if len(plan.regions) < 2:
        raise PlanError(
            f"a trunk joins two regions, and this {plan.topology} has none; a topology file may name them, or take"
            " -t regions:2"
        )
    joined = crossed_trunks(plan.regions, plan.edges)
    if text == "all":
        return joined
    found = []
    for word in text.split(","):
        src, dst = _regions(word.strip(), plan)
        if (src, dst) not in joined:
            raise PlanError(f"no edge goes from region {src} to region {dst}, so they have no trunk")
        found += [(src, dst)] if one_way else [(src, dst), (dst, src)]
    return list(dict.fromkeys(found))


def _regions(word: str, plan: NetworkPlan) -> RegionPair:
    """The two regions of ``eu-us``, whose names may have hyphens too, or of ``eu->us``."""
    cuts: list[RegionPair] = [(word[:at], word[at + 1 :]) for at, sign in enumerate(word) if sign == "-"]
    if "->" in word:
        src, _, dst = word.partition("->")
        cuts = [(src, dst)]
    for src, dst in cuts:
        if src in plan.regions and dst in plan.regions and src != dst:
            return src, dst
    for src, dst in cuts:
        unknown = [name for name in (src, dst) if name not in plan.regions]
        if len(unknown) == 1:
            raise PlanError(f"there is no region {quoted(unknown[0])}; {suggest(unknown[0], plan.regions)}")
    raise PlanError(
        f"{quoted(word)} is not a trunk; write two regions as A-B, e.g. {'-'.join([*plan.regions][:2])}, or all;"
        f" regions: {', '.join(plan.regions)}"
    )
