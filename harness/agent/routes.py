"""A container's routes: to every node through the neighbours of the plan, and to no other address of its subnet.

Docker gives a container a route to its whole subnet. Addresses in it that belong to no node are made unreachable:
otherwise packets to a node that came back with another address would bypass its links, which match the old one. Pods of
Kubernetes share no link: there the route to a neighbour leads through the pod's gateway.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Collection, Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Final

from harness.errors import NodeError
from harness.linux.congestion_control import make_default
from harness.model.address import INTERFACE, MTU
from harness.model.node_plan import NodePlan
from harness.model.plan import NetworkPlan
from harness.netlink.neighbours import lead_nowhere, look_up
from harness.netlink.nlattr import attr
from harness.netlink.routes import Route, default_gateways, main_table
from harness.netlink.rtnetlink import Request, Rtnetlink

_RTM_SETLINK: Final = 19
_IFINFOMSG: Final = struct.Struct("=BxHiII")
_AF_SPEC, _INET_CONF = 26, 1
_FORWARDING, _ACCEPT_REDIRECTS, _SEND_REDIRECTS = 1, 4, 6
"""IPV4_DEVCONF_* (linux/ip.h)."""
_PASSING: Final = {_FORWARDING: 1, _ACCEPT_REDIRECTS: 0, _SEND_REDIRECTS: 0}
_IPV6_FORWARDING: Final = "net/ipv6/conf/all/forwarding"


def forward(plan: NetworkPlan, rank: int, sysctls: str = "/proc/sys") -> None:
    """Let a node forward packets, and neither send nor accept redirects, by which packets would bypass the relay.

    A container cannot write /proc/sys. IPv4's settings of an interface can be set by netlink. IPv6 accepts no redirects
    while it forwards (net/ipv6/ndisc.c); forwarding must be turned on when the container is started.

    Raises:
        NodeError: a path of the plan has relays, and forwarding cannot be turned on.
    """
    if not any(plan.node(node).detours() for node in range(plan.size)):
        return
    conf = b"".join(attr(kind, struct.pack("=I", value)) for kind, value in _PASSING.items())
    header = _IFINFOMSG.pack(0, 0, socket.if_nametoindex(INTERFACE), 0, 0)
    body = header + attr(_AF_SPEC, attr(socket.AF_INET, attr(_INET_CONF, conf)))
    with Rtnetlink() as netlink:
        for refusal in netlink.batch([Request(_RTM_SETLINK, 0, body)]):
            raise NodeError(rank, "turn on IPv4 forwarding", refusal.text, "the container needs CAP_NET_ADMIN")
    if 6 in plan.addressing.versions and Path(sysctls, _IPV6_FORWARDING).read_text().strip() != "1":
        name = _IPV6_FORWARDING.replace("/", ".")
        remedy = f"start its container with --sysctl {name}=1 (compose.yaml does)"
        raise NodeError(rank, "turn on IPv6 forwarding", f"{name} is 0", remedy)


def given_routes() -> list[Route]:
    """The container's routes before ``set_routes`` changes them."""
    with Rtnetlink() as netlink:
        return [route for version in (4, 6) for route in main_table(netlink, version)]


