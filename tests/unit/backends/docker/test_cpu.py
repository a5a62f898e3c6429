"""Shares of a CPU in Docker's words, and which containers are given theirs when a plan is applied."""

from dataclasses import replace

import pytest

from harness.backends.base import Task
from harness.backends.docker import backend as module
from harness.backends.docker.backend import DockerBackend
from harness.backends.docker.cpu import quota, shares_note
from harness.errors import InputError, NodeError
from harness.model.capacity import NodeShape
from harness.model.cpu import CpuShare
from harness.model.status import CpuStatus, NodeStatus
from harness.shaping.facts import NETEM, USERSPACE, engine_facts
from tests.support.plans import network

QUARTER = CpuShare(250)


def test_a_quota_and_no_quota():
    assert quota(QUARTER) == {"CpuPeriod": 20_000, "CpuQuota": 5_000}
    assert quota(None) == {"CpuQuota": -1}


def test_who_has_links_in_user_space_is_told_that_these_slow_down_too():
    plan = network("ring", 3).with_nodes({1: NodeShape(cpu=QUARTER)})
    assert shares_note(network("ring", 3), USERSPACE) == []
    assert "links in user space" in shares_note(plan, USERSPACE)[0]
    assert "links" not in shares_note(plan, NETEM)[0]


class Agents:
    """Every agent reports what Docker was last told, and remembers what it was asked."""

    ranks = (0, 1, 2)

    def __init__(self, held):
        self.held, self.asked = held, []

    def ask(self, messages):
        self.asked += [(rank, message["do"]) for rank, message in messages.items()]
        share = self.held.get
        return {rank: NodeStatus({}, cpu=CpuStatus(share(rank))).to_json() for rank in messages}


@pytest.mark.parametrize(
    ("held", "shares", "resized", "given"),
    [
        ({1: QUARTER}, {1: QUARTER}, {1}, {}),
        ({}, {1: QUARTER}, {1}, {1: QUARTER}),
        ({}, {1: QUARTER}, set(), {1: QUARTER}),
        ({1: QUARTER}, {}, {1}, {1: None}),
        ({1: QUARTER}, {}, set(), {}),
    ],
)
def test_those_are_limited_that_hold_another_share(monkeypatch, held, shares, resized, given):
    agents, told = Agents(held), {}

    def limit(containers, new):
        told.update(new)
        agents.held = {**held, **new}
        return {}

    monkeypatch.setattr(module, "limit", limit)
    nodes = DockerBackend("net", engine_facts(USERSPACE), {rank: f"c{rank}" for rank in range(3)})
    nodes._agents = agents
    plan = network("ring", 3).with_nodes({rank: NodeShape(cpu=share) for rank, share in shares.items()})
    tasks = {rank: Task("apply", plan.node(rank), resized=rank in resized) for rank in range(3)}
    found = nodes.call(tasks)
    assert told == given
    assert found[1].cpu.applied == shares.get(1, None if given else held.get(1))
    assert nodes.call({1: replace(tasks[1], action="observe")})[1].cpu.applied == found[1].cpu.applied


def test_shares_of_a_stack_are_swarms_to_change():
    nodes = DockerBackend("net", engine_facts(USERSPACE), {0: "c0"}, remote={1: "net_rank-1", 2: "net_rank-2"})
    before = network("ring", 3).with_nodes({1: NodeShape(cpu=QUARTER)})
    for share in (None, CpuShare(500)):
        with pytest.raises(InputError, match=r"node 1's share .* deploy.resources.limits.cpus of rank-1 in the stack"):
            nodes.check(before.with_nodes({1: NodeShape(cpu=share)}), before)


def test_a_refusal_of_docker_is_the_node_s(monkeypatch):
    nodes = DockerBackend("net", engine_facts(USERSPACE), {rank: f"c{rank}" for rank in range(3)})
    nodes._agents = Agents({})
    refusal = NodeError(1, "limit cpu", "no")
    monkeypatch.setattr(module, "limit", lambda containers, shares: {1: refusal})
    plan = network("ring", 3).with_nodes({1: NodeShape(cpu=QUARTER)})
    assert nodes.call({1: Task("apply", plan.node(1), resized=True)})[1] is refusal
