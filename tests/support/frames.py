"""Frames of every kind that one node can send to another, each with a text in it by which it is known again."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806
DELAYED, UNSHAPED, DROPPED = "delayed", "unshaped", "dropped"
"""What becomes of it: it pays the link's delay and stops at a partition, or neither, or never arrives."""
GROUPS = ("224.0.0.251", "239.1.2.3", "ff02::77", "ff02::16", "ff05::77", "ff0e::77")
"""That the receiver has joined, beside those that every host is in."""
OTHER_LINK = IPv4Address("169.254.7.7")
"""A second address of the receiver, which the plan knows nothing of."""


@dataclass(frozen=True)
class Ends:
    """Sender and receiver.

    Args:
        macs: of both.
        v4: addresses of both.
        v6: the same.
        near: their link-local addresses.
        third: IPv4 and IPv6 address of a third node.
        broadcast: of the subnet.
    """

    macs: tuple[bytes, bytes]
    v4: tuple[IPv4Address, IPv4Address]
    v6: tuple[IPv6Address, IPv6Address]
    near: tuple[IPv6Address, IPv6Address]
    third: tuple[IPv4Address, IPv6Address]
    broadcast: IPv4Address


@dataclass(frozen=True)
class Kind:
    """One kind of packet.

    Args:
        name: what it is.
        frames: as they leave the sender; several where the packet is cut.
        netem: what becomes of it with that engine.
        userspace: the same.
        how: ``packet`` socket as usual, past the qdiscs (``bypass``), or with a qdisc's handle as its priority
            (``priority``).
    """

    name: str
    frames: tuple[bytes, ...]
    netem: str
    userspace: str
    how: str = "packet"


def kinds(ends: Ends) -> list[Kind]:
    """All of them. A frame's text is ``kind NNN.`` with its place in this list."""
    return [
        Kind(name, tuple(make(f"kind {number:03d}.".encode())), netem, userspace, how)
        for number, (name, make, netem, userspace, how) in enumerate(_all(ends))
    ]


