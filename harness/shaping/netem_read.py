"""Reads a node's qdisc tree and its counters from the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from harness.model.node_plan import NodePlan
from harness.model.status import Stats
from harness.netlink.rtnetlink import Rtnetlink
from harness.shaping import tc_messages as tc
from harness.shaping import tc_read
from harness.shaping.caps import messages as raw
from harness.shaping.caps.messages import header, kind_and_options, read_class
from harness.shaping.counts import Counts, edge_counts, read_counts
from harness.shaping.htb_class import HtbClass
from harness.shaping.netem_requests import leaving_rate
from harness.shaping.qdisc import EMPTY, PASS, ROOT, UPLINK, Branch, Prefix, Tree
from harness.shaping.shape_branch import with_queue_of_leaf


@dataclass(frozen=True)
class HeldTree:
    """The qdisc tree of a node's interface, with counters.

    Args:
        tree: the qdisc tree.
        stats: of every branch, by neighbour.
        uplink: sent by the class of the uplink; waiting and dropped in the queues for it.
    """

    tree: Tree = EMPTY
    stats: Mapping[int, Stats] = field(default_factory=dict)
    uplink: Stats = field(default_factory=Stats)


@dataclass(frozen=True)
class _Qdisc:
    kind: str
    parent: int
    body: memoryview
    counts: Counts


def read_held(netlink: Rtnetlink, node: NodePlan, index: int, desired: Tree) -> HeldTree:
    """Read the tree from the kernel.

    Args:
        netlink: in the node's namespace.
        node: its plan.
        index: of its interface.
        desired: the tree of the plan: a queue discipline that equals its own up to the kernel's rounding is returned as
            that.
    """
    qdiscs = _qdiscs(netlink, index)
    if ROOT not in qdiscs or qdiscs[ROOT].kind != "htb":
        return HeldTree()
    classes, sent = _classes(netlink, index)
    below = {one.parent >> 16 << 16: handle for handle, one in qdiscs.items()}
    branches, stats, waiting = {}, {}, []
    for handle, one in qdiscs.items():
        neighbour = (one.parent & 0xFFFF) - 1
        if one.kind == "netem" and one.parent >> 16 == ROOT >> 16 and neighbour + 1 in classes:
            chain = _chain(qdiscs, below, handle)
            found = _branch(node, neighbour, chain, desired.branches.get(neighbour))
            branches[neighbour] = replace(found, htb=classes[neighbour + 1])
            counts = {name: part.counts for name, part in chain.items()}
            stats[neighbour] = Stats(*edge_counts(**counts))
            waiting += [counts["leaf"]] if "leaf" in counts and "tbf" not in counts else []
    filters, stale, passing = _filters(netlink, node, index)
    sealed = any(one.kind == "blackhole" and one.parent == tc.DROP_CLASS for one in qdiscs.values())
    tree = Tree(True, branches, filters, stale, passing, sealed, classes.get(UPLINK))
    return HeldTree(tree, stats, Stats(*sent, *(sum(one[place] for one in waiting) for place in (2, 3, 4))))


def _qdiscs(netlink: Rtnetlink, index: int) -> dict[int, _Qdisc]:
    """By handle."""
    found = {}
    for body in netlink.dump(raw.RTM_GETQDISC, raw.dump_request(index)):
        at, handle, parent, _ = header(body)
        if at == index:
            found[handle] = _Qdisc(kind_and_options(body)[0], parent, memoryview(bytes(body)), read_counts(body))
    return found


def _classes(netlink: Rtnetlink, index: int) -> tuple[dict[int, HtbClass], tuple[int, int]]:
    """The htb classes by minor number; and the packets and bytes that the uplink's has sent."""
    found, sent = {}, (0, 0)
    for body in netlink.dump(raw.RTM_GETTCLASS, raw.dump_request(index)):
        _, handle, _, _ = header(body)
        number = handle & 0xFFFF
        if handle >> 16 != ROOT >> 16:  # a tbf or fq_codel reports itself as a class
            continue
        found[number] = read_class(kind_and_options(body)[1], leaf=number != UPLINK)
        if number == UPLINK:
            sent = read_counts(body)[:2]
    return found, sent


def _chain(qdiscs: Mapping[int, _Qdisc], below: Mapping[int, int], handle: int) -> dict[str, _Qdisc]:
    """The qdiscs of a branch: ``line`` and, where they exist, ``queue``, ``tbf`` and ``leaf``."""
    found, at = {"line": qdiscs[handle]}, below.get(handle)
    while at is not None:
        one = qdiscs[at]
        found[{"netem": "queue", "tbf": "tbf"}.get(one.kind, "leaf")] = one
        at = below.get(at)
    return found


def _branch(node: NodePlan, neighbour: int, chain: Mapping[str, _Qdisc], want: Branch | None) -> Branch:
    line, queue, tbf, last = (chain.get(name) for name in ("line", "queue", "tbf", "leaf"))
    assert line is not None
    branch = Branch.of_stages(
        neighbour,
        tc_read.read_netem(line.body),
        tc_read.read_netem(queue.body) if queue else None,
        tc_read.read_tbf(tbf.body) if tbf else None,
    )
    if last is not None:
        rate = leaving_rate(node, want or branch)
        branch = replace(branch, leaf=tc_read.read_leaf(last.body, want.leaf if want else None, rate))
    return with_queue_of_leaf(branch)


def _filters(
    netlink: Rtnetlink, node: NodePlan, index: int
) -> tuple[dict[Prefix, int], tuple[tuple[int, int], ...], dict[Prefix, int]]:
    """``filters``, ``stale`` and ``passing`` of a Tree."""
    filters: dict[Prefix, int] = {}
    stale: list[tuple[int, int]] = []
    passing: dict[Prefix, int] = {}
    ways = node.ways(node.egress, node.addressing.versions)
    for body in netlink.dump(raw.RTM_GETTFILTER, raw.dump_request(index, ROOT)):
        if (found := tc_read.read_filter(bytes(body))) is not None:
            handle, prefix, classid = found
            neighbour = (classid & 0xFFFF) - 1
            if prefix in ways and neighbour == PASS:
                passing[prefix] = handle
            elif prefix in ways and neighbour == ways[prefix]:
                filters[prefix] = neighbour
            else:
                stale.append((prefix.version, handle))
    return filters, tuple(stale), passing
