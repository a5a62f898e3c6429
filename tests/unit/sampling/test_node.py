"""Which edges a node counts, and when its connections are looked at: real ones, over loopback."""

import errno
import os
import socket

import pytest

from harness.netlink.tcp_info import Connections
from harness.sampling import node as module
from harness.sampling.node import NodeSampler, Site, sites
from tests.support.plans import network

LOCAL = bytes([127, 0, 0, 1]) + bytes(12)


class Meter:
    held = {"uplink": (1, 2, 3, 4, 5), "trunk eu->us": (6, 7, 8, 9, 10)}  # noqa: RUF012

    def read(self):
        return {1: (1, 2, 3, 4, 5)}

    def caps(self):
        return self.held

    def notes(self):
        return ["a note"]

    def close(self):
        pass


@pytest.fixture
def sampler(monkeypatch):
    """Of node 0, to which 127.0.0.1 is node 1."""
    monkeypatch.setattr(module, "open_meter", lambda *_: Meter())
    made = NodeSampler(Site(0, 2, {1: (1, 0), 2: (2, 0)}, {LOCAL: 1}, "userspace"))
    yield made
    made.close()


@pytest.fixture
def pair():
    """The two ends of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        with client, server.accept()[0] as accepted:
            yield client, accepted


def ports(flows):
    return {(flow.src_port, flow.dst_port) for flow in flows}


def test_the_edges_that_an_engine_shapes_at_each_node():
    plan = network("star", 3)
    by_receiver, by_sender = sites(plan, "userspace"), sites(plan, "netem")
    assert [site.pairs for site in by_receiver] == [{1: (1, 0), 2: (2, 0)}, {0: (0, 1)}, {0: (0, 2)}]
    assert [site.pairs for site in by_sender] == [{1: (0, 1), 2: (0, 2)}, {0: (1, 0)}, {0: (2, 0)}]


def test_an_edge_that_is_not_shaped_has_counted_nothing(sampler):
    assert sampler.sample(thorough=True).edges == {(1, 0): (1, 2, 3, 4, 5), (2, 0): (0, 0, 0, 0, 0)}


def test_capacities_are_looked_for_once_a_second_and_read_ten_times_where_there_are_any(sampler, monkeypatch):
    assert not sampler.sample(thorough=False).caps
    held = {"uplink 0": (1, 2, 3, 4, 5), "trunk eu->us": (6, 7, 8, 9, 10)}
    assert sampler.sample(thorough=True).caps == held
    monkeypatch.setattr(Meter, "held", {"uplink": (2, 2, 3, 4, 5)})
    assert sampler.sample(thorough=False).caps == {"uplink 0": (2, 2, 3, 4, 5)}


def test_a_connection_from_its_beginning_to_its_end(sampler, pair):
    client, accepted = pair
    here, there = client.getsockname()[1], accepted.getsockname()[1]
    begun = sampler.sample(thorough=False).flows.begun
    assert {(here, there), (there, here)} <= ports(begun)
    (flow,) = (flow for flow in begun if flow.src_port == here)
    client.sendall(bytes(100_000))
    accepted.recv(1 << 20)
    client.sendall(b"x")
    accepted.recv(1 << 20)
    samples = dict(sampler.sample(thorough=False).flows.samples)
    assert samples[flow.id].bytes_acked >= 100_000
    assert samples[flow.id].cwnd > 0
    client.close()
    accepted.close()
    assert flow.id in sampler.sample(thorough=False).flows.ended


def test_a_connection_that_is_being_made_is_looked_for_again(sampler):
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    with full, socket.create_connection(full.getsockname()), socket.socket() as waiting:
        waiting.setblocking(False)
        waiting.connect_ex(full.getsockname())
        port = waiting.getsockname()[1]
        assert port not in {flow.src_port for flow in sampler.sample(thorough=False).flows.begun}
        for _ in range(2):
            full.accept()[0].close()
        waiting.setblocking(True)
        waiting.settimeout(10)
        waiting.recv(1)
        assert port in {flow.src_port for flow in sampler.sample(thorough=False).flows.begun}


def test_a_kernel_that_does_not_tell_of_connections_is_said_and_links_are_recorded(sampler, monkeypatch):
    def refuse(_):
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(Connections, "all", refuse)
    assert sampler.sample(thorough=True).edges[1, 0] == (1, 2, 3, 4, 5)
    assert sampler.notes()[0] == "a note"
    assert "CONFIG_INET_DIAG" in sampler.notes()[1]
