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
ROUTES, PAST = "by the routes", "past the relay"
SEND = textwrap.dedent(
    """
    import json, os, socket, sys
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    for target, port, how in json.loads(sys.argv[1]):
        made = socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET, socket.SOCK_DGRAM)
        if how == "past the relay":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
            made.setsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)
        try:
            made.sendto(b"x", (target, port))
        except OSError as problem:
            print(problem)
    """
)
RECEIVE = textwrap.dedent(
    """
    import json, socket, sys, time
    waiting = []
    for target, port, _ in json.loads(sys.argv[1]):
        made = socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((target, port))
        made.setblocking(False)
        made.setsockopt(*((41, 51, 1) if ":" in target else (0, 12, 1)))  # IPV6_RECVHOPLIMIT, IP_RECVTTL
        waiting.append(made)
    print("ready", flush=True)
    sys.stdin.readline()  # all is sent
    time.sleep(1)
    left = []
    for made in waiting:
        try:
            _, ((_, _, hops),), *_ = made.recvmsg(100, 100)
            left.append(int.from_bytes(hops, sys.byteorder))
        except BlockingIOError:
            left.append(None)
    print(json.dumps(left))
    """
)


def start(net, rank, *words):
    argv = [net.backend.python, "-c", *words]
    return net.backend.spawn(rank, argv, stdio=Stdio(subprocess.PIPE, subprocess.PIPE, None))


def relays(net):
    """By target and way, how many nodes passed a packet on from node 0 to node 2, or None where it never came."""
    targets = [str(net.plan.addressing.address(2, version)) for version in (4, 6)]
    asked = [(target, how) for target in targets for how in (ROUTES, PAST)]
    words = json.dumps([(target, 4000 + number, how) for number, (target, how) in enumerate(asked)])
    receiver = start(net, 2, RECEIVE, words)
    assert receiver.stdout.readline() == b"ready\n"
    start(net, 0, SEND, words).communicate(timeout=20)
    left = json.loads(receiver.communicate(b"\n", timeout=20)[0])
    return {key: None if hops is None else 64 - hops for key, hops in zip(asked, left, strict=True)}


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_node_that_is_no_neighbour_is_reached_through_its_relay_or_not_at_all():
    with up(network("line", 3, shape(delay="1ms"))) as net:
        for (_, how), passed_on in relays(net).items():
            assert passed_on == 1 or (passed_on is None and how == PAST), "IPv6 takes the route all the same"
        for cut in ((0, 1), (1, 2)):  # where either engine makes only the first or only the last edge of the way
            pairs = (cut, cut[::-1])
            net.reshape(lambda plan, pairs=pairs: plan.changed([replace(plan.edge(*p), down=True) for p in pairs]))
            assert set(relays(net).values()) == {None}
            net.reshape(lambda plan, pairs=pairs: plan.changed([replace(plan.edge(*p), down=False) for p in pairs]))
