"""The log lines about the machines of a network. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.format import first_few, format_time
from harness.model.machines import Machines, Path
from harness.model.plan import NetworkPlan

_WRONG_SECONDS = 1.0
"""Clocks that NTP sets are within milliseconds."""
_MOVED_SECONDS = 0.01
"""Clock changes above this are logged: NTP slews less in a minute, unless the clock was far off."""


def machine_lines(machines: Machines, plan: NetworkPlan, before: Machines | None = None) -> Iterator[str]:
    """What is worth logging.

    Args:
        machines: what is known now.
        plan: of the network.
        before: what was known a minute ago; None: nothing.
    """
    others = {rank: path for rank in list(machines.first_ranks.values())[1:] if (path := machines.path(0, rank))}
    moved = {rank: path for rank, path in others.items() if before is None or _moved(before.path(0, rank), path)}
    if moved:
        yield "clocks: " + ", ".join(_clock(rank, path) for rank, path in moved.items())
    if wrong := [rank for rank, path in moved.items() if abs(path.ahead) >= _WRONG_SECONDS]:
        yield (
            f"clocks: set those of the machines of rank 0 and {first_few(wrong)} by NTP (timedatectl set-ntp true);"
            " links, jobs and round trips are not affected, and reports correct the times of records by these offsets"
        )
    if before is None:
        yield from _paths(machines)
        yield from _too_near(machines, plan)


def _moved(before: Path | None, now: Path) -> bool:
    return before is None or abs(before.ahead - now.ahead) > _MOVED_SECONDS + before.uncertainty + now.uncertainty


def _clock(rank: int, path: Path) -> str:
    way = "ahead of" if path.ahead >= 0 else "behind"
    by = format_time(abs(path.ahead))
    return f"rank {rank}'s machine is {by} (+-{format_time(path.uncertainty)}) {way} rank 0's"


def _paths(machines: Machines) -> Iterator[str]:
    first = machines.first_ranks
    for (a, b), path in machines.paths.items():
        ranks = f"the machines of ranks {first[a]} and {first[b]}"
        yield (
            f"path: between {ranks} a round trip takes {format_time(path.rtt)} (median"
            f" {format_time(path.rtt_median)} of {path.pings}), which adds to the delays of links between them"
        )
        for network in (name for name, passes in path.passes.items() if not passes):
            size = machines.mtu.get(first[a], {}).get(network, 0)
            yield (
                f"path: no packet of {size} bytes, the MTU of {network}, passes between {ranks}: give harness stack a"
                " smaller --mtu"
            )


def _too_near(machines: Machines, plan: NetworkPlan) -> Iterator[str]:
    """Edges with a shorter requested round trip than the path's."""
    found = []
    for a, b in plan.edges:
        path = machines.path(a, b) if a < b and machines.apart(a, b) else None
        asked = plan.edge(a, b).shape.delay.seconds + plan.edge(b, a).shape.delay.seconds
        if path and 0 < asked < path.rtt:
            found.append(f"{a}-{b} ({format_time(asked)} of {format_time(path.rtt)})")
    if found:
        yield (
            f"path: the plan requests shorter round trips than there are between the machines:"
            f" {first_few(found)}; place these nodes on one machine, or request longer delays"
        )
