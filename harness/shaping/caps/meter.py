"""Reads what capacities' htb trees have counted, ten times a second; see shaping/meter.py."""

from __future__ import annotations

from harness.netlink.rtnetlink import Rtnetlink
from harness.shaping.caps import messages as tc
from harness.shaping.caps.tree import ROOT, TOTAL
from harness.shaping.meter import Counts
from harness.shaping.netem_meter import read_counts


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
        for body in netlink.dump(tc.RTM_GETTCLASS, tc.dump_request(index)):
            if tc.header(body)[1] == ROOT | TOTAL:
                packets, size = read_counts(body)[:2]
                found[index] = packets, size + packets * shortening, dropped, backlog, queued
    return found
