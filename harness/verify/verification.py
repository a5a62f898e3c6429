"""Measures and judges edges of a running network; measures once more those that are off."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from harness.backends.base import Stdio
from harness.errors import UnavailableError
from harness.model.address import full_frame
from harness.model.capacity import Capacity
from harness.model.cpu import CpuShare
from harness.model.link import Pair
from harness.model.machines import Machines, Path
from harness.model.plan import NetworkPlan
from harness.model.plan_edit import undirected
from harness.model.status import EdgeStatus
from harness.networks.network import Network
from harness.networks.probe_counts import difference
from harness.verify.binomial import shared_confidence
from harness.verify.caps import CapKind, CapPlace, caps_of
from harness.verify.cpus import measured_cpus
from harness.verify.driver import ProbeDriver, ProbeProgress
from harness.verify.loads import caps_within
from harness.verify.plan import checked_seconds
from harness.verify.probe_client import PROBE_ARGV, ProbeProcess
from harness.verify.verdict import Verdict, judge
from harness.verify.verdict.capacity import CapVerdict, judge_cap

_ROWS_PER_DIRECTION: Final = 4
_OF_NODES: Final[tuple[CapKind, ...]] = ("uplink", "downlink")
_IN_ORDER: Final[tuple[CapKind, ...]] = (*_OF_NODES, "cpu", "trunk")
Rows = dict[Pair | CapPlace, list[Verdict | CapVerdict]]
"""Verdicts by undirected edge or shared capacity."""


def measure(
    network: Network,
    pairs: Collection[Pair],
    progress: ProbeProgress,
    *,
    seconds: float,
    parallel: int,
    ipv6: bool = False,
    places: Collection[CapPlace] | None = None,
) -> Rows:
    """Verdicts on edges and shared capacities; the rows say so where another command changed one meanwhile.

    Args:
        network: a running one.
        pairs: the edges, smaller rank first.
        progress: see ProbeDriver.measure.
        seconds: for one edge.
        parallel: how many edges at the same time.
        ipv6: whether to probe by IPv6.
        places: the capacities; None: those all of whose edges are among the pairs, and the CPUs of these edges' nodes.
    """
    before = network.current()
    plan = network.plan
    caps = [cap for cap in caps_of(plan) if cap.place in places] if places is not None else caps_within(plan, pairs)
    applied, held = {pair: status.applied for pair, status in before.items()}, _held(network)
    confidence = shared_confidence(2 * _ROWS_PER_DIRECTION * len(pairs))

    def spawn(rank: int) -> ProbeProcess:
        stdio = Stdio(subprocess.PIPE, subprocess.PIPE, None)
        return network.backend.spawn(rank, [network.backend.python, *PROBE_ARGV], stdio=stdio)

    machines = network.backend.machines()
    stamps, frame, verdicts = network.backend.engine.kernel_stamps, full_frame(plan.mtu), Rows()
    with ProbeDriver(plan, spawn, seconds=seconds, max_parallel=parallel, ipv6=ipv6, kernel_stamps=stamps) as driver:
        limits = caps_of(plan, held)
        for edge in driver.measure(pairs, progress):
            a, b = edge.pair
            ends = plan.edge(a, b), plan.edge(b, a), applied[a, b], applied[b, a]
            path = _path(machines, edge.pair)
            verdicts[edge.pair] = [*judge(*ends, edge, confidence=confidence, caps=limits, frame=frame, path=path)]
        lost = {pair: min(1.0, shape.mean_loss + float(shape.corrupt)) for pair, shape in applied.items()}
        for load, measured in driver.measure_caps(caps, progress):
            verdicts[load.cap.place] = [judge_cap(load, held.get(load.cap.place), measured, lost)]
    shares = _shares(plan, pairs, places)
    statuses = {rank: node.cpu for rank, node in (network.observe(shares) if shares else {}).items()}
    verdicts_of_cpus = {row.cap: row for row in measured_cpus(network.backend, shares, statuses)}
    after, now = network.current(), network.plan
    edges = {*pairs, *(undirected(way for cap in caps for way in cap.edges))}
    _count_probes(network, edges, before, after)
    verdicts |= {place: [row] for place, row in verdicts_of_cpus.items()}
    return {
        place: [row.changed_meanwhile() for row in rows] if is_changed(place, plan, now) else rows
        for place, rows in verdicts.items()
    }


def is_changed(place: Pair | CapPlace, old: NetworkPlan, new: NetworkPlan) -> bool:
    """Whether an edge, or a limit with the edges that share it, differs between two plans."""
    if not isinstance(place, CapPlace):
        ways = [place, place[::-1]]
    elif place.kind == "cpu":
        return old.node_shape(place.rank or 0).cpu != new.node_shape(place.rank or 0).cpu
    else:
        before, after = (next((cap for cap in caps_of(plan) if cap.place == place), None) for plan in (old, new))
        if before is None or before != after:
            return True
        ways = list(before.edges)
    return any(old.edge(*way) != new.edge(*way) for way in ways)


def _path(machines: Machines | None, pair: Pair) -> Path | None:
    """The path between two nodes' machines, if they differ. Raises UnavailableError where it is not measured yet."""
    if machines is None or not machines.apart(*pair):
        return None
    if path := machines.path(*pair):
        return path
    raise UnavailableError(
        f"the path between the machines of ranks {pair[0]} and {pair[1]} has not been measured yet: agents do it when"
        " all nodes are ready, and every minute; try again then"
    )


