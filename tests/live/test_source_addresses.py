"""A program without privileges that sends from an address which is not its node's."""

import json
import os
import socket
import subprocess
import textwrap

import pytest

from harness.backends.base import Stdio
from harness.networks.backends import DOCKER
from tests.support.live import engine_name, needs, network, runtime_name, up
from tests.support.plans import shape

pytestmark = [*needs(), pytest.mark.timing, pytest.mark.engine, pytest.mark.backend]
OWN_MS, OTHER_MS = 50, 5
SEND = textwrap.dedent(
    """
    import json, os, socket, sys, time
    family, source, target = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    if os.geteuid() == 0 and sys.argv[4] == "nobody":
        os.setgid(65534)
        os.setuid(65534)
    kind = socket.SOCK_RAW if sys.argv[4] == "raw" else socket.SOCK_DGRAM
    try:
        made = socket.socket(family, kind, socket.IPPROTO_RAW if kind == socket.SOCK_RAW else 0)
        if kind == socket.SOCK_RAW:
            packet = bytes.fromhex(sys.argv[5])
            sent = time.monotonic()
            made.sendto(packet, (target, 0))
        else:
            made.setsockopt(*((socket.IPPROTO_IPV6, 78, 1) if family == socket.AF_INET6 else (0, 15, 1)))  # FREEBIND
            made.bind((source, 0))
            sent = time.monotonic()
            made.sendto(b"x", (target, 4000))
        print(json.dumps([sent, ""]))
    except OSError as problem:
        with socket.socket(family, socket.SOCK_DGRAM) as own:
            own.sendto(b"refused", (target, 4000))
        print(json.dumps([0, problem.strerror]))
    """
)
RECEIVE = textwrap.dedent(
    """
    import json, socket, sys, time
    made = socket.socket(int(sys.argv[1]), socket.SOCK_DGRAM)
    made.bind((sys.argv[2], 4000))
    made.settimeout(20)  # the sender's Python has to start meanwhile, on the slowest machine
    print("ready", flush=True)
    try:
        first = made.recv(100)
        print(json.dumps(None if first == b"refused" else time.monotonic()))
    except TimeoutError:
        print("null")
    """
)


def start(net, rank, *words):
    stdio = Stdio(subprocess.DEVNULL, subprocess.PIPE, None)
    return net.backend.spawn(rank, [net.backend.python, "-c", *map(str, words)], stdio=stdio)


def attempt(net, family, source, how, packet=""):
    """How long it took from node 0 to node 1 in ms, or why it was refused, or None where it never came."""
    target = str(net.plan.addressing.address(1, 4 if family == socket.AF_INET else 6))
    receiver = start(net, 1, RECEIVE, int(family), target)
    assert receiver.stdout.readline() == b"ready\n"
    sent, refused = json.loads(start(net, 0, SEND, int(family), source, target, how, packet).communicate(timeout=20)[0])
    came = json.loads(receiver.communicate(timeout=30)[0])
    if refused:
        assert came is None
        return refused
    return None if came is None else 1000 * (came - sent)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_source_that_is_not_the_nodes_own_takes_no_other_link_and_passes_no_partition():
    plan = network("fully_connected", 3, e01=shape(delay="50ms"), e12=shape(delay="5ms"), e02=shape(delay="5ms"))
    with up(plan) as net:
        where = net.plan.addressing
        own = attempt(net, socket.AF_INET6, where.ipv6(0), "nobody")
        assert own >= 0.9 * OWN_MS
        for source in (where.ipv6(2), "2001:db8::1", where.ipv6_net[77]):
            found = attempt(net, socket.AF_INET6, source, "nobody")
            if engine_name() == "netem":
                assert found >= 0.9 * OWN_MS, "by its destination it takes its own link"
            else:
                assert found == "Operation not permitted"
        for source in (where.ipv4(2), where.ipv4_net[77]):
            assert isinstance(attempt(net, socket.AF_INET, source, "nobody"), str), "IPv4 refuses it"
            raw = bytes.fromhex("4500002100000000401100 00".replace(" ", "")) + source.packed + where.ipv4(1).packed
            found = attempt(
                net, socket.AF_INET, source, "raw", (raw + bytes.fromhex("0fa00fa0000d0000") + b"hello").hex()
            )
            if engine_name() == "netem" and runtime_name() != DOCKER:
                assert found >= 0.9 * OWN_MS
            else:
                assert found == "Operation not permitted"
