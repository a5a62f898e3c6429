"""Netlink messages of qdiscs and of htb's classes as bytes, and back (linux/pkt_sched.h).

Without pyroute2, whose message classes take 0.05 s: every ``harness link set`` in user space would pay that.
"""

from __future__ import annotations

import struct
from typing import Final

from harness.model.address import FRAME
from harness.netlink.nlattr import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, attr, attrs, string, text
from harness.netlink.rtnetlink import Request
from harness.shaping.caps.tree import REST
from harness.shaping.htb_class import HtbClass
from harness.shaping.qdisc import ROOT

RTM_NEWQDISC: Final = 36
RTM_DELQDISC: Final = 37
RTM_GETQDISC: Final = 38
RTM_NEWTCLASS: Final = 40
RTM_GETTCLASS: Final = 42
RTM_NEWTFILTER: Final = 44
RTM_DELTFILTER: Final = 45
RTM_GETTFILTER: Final = 46
INGRESS: Final = 0xFFFF_0000
"""Handle of an ingress qdisc."""

_TCMSG: Final = struct.Struct("=BxxxiIII")
_KIND, _OPTIONS, _STAB = 1, 2, 8
_TC_H_ROOT, _TC_H_INGRESS = 0xFFFFFFFF, 0xFFFFFFF1
_HTB_PARMS, _HTB_INIT, _HTB_RATE64, _HTB_CEIL64 = 1, 2, 6, 7
_U32_MAX: Final = 0xFFFFFFFF
_RATE: Final = struct.Struct("=BBHhHI")
"""struct tc_ratespec: cell_log, linklayer, overhead, cell_align, mpu, rate."""
_ETHERNET: Final = 1
"""Link layer of a rate: with it the kernel needs no rate table."""
_SIZE: Final = struct.Struct("=BBhiIIII")
"""struct tc_sizespec: cell_log, size_log, cell_align, overhead, linklayer, mpu, mtu, tsize."""


def dump_request(index: int, parent: int = 0) -> bytes:
    """The body of a dump request for one interface."""
    return _TCMSG.pack(0, index, 0, parent, 0)


def about(index: int, handle: int) -> bytes:
    """The body of a request for one qdisc or class of an interface."""
    return _TCMSG.pack(0, index, handle, 0, 0)


def header(body: memoryview) -> tuple[int, int, int, int]:
    """Interface, handle, parent and info of a message of a dump."""
    _, index, handle, parent, info = _TCMSG.unpack_from(body)
    return index, handle, parent, info


def kind_and_options(body: memoryview) -> tuple[str, memoryview]:
    """Kind and options in a message of a dump."""
    found = attrs(body[_TCMSG.size :])
    return string(found, _KIND), memoryview(found.get(_OPTIONS, b""))


def raw_request(
    kind: int, flags: int, index: int, handle: int, parent: int, tc: str, options: bytes = b"", info: int = 0
) -> Request:
    """A message about a qdisc, class or filter; ``options`` are whole attributes."""
    return Request(kind, flags, _TCMSG.pack(0, index, handle, parent, info) + text(_KIND, tc) + options)


def new_root(index: int, default: int = REST) -> Request:
    """Adds the root; packets that no filter matches go to the class ``default``, or pass while that is missing."""
    made = attr(_OPTIONS, attr(_HTB_INIT, struct.pack("=5I", 3, 10, default, 0, 0)))
    return raw_request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, index, ROOT, _TC_H_ROOT, "htb", made)


def set_shortening(index: int, shortening: int) -> Request:
    """Makes every frame below an existing root count ``shortening`` bytes less."""
    stab = attr(_STAB, attr(1, _SIZE.pack(0, 0, 0, -shortening, 0, 0, 0, 0))) if shortening else b""
    return raw_request(RTM_NEWQDISC, 0, index, ROOT, _TC_H_ROOT, "htb", stab)


def read_shortening(body: memoryview) -> int:
    """The shortening in a root's message of a dump."""
    stab = attrs(attrs(body[_TCMSG.size :]).get(_STAB, b"")).get(1)
    return -_SIZE.unpack_from(stab)[3] if stab else 0


def set_class(index: int, number: int, parent: int, spec: HtbClass) -> Request:
    """Adds or changes a class below the root or another class."""
    rate, ceil = (
        _RATE.pack(0, _ETHERNET, spec.overhead, 0, 0, min(value, _U32_MAX)) for value in (spec.rate, spec.ceil)
    )
    quantum = spec.quantum or FRAME  # with 0 the kernel warns about the one that it chooses
    made = attr(_HTB_PARMS, rate + ceil + struct.pack("=5I", spec.bucket, spec.ceil_bucket, quantum, 0, 0))
    if max(spec.rate, spec.ceil) > _U32_MAX:
        made += attr(_HTB_RATE64, struct.pack("=Q", spec.rate)) + attr(_HTB_CEIL64, struct.pack("=Q", spec.ceil))
    return raw_request(RTM_NEWTCLASS, NLM_F_CREATE, index, ROOT | number, parent, "htb", attr(_OPTIONS, made))


def read_class(options: memoryview, *, leaf: bool) -> HtbClass:
    """The class in a message's options; without ``leaf`` its quantum is 0, because the kernel does not use it."""
    found = attrs(options)
    parms = found[_HTB_PARMS]
    rate, ceil = _RATE.unpack_from(parms), _RATE.unpack_from(parms, _RATE.size)
    bucket, ceil_bucket, quantum, _, _ = struct.unpack_from("=5I", parms, 2 * _RATE.size)
    wide = [struct.unpack("=Q", found[name])[0] if name in found else 0 for name in (_HTB_RATE64, _HTB_CEIL64)]
    return HtbClass(wide[0] or rate[5], wide[1] or ceil[5], bucket, ceil_bucket, quantum * leaf, rate[2])


def set_leaf(index: int, number: int, kind: str, options: bytes) -> Request:
    """Adds, changes or replaces a class's qdisc; the kernel chooses the handle, because a new kind needs a new one."""
    flags = NLM_F_CREATE | NLM_F_REPLACE
    return raw_request(RTM_NEWQDISC, flags, index, 0, ROOT | number, kind, attr(_OPTIONS, options))


def set_root(index: int, kind: str, options: bytes) -> Request:
    """Puts another qdisc in place of the root."""
    return raw_request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, index, 0, _TC_H_ROOT, kind, attr(_OPTIONS, options))


def drop_root(index: int) -> Request:
    """Removes the root, whatever it is."""
    return Request(RTM_DELQDISC, 0, _TCMSG.pack(0, index, 0, _TC_H_ROOT, 0))


def drop_ingress(index: int) -> Request:
    """Removes the ingress qdisc."""
    return Request(RTM_DELQDISC, 0, _TCMSG.pack(0, index, INGRESS, _TC_H_INGRESS, 0))


def new_ingress(index: int) -> Request:
    """Adds the qdisc for incoming packets."""
    return raw_request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, index, INGRESS, _TC_H_INGRESS, "ingress")