def set_routes(
    node: NodePlan, congestion_control: str, old: Collection[Route] = (), given: Collection[Route] = ()
) -> list[Route]:
    """Add the node's routes, and remove those of ``old`` that it no longer needs; the node's routes.

    Args:
        node: of the plan.
        congestion_control: of TCP to other nodes.
        old: the result of the last call.
        given: the container's first routes: a neighbour that they reach through a gateway is still reached through it.

    Raises:
        NodeError: the kernel refused a route, or a relay is not on the link.
    """
    index, mtu = socket.if_nametoindex(INTERFACE), _mtu(node)
    congestion_control = make_default(congestion_control)
    with Rtnetlink() as netlink:
        versions = node.addressing.versions
        wanted = [route for version in versions for route in _routes(netlink, node, version, index, given)]
        more: dict[str, Any] = {"congestion_control": congestion_control, "mtu": mtu, "ecn": node.ecn}
        more["hop_limit"] = node.hop_limit
        wanted = [route if route.index is None else replace(route, **more) for route in wanted]
        new = [route for route in wanted if route not in old]
        for refusal in netlink.batch([route.add(replace=True) for route in new]):
            raise _error(node, new[refusal.index], refusal.errno, refusal.text)
        gone = [route for route in old if route not in wanted]
        netlink.batch([route.remove() for route in gone if all(route.target != other.target for other in wanted)])
        netlink.batch([look_up(route.target.network_address, index) for route in gone if route.via])
        gateways = {route.via for route in given}
        relayed = [route for route in wanted if route.via and route.via not in gateways]
        for refusal in netlink.batch([lead_nowhere(route.target.network_address, index) for route in relayed]):
            raise _error(node, relayed[refusal.index], refusal.errno, refusal.text)
    return wanted


def drop_routes(held: Collection[Route], targets: Collection[IPv4Network | IPv6Network]) -> list[Route]:
    """Remove the routes to these targets, which are unreachable then; the routes that are left."""
    index, gone = socket.if_nametoindex(INTERFACE), [route for route in held if route.target in targets]
    with Rtnetlink() as netlink:
        netlink.batch([route.remove() for route in gone])
        netlink.batch([look_up(route.target.network_address, index) for route in gone if route.via])
    return [route for route in held if route.target not in targets]


def _routes(netlink: Rtnetlink, node: NodePlan, version: int, index: int, given: Collection[Route]) -> Iterator[Route]:
    net = node.addressing
    hops = {rank: port.neighbour for port in node.egress for rank in port.ranks}
    for rank, hop in sorted(hops.items()):
        via = _gateway(net.address(hop, version), given)
        if hop != rank:
            if via is not None:
                raise NodeError(
                    node.rank,
                    f"reach node {rank} through node {hop}",
                    f"that is behind the gateway {via}",
                    "take a topology in which all nodes are neighbours, e.g. fully_connected",
                )
            via = net.address(hop, version)
        yield Route(ip_network(net.address(rank, version)), via, index)
    subnet = net.ipv4_net if version == 4 else net.ipv6_net
    for gateway in {*default_gateways(netlink, version, index)}:
        if gateway in subnet:
            yield Route(ip_network(gateway), None, index)
    yield Route(subnet, None, None, metric=0 if version == 4 else 1)


def _gateway(address: IPv4Address | IPv6Address, given: Collection[Route]) -> IPv4Address | IPv6Address | None:
    """The gateway of the route to this address: the one with the longest prefix, then the least metric."""
    there = [route for route in given if route.target.version == address.version and address in route.target]
    best = min(there, key=lambda route: (-route.target.prefixlen, route.metric), default=None)
    return best.via if best else None


def _mtu(node: NodePlan) -> int:
    """The MTU for routes if the interface's is larger than the plan's; otherwise 0. Raises NodeError."""
    own = int(Path(f"/sys/class/net/{INTERFACE}/mtu").read_text())
    if own < node.mtu and node.mtu > MTU:
        raise NodeError(
            node.rank,
            f"send packets of {node.mtu} bytes",
            f"Docker's network has an MTU of {own}",
            f"remove it and make it again with that one (docker compose down; MTU={node.mtu} docker compose up)",
        )
    return node.mtu if own > node.mtu else 0


def _error(node: NodePlan, route: Route, code: int, text: str) -> NodeError:
    remedy = ""
    if code == errno.EINVAL and route.congestion_control:
        remedy = f"is {route.congestion_control!r} in /proc/sys/net/ipv4/tcp_available_congestion_control of the host?"
    if code == errno.EPERM:
        remedy = "the container needs CAP_NET_ADMIN"
    return NodeError(node.rank, f"set the route to {route.target}", text, remedy)
