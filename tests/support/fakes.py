"""Hand-written stand-ins for the kernel and for namespaces; the contract suites run on them and on the real ones."""

from __future__ import annotations

from typing import ClassVar

from harness.errors import HarnessError, NodeError
from harness.link import UNSHAPED
from harness.qdisc import (
    EMPTY,
    AddBranch,
    AddFilter,
    AddRoot,
    AddTbf,
    Change,
    Tree,
    diff,
    mismatches,
    shape_of,
    tree_of,
)
from harness.reading import EdgeReading, NodeReading, Stats


class FakeEngine:
    """Holds each node's tree in memory. ``refuse`` names edges that it will not make."""

    name = "fake"

    def __init__(self):
        self.trees: dict[int, Tree] = {}
        self.refuse: set[tuple[int, int]] = set()
        self.log: list[object] = []

    def apply(self, node, touched=()):
        desired, tree = tree_of(node), self.trees.get(node.rank, EMPTY)
        branches, filters, rooted = dict(tree.branches), dict(tree.filters), tree.rooted
        for action in diff(desired, tree, touched):
            self.log.append((node.rank, action))
            match action:
                case AddRoot():
                    rooted = True
                case AddBranch(branch) | AddTbf(branch) | Change(branch):
                    if (node.rank, branch.neighbour) in self.refuse:
                        raise NodeError(node.rank, f"shape edge {node.rank}->{branch.neighbour}", "refused")
                    branches[branch.neighbour] = branch
                case AddFilter(destination, version, neighbour):
                    assert neighbour in branches, "a filter before its branch lets packets into nowhere"
                    filters[destination, version] = neighbour
            self.trees[node.rank] = Tree(rooted, dict(branches), dict(filters))
        return self.observe(node)

    def observe(self, node):
        tree = self.trees.get(node.rank, EMPTY)
        edges = {}
        for egress in node.egress:
            branch = tree.branches.get(egress.neighbour)
            edges[egress.neighbour] = EdgeReading(UNSHAPED if branch is None else shape_of(branch), Stats())
        return NodeReading(edges, tuple(mismatches(tree_of(node), tree)))


class FakeRuntime:
    """Nodes that are nothing but their tasks."""

    name = "fake"
    living: ClassVar[set[int]] = set()

    def __init__(self, engine, handle=None):
        self.engine = engine
        self.number = handle["number"] if handle else 0
        self.events: list[str] = []

    @property
    def handle(self):
        return {"number": self.number}

    @property
    def alive(self):
        return self.number in FakeRuntime.living

    def create(self, plan, progress):
        self.number = max(FakeRuntime.living, default=0) + 1
        FakeRuntime.living.add(self.number)
        progress("making")
        self.events.append("create")

    def open(self, plan):
        self.events.append("open")

    def keep(self):
        self.events.append("keep")

    def call(self, tasks):
        self.events.append(f"call {next(iter(tasks.values())).action}" if tasks else "call nothing")
        answers = {}
        for rank, task in tasks.items():
            try:
                answers[rank] = task.perform(self.engine)
            except HarnessError as error:
                answers[rank] = error
        return answers

    def destroy(self):
        self.events.append("destroy")
        FakeRuntime.living.discard(self.number)
