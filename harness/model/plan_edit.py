"""Changes of a plan as a user writes them: which edges, and what becomes of them."""

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


def named_ranks(text: str) -> frozenset[int]:
    """The ranks that such a text names, before a plan says whether they are there; none for ``all``."""
    words = (word.strip() for word in text.replace("-", ",").split(","))
    return frozenset(int(word) for word in words if is_whole_number(word))


def _require_text(edges: object) -> None:
    """Programs have pairs of ranks at hand. Raises InputError."""
    match edges:
        case str():
            return
        case (int(a), int(b)):
            raise InputError(f"edges are text, not {quoted(edges)}; write '{a}-{b}'")
    raise InputError(f"edges are text, not {quoted(edges)}; write '0-1', or several as '0-1,1-2', or 'all'")


def crossing(groups: str, plan: NetworkPlan) -> list[Pair]:
    """The directed edges between different groups, e.g. of ``0,1|2,3``. Raises InputError, PlanError."""
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
    """What ``harness link set`` and its like in Python ask for; see there.

    Raises:
        InputError: nothing is to change, or the texts or the profile make no sense. The change itself raises what
            parse_pairs and reshaped raise.
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
        plan: as it is.
        pairs: the edges.
        edit: what changes; what it does not name stays.
        profile: to draw a whole new shape from first.
        seed: of that draw; None: the plan's own.
        clear: whether to begin with an unshaped link.

    Raises:
        ShapeError: the parts of a shape then contradict each other; names the edge.
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
