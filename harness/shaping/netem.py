"""The kernel's own links: htb, netem and tbf, written and read over rtnetlink in batches."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from harness.errors import NodeError
from harness.model.plan import NodePlan, Pair, PlannedEdge
from harness.model.status import NodeStatus, Stats
from harness.netlink.nlattr import NLM_F_CREATE, NLM_F_EXCL
from harness.netlink.rtnetlink import Refusal, Request, Rtnetlink
from harness.shaping import tcwire
from harness.shaping.qdisc import EMPTY, ROOT, Branch, Netem, Tbf, Tree, shape_of, tree_of
from harness.shaping.qdisc_diff import Action, AddBranch, AddFilter, AddRoot, AddTbf, Change, DropFilter, diff
from harness.shaping.readback import reading
from harness.shaping.segments import cut_segments, interface_index

_NEW: Final = NLM_F_CREATE | NLM_F_EXCL
_REMEDY: Final = {
    errno.ENOENT: "this kernel lacks that qdisc or filter: run 'harness doctor'",
    errno.EPERM: "needs CAP_NET_ADMIN in the node's network namespace",
    errno.EINVAL: "this kernel does not support that combination (run 'harness doctor')",
}


class NetemEngine:
    """Makes links with the kernel's qdiscs in the current network namespace."""

    name = "netem"
    daemon_module: str | None = None
    kernel_stamps = True
    cuts_super_packets = False

    def enforced_at(self, edge: Pair) -> int:
        """See Engine.enforced_at: the sender."""
        return edge[0]

    def precision_warnings(self, edges: Iterable[PlannedEdge]) -> list[str]:
        """See Engine.precision_warnings: what the machine cannot carry is found by verify."""
        return []

    def apply(self, node: NodePlan, touched: Collection[int] = ()) -> NodeStatus:
        """See Engine.apply."""
        desired = _desired(node)
        with Rtnetlink() as netlink:
            index = interface_index(node)
            observed, _ = _read(netlink, node, index)
            actions = diff(desired, observed, touched)
            cut_segments(netlink, node, index)
            branches = [action for action in actions if not isinstance(action, AddFilter | DropFilter)]
            try:
                _perform(netlink, node, index, branches)
            except NodeError:
                _undo(netlink, index, branches)
                raise
            _perform(netlink, node, index, [action for action in actions if isinstance(action, AddFilter | DropFilter)])
            return _reading(node, desired, *_read(netlink, node, index))

    def observe(self, node: NodePlan) -> NodeStatus:
        """See Engine.observe."""
        with Rtnetlink() as netlink:
            return _reading(node, _desired(node), *_read(netlink, node, interface_index(node)))


def _desired(node: NodePlan) -> Tree:
    return tree_of(node.egress, node.seed, node.addressing.versions)


def _perform(netlink: Rtnetlink, node: NodePlan, index: int, actions: Sequence[Action]) -> None:
    """Carry out actions in one batch. Raises NodeError."""
    steps = [(action, request) for action in actions for request in _requests(node, index, action)]
    refusals = netlink.batch([request for _, request in steps])
    if refusals:
        raise _error(node, [action for action, _ in steps], refusals)


def _undo(netlink: Rtnetlink, index: int, actions: Sequence[Action]) -> None:
    """Remove branches that were being added when one was refused: no filter sends anything into them yet."""
    classes = [action.branch.classid for action in actions if isinstance(action, AddBranch)]
    netlink.batch([Request(tcwire.RTM_DELTCLASS, 0, tcwire.tcmsg(index, c, ROOT, 0, "htb", None)) for c in classes])


