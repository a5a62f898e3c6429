"""Addresses of the nodes: rank r is the (r + 1)-th host of the subnet, IPv4 and IPv6 alike."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Self

from harness.errors import PlanError

MAX_NODES = 4094
"""The most nodes of a network: a u32 filter's node id has 12 bits, of which 0 and the last stay free."""


DEFAULT_IPV4 = IPv4Network("10.77.0.0/16")
DEFAULT_IPV6 = IPv6Network("fd77::/64")


@dataclass(frozen=True)
class Addressing:
    """The two subnets of a network."""

    ipv4_net: IPv4Network = DEFAULT_IPV4
    ipv6_net: IPv6Network = DEFAULT_IPV6

    @classmethod
    def parse(cls, ipv4: str | None = None, ipv6: str | None = None) -> Self:
        """Read subnets in CIDR notation. Raises PlanError."""
        try:
            made = cls(IPv4Network(ipv4 or DEFAULT_IPV4), IPv6Network(ipv6 or DEFAULT_IPV6))
        except ValueError as error:
            raise PlanError(f"subnet: {error}; write e.g. 10.77.0.0/16 or fd77::/64") from None
        for net in (made.ipv4_net, made.ipv6_net):
            if net.is_loopback or net.is_multicast or net.is_link_local or net.is_unspecified:
                raise PlanError(f"subnet: {net} is no network for hosts; write e.g. 10.77.0.0/16 or fd77::/64")
        return made

    def require(self, nodes: int) -> None:
        """Raise PlanError where that many nodes do not fit."""
        room = min(self.ipv4_net.num_addresses - 2, self.ipv6_net.num_addresses - 2, MAX_NODES)
        if nodes > room:
            raise PlanError(
                f"{nodes} nodes do not fit: {self.ipv4_net} and {self.ipv6_net} have room for {max(room, 0)}"
                + ("; give a larger --subnet" if room < MAX_NODES else " (the most this tool makes)")
            )

    def ipv4(self, rank: int) -> IPv4Address:
        """The node's IPv4 address."""
        return self.ipv4_net[rank + 1]

    def ipv6(self, rank: int) -> IPv6Address:
        """The node's IPv6 address."""
        return self.ipv6_net[rank + 1]
