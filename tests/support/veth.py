"""Two throwaway network namespaces with a cable between them, and sockets of both in one process."""

from __future__ import annotations

import contextlib
import os
import socket

from pyroute2 import IPRoute

from harness.linux.host import has_ipv6
from harness.linux.syscalls import CLONE_NEWNET, setns, unshare
from tests.support.cli import wait_for

NEAR = {4: "10.0.0.1", 6: "fd00::1"}
FAR = ["10.0.0.2", "10.0.0.3", "fd00::2", "fd00::3"]


def here():
    """A file descriptor of the current network namespace."""
    return os.open("/proc/self/ns/net", os.O_RDONLY)


@contextlib.contextmanager
def inside(namespace):
    home = here()
    setns(namespace, CLONE_NEWNET)
    try:
        yield
    finally:
        setns(home, CLONE_NEWNET)
        os.close(home)


def udp(address, traffic_class=0):
    """A socket that sends packets of this class (DSCP and ECN), and gets the class of what comes."""
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(0.3)
    if ":" in address:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, traffic_class)
    else:
        made.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        made.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, traffic_class)
    made.bind((address, 0))
    return made


class Cable:
    """This process is at its near end, eth0 with this index; datagrams come from the addresses of the far end."""

    def __init__(self, far):
        self._far = far
        self.sources = [address for address in FAR if has_ipv6() or ":" not in address]
        with IPRoute() as ip:
            ip.link("add", ifname="eth0", kind="veth", peer={"ifname": "eth0", "net_ns_fd": far})
        self.index = self._start(NEAR.values())
        with inside(far):
            self._start(FAR)
            _wait_for_carrier()
        _wait_for_carrier()

    def _start(self, addresses):
        with IPRoute() as ip:
            index = ip.link_lookup(ifname="eth0")[0]
            for address in addresses:
                if has_ipv6() or ":" not in address:
                    at_once = {"flags": 0x2} if ":" in address else {}  # IFA_F_NODAD
                    ip.addr("add", index=index, address=address, prefixlen=64 if at_once else 24, **at_once)
            ip.link("set", index=index, state="up")
        return index

    def send(self, source, text=b"hello", traffic_class=0):
        """Send a datagram from there; returns the socket that should get it."""
        near = udp(NEAR[6 if ":" in source else 4])
        with inside(self._far), udp(source, traffic_class) as far:
            far.sendto(text, near.getsockname())
        return near

    def at_the_far_end(self):
        """In the block, this process is there."""
        return inside(self._far)

    def sends_frame(self, ethertype):
        """Send a frame from there to everybody; its length."""
        with inside(self._far), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as far:
            return far.sendto(b"\xff" * 6 + bytes(6) + ethertype.to_bytes(2) + bytes(46), ("eth0", ethertype))

    def arrives(self, source):
        """Whether a datagram sent from there gets through."""
        with self.send(source) as near, contextlib.suppress(TimeoutError):
            return near.recv(100) == b"hello"
        return False


def _wait_for_carrier():
    """The kernel connects an interface's queue a moment after its peer is up; until then it sends nothing."""
    with IPRoute() as ip:
        index = ip.link_lookup(ifname="eth0")[0]
        wait_for(lambda: ip.get_links(index)[0].get_attr("IFLA_OPERSTATE") == "UP")


@contextlib.contextmanager
def cable():
    """As root, or in a user namespace."""
    home, far = here(), None
    try:
        unshare(CLONE_NEWNET)
        far = here()
        unshare(CLONE_NEWNET)
        yield Cable(far)
    finally:
        setns(home, CLONE_NEWNET)
        for namespace in filter(None, (home, far)):
            os.close(namespace)
