"""Packets of every kind between two nodes: each is shaped and stopped by the link, or dropped, or named as passing.

The table is tests/support/frames.py. Each kind is sent first where nothing is shaped, and must arrive: so none is
dropped for another reason than the links.
"""

import subprocess
from dataclasses import replace
from functools import partial
from ipaddress import IPv6Address

import pytest

from harness.backends.base import Stdio
from harness.model.link import UNSHAPED
from harness.networks.backends import DOCKER
from tests.support import frames
from tests.support.frame_exchange import outcomes
from tests.support.frames import DELAYED, DROPPED
from tests.support.frames import UNSHAPED as PASSES
from tests.support.live import engine_name, needs, network, run, runtime_name, up
from tests.support.plans import shape

pytestmark = [
    *needs(),
    pytest.mark.timing,
    pytest.mark.engine,
    pytest.mark.skipif(runtime_name() == DOCKER, reason="jobs in containers have no packet sockets"),
]
DELAY = 0.05
TENTATIVE = 0x40


def spawn(net, rank, argv):
    return net.backend.spawn(rank, [net.backend.python, *argv], stdio=Stdio(subprocess.PIPE, subprocess.PIPE, None))


def ends_of(net):
    def near(rank):
        lines = [line.split() for line in run(net, rank, "cat", "/proc/net/if_inet6").splitlines()]
        ((address, flags),) = [(line[0], int(line[4], 16)) for line in lines if line[3] == "20" and line[5] == "eth0"]
        assert not flags & TENTATIVE, "the kernel still asks whether another has this address"
        return IPv6Address(int(address, 16))

    macs = [bytes.fromhex(run(net, r, "cat", "/sys/class/net/eth0/address").replace(":", "")) for r in (0, 1)]
    where = net.plan.addressing
    return frames.Ends(
        tuple(macs),
        (where.ipv4(0), where.ipv4(1)),
        (where.ipv6(0), where.ipv6(1)),
        (near(0), near(1)),
        (where.ipv4(2), where.ipv6(2)),
        where.ipv4_net.broadcast_address,
    )


def word(seconds):
    if seconds is None:
        return DROPPED
    return DELAYED if seconds > 0.9 * DELAY else PASSES


def wrong(kinds, found, expected):
    return {kind.name: (found[kind.name], expected(kind)) for kind in kinds if word(found[kind.name]) != expected(kind)}


def reshape(net, **changes):
    edges = [edge for edge in net.plan.edges.values() if 0 in edge.pair]
    net.reshape(lambda plan: plan.changed([replace(edge, **changes) for edge in edges]))


def test_every_kind_of_packet_is_shaped_and_stopped_or_dropped_or_named():
    def expected(kind):
        return kind.netem if engine_name() == "netem" else kind.userspace

    with up(network("fully_connected", 3)) as net:
        run(net, 1, "ip", "addr", "add", f"{frames.OTHER_LINK}/16", "dev", "eth0")
        kinds = frames.kinds(ends_of(net))
        assert len(kinds) >= 80
        with outcomes(partial(spawn, net, 0), partial(spawn, net, 1), kinds) as send:
            assert wrong(kinds, send(0.3), lambda _: PASSES) == {}, "nothing is shaped"
            reshape(net, shape=shape(delay="50ms"))
            assert wrong(kinds, send(0.5), expected) == {}
            reshape(net, down=True)
            left = [kind for kind in kinds if expected(kind) == PASSES]
            found = send(0.5)
            assert {name for name, seconds in found.items() if seconds is not None} == {kind.name for kind in left}
            reshape(net, shape=UNSHAPED, down=False)
            found = send(0.3)
            assert {name for name, came in found.items() if came is None} == {
                kind.name for kind in kinds if expected(kind) == DROPPED
            }, "as long as the network is up, what crosses no link stays out"
