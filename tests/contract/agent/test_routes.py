"""Routes of a container, in a network namespace like Docker's."""

import errno
import json
import os
import socket
import subprocess
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from harness.agent.routes import forward, given_routes, set_routes
from harness.agent.user_rules import reserve, reserve_network
from harness.errors import NodeError
from harness.netlink.routes import main_table
from harness.netlink.rtnetlink import Rtnetlink
from tests.support.namespace_node import given, returning
from tests.support.plans import network

pytestmark = [pytest.mark.namespaces, pytest.mark.skipif(os.geteuid() != 0, reason="enters a namespace as root")]
NODES = ("10.9.0.2", "10.9.0.3", "10.9.0.4", "10.9.0.5")
GATEWAYS = ("10.9.0.1", "fd09::1")


@pytest.fixture(autouse=True)
def read_only(monkeypatch):
    """Make /proc/sys read-only, as in a container."""
    monkeypatch.setattr("harness.agent.routes.make_default", lambda wanted: wanted)


def ip(*words):
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def container():
    """Enter a namespace whose eth0 has the address of rank 0, a route to its subnet and a gateway."""
    from harness.linux.syscalls import CLONE_NEWNET, unshare

    with returning():
        unshare(CLONE_NEWNET)
        ip("link", "set", "lo", "up")
        ip("link", "add", "eth0", "type", "veth", "peer", "far")
        ip("link", "set", "far", "up")
        ip("address", "add", f"{NODES[0]}/16", "dev", "eth0")
        ip("address", "add", "fd09::2/64", "dev", "eth0", "nodad")
        ip("link", "set", "eth0", "up")
        for gateway in GATEWAYS:
            ip("route", "add", "default", "via", gateway)
        yield


@pytest.fixture(params=["own host route", "subnet behind the gateway"])
def pod(request):
    """Enter a namespace like a pod's, as Calico or kind's ptp plug-in makes it."""
    from harness.linux.syscalls import CLONE_NEWNET, unshare

    calico = request.param == "own host route"
    gateway, length = ("169.254.1.1", 32) if calico else ("10.9.0.1", 24)
    with returning():
        unshare(CLONE_NEWNET)
        ip("link", "set", "lo", "up")
        ip("link", "add", "eth0", "type", "veth", "peer", "far")
        ip("link", "set", "far", "up")
        ip("address", "add", f"{NODES[0]}/{length}", "dev", "eth0", *([] if calico else ["noprefixroute"]))
        ip("link", "set", "eth0", "up")
        ip("route", "add", gateway, "dev", "eth0", "scope", "link")
        ip("route", "add", "default", "via", gateway)
        if not calico:
            ip("route", "add", "10.9.0.0/24", "via", gateway)
        yield gateway


def way(address):
    """The next hop to an address; None if it is on the link."""
    return json.loads(ip("-j", "route", "get", address))[0].get("gateway")


def refused(address):
    done = subprocess.run(["ip", "route", "get", address], capture_output=True, text=True)
    return "No route to host" in done.stderr


def test_neighbours_are_on_the_link_and_others_behind_them(container):
    plan = given(network("ring", 4), *NODES)
    set_routes(plan.node(0), "reno")
    assert way("10.9.0.3") is None
    assert "dev eth0" in ip("route", "get", "10.9.0.5")
    hop = plan.next_hops[0][2]
    assert way("10.9.0.4") == NODES[hop]
    assert way("fd09::4") == f"fd09::{NODES[hop][-1]}"
    assert "reno" in ip("-d", "route", "show", "10.9.0.3")


def test_neighbours_of_a_pod_stay_behind_its_gateway(pod):
    plan, given_before = given(network("fully_connected", 3), NODES[0], "10.9.0.3", "10.9.0.4"), given_routes()
    addressing = replace(plan.addressing, ipv4_net=IPv4Network("10.9.0.0/24"), given6=())
    node = replace(plan.node(0), addressing=addressing)
    held = set_routes(node, "reno", (), given_before)
    for peer in ("10.9.0.3", "10.9.0.4"):
        assert way(peer) == pod
        assert "reno" in ip("-d", "route", "show", peer)
    assert "dev eth0" in ip("route", "get", pod)
    assert way("192.0.2.1") == pod
    assert refused("10.9.0.77")
    assert set_routes(node, "reno", held, given_before) == held
    assert way("10.9.0.3") == pod


def test_a_relay_behind_a_gateway_is_refused(pod):
    plan = given(network("ring", 4), *NODES)
    node = replace(plan.node(0), addressing=replace(plan.addressing, given6=()))
    with pytest.raises(NodeError, match=r"reach node 2 through node \d: that is behind the gateway .*fully_connected"):
        set_routes(node, "reno", (), given_routes())


@pytest.mark.parametrize("address", ["10.9.0.77", "fd09::77"])
def test_an_address_of_the_subnet_that_is_no_node_is_unreachable(container, address):
    assert "dev eth0" in ip("route", "get", address)
    set_routes(given(network("ring", 4), *NODES).node(0), "reno")
    assert refused(address)


