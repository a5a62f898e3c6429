"""Bridge, veth pairs, addresses, routes and sysctls of a network of namespaces.

Callers must have entered the namespace that a function works in.

Nodes have no ARP: each knows the MAC addresses of its neighbours, and the bridge those of all. So the bridge floods
nothing to a thousand ports, no neighbour table overflows (the kernel allows 1,024 entries that are not permanent, in
all namespaces together), and what a node sends past its routes to nodes that are no neighbours goes nowhere.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from errno import EINVAL, EROFS
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError, NodeError, PrivilegeError
from harness.linux.congestion_control import make_default
from harness.linux.denied import PRIVILEGED
from harness.linux.host import has_ipv6
from harness.linux.sysctls import TCP_SETTINGS
from harness.model.address import INTERFACE, Addressing
from harness.model.node_plan import NodePlan
from harness.model.super_packets import MAX_SUPER_PACKET
from harness.netlink import links
from harness.netlink.neighbours import known_station, lead_to
from harness.netlink.routes import Route
from harness.netlink.rtnetlink import Request, Rtnetlink

BRIDGE: Final = "br0"
BRIDGE_PORTS: Final = 1023
"""The most that a bridge takes (net/bridge/br_private.h: BR_MAX_PORTS is 1024, and number 0 is not given out)."""
_BRIDGE_SYSCTLS: Final = {"net/ipv6/conf/default/disable_ipv6": "1"}
"""Ports of the bridge have no addresses, and send nothing by themselves."""
Step = tuple[str, Request]
"""What a message does, in words, and the message."""


def create_bridge(names: Mapping[int, int], addressing: Addressing, mtu: int) -> None:
    """Make the bridge in the current namespace, and a veth pair from it to each node. Raises HarnessError.

    Frames pass it as in a switch, without iptables.

    Args:
        names: the file descriptor of each node's network namespace, by rank.
        addressing: of the nodes.
        mtu: of all interfaces.
    """
    for switch in Path("/proc/sys/net/bridge").glob("bridge-nf-call-*"):
        _set(switch, "0")
    for name, value in _BRIDGE_SYSCTLS.items():
        if has_ipv6():
            _set(Path("/proc/sys", name), value)
    ports = [f"n{rank}" for rank in names]
    with Rtnetlink() as netlink:
        for refusal in netlink.batch([links.set_up(links.LOOPBACK), links.new_bridge(BRIDGE)]):
            raise HarnessError(f"create a bridge: {refusal.text}")
        (bridge,) = links.indices([BRIDGE])
        pairs = [
            links.new_veth(port, bridge, INTERFACE, namespace, addressing.mac(rank), mtu)
            for port, (rank, namespace) in zip(ports, names.items(), strict=True)
        ]
        for refusal in netlink.batch(pairs):
            raise NodeError(list(names)[refusal.index], "create its veth pair", refusal.text)
        made = links.indices(ports)
        macs = map(addressing.mac, names)
        netlink.batch([known_station(mac, index) for mac, index in zip(macs, made, strict=True)])
        netlink.batch(list(_allow_large(made)))


def _allow_large(interfaces: Sequence[int]) -> Iterator[Request]:
    """Allow super-packets of 200 kB, to make up for the bridge, which is a second hop: so TCP over an unshaped edge is
    faster than over a bare veth pair with the usual 64 KiB, instead of 12 % slower (benchmarks/no_shape.py).

    Where the kernel refuses, only that speed is lost.
    """
    return (links.allow_large(index, MAX_SUPER_PACKET) for index in interfaces)


def _set(switch: Path, value: str) -> None:
    """Write a sysctl. Raises OSError, or PrivilegeError in a container that may not."""
    try:
        with open(switch, "wb", buffering=0) as file:
            file.write(value.encode())
    except OSError as problem:
        if problem.errno != EROFS:
            raise
        raise PrivilegeError(f"{switch} is read-only here, as in a container; {PRIVILEGED}") from None


def configure(node: NodePlan) -> None:
    """Set a node's addresses and sysctls, in its namespace; its interface stays down.

    It sets the link-local address, too: one that the kernel chooses may be unusable for a second (6.18, with
    ``accept_dad`` 0).
    """
    for name, value in sysctls(node).items():
        try:
            _set(Path("/proc/sys", name), value)
        except OSError as problem:
            raise NodeError(node.rank, f"set {name.replace('/', '.')}={value}", str(problem.strerror)) from None
    net, (index,) = node.addressing, links.indices([INTERFACE])
    steps = [("set lo up", links.set_up(links.LOOPBACK))]
    steps.append(("add its IPv4 address", links.new_address(index, node.ipv4, net.ipv4_net.prefixlen)))
    if has_ipv6():
        steps.append(("add its IPv6 address", links.new_address(index, node.ipv6, net.ipv6_net.prefixlen)))
        steps.append(("add its link-local address", links.new_address(index, net.link_local(node.rank), 64)))
    with Rtnetlink() as netlink:
        _perform(netlink, node, steps)
        netlink.batch(list(_allow_large([index])))


def bring_up(node: NodePlan, congestion_control: str) -> None:
    """Set the node's interface up and add its neighbours and routes, in its namespace.

    Routes carry TCP's congestion control where the namespace cannot have it as its default. They carry the MTU, because
    root in a node can give the interface a larger one, and the bridge silently drops larger frames.
    """
    congestion_control = make_default(congestion_control)
    versions = (4, 6) if has_ipv6() else (4,)
    index = socket.if_nametoindex(INTERFACE)
    steps = [(f"set {INTERFACE} up", links.set_up(index, arp=False))]
    steps += [
        (f"set the MAC address of node {port.neighbour}", lead_to(net.address(port.neighbour, version), mac, index))
        for net in [node.addressing]
        for port in node.egress
        for mac in [net.mac(port.neighbour)]
        for version in versions
    ]
    more: dict[str, Any] = {"congestion_control": congestion_control, "mtu": node.mtu, "ecn": node.ecn}
    more["hop_limit"] = node.hop_limit
    for version in versions:
        steps += _routes(node, version, index, more)
    with Rtnetlink() as netlink:
        _perform(
            netlink, node, steps, f"is {congestion_control!r} in /proc/sys/net/ipv4/tcp_available_congestion_control?"
        )


def _routes(node: NodePlan, version: int, index: int, more: Mapping[str, Any]) -> Iterator[Step]:
    """Routes to neighbours and to the nodes behind each; all other addresses of the subnet are unreachable."""
    net = node.addressing
    for prefix in net.prefixes([port.neighbour for port in node.egress], version):
        yield f"add the route to {prefix}", Route(prefix, None, index, **more).add()
    for port in node.egress:
        hop = net.address(port.neighbour, version)
        for prefix in net.prefixes([rank for rank in port.ranks if rank != port.neighbour], version):
            what = f"add the route to {prefix} through node {port.neighbour}"
            yield what, Route(prefix, hop, index, **more).add()
    subnet = net.ipv4_net if version == 4 else net.ipv6_net
    yield f"make the rest of {subnet} unreachable", Route(subnet, None, None).add()


def _perform(netlink: Rtnetlink, node: NodePlan, steps: Sequence[Step], remedy: str = "") -> None:
    """Carry out steps in one batch. Raises NodeError for the first one refused, with the remedy for EINVAL."""
    for refusal in netlink.batch([request for _, request in steps]):
        raise NodeError(node.rank, steps[refusal.index][0], refusal.text, remedy if refusal.errno == EINVAL else "")


def sysctls(node: NodePlan, there: str = "/proc/sys") -> dict[str, str]:
    """A node's sysctls: forwarding on relays; no redirects, with which packets soon bypass the relay.

    IPv6's only where ``there``, the folder of sysctls, has them.
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
