"""The netlink messages that carry out the changes of a qdisc tree, and the errors for refused ones."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from harness.errors import NodeError
from harness.model.node_plan import NodePlan
from harness.netlink.nlattr import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE
from harness.netlink.rtnetlink import Refusal, Request
from harness.shaping import tc_messages as tc
from harness.shaping.caps.messages import set_class
from harness.shaping.qdisc import ROOT, UNLIMITED, UPLINK, Branch, Netem
from harness.shaping.qdisc_diff import (
    Action,
    AddBranch,
    AddFilter,
    AddRoot,
    AddTbf,
    BranchAction,
    Change,
    DropFilter,
    MoveFilter,
    Seal,
    SetClass,
    SetLeaf,
    SetUplink,
)
from harness.shaping.shape_branch import shape_of
from harness.shaping.tc_plugin import TcOptions
from harness.shaping.u32 import drop_filter

Address = IPv4Address | IPv6Address
_NEW: Final = NLM_F_CREATE | NLM_F_EXCL
_REMEDY: Final = {
    errno.ENOENT: "this kernel lacks that qdisc or filter: run 'harness doctor'",
    errno.EPERM: "needs CAP_NET_ADMIN in the node's network namespace",
    errno.EINVAL: "this kernel does not support that combination (run 'harness doctor')",
}


def requests_of(node: NodePlan, index: int, gateways: Sequence[Address], action: Action) -> Iterator[Request]:
    """The messages that carry out an action on the interface ``index``.

    Args:
        node: whose tree it is.
        index: of its interface.
        gateways: see tc_messages.seal.
        action: what to do.
    """
    match action:
        case AddRoot():
            yield from tc.new_root(index)
        case SetUplink(uplink):
            yield set_class(index, UPLINK, ROOT, uplink)
        case AddBranch() | AddTbf() | SetClass() | SetLeaf() | Change():
            yield from _branch_requests(node, index, action)
        case DropFilter(version, handle):
            yield drop_filter(index, ROOT, tc.PRIORITY[version], handle, version)
        case AddFilter(prefix, neighbour):
            yield tc.new_filter(index, prefix, Branch(neighbour, Netem()).classid)
        case MoveFilter(prefix, neighbour, handle):
            yield tc.new_filter(index, prefix, Branch(neighbour, Netem()).classid, handle, 0)
        case Seal():
            yield from tc.seal(index, (node.addressing.ipv4_net, node.addressing.ipv6_net), gateways)


def _branch_requests(node: NodePlan, index: int, action: BranchAction) -> Iterator[Request]:
    branch = action.branch

    def qdisc(flags: int, handle: int, parent: int, kind: str, options: TcOptions) -> Request:
        return tc.request(tc.RTM_NEWQDISC, flags, index, handle, parent, kind, options)

    def htb() -> Iterator[Request]:
        if branch.htb is not None:
            yield set_class(index, branch.classid & 0xFFFF, ROOT | UPLINK, branch.htb)

    def netems(flags: int, *, fresh: bool) -> Iterator[Request]:
        line, queue = branch.stages
        yield qdisc(flags, branch.netem_handle, branch.classid, "netem", tc.netem(line, fresh=fresh))
        yield qdisc(flags, branch.queue_handle, branch.netem_handle | 1, "netem", tc.netem(queue, fresh=True))

    def tbf(flags: int) -> Iterator[Request]:
        if branch.tbf is not None:
            yield qdisc(flags, branch.tbf_handle, branch.queue_handle | 1, "tbf", tc.tbf(branch.tbf))

    def leaf(flags: int) -> Iterator[Request]:
        if branch.leaf is not None:
            yield tc.set_leaf(index, branch, leaving_rate(node, branch), flags)

    match action:
        case AddBranch():
            yield from (*htb(), *netems(_NEW, fresh=True), *tbf(_NEW), *leaf(_NEW | NLM_F_REPLACE))
        case AddTbf():
            yield from tbf(NLM_F_CREATE | NLM_F_REPLACE)
        case SetClass():
            yield from htb()
        case SetLeaf(_, fresh):
            yield from leaf(NLM_F_CREATE | NLM_F_REPLACE if fresh else 0)
        case Change():
            yield from (*netems(0, fresh=False), *tbf(0))


def leaving_rate(node: NodePlan, branch: Branch) -> int:
    """The rate in byte/s at which packets leave the last qdisc of a branch."""
    if branch.tbf is not None and not branch.tbf.passes:
        return branch.tbf.rate_byte_s
    uplink = node.shape.uplink
    return uplink.rate.byte_s if uplink else UNLIMITED.byte_s


def refusal_error(node: NodePlan, actions: Sequence[Action], refusals: Sequence[Refusal]) -> NodeError:
    """The first refusal as an error that names node, edge, action and cause."""
    refusal = refusals[0]
    match actions[refusal.index]:
        case AddRoot():
            what = "add the htb root"
        case SetUplink():
            what = f"limit its uplink ({node.shape.uplink.describe() if node.shape.uplink else 'none'})"
        case AddBranch(branch) | AddTbf(branch):
            what = f"shape edge {node.rank}->{branch.neighbour} ({shape_of(branch, node.mtu).describe()})"
        case Change(branch) | SetClass(branch) | SetLeaf(branch):
            what = f"reshape edge {node.rank}->{branch.neighbour} ({shape_of(branch, node.mtu).describe()})"
        case DropFilter(version):
            what = f"remove a filter for old IPv{version} addresses"
        case Seal():
            what = "drop what crosses no link"
        case AddFilter(prefix, neighbour) | MoveFilter(prefix, neighbour, _):
            what = f"send packets for {prefix} through edge {node.rank}->{neighbour}"
    return NodeError(node.rank, what, refusal.text, _REMEDY.get(refusal.errno, ""))
