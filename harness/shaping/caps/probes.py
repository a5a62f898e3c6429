"""Probes for shared capacities and queue disciplines, on the current namespace's loopback; see kernel_probes."""

from __future__ import annotations

from ipaddress import IPv4Network

from harness.model.queueing import Discipline, Queue
from harness.netlink.links import remove_link
from harness.netlink.rtnetlink import Rtnetlink
from harness.shaping import u32
from harness.shaping.caps import messages as tc
from harness.shaping.caps.htb import send
from harness.shaping.caps.ifb import make_ifb
from harness.shaping.caps.messages import INGRESS
from harness.shaping.leaf import Leaf, leaf_options
from harness.shaping.qdisc import ROOT

_LOOPBACK = 1
_DEVICE = "probe-ifb"
_SOURCE = IPv4Network("127.0.0.2")
_RATE = 10**6


def ifb() -> str:
    """An ifb device."""
    with Rtnetlink() as netlink:
        make_ifb(netlink, _DEVICE)
    return ""


def mirred() -> str:
    """A filter that redirects incoming packets."""
    return _redirect(1)


def skbedit() -> str:
    """The same, which also names a class."""
    return _redirect(2)


def _redirect(number: int) -> str:
    """Add a filter with this number; from 2 on it also names a class."""
    with Rtnetlink() as netlink:
        netlink.batch([tc.new_ingress(_LOOPBACK)])  # refused where an earlier probe has made it
        redirect = u32.by_prefix("src", _SOURCE, ROOT | 1 if number > 1 else 0, _LOOPBACK)
        send(netlink, [u32.set_filter(_LOOPBACK, INGRESS, number, 1, redirect)])
    return ""


def discipline(kind: Discipline) -> str:
    """A queue discipline with its own defaults."""
    with Rtnetlink() as netlink:
        send(netlink, [tc.set_root(_LOOPBACK, *leaf_options(Leaf(Queue.of(kind), 10**6), _RATE))])
    return ""


def clean() -> None:
    """Remove what the probes have left."""
    with Rtnetlink() as netlink:
        netlink.batch([tc.drop_root(_LOOPBACK), tc.drop_ingress(_LOOPBACK), remove_link(_DEVICE)])
