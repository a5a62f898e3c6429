"""Changes of edges as a user writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.errors import InputError, ShapeError, quoted
from harness.model.link import UNSHAPED, Pair
from harness.model.link_edit import ShapeEdit
from harness.model.plan import NetworkPlan
from harness.model.units import is_whole_number

if TYPE_CHECKING:
    from harness.model.profile import Profile


def parse_pairs(text: str, plan: NetworkPlan, *, one_way: bool = False) -> list[Pair]:
    """The directed edges that ``A-B``, ``A-B,C-D`` or ``all`` stands for, both directions unless one way (A to B).

    Raises:
        InputError: it is none of these.
        PlanError: an unknown rank or edge.
    """
    _require_text(text)
    if text == "all":
        return sorted(plan.edges)
    pairs: list[Pair] = []
    for word in text.split(","):
        a, dash, b = word.strip().partition("-")
        if not (dash and is_whole_number(a) and is_whole_number(b)):
            raise InputError(
                f"{quoted(word)} is not an edge; write A-B with two ranks, e.g. 0-1, or several as 0-1,1-2, or all"
            )
        there, back = plan.edge(int(a), int(b)), plan.edge(int(b), int(a))
        pairs += [there.pair] if one_way else [there.pair, back.pair]
    return pairs


def _require_text(edges: object) -> None:
    """Raise InputError for what is no text: Python programs tend to pass a pair of ranks."""
    match edges:
        case str():
            return
        case (int(a), int(b)):
            raise InputError(f"edges are text, not {quoted(edges)}; write '{a}-{b}'")
    raise InputError(f"edges are text, not {quoted(edges)}; write '0-1', or several as '0-1,1-2', or 'all'")


def crossing(groups: str, plan: NetworkPlan) -> list[Pair]:
    """The directed edges between different groups, e.g. ``0,1|2,3``. Raises InputError, PlanError."""
    if not isinstance(groups, str):
        raise InputError(f"a partition is text, not {quoted(groups)}; write e.g. '0,1|2,3'")
    member: dict[int, int] = {}
    for number, group in enumerate(groups.split("|")):
        for word in group.split(","):
            if not is_whole_number(word.strip()):
                raise InputError(
                    f"partition {quoted(groups)}: {quoted(word.strip())} is not a rank; write e.g. '0,1|2,3'"
                )
            rank = int(word)
            plan.require_rank(rank)
            if rank in member:
                raise InputError(f"partition {quoted(groups)}: rank {rank} is named twice")
            member[rank] = number
    return [(src, dst) for src, dst in plan.edges if member.get(src, -1) != member.get(dst, -1)]


def undirected(pairs: Iterable[Pair]) -> list[Pair]:
    """Each edge once, smaller rank first."""
    return sorted({(min(pair), max(pair)) for pair in pairs})


def shape_change(
    edges: str,
    texts: Mapping[str, str],
    *,
    one_way: bool = False,
    profile: str | None = None,
    seed: int | None = None,
    clear: bool = False,
) -> Callable[[NetworkPlan], NetworkPlan]:
    """The change that ``harness link set`` and ``set_link`` in Python ask for; see `reshaped`.

    Raises:
        InputError: nothing is to change, or a text or the profile is wrong. The change itself raises what parse_pairs
            and reshaped raise.
    """
    if profile is not None and clear:
        raise InputError("give a profile or clear, not both")
    if not (texts or profile or clear):
        raise InputError("nothing to set: give delay, jitter, loss, rate, profile, clear or another option")
    edit = ShapeEdit.parse(texts)
    loaded = None
    if profile is not None:
        from harness.model.profile_file import load_profile

        loaded = load_profile(profile)

    def change(plan: NetworkPlan) -> NetworkPlan:
        pairs = parse_pairs(edges, plan, one_way=one_way)
        return reshaped(plan, pairs, edit, profile=loaded, seed=seed, clear=clear)

    return change


def set_down(plan: NetworkPlan, pairs: Iterable[Pair], down: bool) -> NetworkPlan:
    """The plan with these directed edges down, or up again."""
    return plan.changed([replace(plan.edges[pair], down=down) for pair in pairs])


def reshaped(
    plan: NetworkPlan,
    pairs: Iterable[Pair],
    edit: ShapeEdit,
    *,
    profile: Profile | None = None,
    seed: int | None = None,
    clear: bool = False,
) -> NetworkPlan:
    """The plan with new shapes on these directed edges.

    Args:
        plan: the current one.
        pairs: the edges.
        edit: the fields to change.
        profile: where given, the edit is applied to a new shape drawn from it.
        seed: of that draw; None: the plan's own.
        clear: whether the edit is applied to an unshaped link.

    Raises:
        ShapeError: fields of a new shape contradict each other; names the edge.
    """
    changed = []
    for pair in pairs:
        edge = plan.edges[pair]
        shape, origin = (UNSHAPED, "set") if clear else (edge.shape, edge.origin)
        if profile is not None:
            shape, origin = profile.sample(plan.seed if seed is None else seed, *pair), profile.name
        try:
            changed.append(replace(edge, shape=edit.apply(shape), origin="set" if edit.fields else origin))
        except ShapeError as error:
            raise ShapeError(f"edge {edge} ({shape.describe()}): {error}") from None
    return plan.changed(changed)
