"""Checks that this kernel has what a plan needs, before anything is made or changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from harness.errors import UnavailableError
from harness.model.plan import NetworkPlan
from harness.shaping.detect import Feature, features, works
from harness.shaping.facts import ENGINES
from harness.shaping.needs import needs_of

Probe = Callable[[str, Collection[str] | None], Sequence[Feature]]
"""Probes features by name for an engine; None: all that it always needs."""


def check_needs(
    plan: NetworkPlan,
    engine: str,
    rank: int | None = None,
    known: Collection[str] = (),
    probe: Probe | None = None,
    *,
    instead: bool = True,
) -> None:
    """Raise UnavailableError where this kernel lacks what an engine needs for a plan, or for a node's part of it.

    Args:
        plan: of the network.
        engine: its name.
        rank: the node; None: all, and the trunks.
        known: features known to be there.
        probe: None: probes in a network namespace of its own.
        instead: whether to look for another engine that works, and name it in the message.
    """
    probe = probe or (lambda _, only: features(only))
    missing = _missing(plan, engine, rank, known, probe)
    if missing is None:
        return
    what, feature = missing
    others = [
        other
        for other in (ENGINES if instead else ())
        if other != engine and works(other, probe(other, None)) and _missing(plan, other, rank, (), probe) is None
    ]
    otherwise = f"; or use --engine {others[0]}" if others else ""
    cause = f"{feature.name} ({feature.detail})"
    raise UnavailableError(f"{what}: this kernel lacks {cause}; fix: {feature.remedy}{otherwise}")


def _missing(
    plan: NetworkPlan, engine: str, rank: int | None, known: Collection[str], probe: Probe
) -> tuple[str, Feature] | None:
    """The first part of the plan that lacks a feature, and the feature; None where nothing is missing."""
    needs = {need.feature: need.what for need in needs_of(plan, engine, rank) if need.feature not in known}
    found = probe(engine, needs.keys()) if needs else ()
    return next(((needs.get(one.name, "the network"), one) for one in found if not one.ok), None)