def _all(e: Ends) -> Iterator[tuple]:
    def own(name, make, netem, userspace=None, how="packet"):
        return name, make, netem, userspace or netem, how

    eth = _ethernet(e)
    both = ((4, *e.v4, IPV4), (6, *e.v6, IPV6))
    udp, tcp = (17, _udp), (6, _tcp)
    for version, src, dst, kind in both:
        for name, (protocol, body) in {"UDP": udp, "TCP": tcp, **_OTHERS}.items():
            if protocol == 2 and version == 6:
                continue
            number = 58 if protocol == 1 and version == 6 else protocol

            def packet(text, number=number, body=body, src=src, dst=dst, kind=kind):
                yield eth(_ip(src, dst, number, body(src, dst, text)), kind)

            yield own(f"{name} over IPv{version}", packet, DELAYED)

        def cut(text, src=src, dst=dst, kind=kind):
            yield from (eth(part, kind) for part in _fragments(src, dst, 17, _udp(src, dst, bytes(1400) + text)))

        yield own(f"fragments of UDP over IPv{version}", cut, DELAYED)

        third, nobody = e.third[version == 6], ip_address(f"{'10.99.1.1' if version == 4 else '2001:db8::1'}")
        for name, source in (("a third node's", third), ("nobody's", nobody)):

            def forged(text, source=source, dst=dst, kind=kind):
                yield eth(_ip(source, dst, 17, _udp(source, dst, text)), kind)

            yield own(f"UDP with {name} IPv{version} source", forged, DELAYED, DROPPED)

        def past(text, src=src, dst=dst, kind=kind):
            yield eth(_ip(src, dst, 17, _udp(src, dst, text)), kind)

        yield own(
            f"UDP over IPv{version} with a foreign source MAC", lambda t, p=past: (_from(f) for f in p(t)), DELAYED
        )
        yield own(f"UDP over IPv{version} past the qdiscs (PACKET_QDISC_BYPASS)", past, UNSHAPED, DROPPED, "bypass")
        yield own(f"UDP over IPv{version} with a class's SO_PRIORITY", past, UNSHAPED, DELAYED, "priority")

    # IPv4: options, more than one receiver
    s4, d4 = e.v4
    for name, options in (
        ("no-operation", b"\1\1\1\0"),
        ("router alert", b"\x94\4\0\0"),
        ("time stamp", b"\x44\4\5\0"),
    ):

        def optional(text, options=options):
            yield eth(_ip4(s4, d4, 17, _udp(s4, d4, text), options=options), IPV4)

        yield own(f"IPv4 option {name}", optional, DELAYED)
    for name, target in (
        ("all hosts 224.0.0.1", "224.0.0.1"),
        ("link-local 224.0.0.251", "224.0.0.251"),
        ("239.1.2.3", "239.1.2.3"),
        ("the subnet's broadcast", str(e.broadcast)),
        ("255.255.255.255", "255.255.255.255"),
    ):

        def many(text, target=IPv4Address(target)):
            yield eth(_ip4(s4, target, 17, _udp(s4, target, text)), IPV4, _group_mac(target))

        yield own(f"UDP to {name}", many, DROPPED)
    yield own(
        "UDP to 169.254.0.0/16",
        lambda t: [eth(_ip4(s4, OTHER_LINK, 17, _udp(s4, OTHER_LINK, t)), IPV4)],
        DROPPED,
        DELAYED,
    )

    # IPv6: extension headers, scopes, what hosts believe of their neighbours
    s6, d6 = e.v6
    n6, m6 = e.near
    for name, number, header in (
        ("hop-by-hop", 0, b"\x05\2\0\0\1\0"),
        ("destination options", 60, b"\1\4\0\0\0\0"),
    ):

        def extended(text, number=number, header=header):
            yield eth(_ip6(s6, d6, number, bytes((17, 0)) + header + _udp(s6, d6, text)), IPV6)

        yield own(f"IPv6 {name} header", extended, DELAYED)
    for name, src, dst, mac in (
        ("fe80:: from fe80::", n6, m6, None),
        ("fe80:: from a global address", s6, m6, None),
        ("a global address from fe80::", n6, d6, None),
        ("all nodes ff02::1", s6, IPv6Address("ff02::1"), True),
        ("all nodes ff02::1 from fe80::", n6, IPv6Address("ff02::1"), True),
        ("link scope ff02::77", s6, IPv6Address("ff02::77"), True),
        ("site scope ff05::77", s6, IPv6Address("ff05::77"), True),
        ("global scope ff0e::77", s6, IPv6Address("ff0e::77"), True),
    ):
        to = _group_mac(dst) if mac else None
        through = DELAYED if dst == d6 else DROPPED
        yield own(
            f"UDP to {name}",
            lambda t, src=src, dst=dst, to=to: [eth(_ip6(src, dst, 17, _udp(src, dst, t)), IPV6, to)],
            through,
            DROPPED,
        )

    def icmp6(src, dst, body, hops=255, to=None):
        return lambda t: [eth(_ip6(src, dst, 58, _icmp6(src, dst, body(t)), hops), IPV6, to)]

    def neighbour(kind, target):
        return lambda t: bytes((kind, 0, 0, 0)) + bytes(4) + target.packed + _nonce(t)

    solicited = IPv6Address(int(IPv6Address("ff02::1:ff00:0")) | int(d6) & 0xFFFFFF)
    nodes = IPv6Address("ff02::1")
    yield own("neighbour solicitation", icmp6(s6, d6, neighbour(135, d6)), UNSHAPED)
    yield own("solicitation to many", icmp6(s6, solicited, neighbour(135, d6), to=_group_mac(solicited)), UNSHAPED)
    yield own("forged neighbour advertisement", icmp6(s6, d6, neighbour(136, e.third[1])), UNSHAPED)
    yield own("advertisement to all", icmp6(n6, nodes, neighbour(136, s6), to=_group_mac(nodes)), UNSHAPED)
    yield own("solicitation that was forwarded", icmp6(s6, d6, neighbour(135, d6), hops=64), DELAYED)
    yield own("solicitation of 300 bytes", icmp6(s6, d6, lambda t: neighbour(135, d6)(t) + _pad(256)), DELAYED)
    yield own(
        "router advertisement",
        icmp6(n6, nodes, lambda t: b"\x86" + bytes(15) + _nonce(t), to=_group_mac(nodes)),
        DROPPED,
    )
    yield own("router advertisement to one", icmp6(n6, d6, lambda t: b"\x86" + bytes(15) + _nonce(t)), DELAYED, DROPPED)
    yield own(
        "router solicitation", icmp6(n6, nodes, lambda t: b"\x85" + bytes(7) + _nonce(t), to=_group_mac(nodes)), DROPPED
    )
    yield own(
        "redirect",
        icmp6(n6, d6, lambda t: b"\x89" + bytes(7) + e.third[1].packed * 2 + _nonce(t)),
        DELAYED,
        DROPPED,
    )
    report = IPv6Address("ff02::16")
    yield own(
        "multicast listener report",
        icmp6(n6, report, lambda t: b"\x8f\0\0\0\0\0\0\1\4\0\0\0" + _padded(t, 16), hops=1, to=_group_mac(report)),
        DROPPED,
    )

    # Not IP
    arp = struct.pack(">HHBB", 1, IPV4, 6, 4)
    for name, operation in (("ARP request", 1), ("forged ARP reply", 2)):

        def resolve(text, operation=operation):
            asks = arp + struct.pack(">H", operation) + e.macs[0] + e.third[0].packed + bytes(6) + d4.packed
            yield eth(asks + text, ARP)

        yield own(name, resolve, UNSHAPED)
    yield own(
        "gratuitous ARP",
        lambda t: [eth(arp + b"\0\1" + e.macs[0] + s4.packed + bytes(6) + s4.packed + t, ARP, b"\xff" * 6)],
        UNSHAPED,
    )
    yield own(
        "ARP for something else than IPv4", lambda t: [eth(b"\0\1\x81\x37\6\4\0\1" + bytes(20) + t, ARP)], DROPPED
    )
    tagged = {"802.1Q": 0x8100, "802.1ad": 0x88A8, "QinQ (0x9100)": 0x9100}
    for name, number in tagged.items():

        def tag(text, number=number):
            yield eth(struct.pack(">HH", 5, 0x88B5) + _padded(text, 60), number)

        yield own(name, tag, DROPPED)
    yield own(
        "802.1Q without a VLAN (priority)",
        lambda t: [eth(struct.pack(">HH", 0, IPV4) + _ip4(s4, d4, 17, _udp(s4, d4, t)), 0x8100)],
        DROPPED,
    )
    for name, number in _ETHERTYPES.items():
        yield own(name, lambda t, number=number: [eth(b"\0\0\1\0" + _padded(t, 60), number)], DROPPED)
    yield own("802.3 with an LLC header", lambda t: [eth(b"\xaa\xaa\3" + _padded(t, 60), 63)], DROPPED)


