"""How much agents send over the shaped links after the command line has changed all links."""

import asyncio
import json
import time
from dataclasses import replace

import pytest

from harness.agent import coordinator, discovery, worker
from harness.agent.changes import Changes
from harness.agent.coordinator import Coordinator
from harness.agent.edits import Edits, edits_message
from harness.agent.lifecycle import Lifecycle
from harness.agent.worker import Worker
from harness.model.status import NodeStatus
from harness.model.units import Time
from tests.support.plans import network

pytestmark = pytest.mark.timing  # what agents confirm in time they do not send

SIZE = 8
PLAN = network("fully_connected", SIZE)
NAMES = [f"n-{rank}" for rank in range(SIZE)]


class Links:
    """The links of a node, in memory."""

    def __init__(self, rank):
        self.rank, self.plan, self.engine = rank, PLAN, self

    def enforced_at(self, pair):
        return pair[0]

    def apply(self, touched=()):
        return NodeStatus({})


class Node:
    """An agent without a kernel."""

    def __init__(self, rank):
        edits = Edits()
        self.links = Links(rank)
        self.changes, self.edits = Changes(self.links, edits), edits
        if rank:
            self.role = Worker(rank, "same", edits, self.take, lambda: "127.0.0.1", NAMES, True, print)
        else:
            self.role = Coordinator(
                Lifecycle(SIZE), "same", edits, self.take, lambda rank: "127.0.0.1", NAMES, "run", print
            )

    def take(self, message):
        if message["do"] == "edits":
            self.changes.merge(message)

    def command(self, edits, asked):
        message = {"do": "apply", **edits, "touched": [], "asked": asked}
        self.role.share(self.changes.command(message)[1], asked)


def slower(delay, most=None):
    return edits_message(
        (time.time_ns(), replace(edge, shape=edge.shape.changed(delay=Time(delay * 10**6))))
        for edge in list(PLAN.edges.values())[:most]
    )


@pytest.fixture
def sent(monkeypatch):
    """The messages that rank 0 (True) and the others (False) send."""
    messages = {True: [], False: []}
    monkeypatch.setattr(discovery, "look_up", lambda name: object())
    for module, is_first in ((coordinator, True), (worker, False)):

        def count(writer, message, send=module.send, kept=messages[is_first]):
            kept.append(message)
            send(writer, message)

        monkeypatch.setattr(module, "send", count)
    for module in (coordinator, worker):
        monkeypatch.setattr(module, "CONFIRM_SECONDS", 0.3)
    return messages


def size(messages):
    return sum(len(json.dumps(message, separators=(",", ":"))) + 1 for message in messages)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def play(scene, sent):
    async def run():
        nodes = [Node(rank) for rank in range(SIZE)]
        tasks = [asyncio.ensure_future(node.role.serve()) for node in nodes]
        try:
            await until(lambda: sum(message["do"] == "shaped" for message in sent[False]) == SIZE - 1)
            await asyncio.sleep(0.1)
            for kept in sent.values():
                kept.clear()
            await scene(nodes)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())


def agree(nodes):
    return all(node.edits.to_json() == nodes[0].edits.to_json() for node in nodes)


def test_a_change_that_all_nodes_got_from_the_command_line_is_not_sent_again(sent):
    async def scene(nodes):
        edits = slower(33)
        for node in nodes:
            node.command(edits, range(SIZE))
        await asyncio.sleep(1.0)
        assert agree(nodes)
        assert len(sent[True]) == SIZE - 1, "one short message to each node, to confirm that it has the change"
        assert size(sent[True]) < 1000
        assert size(sent[False]) < 1000

    play(scene, sent)


def test_nodes_that_the_command_line_does_not_ask_get_the_change_once_and_at_once(sent):
    async def scene(nodes):
        edits, asked = slower(20, most=2), (0, 1)
        for rank in asked:
            nodes[rank].command(edits, asked)
        await until(lambda: agree(nodes))
        assert [message["do"] for message in sent[True]] == ["edits"] * (SIZE - 2)
        await asyncio.sleep(1.0)
        assert size(sent[True]) == pytest.approx((SIZE - 2) * size(sent[True][:1]), abs=1000)

    play(scene, sent)


@pytest.mark.parametrize("missed", [0, 5])
def test_a_node_that_misses_what_the_command_line_sends_it_gets_the_change_from_the_others(sent, missed):
    async def scene(nodes):
        edits = slower(50)
        for rank, node in enumerate(nodes):
            if rank != missed:
                node.command(edits, range(SIZE))
        await until(lambda: agree(nodes))
        assert nodes[missed].links.plan == nodes[1].links.plan
        assert sum(len(message.get("edits", ())) > 0 for kept in sent.values() for message in kept) < 2 * SIZE

    play(scene, sent)