def _requests(node: NodePlan, index: int, action: Action) -> Iterator[Request]:
    """The netlink messages that carry out an action."""

    def qdisc(flags: int, handle: int, parent: int, kind: str, options: bytes) -> Request:
        return Request(tcwire.RTM_NEWQDISC, flags, tcwire.tcmsg(index, handle, parent, 0, kind, options))

    def tbf(flags: int, branch: Branch, spec: Tbf) -> Request:
        return qdisc(flags, branch.tbf_handle, branch.netem_handle | 1, "tbf", tcwire.tbf(spec))

    match action:
        case AddRoot():
            yield qdisc(_NEW, ROOT, tcwire.TC_H_ROOT, "htb", tcwire.htb_root())
            for number, (info, options) in enumerate(tcwire.discovery_filters(), 1):
                body = tcwire.tcmsg(index, number, ROOT, info, "u32", options)
                yield Request(tcwire.RTM_NEWTFILTER, _NEW, body)
        case AddBranch(branch):
            options = tcwire.htb_class(branch.rate_byte_s)
            body = tcwire.tcmsg(index, branch.classid, ROOT, 0, "htb", options)
            yield Request(tcwire.RTM_NEWTCLASS, NLM_F_CREATE, body)  # may be there, from an attempt that failed
            yield qdisc(_NEW, branch.netem_handle, branch.classid, "netem", tcwire.netem(branch.netem, fresh=True))
            if branch.tbf:
                yield tbf(_NEW, branch, branch.tbf)
        case AddTbf(branch):
            if branch.tbf:
                yield tbf(_NEW, branch, branch.tbf)
        case Change(branch):
            options = tcwire.htb_class(branch.rate_byte_s)
            yield Request(tcwire.RTM_NEWTCLASS, 0, tcwire.tcmsg(index, branch.classid, ROOT, 0, "htb", options))
            yield qdisc(0, branch.netem_handle, branch.classid, "netem", tcwire.netem(branch.netem, fresh=False))
            if branch.tbf:
                yield tbf(0, branch, branch.tbf)
        case DropFilter(_, version, handle):
            body = tcwire.tcmsg(index, handle, ROOT, tcwire.filter_info(version), "u32", None)
            yield Request(tcwire.RTM_DELTFILTER, 0, body)
        case AddFilter(destination, version, neighbour):
            address = node.addressing.address(destination, version)
            options = tcwire.u32_filter(address, Branch(neighbour, Netem()).classid)
            info = tcwire.filter_info(version)
            body = tcwire.tcmsg(index, destination + 1, ROOT, info, "u32", options)
            yield Request(tcwire.RTM_NEWTFILTER, _NEW, body)


def _error(node: NodePlan, actions: Sequence[Action], refusals: Sequence[Refusal]) -> NodeError:
    """The first refusal, in words."""
    refusal = refusals[0]
    match actions[refusal.index]:
        case AddRoot():
            what = "add the htb root"
        case AddBranch(branch) | AddTbf(branch):
            what = f"shape edge {node.rank}->{branch.neighbour} ({shape_of(branch).describe()})"
        case Change(branch):
            what = f"reshape edge {node.rank}->{branch.neighbour} ({shape_of(branch).describe()})"
        case DropFilter(destination, version):
            what = f"forget the old IPv{version} address of node {destination}"
        case AddFilter(destination, version, neighbour):
            what = f"send IPv{version} for node {destination} through edge {node.rank}->{neighbour}"
    return NodeError(node.rank, what, refusal.text, _REMEDY.get(refusal.errno, ""))


def _read(netlink: Rtnetlink, node: NodePlan, index: int) -> tuple[Tree, dict[int, Stats]]:
    """The tree that the kernel holds, and the counters of every branch."""
    request = tcwire.dump_request(index)
    qdiscs = [o for b in netlink.dump(tcwire.RTM_GETQDISC, request) if (o := tcwire.read(b)).ifindex == index]
    if not any(o.kind == "htb" and o.handle == ROOT for o in qdiscs):
        return EMPTY, {}
    classes = {tcwire.read(body).handle for body in netlink.dump(tcwire.RTM_GETTCLASS, request)}
    tbfs = {o.parent >> 16 << 16: tcwire.read_tbf(o.options) for o in qdiscs if o.kind == "tbf"}
    branches, stats = {}, {}
    for found in qdiscs:
        if found.kind != "netem" or found.parent not in classes or found.parent >> 16 != ROOT >> 16:
            continue
        branch = Branch((found.parent & 0xFFFF) - 1, tcwire.read_netem(found.options), tbfs.get(found.handle))
        branches[branch.neighbour] = branch
        stats[branch.neighbour] = found.stats
    return Tree(True, branches, *_filters(netlink, node, index)), stats


def _filters(
    netlink: Rtnetlink, node: NodePlan, index: int
) -> tuple[dict[tuple[int, int], int], dict[tuple[int, int], int]]:
    """Filters and stale ones of a Tree. A filter's place, of a rank, is in the low bits of its handle."""
    found: dict[tuple[int, int], int] = {}
    stale: dict[tuple[int, int], int] = {}
    for body in netlink.dump(tcwire.RTM_GETTFILTER, tcwire.dump_request(index, ROOT)):
        held = tcwire.read(body)
        rule = tcwire.read_u32(held.options)
        if rule is not None:
            address, classid = rule
            rank = (held.handle & 0xFFF) - 1
            if node.addressing.rank_of(address) == rank:
                found[rank, address.version] = (classid & 0xFFFF) - 1
            else:
                stale[rank, address.version] = held.handle
    return found, stale


def _reading(node: NodePlan, desired: Tree, observed: Tree, stats: dict[int, Stats]) -> NodeStatus:
    """The kernel does not tell the jitter's table: it is taken to be the one that was asked for."""
    branches = dict(observed.branches)
    for port in node.egress:
        if (held := branches.get(port.neighbour)) is not None:
            netem = replace(held.netem, distribution=port.edge.shape.distribution)
            branches[port.neighbour] = replace(held, netem=netem)
    return reading(node.egress, desired, replace(observed, branches=branches), stats)
