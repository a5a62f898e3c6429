"""A container's routes: to every node through the neighbours of the plan, and to nobody else on its bridge.

Docker gives a container a route to its whole subnet. What of that is no node of the plan is unreachable from here: a
node that came back with another address cannot be reached past its links, which are about the old one.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_network

from harness.address import INTERFACE
from harness.errors import NodeError
from harness.netlink.routes import Route, held
from harness.netlink.rtnetlink import Rtnetlink
from harness.plan import NodePlan


def set_routes(node: NodePlan, congestion_control: str, old: Collection[Route] = ()) -> list[Route]:
    """Add the node's routes and remove those of ``old`` that are not among them; what is held now.

    Raises:
        NodeError: the kernel refused one.
    """
    index = socket.if_nametoindex(INTERFACE)
    with Rtnetlink() as netlink:
        wanted = [route for version in node.addressing.versions for route in _routes(netlink, node, version, index)]
        wanted = [_with(route, congestion_control) for route in wanted]
        new = [route for route in wanted if route not in old]
        for refusal in netlink.batch([route.add(replace=True) for route in new]):
            raise _error(node, new[refusal.index], refusal.errno, refusal.text)
        gone = [route for route in old if route not in wanted]
        netlink.batch([route.remove() for route in gone if all(route.target != other.target for other in wanted)])
    return wanted


def _routes(netlink: Rtnetlink, node: NodePlan, version: int, index: int) -> Iterator[Route]:
    net = node.addressing
    hops = {rank: port.neighbour for port in node.egress for rank in port.ranks}
    for rank, hop in sorted(hops.items()):
        via = None if hop == rank else net.address(hop, version)
        yield Route(ip_network(net.address(rank, version)), via, index)
    subnet = net.ipv4_net if version == 4 else net.ipv6_net
    gateways: set[IPv4Address | IPv6Address] = {
        route.via for route in held(netlink, version) if route.via is not None and not route.target.prefixlen
    }
    for gateway in gateways:
        if gateway in subnet:
            yield Route(ip_network(gateway), None, index)
    yield Route(subnet, None, None, metric=0 if version == 4 else 1)


def _with(route: Route, congestion_control: str) -> Route:
    if route.index is None:
        return route
    return Route(route.target, route.via, route.index, congestion_control, route.metric)


def _error(node: NodePlan, route: Route, code: int, text: str) -> NodeError:
    remedy = ""
    if code == errno.EINVAL and route.congestion_control:
        remedy = f"is {route.congestion_control!r} in /proc/sys/net/ipv4/tcp_available_congestion_control of the host?"
    if code == errno.EPERM:
        remedy = "the container needs CAP_NET_ADMIN"
    return NodeError(node.rank, f"set the route to {route.target}", text, remedy)
