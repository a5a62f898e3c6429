"""Routes of the main table over rtnetlink (linux/rtnetlink.h).

A mesh of 64 nodes has 8,000 routes. pyroute2 takes 115 us to encode one, this 3 us (benchmarks/mesh.py).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from harness.netlink.nlattr import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, address_family, attr, attrs, text, word
from harness.netlink.rtnetlink import Request, Rtnetlink

_RTM_NEWROUTE, _RTM_DELROUTE, _RTM_GETROUTE = 24, 25, 26
_RTMSG: Final = struct.Struct("=8BI")
_DST, _OIF, _GATEWAY, _PRIORITY, _METRICS, _TABLE = 1, 4, 5, 6, 8, 15
_LOCK, _MTU, _HOP_LIMIT, _FEATURES, _CC_ALGO = 1, 2, 10, 12, 16
_FEATURE_ECN: Final = 1
_MAIN, _STATIC, _UNICAST, _UNREACHABLE = 254, 4, 1, 7
_SCOPE_UNIVERSE, _SCOPE_LINK = 0, 253


@dataclass(frozen=True)
class Route:
    """One route of the main table.

    Args:
        target: where it leads.
        via: the next hop; None: on the link.
        index: of the interface; None: the target is unreachable.
        congestion_control: of TCP connections to the target; "": the kernel's default.
        metric: the smaller wins; 0: the kernel's default.
        mtu: the largest packet, whatever MTU the interface gets; 0: the interface's.
        ecn: whether TCP asks for explicit congestion notification (RFC 3168).
        hop_limit: relays that a packet may cross, plus one; 0: the kernel's default, 64.
    """

    target: IPv4Network | IPv6Network
    via: IPv4Address | IPv6Address | None
    index: int | None
    congestion_control: str = ""
    metric: int = 0
    mtu: int = 0
    ecn: bool = False
    hop_limit: int = 0

    def add(self, *, replace: bool = False) -> Request:
        """The message that adds it; a route with the same target and metric is an error unless ``replace``."""
        return Request(_RTM_NEWROUTE, NLM_F_CREATE | (NLM_F_REPLACE if replace else NLM_F_EXCL), self._body())

    def remove(self) -> Request:
        """The message that removes it."""
        return Request(_RTM_DELROUTE, 0, self._body())

    def _body(self) -> bytes:
        family = address_family(self.target.version)
        scope = _SCOPE_LINK if self.via is None and self.index is not None else _SCOPE_UNIVERSE
        kind = _UNREACHABLE if self.index is None else _UNICAST
        body = _RTMSG.pack(family, self.target.prefixlen, 0, 0, _MAIN, _STATIC, scope, kind, 0)
        body += attr(_DST, self.target.network_address.packed)
        if self.index is not None:
            body += word(_OIF, self.index)
        if self.metric:
            body += word(_PRIORITY, self.metric)
        if metrics := self._metrics():
            body += attr(_METRICS, metrics)
        if self.via is not None:
            body += attr(_GATEWAY, self.via.packed)
        return body

    def _metrics(self) -> bytes:
        metrics = text(_CC_ALGO, self.congestion_control) if self.congestion_control else b""
        if self.mtu:
            metrics += word(_MTU, self.mtu)
        if self.mtu and self.target.version == 6:  # else a change of the interface's MTU changes the route's
            metrics += word(_LOCK, 1 << _MTU)
        if self.hop_limit:
            metrics += word(_HOP_LIMIT, self.hop_limit)
        if self.ecn:
            metrics += word(_FEATURES, _FEATURE_ECN)
        return metrics


def main_table(netlink: Rtnetlink, version: int) -> Iterator[Route]:
    """The unicast routes of the main table, without congestion control, MTU, ECN and hop limit."""
    for body in netlink.dump(_RTM_GETROUTE, _RTMSG.pack(address_family(version), 0, 0, 0, 0, 0, 0, 0, 0)):
        _, length, _, _, table, _, _, kind, _ = _RTMSG.unpack_from(body)
        found = attrs(body[_RTMSG.size :])
        if kind != _UNICAST or _number(found.get(_TABLE), table) != _MAIN:
            continue
        wildcard = "0.0.0.0" if version == 4 else "::"
        target = ip_network((bytes(found[_DST]) if _DST in found else ip_address(wildcard).packed, length))
        via = ip_address(bytes(found[_GATEWAY])) if _GATEWAY in found else None
        yield Route(target, via, _number(found.get(_OIF), 0) or None, "", _number(found.get(_PRIORITY), 0))


def default_gateways(netlink: Rtnetlink, version: int, index: int) -> Iterator[IPv4Address | IPv6Address]:
    """The next hops of the default routes through an interface."""
    for route in main_table(netlink, version):
        if route.via is not None and route.index == index and not route.target.prefixlen:
            yield route.via


def _number(value: memoryview | None, default: int) -> int:
    return default if value is None else struct.unpack("=I", value)[0]
