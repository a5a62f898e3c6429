"""Reads the counters of capacities' htb trees ten times a second; see shaping/meter.py.

It asks only for a tree's root and its TOTAL class: for a node with many neighbours, a dump of all classes and leaves
would cost more than the rest of the sampling.
"""

from __future__ import annotations

from harness.netlink.rtnetlink import Rtnetlink
from harness.shaping.caps import messages as tc
from harness.shaping.caps.tree import TOTAL
from harness.shaping.counts import Counts, read_counts
from harness.shaping.qdisc import PASSING_BYTE_S, ROOT


def read_tree(netlink: Rtnetlink, index: int) -> Counts | None:
    """The counters of a capacity's tree on an interface; None where there is none, or it never limits.

    Bytes sent are those of the frames, without the overhead that the rate counts. Raises OSError.
    """
    passed = read_passed(netlink, index, TOTAL)
    root = netlink.ask(tc.RTM_GETQDISC, tc.about(index, ROOT)) if passed else None
    if passed is None or root is None:
        return None
    packets, size = passed
    _, _, dropped, backlog, queued = read_counts(root)
    return packets, size + packets * tc.read_shortening(root), dropped, backlog, queued


def read_passed(netlink: Rtnetlink, index: int, number: int) -> tuple[int, int] | None:
    """Packets and bytes that a class has sent; None where there is no such class, or it never limits."""
    body = netlink.ask(tc.RTM_GETTCLASS, tc.about(index, ROOT | number))
    if body is None or tc.read_class(tc.kind_and_options(body)[1], leaf=False).rate == PASSING_BYTE_S:
        return None
    return read_counts(body)[:2]