_IP_OPTIONS = {"no-operation": b"\1\1\1\0", "router alert": b"\x94\4\0\0", "time stamp": b"\x44\4\5\0"}
_ETHERTYPES = {
    "MPLS": 0x8847,
    "MPLS to many": 0x8848,
    "LLDP": 0x88CC,
    "PPPoE discovery": 0x8863,
    "PPPoE session": 0x8864,
    "EAPOL": 0x888E,
    "MACsec": 0x88E5,
    "PTP": 0x88F7,
    "FCoE": 0x8906,
    "RoCE": 0x8915,
    "TIPC": 0x88CA,
    "IPX": 0x8137,
    "RARP": 0x8035,
    "loopback test": 0x9000,
    "wake-on-LAN": 0x0842,
    "BATMAN": 0x4305,
    "raw ethertype 0x88b5": 0x88B5,
}


def _sum(data: bytes) -> int:
    total = sum(struct.unpack(f">{len(data) // 2}H", data[: len(data) // 2 * 2])) + (
        data[-1] << 8 if len(data) & 1 else 0
    )
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def _checked(src, dst, protocol: int, segment: bytes, at: int) -> bytes:
    """With its checksum, over the pseudo header too."""
    if src.version == 4:
        pseudo = src.packed + dst.packed + struct.pack(">BBH", 0, protocol, len(segment))
    else:
        pseudo = src.packed + dst.packed + struct.pack(">IBBBB", len(segment), 0, 0, 0, protocol)
    return segment[:at] + struct.pack(">H", _sum(pseudo + segment) or 0xFFFF) + segment[at + 2 :]


def _udp(src, dst, text: bytes) -> bytes:
    return _checked(src, dst, 17, struct.pack(">HHHH", 9, 9, 8 + len(text), 0) + text, 6)


def _tcp(src, dst, text: bytes) -> bytes:
    return _checked(src, dst, 6, struct.pack(">HHIIBBHHH", 9, 9, 1, 0, 0x50, 2, 1000, 0, 0) + text, 16)


def _echo(src, dst, text: bytes) -> bytes:
    if src.version == 4:
        body = struct.pack(">BBHHH", 8, 0, 0, 1, 1) + text
        return body[:2] + struct.pack(">H", _sum(body)) + body[4:]
    return _icmp6(src, dst, struct.pack(">BBHHH", 128, 0, 0, 1, 1) + text)


def _icmp6(src, dst, body: bytes) -> bytes:
    return _checked(src, dst, 58, body, 2)


def _tunnel(version: int):
    inner = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}[version]
    a, b = map(ip_address, inner)
    return lambda src, dst, text: _ip(a, b, 17, _udp(a, b, text))


_OTHERS = {
    "ICMP echo": (1, _echo),
    "IGMP": (2, lambda s, d, t: b"\x16\0\0\0\xef\1\2\3" + t),
    "IPIP": (4, _tunnel(4)),
    "6in4": (41, _tunnel(6)),
    "GRE": (47, lambda s, d, t: b"\0\0\x08\0" + t),
    "ESP": (50, lambda s, d, t: b"\0\0\1\0\0\0\0\1" + t),
    "AH": (51, lambda s, d, t: b"\x3b\4\0\0\0\0\1\0\0\0\0\1" + bytes(12) + t),
    "OSPF": (89, lambda s, d, t: b"\2\1\0\x2c" + t),
    "SCTP": (132, lambda s, d, t: b"\0\x09\0\x09\0\0\0\1\0\0\0\0" + t),
    "protocol 253": (253, lambda s, d, t: t),
}


def _ip(src, dst, protocol: int, body: bytes) -> bytes:
    return (_ip4 if src.version == 4 else _ip6)(src, dst, protocol, body)


def _ip4(src, dst, protocol: int, body: bytes, *, options: bytes = b"", fragment: int = 0) -> bytes:
    length = 20 + len(options)
    head = struct.pack(">BBHHHBBH", 0x40 | length // 4, 0, length + len(body), 7, fragment, 64, protocol, 0)
    head += src.packed + dst.packed + options
    return head[:10] + struct.pack(">H", _sum(head)) + head[12:] + body


def _ip6(src, dst, protocol: int, body: bytes, hops: int = 64) -> bytes:
    return struct.pack(">IHBB", 6 << 28, len(body), protocol, hops) + src.packed + dst.packed + body


def _fragments(src, dst, protocol: int, body: bytes) -> list[bytes]:
    first, rest = body[:1200], body[1200:]
    if src.version == 4:
        return [_ip4(src, dst, protocol, first, fragment=0x2000), _ip4(src, dst, protocol, rest, fragment=1200 // 8)]
    head = [struct.pack(">BBHI", protocol, 0, offset, 7) for offset in (1, 1200)]
    return [_ip6(src, dst, 44, part + data) for part, data in zip(head, (first, rest), strict=True)]


def _ethernet(e: Ends):
    return lambda payload, ethertype, to=None: (to or e.macs[1]) + e.macs[0] + struct.pack(">H", ethertype) + payload


def _from(frame: bytes) -> bytes:
    return frame[:6] + b"\2\xde\xad\0\0\1" + frame[12:]


def _group_mac(target) -> bytes:
    if target.version == 6:
        return b"\x33\x33" + target.packed[-4:]
    if target.is_multicast:
        return b"\1\0\x5e" + bytes((target.packed[1] & 0x7F,)) + target.packed[2:]
    return b"\xff" * 6


def _nonce(text: bytes) -> bytes:
    """An option of neighbour discovery (RFC 3971) that holds the text."""
    return b"\x0e\2" + _padded(text, 14)


def _pad(size: int) -> bytes:
    return b"\x0e" + bytes((size // 8,)) + bytes(size - 2)


def _padded(text: bytes, size: int) -> bytes:
    return text.ljust(size, b"\0")
