"""Reads what capacities' htb trees have counted, ten times a second; see shaping/meter.py.

It asks for a tree's one class and its root: a dump of all classes and leaves of a node with many neighbours would cost
more than all that is sampled there otherwise.
"""

from __future__ import annotations

from harness.netlink.rtnetlink import Rtnetlink
from harness.shaping.caps import messages as tc
from harness.shaping.caps.tree import TOTAL
from harness.shaping.meter import Counts
from harness.shaping.netem_meter import read_counts
from harness.shaping.qdisc import PASSING_BYTE_S, ROOT


def read_tree(netlink: Rtnetlink, index: int) -> Counts | None:
    """What a capacity's tree on an interface has counted; None where there is none, or it never limits.

    What was dropped and what waits is that of the whole tree; sent are frames as they are, whatever overhead a rate
    counts. Raises OSError.
    """
    passed = read_passed(netlink, index, TOTAL)
    root = netlink.ask(tc.RTM_GETQDISC, tc.about(index, ROOT)) if passed else None
    if passed is None or root is None:
        return None
    packets, size = passed
    _, _, dropped, backlog, queued = read_counts(root)
    return packets, size + packets * tc.read_shortening(root), dropped, backlog, queued


def read_passed(netlink: Rtnetlink, index: int, number: int) -> tuple[int, int] | None:
    """Packets and bytes that passed a class of an interface; None where it is not there, or never limits."""
    body = netlink.ask(tc.RTM_GETTCLASS, tc.about(index, ROOT | number))
    if body is None or tc.read_class(tc.kind_and_options(body)[1], leaf=False).rate == PASSING_BYTE_S:
        return None
    return read_counts(body)[:2]
