"""A program without privileges that sends to a node which is no neighbour, past its relay."""

import json
import os
import subprocess
import textwrap
from dataclasses import replace

import pytest

from harness.backends.base import Stdio
from tests.support.live import needs, network, up
from tests.support.plans import shape

pytestmark = [*needs(), pytest.mark.timing, pytest.mark.engine, pytest.mark.backend]
SEND = textwrap.dedent(
    """
    import os, socket, sys
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    target = sys.argv[1]
    made = socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET, socket.SOCK_DGRAM)
    if sys.argv[2] == "past":
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        made.setsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)
    try:
        made.sendto(b"x", (target, 4000))
    except OSError as problem:
        print(problem)
    """
)
RECEIVE = textwrap.dedent(
    """
    import json, socket, sys
    made = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((sys.argv[1], 4000))
    made.settimeout(1)
    made.setsockopt(*((41, 51, 1) if ":" in sys.argv[1] else (0, 12, 1)))  # IPV6_RECVHOPLIMIT, IP_RECVTTL
    print("ready", flush=True)
    try:
        _, ((_, _, hops),), *_ = made.recvmsg(100, 100)
        print(json.dumps(int.from_bytes(hops, sys.byteorder)))
    except TimeoutError:
        print("null")
    """
)


def start(net, rank, *words):
    argv = [net.backend.python, "-c", *words]
    return net.backend.spawn(rank, argv, stdio=Stdio(subprocess.DEVNULL, subprocess.PIPE, None))


def relays(net, target, how):
    """How many nodes passed it on, or None where it never came."""
    receiver = start(net, 2, RECEIVE, target)
    assert receiver.stdout.readline() == b"ready\n"
    start(net, 0, SEND, target, how).communicate(timeout=20)
    left = json.loads(receiver.communicate(timeout=20)[0])
    return None if left is None else 64 - left


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_node_that_is_no_neighbour_is_reached_through_its_relay_or_not_at_all():
    with up(network("line", 3, shape(delay="1ms"))) as net:
        targets = [str(net.plan.addressing.address(2, version)) for version in (4, 6)]
        for target in targets:
            assert relays(net, target, "by the routes") == 1
            assert relays(net, target, "past") in (1, None), "IPv6 takes the route all the same"
        for cut in ((0, 1), (1, 2)):  # where either engine makes only the first or only the last edge of the way
            pairs = (cut, cut[::-1])
            net.reshape(lambda plan, pairs=pairs: plan.changed([replace(plan.edge(*p), down=True) for p in pairs]))
            for target in targets:
                assert [relays(net, target, how) for how in ("past", "by the routes")] == [None, None]
            net.reshape(lambda plan, pairs=pairs: plan.changed([replace(plan.edge(*p), down=False) for p in pairs]))
