"""The actions that turn the kernel's tree into the desired one, and the differences between the two."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Final

from harness.model.capacity import DROPTAIL
from harness.shaping.htb_class import HtbClass, never_limiting
from harness.shaping.leaf import Leaf, passing
from harness.shaping.qdisc import (
    MAX_AUTO_LIMIT,
    PASS,
    PASSING_BURST,
    PASSING_BYTE_S,
    PASSING_UPLINK,
    Branch,
    Netem,
    Prefix,
    Tbf,
    Tree,
)


@dataclass(frozen=True)
class AddRoot:
    """Put the htb root on the interface."""


@dataclass(frozen=True)
class SetUplink:
    """Set the class of the uplink."""

    uplink: HtbClass


@dataclass(frozen=True)
class AddBranch:
    """Add a class with its netem (and tbf, and leaf)."""

    branch: Branch


@dataclass(frozen=True)
class AddTbf:
    """Add a tbf below an existing netem, in place of its leaf, if any."""

    branch: Branch


@dataclass(frozen=True)
class SetClass:
    """Change the class of a branch in place."""

    branch: Branch


@dataclass(frozen=True)
class SetLeaf:
    """Change the last qdisc of a branch in place or, if ``fresh``, add it or replace another one."""

    branch: Branch
    fresh: bool


@dataclass(frozen=True)
class Change:
    """Change netem and tbf in place, for a reason such as ``delay_ns 20000000 -> 120000000``."""

    branch: Branch
    reason: str


@dataclass(frozen=True)
class AddFilter:
    """Send packets of a prefix (see Tree.filters) to a neighbour's branch, or past all branches (PASS)."""

    prefix: Prefix
    neighbour: int


@dataclass(frozen=True)
class MoveFilter:
    """Send packets of a prefix, whose edge was unshaped until now, to a neighbour's branch."""

    prefix: Prefix
    neighbour: int
    handle: int


@dataclass(frozen=True)
class Seal:
    """Drop what matches no filter."""


@dataclass(frozen=True)
class DropFilter:
    """Remove a filter whose addresses have moved."""

    version: int
    handle: int


_UNREADABLE: Final = ("distribution", "seed", "queue_bytes")
_READABLE: Final = tuple(field.name for field in fields(Netem) if field.name not in _UNREADABLE)
_readable: Final = attrgetter(*_READABLE)

FilterAction = AddFilter | MoveFilter | DropFilter | Seal
BranchAction = AddBranch | AddTbf | SetClass | SetLeaf | Change
Action = AddRoot | SetUplink | BranchAction | FilterAction


def diff(desired: Tree, observed: Tree, touched: Collection[int] = ()) -> list[Action]:
    """The actions that lead to the desired tree, in an order that never lets packets pass unshaped.

    A branch is complete before a filter sends packets to it, and all filters exist before packets that match none are
    dropped. A branch that is no longer desired is changed so that it does nothing; its filters stay, unless their
    addresses have moved.

    Args:
        desired: the tree of the plan.
        observed: the tree that the kernel reports.
        touched: neighbours whose branch to set in any case, for what cannot be read back (the jitter's distribution).
    """
    actions: list[Action] = [AddRoot()] if desired.rooted and not observed.rooted else []
    if (uplink := _uplink(desired, observed)) is not None and uplink != observed.uplink:
        actions.append(SetUplink(uplink))
    actions += diff_branches(desired.branches, observed.branches, touched)
    actions += [DropFilter(version, handle) for version, handle in observed.stale]
    for prefix, neighbour in desired.filters.items():
        if (handle := observed.passing.get(prefix)) is not None:
            actions.append(MoveFilter(prefix, neighbour, handle))
        elif prefix not in observed.filters:
            actions.append(AddFilter(prefix, neighbour))
    for prefix in desired.passing.keys() - observed.passing.keys() - observed.filters.keys():
        actions.append(AddFilter(prefix, PASS))
    if desired.sealed and not observed.sealed:
        actions.append(Seal())
    return actions


def diff_branches(
    desired: Mapping[int, Branch], observed: Mapping[int, Branch], touched: Collection[int] = ()
) -> Iterator[BranchAction]:
    """The part of ``diff`` that is about branches."""
    for neighbour, branch in desired.items():
        yield from _branch_actions(branch, observed.get(neighbour), neighbour in touched)
    for neighbour, old in observed.items():
        if neighbour not in desired:
            yield from _branch_actions(_idle(old), old, False)


def _uplink(desired: Tree, observed: Tree) -> HtbClass | None:
    """The desired class of the uplink; one that is no longer desired never limits."""
    return desired.uplink or (PASSING_UPLINK if observed.uplink is not None else None)


