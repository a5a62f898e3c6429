"""Addresses of the nodes: rank r is the (r + 1)-th host of the subnet, unless Docker assigned the addresses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final, Self

from harness.errors import PlanError
from harness.model.prefixes import cover

INTERFACE: Final = "eth0"
"""The one interface of every node."""
MAX_NODES: Final = 4094
"""The most nodes of a network: a u32 filter's node id has 12 bits, and the first and last value are reserved."""


def node_name(rank: int) -> str:
    """The host name of a node: ``node-0``."""
    return f"node-{rank}"


DEFAULT_IPV4 = IPv4Network("10.77.0.0/16")
DEFAULT_IPV6 = IPv6Network("fd77::/64")

_NO_HOSTS: Final = tuple(
    ip_network(text)
    for text in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/127", "fe80::/10", "ff00::/8")
)
"""Unspecified, loopback, link-local, multicast and reserved addresses: a node's interface cannot have them."""


@dataclass(frozen=True)
class Addressing:
    """The two subnets of a network, and the nodes' addresses in them.

    Args:
        ipv4_net, ipv6_net: the subnets.
        given4: addresses by rank, where Docker assigned them.
        given6: the same; where only given4 is set, the network has no IPv6.
    """

    ipv4_net: IPv4Network = DEFAULT_IPV4
    ipv6_net: IPv6Network = DEFAULT_IPV6
    given4: tuple[IPv4Address, ...] = ()
    given6: tuple[IPv6Address, ...] = ()

    @classmethod
    def parse(cls, ipv4: str | None = None, ipv6: str | None = None) -> Self:
        """Read subnets in CIDR notation. Raises PlanError."""
        try:
            made = cls(IPv4Network(ipv4 or DEFAULT_IPV4), IPv6Network(ipv6 or DEFAULT_IPV6))
        except ValueError as error:
            raise PlanError(f"subnet: {error}; write e.g. 10.77.0.0/16 or fd77::/64") from None
        for net in (made.ipv4_net, made.ipv6_net):
            if any(net.overlaps(other) for other in _NO_HOSTS if net.version == other.version):
                raise PlanError(f"subnet: {net} is not a network for hosts; write e.g. 10.77.0.0/16 or fd77::/64")
        return made

    @classmethod
    def with_addresses(cls, ipv4: str, ipv6: str, addresses: Iterable[tuple[str, str | None]]) -> Self:
        """The subnets, and each rank's IPv4 and IPv6 address (None: no IPv6), which need not be those of its rank."""
        own = cls(IPv4Network(ipv4), IPv6Network(ipv6))
        pairs = list(addresses)
        given4 = tuple(IPv4Address(first) for first, _ in pairs)
        given6 = tuple(IPv6Address(second) for _, second in pairs if second)
        ranks = range(len(pairs))
        if (given4, given6) == (tuple(map(own.ipv4, ranks)), tuple(map(own.ipv6, ranks))):
            return own
        return replace(own, given4=given4, given6=given6)

    def require(self, nodes: int, others: int = 0) -> None:
        """Raise PlanError where the subnets have no room for so many nodes and others (a gateway)."""
        nets: tuple[IPv4Network | IPv6Network, ...] = (self.ipv4_net, self.ipv6_net)
        smaller = min(nets, key=lambda net: net.num_addresses)
        room = min(smaller.num_addresses - 2 - others, MAX_NODES)
        if nodes > room:
            raise PlanError(
                f"{nodes} nodes do not fit: {smaller} has room for {max(room, 0)}"
                + ("; give a larger --subnet" if room < MAX_NODES else " (the most this tool makes)")
            )

    @property
    def versions(self) -> tuple[int, ...]:
        """The versions of IP that nodes have addresses of."""
        return (4,) if self.given4 and not self.given6 else (4, 6)

    def ipv4(self, rank: int) -> IPv4Address:
        """The node's IPv4 address."""
        return self.given4[rank] if self.given4 else self.ipv4_net[rank + 1]

    def ipv6(self, rank: int) -> IPv6Address:
        """The node's IPv6 address. Raises PlanError where there is no IPv6."""
        if self.given6:
            return self.given6[rank]
        if self.given4:
            raise PlanError("this network has no IPv6")
        return self.ipv6_net[rank + 1]

    def address(self, rank: int, version: int) -> IPv4Address | IPv6Address:
        """The node's address of that version of IP. Raises PlanError."""
        return self.ipv4(rank) if version == 4 else self.ipv6(rank)

    def mac(self, rank: int) -> bytes:
        """The MAC address that a backend assigns to a node's interface: 02:42 and the IPv4 address, as Docker does."""
        return b"\x02\x42" + self.ipv4(rank).packed

    def link_local(self, rank: int) -> IPv6Address:
        """The link-local address that the kernel derives from that MAC address (RFC 4291, appendix A)."""
        mac = self.mac(rank)
        return IPv6Address(b"\xfe\x80" + bytes(6) + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:])

    def prefixes(self, ranks: Iterable[int], version: int) -> tuple[IPv4Network | IPv6Network, ...]:
        """The fewest prefixes that cover the addresses of these ranks and no other address."""
        if self.given4:
            return _covering(version, 0, tuple(sorted(int(self.address(rank, version)) for rank in ranks)))
        return _covering(version, int(self.address(0, version)), tuple(sorted(ranks)))


@lru_cache(512)
def _covering(version: int, first: int, ranks: tuple[int, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    """The prefixes of these ranks, whose addresses are counted from the first; asked for several times per node."""
    if version == 4:
        return tuple(IPv4Network(prefix) for prefix in cover((first + rank for rank in ranks), 32))
    return tuple(IPv6Network(prefix) for prefix in cover((first + rank for rank in ranks), 128))


MTU: Final = 1500
"""The default: bytes of the largest packet, from the network header on."""
MIN_MTU: Final = 1280
"""IPv6's minimum (RFC 8200, section 5)."""
MAX_MTU: Final = 9000
"""Jumbo frames, as most switches support them."""
ETHERNET: Final = 14
"""Bytes of the header."""
DEFAULT_HOPS: Final = 64
"""Linux's hop limit (TTL) unless a route sets another: one more than the relays that a packet may cross."""
MAX_HOPS: Final = 255
"""The largest hop limit that an IP header holds."""
FRAME: Final = MTU + ETHERNET
"""Bytes of a full frame at the default MTU."""
SMALLEST_FRAME: Final = ETHERNET + 28
"""Bytes of an empty UDP datagram or ping over IPv4."""
SEGMENT: Final = 1448
"""Payload bytes of a full TCP segment with timestamps, over IPv4, at the default MTU."""
HEADERS: Final = MTU - SEGMENT
"""Bytes of its IPv4 and TCP headers."""


def full_frame(mtu: int) -> int:
    """Bytes of a full frame on the wire, with its header, without preamble and checksum."""
    return mtu + ETHERNET


def full_segment(mtu: int) -> int:
    """Payload bytes of a full TCP segment with timestamps, over IPv4."""
    return mtu - HEADERS
