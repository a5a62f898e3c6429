"""Names of the nodes: host names, lookups both ways, and none that waits for a name server nobody reaches."""

import json
import re
import time
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from harness.model.address import Addressing
from harness.networks.placement import DOCKER
from tests.support import plans
from tests.support.live import needs, network, own, run, runtime_name, up

pytestmark = needs()

LOOK_UP = """
import json, socket, sys
print(json.dumps([
    socket.gethostname(), socket.getfqdn(),
    [sorted({info[4][0] for info in socket.getaddrinfo(name, 80)}) for name in sys.argv[1:]],
]))
"""
REVERSE = """
import json, socket, sys
print(json.dumps([socket.getnameinfo((address, 80), socket.NI_NAMEREQD)[0] for address in sys.argv[1:]]))
"""


@pytest.fixture(scope="module")
def net():
    with up(network("line", 3), own("names")) as up_:
        yield up_


def python(net, rank, source, *words):
    return json.loads(run(net, rank, net.backend.python, "-c", source, *words))


@pytest.mark.backend
def test_every_node_finds_every_node_by_name(net):
    for rank in range(3):
        found = python(net, rank, LOOK_UP, "node-0", "node-1", "node-2")[2]
        addressing = net.plan.addressing
        assert found == [sorted((str(addressing.ipv4(r)), str(addressing.ipv6(r)))) for r in range(3)]


if runtime_name() != DOCKER:

    def test_a_nodes_host_name_is_its_own_and_stands_for_its_address(net):
        mine = Path("/proc/sys/kernel/hostname").read_text()
        for rank in range(3):
            name, full, (addresses,) = python(net, rank, LOOK_UP, f"node-{rank}")
            assert (name, full) == (f"node-{rank}", f"node-{rank}")
            assert str(net.plan.addressing.ipv4(rank)) in addresses
        assert Path("/proc/sys/kernel/hostname").read_text() == mine

    def test_an_exported_host_name_is_the_nodes_too(net):
        command = ["sh", "-c", 'test "$HOSTNAME" = node-1']
        assert net.backend.spawn(1, command, env={"HOSTNAME": "elsewhere", "PATH": "/bin:/usr/bin"}).wait() == 0

    def test_addresses_have_names(net):
        addressing = net.plan.addressing
        asked = [str(address(rank)) for rank in range(3) for address in (addressing.ipv4, addressing.ipv6)]
        names = [f"node-{rank}" for rank in range(3) for _ in "46"]
        assert python(net, 1, REVERSE, *asked, "127.0.0.1") == [*names, "localhost"]

    def test_the_hosts_files_stay_the_hosts(net):
        assert "node-0" not in Path("/etc/hosts").read_text()


def name_server():
    """The first IPv4 name server of this machine, or what might be one."""
    found = re.search(r"^nameserver\s+(\d+\.\d+\.\d+\.\d+)\s*$", Path("/etc/resolv.conf").read_text(), re.MULTILINE)
    address = IPv4Address(found[1]) if found else IPv4Address("10.255.255.53")
    return address if not address.is_loopback else IPv4Address("10.255.255.53")


@pytest.mark.skipif(runtime_name() == DOCKER, reason="Docker has a name server of its own")
def test_no_lookup_waits_for_a_name_server_in_the_nodes_subnet():
    subnet = IPv4Network(f"{name_server()}/24", strict=False)
    plan = plans.network("line", 2, addressing=Addressing.parse(str(subnet)))
    source = """
import socket, time
began = time.monotonic()
for ask in (lambda: socket.getaddrinfo("nowhere.example", 80), lambda: socket.gethostbyaddr("192.0.2.1")):
    try: ask()
    except OSError: pass
print(time.monotonic() - began)
"""
    with up(plan, own("dns")) as net:
        began = time.monotonic()
        assert float(run(net, 0, net.backend.python, "-c", source)) < 1
        assert time.monotonic() - began < 5
