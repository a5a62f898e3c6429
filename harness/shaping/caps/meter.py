"""Reads what capacities' htb trees have counted, ten times a second; see shaping/meter.py."""

from __future__ import annotations

from harness.netlink.rtnetlink import Rtnetlink
from harness.shaping.caps import messages as tc
from harness.shaping.caps.tree import ROOT, TOTAL
from harness.shaping.meter import Counts
from harness.shaping.netem_meter import read_counts
from harness.shaping.qdisc import PASSING_BYTE_S


def read_trees(netlink: Rtnetlink) -> dict[int, Counts]:
    """The counters of every capacity in the namespace of this socket, by index of the interface that has its tree.

    What was dropped and what waits is that of the whole tree; sent are frames as they are, whatever overhead a rate
    counts. Raises OSError.
    """
    roots: dict[int, tuple[int, Counts]] = {}
    for body in netlink.dump(tc.RTM_GETQDISC, tc.dump_request(0)):
        index, handle, _, _ = tc.header(body)
        if handle == ROOT and tc.kind_and_options(body)[0] == "htb":
            roots[index] = tc.read_shortening(body), read_counts(body)
    found = {}
    for index, (shortening, (_, _, dropped, backlog, queued)) in roots.items():
        if passed := read_passed(netlink, index, TOTAL):
            packets, size = passed
            found[index] = packets, size + packets * shortening, dropped, backlog, queued
    return found


def read_passed(netlink: Rtnetlink, index: int, number: int) -> tuple[int, int] | None:
    """Packets and bytes that passed a class of an interface; None where it is not there, or never limits."""
    for body in netlink.dump(tc.RTM_GETTCLASS, tc.dump_request(index)):
        if tc.header(body)[1] == ROOT | number:
            limits = tc.read_class(tc.kind_and_options(body)[1], leaf=False).rate != PASSING_BYTE_S
            return read_counts(body)[:2] if limits else None
    return None