def _idle(old: Branch) -> Branch:
    """A branch that does nothing, in place of one that is no longer needed."""
    return Branch(old.neighbour, Netem(limit=MAX_AUTO_LIMIT), htb=never_limiting() if old.htb is not None else None)


def _branch_actions(want: Branch, have: Branch | None, touched: bool) -> Iterator[BranchAction]:
    if (want is have or want == have) and not touched:
        return
    if have is None:
        yield AddBranch(want)
        return
    want = _settled(want, have)
    if want.htb is not None and want.htb != have.htb:
        yield SetClass(want)
    held = have.leaf
    if want.tbf is not None and have.tbf is None:
        yield AddTbf(want)
        held = None
    if want.leaf is not None and want.leaf != held:
        yield SetLeaf(want, fresh=held is None or held.queue.kind != want.leaf.queue.kind)
    reasons = differences(want, have)
    if reasons or touched:
        yield Change(want, ", ".join(reasons) or "set again")


def _settled(want: Branch, have: Branch) -> Branch:
    """The desired branch, with those of the present one's qdiscs that it does not need: they stay and let everything
    pass, because removing them would drop packets. A tbf takes its limit from a bfifo below it (sch_tbf.c)."""
    tbf, leaf = want.tbf, want.leaf
    held = have.leaf if tbf is None or have.tbf is not None else None
    if tbf is None and have.tbf is not None:
        tbf = Tbf(PASSING_BYTE_S, PASSING_BURST, max(have.tbf.limit, 4 * PASSING_BURST))
    if leaf is None and held is not None:
        leaf = passing(held) if tbf is None or tbf.passes else Leaf(DROPTAIL, tbf.limit)
    if leaf is not None and leaf.queue == DROPTAIL and tbf is not None:
        tbf = replace(tbf, limit=leaf.limit)
        leaf = leaf if held is not None else None  # tbf has a bfifo of its own
    return want if tbf is want.tbf and leaf is want.leaf else replace(want, tbf=tbf, leaf=leaf)


def differences(want: Branch, have: Branch) -> list[str]:
    """The readable parameters in which two branches differ, e.g. ``delay_ns 20000000 -> 120000000``."""
    pairs = zip(_READABLE, _readable(have.netem), _readable(want.netem), strict=True)
    found = [f"{name} {old} -> {new}" for name, old, new in pairs if old != new]
    if not _same_bucket(want.tbf, have.tbf):
        found.append(f"tbf {have.tbf} -> {want.tbf}")
    if have.queue != want.queue:
        found.append(f"queue {have.queue or 'droptail'} -> {want.queue or 'droptail'}")
    if have.delivery != want.delivery:
        found.append(f"delivery {have.delivery or 'none'} -> {want.delivery or 'none'}")
    if want.delivery is not None and have.buffer_bytes != want.buffer_bytes:
        found.append(f"buffer_bytes {have.buffer_bytes} -> {want.buffer_bytes}")
    return found


def _all_differences(want: Branch, have: Branch) -> list[str]:
    found = differences(want, have)
    if want.htb != have.htb:
        found.append(f"class {have.htb} -> {want.htb}")
    if want.leaf != have.leaf:
        found.append(f"last qdisc {have.leaf or 'none'} -> {want.leaf or 'none'}")
    return found


def _same_bucket(want: Tbf | None, have: Tbf | None) -> bool:
    """Whether two token buckets are equal up to the kernel's rounding: it reports the burst in ticks of 64 ns."""
    if want is None or have is None:
        return want is have
    tick = math.ceil(want.rate_byte_s * 128e-9) + 1
    return replace(want, burst=0) == replace(have, burst=0) and abs(want.burst - have.burst) <= tick


def mismatches(desired: Tree, observed: Tree) -> Iterable[tuple[int, str]]:
    """(neighbour, what differs) for everything desired that the observed tree lacks."""
    for neighbour, branch in desired.branches.items():
        have = observed.branches.get(neighbour)
        if have is None:
            yield neighbour, "nothing shapes it"
        elif have is not branch and have != branch and (reasons := _all_differences(_settled(branch, have), have)):
            yield neighbour, ", ".join(f"{reason} (applied -> requested)" for reason in reasons)
    for prefix, neighbour in desired.filters.items() if observed.filters != desired.filters else ():
        if observed.filters.get(prefix) != neighbour:
            yield neighbour, f"no filter sends packets of {prefix} there"
    if desired.sealed and not observed.sealed:
        for neighbour in desired.branches:
            yield neighbour, "what crosses no link is not dropped"