def test_the_rest_of_the_world_stays_behind_the_gateway(container):
    set_routes(given(network("ring", 4), *NODES).node(0), "reno")
    assert way("192.0.2.1") == GATEWAYS[0]
    assert way("2001:db8::1") == GATEWAYS[1]
    for gateway in GATEWAYS:
        assert "dev eth0" in ip("route", "get", gateway)


def test_routes_follow_nodes_that_move_and_the_old_address_leads_nowhere(container):
    before = given(network("ring", 4), *NODES)
    routes = set_routes(before.node(0), "reno")
    after = given(before, NODES[0], "10.9.0.4", "10.9.0.9", NODES[3])
    routes = set_routes(after.node(0), "reno", routes)
    hop = str(after.addressing.ipv4(after.next_hops[0][2]))
    assert way("10.9.0.9") == hop
    assert "dev eth0" in ip("route", "get", "10.9.0.4")
    assert refused("10.9.0.3")
    assert set_routes(after.node(0), "reno", routes) == routes, "the same again changes nothing"


def test_a_congestion_control_that_the_kernel_lacks_is_one_clear_error(container):
    with pytest.raises(NodeError, match="is 'nonsense' in /proc/sys/net/ipv4/tcp_available_congestion_control"):
        set_routes(given(network("ring", 4), *NODES).node(0), "nonsense")


def test_what_is_held_is_told(container):
    with Rtnetlink() as netlink:
        routes = list(main_table(netlink, 4))
    assert [(str(r.target), r.via and str(r.via)) for r in routes] == [
        ("0.0.0.0/0", GATEWAYS[0]),
        ("10.9.0.0/16", None),
    ]
    assert IPv4Address(GATEWAYS[0]) in [r.via for r in routes]


def test_relays_forward_and_nobody_believes_redirects(container):
    Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")
    forward(given(network("ring", 4), *NODES), 0)
    folder = Path("/proc/sys/net/ipv4/conf/eth0")
    told = {name: (folder / name).read_text().strip() for name in ("forwarding", "accept_redirects", "send_redirects")}
    assert told == {"forwarding": "1", "accept_redirects": "0", "send_redirects": "0"}


def test_a_container_that_cannot_forward_ipv6_is_told_how_it_can(container, tmp_path):
    switch = tmp_path / "net/ipv6/conf/all/forwarding"
    switch.parent.mkdir(parents=True)
    switch.write_text("0\n")
    with pytest.raises(NodeError, match=r"--sysctl net\.ipv6\.conf\.all\.forwarding=1"):
        forward(given(network("ring", 4), *NODES), 0, str(tmp_path))
    forward(given(network("fully_connected", 4), *NODES), 0, str(tmp_path))  # nothing to pass on


def test_only_root_speaks_to_the_agents_of_other_nodes(container):
    set_routes(given(network("fully_connected", 4), *NODES).node(0), "reno")

    def attempt(port, uid):
        os.seteuid(uid)
        try:
            with socket.socket() as one:
                one.setblocking(False)
                return one.connect_ex(("10.9.0.3", port))
        finally:
            os.seteuid(0)

    assert attempt(29321, 1000) == errno.EINPROGRESS
    for _ in range(2):  # an agent that is started again
        assert reserve(29321) == ""
    assert attempt(29321, 1000) == errno.EACCES
    assert attempt(29321, 0) == errno.EINPROGRESS
    assert attempt(29322, 1000) == errno.EINPROGRESS
    for _ in range(2):
        assert reserve_network(IPv4Network("10.9.0.0/24"), "eth0") == ""
    assert attempt(29322, 1000) == errno.EACCES
    assert attempt(29322, 0) == errno.EINPROGRESS


def test_no_job_gets_past_the_rules_of_routing_by_binding_to_the_interface(container):
    """For a socket that is bound to an interface, the kernel skips routing rules."""
    ip("neighbour", "add", "10.9.0.3", "lladdr", "02:00:00:00:00:03", "dev", "eth0")

    def leaves(port, uid):
        """Whether a packet to an address leaves."""
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as far:
            far.bind(("far", 0x0800))
            far.settimeout(0.2)
            os.seteuid(uid)
            try:
                with socket.socket() as one:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
                    one.setblocking(False)
                    one.connect_ex(("10.9.0.3", port))
                    return bool(far.recv(2000))
            except TimeoutError:
                return False
            finally:
                os.seteuid(0)

    assert reserve(29321) == ""
    assert [leaves(29321, 1000), leaves(29321, 0), leaves(29322, 1000)] == [False, True, True]
    for _ in range(2):  # an agent that is started again
        assert reserve_network(IPv4Network("10.9.0.0/24"), "eth0") == ""
    assert [leaves(29322, 1000), leaves(29322, 0)] == [False, True]
