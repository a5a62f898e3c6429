"""Bridge, veth pairs, addresses, routes and sysctls of a network of namespaces.

Callers have entered the namespace that a function is about. pyroute2 makes links and addresses; benchmarks/mesh.py
has the figures by which routes, many thousands in a large ring, do not go through it.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator, Sequence
from errno import EINVAL, EROFS
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path
from typing import Any, Final

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from harness.errors import NodeError, PrivilegeError
from harness.linux.denied import PRIVILEGED
from harness.linux.host import has_ipv6
from harness.linux.sysctls import TCP_SETTINGS
from harness.model.address import INTERFACE
from harness.model.node_plan import NodePlan
from harness.model.super_packets import MAX_SUPER_PACKET
from harness.netlink.neighbours import lead_nowhere
from harness.netlink.nlattr import attr
from harness.netlink.routes import Route
from harness.netlink.rtnetlink import Request, Rtnetlink

BRIDGE: Final = "br0"
BRIDGE_PORTS: Final = 1023
"""The most that a bridge takes (net/bridge/br_private.h: BR_MAX_PORTS is 1024, and number 0 is not given out)."""
IFA_F_NODAD: Final = 0x02
IFA_F_NOPREFIXROUTE: Final = 0x200
_RTM_NEWLINK: Final = 16
_IFINFOMSG: Final = struct.Struct("=BxHiII")
_IFLA_SUPER_PACKETS: Final = (41, 58, 63, 64)
"""IFLA_GSO_MAX_SIZE, IFLA_GRO_MAX_SIZE, IFLA_GSO_IPV4_MAX_SIZE, IFLA_GRO_IPV4_MAX_SIZE."""


def create_bridge() -> None:
    """The bridge, in the current namespace. Frames pass it as in a switch, without a detour through iptables."""
    for switch in Path("/proc/sys/net/bridge").glob("bridge-nf-call-*"):
        _set(switch, "0")
    with IPRoute() as ip:
        ip.link("set", index=1, state="up")
        ip.link("add", ifname=BRIDGE, kind="bridge", br_stp_state=0, br_mcast_snooping=0, br_ageing_time=2**31 // 100)
        ip.link("set", ifname=BRIDGE, state="up")


def _set(switch: Path, value: str) -> None:
    """Write a sysctl. Raises OSError, or PrivilegeError in a container that may not."""
    try:
        switch.write_text(value)
    except OSError as problem:
        if problem.errno != EROFS:
            raise
        raise PrivilegeError(f"{switch} is read-only here, as in a container; {PRIVILEGED}") from None


def attach_veth(ranks: Sequence[tuple[int, int]], mtu: int) -> None:
    """A veth pair for every (rank, namespace file descriptor) from the bridge in the current namespace to the node."""
    with IPRoute() as ip:
        bridge = ip.link_lookup(ifname=BRIDGE)[0]
        for rank, namespace in ranks:
            port = f"n{rank}"
            with _node_errors(rank, "create its veth pair"):
                peer = {"ifname": INTERFACE, "net_ns_fd": namespace, "mtu": mtu}
                ip.link("add", ifname=port, kind="veth", mtu=mtu, peer=peer)
                ip.link("set", ifname=port, master=bridge, state="up")
    allow_large([f"n{rank}" for rank, _ in ranks])


def allow_large(interfaces: Sequence[str]) -> None:
    """Allow super-packets of 200 kB, which makes up for the second hop that a bridge is: without limits TCP is then
    faster than over a bare veth pair with the usual 64 KiB, instead of 12 % slower (benchmarks/no_shape.py).

    Kernels before 6.3 do not know the IPv4 attributes and refuse or ignore this, which costs nothing but that speed.
    pyroute2 does not know them either.
    """
    size = struct.pack("=I", MAX_SUPER_PACKET)
    attributes = b"".join(attr(kind, size) for kind in _IFLA_SUPER_PACKETS)
    with Rtnetlink() as netlink:
        headers = [_IFINFOMSG.pack(0, 0, socket.if_nametoindex(name), 0, 0) for name in interfaces]
        netlink.batch([Request(_RTM_NEWLINK, 0, header + attributes) for header in headers])


def configure(node: NodePlan) -> None:
    """Addresses and sysctls of a node, in its namespace; its interface stays down. IPv4 only where there is no IPv6."""
    for name, value in sysctls(node).items():
        try:
            _set(Path("/proc/sys", name), value)
        except OSError as problem:
            raise NodeError(node.rank, f"set {name.replace('/', '.')}={value}", str(problem.strerror)) from None
    prefixes: list[tuple[IPv4Address | IPv6Address, int]] = [(node.ipv4, node.addressing.ipv4_net.prefixlen)]
    if has_ipv6():
        prefixes.append((node.ipv6, node.addressing.ipv6_net.prefixlen))
    allow_large([INTERFACE])
    with IPRoute() as ip, _node_errors(node.rank, "add its addresses"):
        index = ip.link_lookup(ifname=INTERFACE)[0]
        ip.link("set", index=1, state="up")
        for address, prefix in prefixes:
            ip.addr(
                "add",
                index=index,
                family=_family(address),
                address=str(address),
                prefixlen=prefix,
                flags=IFA_F_NODAD | IFA_F_NOPREFIXROUTE,
            )


def bring_up(node: NodePlan, congestion_control: str) -> None:
    """Set the node's interface up and add its routes, in its namespace.

    The routes carry TCP's congestion control: the sysctl of a namespace takes only what the whole host allows. They
    carry the MTU, for root in a node can give the interface a larger one, and the bridge drops larger frames silently.
    """
    index = socket.if_nametoindex(INTERFACE)
    with IPRoute() as ip, _node_errors(node.rank, f"set {INTERFACE} up"):
        ip.link("set", index=index, state="up")
    net = node.addressing
    routes: list[tuple[str, Route]] = []
    more: dict[str, Any] = {"mtu": node.mtu, "ecn": node.ecn}
    for version, subnet in ((4, net.ipv4_net), (6, net.ipv6_net)):
        if version == 6 and not has_ipv6():
            continue
        routes.append((f"add the route to {subnet}", Route(subnet, None, index, congestion_control, **more)))
        for destination, hop in node.detours():
            route = Route(
                ip_network(net.address(destination, version)),
                net.address(hop, version),
                index,
                congestion_control,
                **more,
            )
            routes.append((f"add the route to node {destination} through node {hop}", route))
    versions = (4, 6) if has_ipv6() else (4,)
    far = [net.address(destination, version) for destination, _ in node.detours() for version in versions]
    with Rtnetlink() as netlink:
        for refusal in netlink.batch([lead_nowhere(address, index) for address in far]):
            raise NodeError(node.rank, f"keep {far[refusal.index]} from being reached past its relay", refusal.text)
        refusals = netlink.batch([route.add() for _, route in routes])
    if refusals:
        refusal = refusals[0]
        remedy = f"is {congestion_control!r} in /proc/sys/net/ipv4/tcp_available_congestion_control?"
        raise NodeError(node.rank, routes[refusal.index][0], refusal.text, remedy if refusal.errno == EINVAL else "")


@contextlib.contextmanager
def _node_errors(rank: int, action: str) -> Iterator[None]:
    """Turn an error that pyroute2 raises into a NodeError."""
    try:
        yield
    except NetlinkError as error:
        raise NodeError(rank, action, str(error)) from None


def _family(address: IPv4Address | IPv6Address) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def sysctls(node: NodePlan, there: str = "/proc/sys") -> dict[str, str]:
    """Forwarding on relays; no redirects anywhere: with them the second hop is bypassed after the first packets.

    Those of IPv6 only where that folder has them.
    """
    forward = str(int(node.forwards))
    wanted = {
        "net/ipv4/ip_forward": forward,
        "net/ipv6/conf/all/forwarding": forward,
        "net/ipv6/conf/default/accept_dad": "0",
        f"net/ipv6/conf/{INTERFACE}/accept_dad": "0",
        f"net/ipv6/conf/{INTERFACE}/accept_ra": "0",
        **TCP_SETTINGS,
    }
    for scope in ("all", "default", INTERFACE):
        wanted[f"net/ipv4/conf/{scope}/send_redirects"] = "0"
        wanted[f"net/ipv4/conf/{scope}/accept_redirects"] = "0"
        wanted[f"net/ipv6/conf/{scope}/accept_redirects"] = "0"
    return wanted if has_ipv6(there) else {name: wanted[name] for name in wanted if not name.startswith("net/ipv6/")}