def _shares(plan: NetworkPlan, pairs: Collection[Pair], places: Collection[CapPlace] | None) -> dict[int, CpuShare]:
    """The shares of a CPU to measure, by rank: of the given places, else of the nodes at these edges."""
    chosen = {rank for pair in pairs for rank in pair}
    if places is not None:
        chosen = {place.rank for place in places if place.kind == "cpu" and place.rank is not None}
    return {rank: shape.cpu for rank, shape in plan.nodes.items() if rank in chosen and shape.cpu is not None}


def _held(network: Network) -> dict[CapPlace, Capacity | None]:
    """The shared capacities that the engine reports."""
    held: dict[CapPlace, Capacity | None] = {}
    for rank, node in (network.observe(network.plan.nodes) if network.plan.nodes else {}).items():
        held |= {CapPlace(kind, rank): node.caps[kind].applied for kind in _OF_NODES if kind in node.caps}
    trunks = network.trunks()
    for trunk in network.plan.trunks:
        if trunk.name in trunks:
            held[CapPlace("trunk", regions=(trunk.src, trunk.dst))] = trunks[trunk.name].applied
    return held


def _count_probes(
    network: Network, pairs: Collection[Pair], before: Mapping[Pair, EdgeStatus], after: Mapping[Pair, EdgeStatus]
) -> None:
    """Add the traffic over the measured edges to the network's count of probe traffic."""
    ways = [way for a, b in pairs for way in ((a, b), (b, a))]
    network.count_probes(difference(*({way: found[way].stats for way in ways} for found in (before, after))))


def verify(
    network: Network,
    pairs: Collection[Pair],
    progress: ProbeProgress,
    again: Callable[[list[Verdict | CapVerdict]], None],
    *,
    seconds: float,
    parallel: int,
    ipv6: bool = False,
) -> list[Verdict | CapVerdict]:
    """Measure edges and the capacities that only these share, and once more those with a row that is off.

    About one run in a hundred is off by chance, so a row counts as off only if it is off both times.

    Args:
        network, pairs, progress, parallel, ipv6: see measure.
        again: called with the rows that are off before they are measured once more.
        seconds: for one edge; see checked_seconds, which raises InputError.
    """
    checked_seconds(seconds)
    rows = measure(network, pairs, progress, seconds=seconds, parallel=parallel, ipv6=ipv6)
    wrong = {place: [row for row in found if not row.ok and row.why_not != "too slow"] for place, found in rows.items()}
    if off := [row for found in wrong.values() for row in found]:
        again(off)
        edges = {place for place, found in wrong.items() if found and not isinstance(place, CapPlace)}
        places = {place for place, found in wrong.items() if found and isinstance(place, CapPlace)}
        second = measure(network, edges, progress, seconds=seconds, parallel=parallel, ipv6=ipv6, places=places)
        for place, found in second.items():
            rows[place] = of_both(rows[place], found)
    return [row for place in sorted(rows, key=_order) for row in rows[place]]


def _order(place: Pair | CapPlace) -> tuple[bool, tuple[str, ...], tuple[int, int]]:
    """Edges, then nodes, then trunks."""
    if not isinstance(place, CapPlace):
        return False, (), place
    return True, place.regions or (), (place.rank or 0, _IN_ORDER.index(place.kind))


def of_both(
    first: Sequence[Verdict | CapVerdict], second: Sequence[Verdict | CapVerdict]
) -> list[Verdict | CapVerdict]:
    """The rows of an edge or a capacity that was measured twice: the second ones, or the first where only that is ok.

    A first row counts only if the link was not changed in between.
    """
    was_ok = {(row.place, row.quantity, row.applied): row for row in first if row.ok}
    return [row if row.ok else was_ok.get((row.place, row.quantity, row.applied), row) for row in second]
