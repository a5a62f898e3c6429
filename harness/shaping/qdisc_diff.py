"""The changes that turn the tree that the kernel has into the desired one, and where the two differ."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, fields, replace

from harness.shaping.qdisc import MAX_AUTO_LIMIT, PASS, PASSING_BURST, PASSING_BYTE_S, Branch, Netem, Tbf, Tree


@dataclass(frozen=True)
class AddRoot:
    """Put the htb root on the interface."""


@dataclass(frozen=True)
class AddBranch:
    """Add a class with its netem (and tbf)."""

    branch: Branch


@dataclass(frozen=True)
class AddTbf:
    """Add a tbf below a netem that is there."""

    branch: Branch


@dataclass(frozen=True)
class Change:
    """Change netem and tbf where they are; with a reason such as ``delay_ns 20000000 -> 120000000``."""

    branch: Branch
    reason: str


@dataclass(frozen=True)
class AddFilter:
    """Send a far rank's packets (see Tree.filters) into a neighbour's branch, or past all (PASS)."""

    rank: int
    version: int
    neighbour: int


@dataclass(frozen=True)
class MoveFilter:
    """Send a far rank's packets, which cross an unshaped edge so far, into a neighbour's branch."""

    rank: int
    version: int
    neighbour: int
    handle: int


@dataclass(frozen=True)
class Seal:
    """Drop what matches no filter."""


@dataclass(frozen=True)
class DropFilter:
    """Remove the filter at the place of a rank that has another address now."""

    rank: int
    version: int
    handle: int


FilterAction = AddFilter | MoveFilter | DropFilter | Seal
Action = AddRoot | AddBranch | AddTbf | Change | FilterAction


def diff(desired: Tree, observed: Tree, touched: Collection[int] = ()) -> list[Action]:
    """What turns the observed tree into the desired one, in an order that never lets packets pass unshaped.

    Branches are complete before a filter sends anything into them, and all filters are there before what matches none
    is dropped. A branch that is observed and not desired is made to do nothing; its filters stay, unless they match an
    address that is no more its rank's.

    Args:
        desired: what shall be.
        observed: what the kernel reports.
        touched: neighbours whose branch is set in any case, for what cannot be read (the jitter's distribution).
    """
    actions: list[Action] = [AddRoot()] if desired.rooted and not observed.rooted else []
    for neighbour, branch in desired.branches.items():
        actions += _branch_actions(branch, observed.branches.get(neighbour), neighbour in touched)
    for neighbour, old in observed.branches.items():
        if neighbour not in desired.branches:
            actions += _branch_actions(Branch(neighbour, Netem(limit=MAX_AUTO_LIMIT)), old, False)
    actions += [DropFilter(rank, version, handle) for (rank, version), handle in observed.stale.items()]
    for (rank, version), neighbour in desired.filters.items():
        if (handle := observed.passing.get((rank, version))) is not None:
            actions.append(MoveFilter(rank, version, neighbour, handle))
        elif (rank, version) not in observed.filters:
            actions.append(AddFilter(rank, version, neighbour))
    for rank, version in desired.passing.keys() - observed.passing.keys() - observed.filters.keys():
        actions.append(AddFilter(rank, version, PASS))
    if desired.sealed and not observed.sealed:
        actions.append(Seal())
    return actions


def _branch_actions(want: Branch, have: Branch | None, touched: bool) -> Iterator[Action]:
    if have is None:
        yield AddBranch(want)
        return
    want = _settled(want, have)
    if want.tbf is not None and have.tbf is None:
        yield AddTbf(want)
    reasons = differences(want, have)
    if reasons or touched:
        yield Change(want, ", ".join(reasons) or "set again")


def _settled(want: Branch, have: Branch) -> Branch:
    """The desired branch, given the present one: a token bucket that is no longer needed stays and lets everything
    pass, because removing it would drop the packets in it."""
    if want.tbf is not None or have.tbf is None:
        return want
    limit = max(have.tbf.limit, 4 * PASSING_BURST)
    return Branch(want.neighbour, want.netem, Tbf(PASSING_BYTE_S, PASSING_BURST, limit))


def differences(want: Branch, have: Branch) -> list[str]:
    """The readable parameters in which two branches differ, e.g. ``delay_ns 20000000 -> 120000000``."""
    unreadable = {"distribution", "seed", "queue_bytes"}
    found = [
        f"{name} {old} -> {new}"
        for name in (field.name for field in fields(Netem))
        if name not in unreadable and (old := getattr(have.netem, name)) != (new := getattr(want.netem, name))
    ]
    if not _same_bucket(want.tbf, have.tbf):
        found.append(f"tbf {have.tbf} -> {want.tbf}")
    if have.queue != want.queue:
        found.append(f"queue {have.queue or 'droptail'} -> {want.queue or 'droptail'}")
    return found


def _same_bucket(want: Tbf | None, have: Tbf | None) -> bool:
    """Whether two token buckets are equal; the kernel reports the burst in ticks of 64 ns of the rate."""
    if want is None or have is None:
        return want is have
    tick = math.ceil(want.rate_byte_s * 128e-9) + 1
    return replace(want, burst=0) == replace(have, burst=0) and abs(want.burst - have.burst) <= tick


def mismatches(desired: Tree, observed: Tree) -> Iterable[tuple[int, str]]:
    """(neighbour, what differs) for everything desired that the kernel does not report."""
    for neighbour, branch in desired.branches.items():
        have = observed.branches.get(neighbour)
        if have is None:
            yield neighbour, "nothing shapes it"
        elif reasons := differences(_settled(branch, have), have):
            yield neighbour, ", ".join(f"{reason} (applied -> requested)" for reason in reasons)
    for (rank, version), neighbour in desired.filters.items():
        if observed.filters.get((rank, version)) != neighbour:
            yield neighbour, f"no IPv{version} filter sends packets of node {rank} there"
    if desired.sealed and not observed.sealed:
        for neighbour in desired.branches:
            yield neighbour, "what crosses no link is not dropped"
