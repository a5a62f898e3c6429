"""nft's own queue expression, on a kernel that has it.

Through a bridge: the User-Mode Linux kernel has nf_tables for bridges only, not for IPv4 and IPv6.
"""

import errno
import select
from contextlib import closing

import pytest
from pyroute2 import IPRoute

from harness.netlink import nft_expressions as expr
from harness.netlink import nftables as nft
from harness.netlink.nfnetlink import Nfnetlink
from harness.shaping.userspace.nfqueue import Nfqueue
from tests.support.veth import NEAR, cable

pytestmark = pytest.mark.netem

BRIDGE = 7
QUEUE = 0x1234
FROM_FAR = expr.Payload(expr.NETWORK, 12, 4), expr.Compare(bytes((10, 0, 0, 2))), expr.Counter()


@pytest.fixture
def bridged():
    """A cable whose near end is a port of a bridge, and the bridge's rule queues what comes from 10.0.0.2."""
    with cable() as made, IPRoute() as ip, Nfnetlink() as netlink:
        ip.link("add", ifname="br0", kind="bridge")
        (index,) = ip.link_lookup(ifname="br0")
        ip.flush_addr(index=made.index)
        ip.link("set", index=made.index, master=index)
        ip.addr("add", index=index, address=NEAR[4], prefixlen=24)
        ip.link("set", index=index, state="up")
        assert made.arrives("10.0.0.2")
        chain = nft.Chain("t", "c", "filter", nft.PREROUTING, nft.RAW, expr.ACCEPT)
        base = [nft.add_table(BRIDGE, "t"), nft.add_chain(BRIDGE, chain)]
        refusals = netlink.transaction([*base, nft.add_rule(BRIDGE, "t", "c", (*FROM_FAR, expr.ToQueue(QUEUE)))])
        if [refusal.errno for refusal in refusals] == [errno.ENOENT]:
            pytest.skip("this kernel has no nft_queue")
        assert refusals == []
        yield (
            made,
            lambda: [nft.read_rule(body).expressions for body in netlink.dump(*nft.rules_request(BRIDGE, "t", "c"))],
        )


def test_without_a_listener_packets_are_dropped(bridged):
    made, read = bridged
    assert read() == [(*FROM_FAR, expr.ToQueue(QUEUE))]
    assert not made.arrives("10.0.0.2")
    assert made.arrives("10.0.0.3")
    assert read() == [(*FROM_FAR[:2], expr.Counter(1, 33), expr.ToQueue(QUEUE))]


def test_a_packet_waits_for_its_verdict(bridged):
    made, _ = bridged
    with closing(Nfqueue()) as queue:
        queue.bind(QUEUE, max_length=10, copy_bytes=1, segment=False)
        with made.send("10.0.0.2") as near:
            select.select([queue], [], [], 1)
            ((number, waiting, _, length, _),) = queue.receive()
            assert (number, length) == (QUEUE, 33)
            with pytest.raises(TimeoutError):
                near.recv(100)
            queue.verdict(number, waiting, True)
            assert near.recv(100) == b"hello"
