"""Shapes links with the kernel's htb, netem and tbf: pyroute2's messages, many in one send; then reads them back."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from harness.errors import NodeError
from harness.model.node_plan import NodePlan
from harness.model.plan import NetworkPlan
from harness.model.status import CapStatus, NodeStatus, Stats
from harness.netlink.nlattr import NLM_F_CREATE, NLM_F_EXCL
from harness.netlink.routes import default_gateways
from harness.netlink.rtnetlink import Refusal, Request, Rtnetlink
from harness.shaping import tc_messages as tc
from harness.shaping.caps import trunks
from harness.shaping.caps.downlink import apply_downlink, with_downlink
from harness.shaping.facts import NetemFacts
from harness.shaping.meter import NOTHING
from harness.shaping.netem_meter import read_counts, with_queue
from harness.shaping.node_tree import tree_of
from harness.shaping.qdisc import EMPTY, PASS, ROOT, Branch, Netem, Tbf, Tree
from harness.shaping.qdisc_diff import (
    Action,
    AddBranch,
    AddFilter,
    AddRoot,
    AddTbf,
    Change,
    DropFilter,
    FilterAction,
    MoveFilter,
    Seal,
    diff,
)
from harness.shaping.readback import node_status
from harness.shaping.segments import cut_segments, interface_index
from harness.shaping.shape_branch import shape_of

Address = IPv4Address | IPv6Address
_NEW: Final = NLM_F_CREATE | NLM_F_EXCL
_REMEDY: Final = {
    errno.ENOENT: "this kernel lacks that qdisc or filter: run 'harness doctor'",
    errno.EPERM: "needs CAP_NET_ADMIN in the node's network namespace",
    errno.EINVAL: "this kernel does not support that combination (run 'harness doctor')",
}


class NetemEngine(NetemFacts):
    """Shapes the links of a node with qdiscs in the current network namespace.

    Args:
        outside: whether nodes may send past their gateway, unshaped.
    """

    def __init__(self, outside: bool = False) -> None:
        self._outside = outside

    def apply(self, node: NodePlan, touched: Collection[int] = ()) -> NodeStatus:
        """See Engine.apply."""
        desired = _desired(node)
        with Rtnetlink() as netlink:
            index = interface_index(node)
            observed, _ = _read(netlink, node, index)
            actions = diff(desired, observed, touched)
            cut_segments(netlink, node, index)
            branches = [action for action in actions if not isinstance(action, FilterAction)]
            versions = node.addressing.versions if self._outside else ()
            ways = [way for version in versions for way in default_gateways(netlink, version, index)]
            try:
                _perform(netlink, node, index, ways, branches)
            except NodeError:
                _undo(netlink, index, branches)
                raise
            _perform(netlink, node, index, ways, [action for action in actions if isinstance(action, FilterAction)])
            apply_downlink(netlink, node, index)
            return with_downlink(_status(node, desired, *_read(netlink, node, index)), node, index)

    def observe(self, node: NodePlan) -> NodeStatus:
        """See Engine.observe."""
        index = interface_index(node)
        with Rtnetlink() as netlink:
            status = _status(node, _desired(node), *_read(netlink, node, index))
            return with_downlink(status, node, index)

    def apply_trunks(self, plan: NetworkPlan) -> Mapping[str, CapStatus]:
        """See Engine.apply_trunks."""
        return trunks.apply_trunks(plan)

    def observe_trunks(self, plan: NetworkPlan) -> Mapping[str, CapStatus]:
        """See Engine.observe_trunks."""
        return trunks.observe_trunks(plan)


def _desired(node: NodePlan) -> Tree:
    return tree_of(node, node.egress, node.addressing.versions)


def _perform(
    netlink: Rtnetlink, node: NodePlan, index: int, gateways: Sequence[Address], actions: Sequence[Action]
) -> None:
    """Carry out actions in one batch. Raises NodeError."""
    steps = [(action, request) for action in actions for request in _requests(node, index, gateways, action)]
    refusals = netlink.batch([request for _, request in steps])
    if refusals:
        raise _error(node, [action for action, _ in steps], refusals)


def _undo(netlink: Rtnetlink, index: int, actions: Sequence[Action]) -> None:
    """Remove branches that were being added when one was refused: no filter sends anything into them yet."""
    classes = [action.branch.classid for action in actions if isinstance(action, AddBranch)]
    netlink.batch([tc.request(tc.RTM_DELTCLASS, 0, index, classid, ROOT, "htb") for classid in classes])


def _requests(node: NodePlan, index: int, gateways: Sequence[Address], action: Action) -> Iterator[Request]:
    """The netlink messages that carry out an action."""

    def qdisc(flags: int, handle: int, parent: int, kind: str, options: tc.TcOptions) -> Request:
        return tc.request(tc.RTM_NEWQDISC, flags, index, handle, parent, kind, options)

    def tbf(flags: int, branch: Branch, spec: Tbf) -> Request:
        return qdisc(flags, branch.tbf_handle, branch.queue_handle | 1, "tbf", tc.tbf(spec))

    def netems(flags: int, branch: Branch, *, fresh: bool) -> Iterator[Request]:
        line, queue = branch.stages
        yield qdisc(flags, branch.netem_handle, branch.classid, "netem", tc.netem(line, fresh=fresh))
        yield qdisc(flags, branch.queue_handle, branch.netem_handle | 1, "netem", tc.netem(queue, fresh=True))

    match action:
        case AddRoot():
            yield from tc.new_root(index)
        case AddBranch(branch):
            # without NLM_F_EXCL: an attempt that failed may have left the class
            yield tc.new_class(index, branch.classid, branch.rate_byte_s, NLM_F_CREATE)
            yield from netems(_NEW, branch, fresh=True)
            if branch.tbf:
                yield tbf(_NEW, branch, branch.tbf)
        case AddTbf(branch):
            if branch.tbf:
                yield tbf(_NEW, branch, branch.tbf)
        case Change(branch):
            yield tc.new_class(index, branch.classid, branch.rate_byte_s, 0)
            yield from netems(0, branch, fresh=False)
            if branch.tbf:
                yield tbf(0, branch, branch.tbf)
        case DropFilter(_, version, handle):
            yield tc.request(tc.RTM_DELTFILTER, 0, index, handle, ROOT, "u32", info=tc.filter_info(version))
        case AddFilter(destination, version, neighbour):
            address = node.addressing.address(destination, version)
            yield tc.new_filter(index, destination + 1, address, Branch(neighbour, Netem()).classid)
        case MoveFilter(destination, version, neighbour, handle):
            address = node.addressing.address(destination, version)
            yield tc.new_filter(index, handle, address, Branch(neighbour, Netem()).classid, 0)
        case Seal():
            yield from tc.seal(index, (node.addressing.ipv4_net, node.addressing.ipv6_net), gateways)


def _error(node: NodePlan, actions: Sequence[Action], refusals: Sequence[Refusal]) -> NodeError:
    """The first refusal as an error that names node, edge, action and cause."""
    refusal = refusals[0]
    match actions[refusal.index]:
        case AddRoot():
            what = "add the htb root"
        case AddBranch(branch) | AddTbf(branch):
            what = f"shape edge {node.rank}->{branch.neighbour} ({shape_of(branch).describe()})"
        case Change(branch):
            what = f"reshape edge {node.rank}->{branch.neighbour} ({shape_of(branch).describe()})"
        case DropFilter(destination, version):
            what = f"remove the filter for the old IPv{version} address of node {destination}"
        case Seal():
            what = "drop what crosses no link"
        case AddFilter(destination, version, neighbour) | MoveFilter(destination, version, neighbour, _):
            what = f"send IPv{version} for node {destination} through edge {node.rank}->{neighbour}"
    return NodeError(node.rank, what, refusal.text, _REMEDY.get(refusal.errno, ""))


def _read(netlink: Rtnetlink, node: NodePlan, index: int) -> tuple[Tree, dict[int, Stats]]:
    """The tree that the kernel has, and the counters of every branch."""
    request = tc.dump_request(index)
    dumped = [(tc.read(body), read_counts(body)) for body in netlink.dump(tc.RTM_GETQDISC, request)]
    qdiscs = [found for found, _ in dumped if found["index"] == index]
    counts = {found["handle"]: counted for found, counted in dumped if found["index"] == index}
    kinds = [found.get_attr("TCA_KIND") for found in qdiscs]
    if not any(kind == "htb" and found["handle"] == ROOT for kind, found in zip(kinds, qdiscs, strict=True)):
        return EMPTY, {}
    classes = {tc.read_handle(body) for body in netlink.dump(tc.RTM_GETTCLASS, request)}
    below = {(kind, found["parent"] >> 16 << 16): found for kind, found in zip(kinds, qdiscs, strict=True)}
    filters, stale, passing = _filters(netlink, node, index)
    sealed = any(kind == "blackhole" and tc.is_seal(found) for kind, found in zip(kinds, qdiscs, strict=True))
    branches, stats = {}, {}
    for kind, found in zip(kinds, qdiscs, strict=True):
        parent = found["parent"]
        if kind != "netem" or parent not in classes or parent >> 16 != ROOT >> 16:
            continue
        queue = below.get(("netem", found["handle"]))
        tbf = below.get(("tbf", queue["handle"])) if queue else None
        branch = Branch.of_stages(
            (parent & 0xFFFF) - 1,
            tc.read_netem(found),
            tc.read_netem(queue) if queue else None,
            tc.read_tbf(tbf) if tbf else None,
        )
        branches[branch.neighbour] = branch
        queued = counts[queue["handle"]] if queue else NOTHING
        stats[branch.neighbour] = Stats(*with_queue(counts[found["handle"]], queued))
    return Tree(True, branches, filters, stale, passing, sealed), stats


def _filters(netlink: Rtnetlink, node: NodePlan, index: int) -> tuple[dict[tuple[int, int], int], ...]:
    """``filters``, ``stale`` and ``passing`` of a Tree. The low bits of a filter's handle name its rank."""
    filters: dict[tuple[int, int], int] = {}
    stale: dict[tuple[int, int], int] = {}
    passing: dict[tuple[int, int], int] = {}
    for body in netlink.dump(tc.RTM_GETTFILTER, tc.dump_request(index, ROOT)):
        if (found := tc.read_filter(bytes(body))) is not None:
            handle, address, classid = found
            rank = (handle & 0xFFF) - 1
            neighbour = (classid & 0xFFFF) - 1
            if node.addressing.rank_of(address) != rank:
                stale[rank, address.version] = handle
            elif neighbour == PASS:
                passing[rank, address.version] = handle
            else:
                filters[rank, address.version] = neighbour
    return filters, stale, passing


def _status(node: NodePlan, desired: Tree, observed: Tree, stats: dict[int, Stats]) -> NodeStatus:
    """The kernel does not report the jitter's table: this takes it to be the one that was asked for."""
    branches = dict(observed.branches)
    for port in node.egress:
        if (branch := branches.get(port.neighbour)) is not None:
            netem = replace(branch.netem, distribution=port.edge.shape.distribution)
            branches[port.neighbour] = replace(branch, netem=netem)
    return node_status(node.egress, desired, replace(observed, branches=branches), stats)
