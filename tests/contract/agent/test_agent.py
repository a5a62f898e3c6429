"""Whole agents over loopback, in a process each as in containers; only what makes the links is a fake."""

import asyncio
import json
import multiprocessing
import os
import signal
import socket
import sys
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest

from harness.agent import agent, control_socket, discovery
from harness.agent.agent import Agent
from harness.agent.discovery import NameAddresses
from harness.agent.edits import edits_message
from harness.agent.lifecycle import GONE
from harness.agent.links import NodeLinks
from harness.agent.settings import Settings
from harness.linux.syscalls import die_with_parent
from harness.model.address import Addressing
from harness.model.plan import NetworkPlan
from harness.model.status import NodeStatus
from harness.model.units import Time
from tests.support.cli import wait_for
from tests.support.fakes import FakeEngine
from tests.support.plans import network

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an agent starts its job as another user")

HERE, HERE6 = IPv4Address("127.0.0.1"), IPv6Address("::1")
PLAN = network("ring", 3, addressing=Addressing(given4=(HERE,) * 3, given6=(HERE6,) * 3))
SETTINGS = Settings.read(
    {"HARNESS_NAMES": "node-{rank}", "NODES": "3"}, ["sh", "-c", "echo job $RANK of $WORLD_SIZE; exec sleep 300"]
)


class NotingEngine(FakeEngine):
    """Also notes, for the test's process, the neighbours whose links each call changes."""

    def __init__(self, notes):
        super().__init__()
        self.notes = notes

    def apply(self, node, touched=()):
        with self.notes.open("a") as file:
            file.write(f"{sorted(touched)}\n")
        return super().apply(node, touched)


class Node:
    """An agent in a process of its own; a file with its host name is there while the name is known."""

    def __init__(self, rank, folder):
        self.rank, self.folder = rank, folder
        self.name, self.ready, self.notes = (folder / f"{kind}-{rank}" for kind in ("node", "ready", "notes"))
        self.control = f"\0tc-harness-agent-{rank}"
        self.process = multiprocessing.get_context("fork").Process(target=self._run)

    def start(self):
        self.name.touch()
        self.process.start()

    def _run(self):
        die_with_parent()
        control_socket.ADDRESS = self.control  # in a container it has a network namespace of its own
        agent.READY = self.ready
        discovery.look_up = lambda name: NameAddresses(HERE, HERE6) if (self.folder / name).exists() else None
        discovery._WATCH_SECONDS, discovery._GLANCE_SECONDS = 0.5, 0.05  # not 2 and 0.25
        links = NodeLinks(PLAN, self.rank, NotingEngine(self.notes), "cubic")
        links.apply()

        async def run():
            return await Agent(SETTINGS, links, SETTINGS.host_names, "same").run()

        code = asyncio.run(run())
        self.name.unlink()
        sys.exit(code)

    def ask(self, do, **more):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(self.control)
            connection.sendall(json.dumps({"do": do, **more}).encode() + b"\n")
            return json.loads(connection.makefile().readline())

    def set_delay(self, at, milliseconds, *pairs):
        """What ``harness link set`` asks of this node; the delays that it has then."""
        edges = [PLAN.edges[pair] for pair in pairs]
        edges = [replace(edge, shape=edge.shape.changed(delay=Time(milliseconds * 10**6))) for edge in edges]
        touched = [dst for src, dst in pairs if src == self.rank]
        edits = edits_message((at, edge) for edge in edges)
        return delays(self.ask("apply", **edits, touched=touched, asked=[self.rank]))

    def planned(self, *pair):
        plan = NetworkPlan.from_json(self.ask("state", plan=True)["plan"])
        return plan.edges[pair].shape.delay.ns / 1e6


def delays(status):
    edges = NodeStatus.from_json(status).edges
    return {pair: edge.applied.delay.ns / 1e6 for pair, edge in edges.items() if edge.applied.delay.ns}


@pytest.fixture
def nodes(tmp_path):
    made = [Node(rank, tmp_path) for rank in range(3)]
    yield made
    for node in made:
        if node.process.pid is not None:
            node.process.kill()
            node.process.join()


def test_agents_meet_pass_on_changes_once_and_end_together(nodes, capfd):
    zero, one, two = nodes
    two.start()  # whoever comes first
    zero.start()
    wait_for(lambda: zero.notes.exists() and two.notes.exists())
    assert not zero.ready.exists()
    one.start()
    wait_for(lambda: all(node.ready.exists() for node in nodes))
    said = ""

    def all_run():
        nonlocal said
        said += capfd.readouterr().out
        return all(f"[{rank}] job {rank} of 3\n" in said for rank in range(3))

    wait_for(all_run)

    assert one.set_delay(7, 33, (0, 1), (1, 0), (2, 0)) == {(1, 0): 33}
    wait_for(lambda: all(node.planned(2, 0) == 33 for node in nodes))
    assert two.set_delay(8, 44, (1, 2), (2, 1)) == {(2, 0): 33, (2, 1): 44}
    wait_for(lambda: all(node.planned(1, 2) == 44 for node in nodes))
    assert delays(zero.ask("observe")) == {(0, 1): 33}
    assert delays(one.ask("observe")) == {(1, 0): 33, (1, 2): 44}
    assert [node.notes.read_text().split("\n")[1:-1] for node in nodes] == [["[1]"], ["[0]", "[2]"], ["[0]", "[1]"]]

    os.kill(two.process.pid, signal.SIGTERM)
    wait_for(lambda: not any(node.process.is_alive() for node in nodes), 20)  # not the 30 s of a goodbye that is lost
    assert two.process.exitcode == 128 + signal.SIGTERM
    assert zero.process.exitcode == one.process.exitcode
    assert one.process.exitcode in (two.process.exitcode, GONE)  # GONE where this process was busy
    assert not any(node.ready.exists() for node in nodes)
